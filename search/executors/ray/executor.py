"""Evaluates trials on the machines of a Ray cluster."""

import re
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import ray

from search.environment import package_versions
from search.errors import StudyFileError, machine_cause, own_files
from search.executors.base import (
    ClusterRequest,
    Executor,
    IsStopped,
    Limits,
    OnRecord,
    never,
)
from search.executors.process import WorkerFailed
from search.executors.protocol import (
    HALT,
    Done,
    Failed,
    FoldKey,
    FoldTask,
    Ready,
    Report,
    Verdict,
    Work,
)
from search.executors.ray.bundles import Bundle, Parcel, dataset_parcel, study_parcel
from search.executors.ray.cluster import Cluster, RayPool
from search.executors.ray.remote import COMPARED, Order, Wanted
from search.executors.ray.worker import Fetched, RayWorker
from tracking.files import make_folder, whole_file
from tracking.home import StudyFolder
from tracking.records import AttemptFailed, FoldEnded, FoldPaused
from tracking.text import Notify, unheard

_STARTS = 3  # tries to get a worker
_TICK = 1.0  # seconds
_LONGEST_ERROR = 4000  # characters
_COLOUR = re.compile("\x1b\\[[0-9;]*m")


class RayExecutor(Executor):
    """One worker for each share of a Ray cluster that can train a trial.

    The home is the coordinator's alone: what workers need travels to each machine once, and what
    they write comes back with their records. A machine that is lost is so many lost workers; one
    that joins is so many more slots.

    Args:
        work: what the workers load.
        workers: how many there are at most; None for as many as the cluster carries.
        limits: what each may take.
        request: which cluster, and what each takes of its machine.
        notify: takes notices for the user.
        patience: seconds to wait for a machine that can train a trial at all.
        is_stopped: says whether nothing more is to begin.

    Raises:
        SettingsError: there is no such cluster, or this machine alone cannot train a trial.
    """

    def __init__(
        self,
        work: Work,
        *,
        workers: int | None = None,
        limits: Limits | None = None,
        request: ClusterRequest | None = None,
        notify: Notify | None = None,
        patience: float = 120.0,
        is_stopped: IsStopped = never,
    ) -> None:
        self.is_stopped = is_stopped
        request, self._folder = request or ClusterRequest(), StudyFolder(Path(work.folder))
        parcels = dataset_parcel(Path(work.dataset)), study_parcel(work)
        self._parcels: dict[Bundle, Parcel] = {parcel.bundle: parcel for parcel in parcels}
        self._pieces: dict[Bundle, Fetched] = {}
        self._versions = package_versions(COMPARED)
        self._tasks: deque[FoldTask] = deque()  # not yet with a worker
        self._failed_starts = 0
        dataset, study = self._parcels
        order = Order(work, dataset, study, limits or Limits(), request.per_trial)
        self._cluster = Cluster(request.address)
        self._pool = RayPool(
            self._cluster,
            order,
            most=workers,
            patience=patience,
            notify=notify or unheard,
        )
        try:
            self._pool.look(at_once=True)
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:  # type: ignore[override] # it changes as machines come and go
        """How many tasks may be submitted and not yet over, at the moment."""
        return self._pool.slots

    def submit(self, task: FoldTask) -> None:
        """Queue the task for the next worker that has none."""
        self._tasks.append(task)

    def has_traced(self, trial: int) -> bool:
        """Say whether a worker that has no task was given the trial before."""
        return any(w.task is None and w.is_ready and trial in w.trials for w in self._pool.workers)

    def wait(self, on_record: OnRecord) -> FoldKey | None:
        """Pass the workers' records on, and verdicts back, until a task is over or slots grew."""
        if not self._tasks and all(worker.task is None for worker in self._pool.workers):
            raise RuntimeError("wait without a submitted task")
        before = self.slots
        while self.slots <= before:
            if not any(worker.task for worker in self._pool.workers) and self.is_stopped():
                return None
            self._hand_out()
            for worker in self._speaking():
                over = self._hear(worker, on_record)
                if over is not None:
                    return over
            self._pool.look()
        return None

    def close(self) -> None:
        """End the workers, and a cluster that was started for them."""
        self._pool.close()
        self._tasks.clear()
        self._pieces.clear()
        self._cluster.close()

    # What workers say.

    def _speaking(self) -> list[RayWorker]:
        """Wait a little, and return the workers that have something to say or are gone."""
        awaited = {
            worker.awaited: worker for worker in self._pool.workers if worker.awaited is not None
        }
        if not awaited:
            time.sleep(_TICK)
            return []
        ready, _ = ray.wait(list(awaited), timeout=_TICK)
        if ready:  # and whoever else is ready by now, so that none has to wait for a busier one
            ready, _ = ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
        return [awaited[reference] for reference in ready]

    def _hear(self, worker: RayWorker, on_record: OnRecord) -> FoldKey | None:
        """Take in what a worker says; return trial and fold if its task is over."""
        if worker not in self._pool.workers:  # dismissed a moment ago
            return None
        try:
            said = worker.heard()
        except ray.exceptions.RayError as error:
            return self._lose(worker, error, on_record)
        match said:
            case Wanted(bundle):
                worker.answer(self._fetched(bundle))
            case Ready():
                self._welcome(worker, said)
            case Report():
                worker.has_begun = True
                worker.answer(self._take(said, on_record))
            case Done():
                task, worker.task = worker.task, None
                return None if task is None else task.key
            case Failed(words):
                return self._leave_out(worker, words, on_record)
        return None

    def _take(self, report: Report, on_record: OnRecord) -> Verdict:
        """Keep the files that a record speaks of, then pass it on."""
        record = report.record
        if isinstance(record, FoldEnded | FoldPaused):
            place = self._folder.predictions
            if isinstance(record, FoldPaused):
                place = self._folder.checkpoint
            try:
                with own_files():
                    for content in report.files.values():
                        path = place(record.trial, record.fold)
                        make_folder(path.parent)
                        with whole_file(path) as file:
                            file.write(content)
            except StudyFileError as error:
                key, reason = (record.trial, record.fold), f"{type(error).__name__}: {error}"
                on_record(_broken_off(key, machine_cause(error), reason, reason))
                return HALT
        return on_record(record)

    def _welcome(self, worker: RayWorker, ready: Ready) -> None:
        differing = [
            f"{name} {ready.versions.get(name, 'missing')} instead of {version}"
            for name, version in self._versions.items()
            if ready.versions.get(name) != version
        ]
        if differing:
            self._pool.leave_out(
                worker,
                f"{ready.host} has {', '.join(differing)}. A study's scores must come from the"
                " same versions: install this machine's packages on every node.",
            )
            return
        worker.node, worker.host = ready.node, ready.host
        self._failed_starts = 0
        if sum(one.is_ready for one in self._pool.workers) >= self._pool.slots:
            self._pieces.clear()  # whoever joins later has them put there again

    # Tasks and what they need.

    def _hand_out(self) -> None:
        idle = [one for one in self._pool.workers if one.is_ready and one.task is None]
        while idle and self._tasks:
            task = self._tasks.popleft()
            worker = next((one for one in idle if task.trial in one.trials), idle[0])
            idle.remove(worker)
            worker.task, worker.has_begun = task, False
            worker.trials.append(task.trial)
            worker.answer(replace(task, state=self._kept(task)))

    def _kept(self, task: FoldTask) -> bytes:
        """Return what was kept of a fold that is to go on, if it was."""
        try:
            return self._folder.checkpoint(*task.key).read_bytes() if task.kept else b""
        except OSError:
            return b""

    def _fetched(self, bundle: Bundle) -> Fetched:
        if bundle not in self._pieces:
            pieces = self._parcels[bundle].pieces()
            self._pieces[bundle] = Fetched(tuple((name, ray.put(piece)) for name, piece in pieces))
        return self._pieces[bundle]

    # Workers that are gone or cannot work.

    def _lose(self, worker: RayWorker, error: Exception, on_record: OnRecord) -> FoldKey | None:
        """Let go of a worker that is gone; report the task it had."""
        task, told = worker.task, _COLOUR.sub("", str(error))[:_LONGEST_ERROR]
        self._pool.remove(worker)
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise WorkerFailed(
                    "no worker can be started on the Ray cluster. Is foldwise with its extra `ray`"
                    f" installed on every machine? Ray says:\n{told}"
                )
        if task is None:
            return None
        cause, reason = "lost", f"the worker on {worker.host} was lost, or its machine"
        if isinstance(error, ray.exceptions.OutOfMemoryError):
            cause = "memory"
            reason = f"Ray ended the worker on {worker.host} because memory ran out"
        on_record(_broken_off(task.key, cause, reason, told))
        return task.key

    def _leave_out(self, worker: RayWorker, words: str, on_record: OnRecord) -> FoldKey | None:
        """Go on without a worker that cannot work; another takes its task, if it has not begun."""
        task, over = worker.task, None
        if task is not None and worker.has_begun:
            reason = f"the worker on {worker.host} cannot go on"
            on_record(_broken_off(task.key, "lost", reason, words[-_LONGEST_ERROR:]))
            over = task.key
        elif task is not None:
            self._tasks.appendleft(task)
        self._pool.leave_out(worker, words)
        return over


def _broken_off(key: FoldKey, cause: str, reason: str, error: str) -> AttemptFailed:
    trial, fold = key
    return AttemptFailed(
        at=time.time(), trial=trial, fold=fold, cause=cause, reason=reason, error=error
    )
