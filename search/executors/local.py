"""Executors of this machine: worker processes, one a slot, or this very process."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from search.errors import StoppedEarly
from search.executors.base import Executor, IsStopped, Limits, OnRecord, cores, never
from search.executors.channel import ChannelBroken, ChannelClosed, ready
from search.executors.process import Worker, WorkerFailed, kill
from search.executors.protocol import (
    Adopt,
    Done,
    FoldKey,
    FoldTask,
    Loading,
    Probe,
    ProbeFailed,
    ProbeResult,
    Ready,
    Report,
    Work,
)
from search.executors.worker import Load, Start, Training
from search.quiet import load_tensorflow
from tracking.records import AttemptFailed

_STARTS = 3  # tries to get a worker that can load everything
_TICK = 1.0  # seconds between two looks at what the workers take


__all__ = ["LocalExecutor", "WorkerFailed"]


class LocalExecutor(Executor):
    """Worker processes beside the coordinator, each training fold after fold.

    They load TensorFlow and the data while the coordinator prepares. What TensorFlow writes goes
    to their logs, not to the user's terminal. A worker that dies, takes too long or falls still is
    replaced, and what it had been at is reported as an `AttemptFailed`. Workers die with their
    coordinator.

    Args:
        work: what the workers load.
        log: returns the file that takes the output of the worker of a number, from 1.
        workers: how many there are; more than one share the cores evenly.
        limits: what they may take.
        threads: number of threads each computes with; None for its share of the cores, and where
            there is one worker for as many as TensorFlow likes.
        load_at_once: how many load at the same time; None for as few as lets the first begin soon,
            since loading takes a core each.
        load: makes of the work what trains folds; known by its name.
        is_stopped: says whether nothing more is to begin.

    Raises:
        WorkerFailed: the system has no room for another process.
    """

    def __init__(
        self,
        work: Work,
        log: Callable[[int], Path],
        *,
        workers: int = 1,
        limits: Limits | None = None,
        threads: int | None = None,
        load_at_once: int | None = None,
        load: Load = Training,
        is_stopped: IsStopped = never,
    ) -> None:
        self.is_stopped = is_stopped
        self.slots = workers
        self._limits = (limits or Limits()).on_share(1 / workers)
        self._failed_starts = 0
        self._looked_at = self._counted_until = time.monotonic()
        self._over: deque[FoldKey] = deque()  # tasks that are over and have not been told of
        self._work = replace(work, memory=self._limits.memory)
        self._log, self._load = log, load
        share = max(1, cores() // workers) if workers > 1 else 0
        self._threads = share if threads is None else threads
        self._at_once = load_at_once or max(1, cores() - 1, workers // 4)
        self._workers: dict[int, Worker] = {}
        try:
            for number in range(1, workers + 1):
                self._workers[number] = self._start(number)
        except BaseException:
            self.close()
            raise

    def submit(self, task: FoldTask) -> None:
        """Hand the task to a worker that has none."""
        free = [worker for worker in self._workers.values() if worker.task is None]
        if not free:
            raise RuntimeError("more tasks were submitted than there are slots")
        self._count_time()
        traced = [worker for worker in free if task.trial in worker.trials]
        max(traced or free, key=lambda worker: worker.is_ready).give(task)

    def has_traced(self, trial: int) -> bool:
        """Say whether a worker that has no task was given the trial before."""
        return any(w.task is None and trial in w.trials for w in self._workers.values())

    def wait(self, on_record: OnRecord) -> FoldKey | None:
        """Pass the workers' records on, and verdicts back, until a task is over.

        None where nothing more is to begin and those that have a task still load.
        """
        if not self._over and all(worker.task is None for worker in self._workers.values()):
            raise RuntimeError("wait without a submitted task")
        while not self._over:
            if not self._has_begun() and self.is_stopped():
                return None
            numbers = {worker.channel: number for number, worker in self._workers.items()}
            for channel in ready(list(numbers), _TICK):
                self._hear(numbers[channel], on_record)
            self._count_time()
            self._end_overdue(on_record)
            self._look_for_dead(on_record)
        return self._over.popleft()

    def load(self) -> None:
        """Wait until all workers have loaded everything.

        Raises:
            WorkerFailed: one could not.
            StoppedEarly: nothing more is to begin.
        """
        for worker in self._workers.values():
            while not worker.is_ready:
                self._expect(worker)

    def probe(self, probes: Sequence[Probe], *, longest: float = math.inf) -> list[ProbeResult]:
        """Let all workers train for a moment, at the same time; none may have a task.

        Args:
            probes: what each is to train.
            longest: seconds that one may take for it, building and tracing included.

        Raises:
            WorkerFailed: one could not train it.
            StoppedEarly: nothing more is to begin.
        """
        for worker, probe in zip(self._workers.values(), probes, strict=True):
            worker.ask(probe)
        return [self._probed(worker, longest) for worker in self._workers.values()]

    def adopt(self, precision: str) -> None:
        """Compute in another precision from the next task on."""
        self._work = replace(self._work, precision=precision)
        for worker in self._workers.values():
            worker.ask(Adopt(precision))

    def _probed(self, worker: Worker, longest: float) -> ProbeResult:
        said = self._expect(worker, longest)
        if isinstance(said, ProbeFailed):
            raise WorkerFailed(f"a worker could not be measured: {said.reason}")
        if not isinstance(said, ProbeResult):
            raise WorkerFailed(f"a worker could not be measured: it said {said}")
        return said

    def _expect(self, worker: Worker, longest: float = math.inf) -> object:
        """Return what a worker says next."""
        patience = min(longest, self._limits.idle_seconds)
        end = time.monotonic() + patience
        said = None
        try:
            while said is None and (left := end - time.monotonic()) > 0:
                if self.is_stopped():
                    raise StoppedEarly("the study was asked to stop while its workers load")
                said = worker.hear(min(left, _TICK))
        except (ChannelClosed, ChannelBroken):
            raise WorkerFailed(
                f"{worker.death().reason}. Its last words:\n{worker.last_words()}"
            ) from None
        if said is None:
            raise WorkerFailed(
                f"a worker could not be measured: it said nothing for {patience:g} s"
            )
        return said

    def close(self) -> None:
        """End the workers at once; finished folds are with the coordinator already."""
        kill(self._workers.values())

    def _has_begun(self) -> bool:
        return any(worker.task and worker.is_ready for worker in self._workers.values())

    def _hear(self, number: int, on_record: OnRecord) -> None:
        """Take in what a worker says."""
        worker = self._workers[number]
        try:
            said = worker.hear()
        except (ChannelClosed, ChannelBroken):
            self._bury(number, on_record)
            return
        match said:
            case Ready():
                self._failed_starts = 0
            case Done():
                self._finish(number)
            case Report(record=record):
                worker.answer(on_record(record))
                worker.is_spoilt |= isinstance(record, AttemptFailed) and record.cause != "error"
            case Loading() | None:
                pass

    def _finish(self, number: int) -> None:
        worker = self._workers[number]
        task = worker.task
        worker.finish()
        if task is not None:
            self._over.append(task.key)
        most = self._limits.memory
        is_worn = worker.tasks_done >= self._limits.tasks or worker.is_spoilt
        if is_worn or (most is not None and worker.memory() > most):
            self._replace(number)

    def _bury(self, number: int, on_record: OnRecord) -> None:
        """Replace a worker that has died; report the task it had."""
        worker = self._workers[number]
        death = worker.death()
        if worker.is_ready:
            self._break_off(
                number, on_record, "memory" if death.for_memory else "lost", death.reason
            )
            return
        self._failed_starts += 1
        if death.is_final or self._failed_starts >= _STARTS:  # it will not go better next time
            words = worker.last_words()
            raise WorkerFailed(f"{death.reason} before it could work. Its last words:\n{words}")
        self._replace(number)
        if worker.task is not None:
            self._workers[number].give(worker.task)

    def _look_for_dead(self, on_record: OnRecord) -> None:
        """Bury those that died unheard: a copy of theirs may keep the channel open."""
        now = time.monotonic()
        if now < self._looked_at + _TICK:
            return
        self._looked_at = now
        for number, worker in list(self._workers.items()):
            if worker.has_died() and not ready([worker.channel], 0):
                self._bury(number, on_record)

    def _end_overdue(self, on_record: OnRecord) -> None:
        limits = self._limits
        for number, worker in list(self._workers.items()):
            if not worker.is_ready:
                self._check_loading(worker)
                continue
            if worker.task is None:
                continue
            before = worker.task.seconds_before
            longest = limits.trial_seconds
            if longest is not None and before + worker.training_seconds > longest:
                reason = f"it trained for longer than the {longest:g} s that a trial may take"
                self._break_off(number, on_record, "time", reason)
            elif worker.idle_seconds > limits.idle_seconds:
                reason = f"its worker neither reported nor computed for {limits.idle_seconds:g} s"
                self._break_off(number, on_record, "time", reason)

    def _check_loading(self, worker: Worker) -> None:
        still, longest = self._limits.idle_seconds, self._limits.loading_seconds
        if worker.idle_seconds > still:
            fault = f"a worker neither reported nor computed for {still:g} s while it loaded"
        elif worker.loading_seconds > longest:
            fault = f"a worker has been loading for longer than {longest:g} s"
        else:
            return
        worker.kill()
        raise WorkerFailed(
            f"{fault} TensorFlow, the data and the space. Does the space's module compute or wait"
            f" when it is imported? Its last words:\n{worker.last_words()}"
        )

    def _count_time(self) -> None:
        """Count the time since this was last called for those that had something to do.

        No more than a look takes: a coordinator that was stopped, or whose terminal was, kept its
        workers waiting, which is not their fault.
        """
        now = time.monotonic()
        passed, self._counted_until = now - self._counted_until, now
        is_others_turn = any(worker.is_loading for worker in self._workers.values())
        for worker in self._workers.values():
            awaits_turn = not worker.is_ready and not worker.is_loading
            if worker.is_loading or (worker.task and not (awaits_turn and is_others_turn)):
                worker.pass_time(min(passed, 2 * _TICK))

    def _break_off(self, number: int, on_record: OnRecord, cause: str, reason: str) -> None:
        worker = self._workers[number]
        worker.kill()
        words = worker.last_words()
        self._replace(number)
        if worker.task is None:
            return
        trial, fold = worker.task.key
        on_record(
            AttemptFailed(
                at=time.time(), trial=trial, fold=fold, cause=cause, reason=reason, error=words
            )
        )
        self._over.append(worker.task.key)

    def _start(self, number: int) -> Worker:
        turn = self._log(1 + (number - 1) % self._at_once)
        start = Start(self._work, self._load, self._threads, place=number - 1, turn=str(turn))
        return Worker(start, self._log(number))

    def _replace(self, number: int) -> None:
        self._workers[number].kill()
        self._workers[number] = self._start(number)


class InlineExecutor(Executor):
    """One slot, no worker process; TensorFlow is imported here at the first task."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._tasks: deque[FoldTask] = deque()
        self._training: Training | None = None

    def submit(self, task: FoldTask) -> None:
        """Queue the task."""
        self._tasks.append(task)

    def wait(self, on_record: OnRecord) -> FoldKey:
        """Train the oldest queued fold to its end."""
        if self._training is None:
            load_tensorflow()  # without its messages
            self._training = Training(self._work)
        task = self._tasks.popleft()
        self._training.train(task, on_record, interruptible=True)
        return task.key

    def close(self) -> None:
        """Forget queued tasks."""
        self._tasks.clear()
