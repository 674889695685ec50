"""Evaluates trials in supervised worker processes that outlive them."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path
from typing import Any

from search.errors import FoldwiseError
from search.executors.base import Executor, OnRecord
from search.executors.limits import Limits, cores
from search.executors.process import Worker
from search.executors.protocol import Adopt, FoldKey, FoldTask, Probe, Probed, Work
from search.executors.worker import DONE, LOADING, READY
from tracking.records import AttemptFailed, Record

_STARTS = 3  # tries to get a worker that can load everything
_TICK = 1.0  # seconds between two looks at what the workers take


class WorkerFailed(FoldwiseError):
    """No worker process can be brought to work at all."""


class LocalExecutor(Executor):
    """Worker processes beside the coordinator, each evaluating task after task.

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
    ) -> None:
        self.slots = workers
        self._limits = (limits or Limits()).on_share(1 / workers)
        self._failed_starts = 0
        self._looked_at = 0.0
        self._work, self._log = work, log
        share = max(1, cores() // workers) if workers > 1 else 0
        self._threads = share if threads is None else threads
        self._at_once = load_at_once or max(1, cores() - 1, workers // 4)
        self._workers = {number: self._start(number) for number in range(1, workers + 1)}

    def submit(self, task: FoldTask) -> None:
        """Hand the task to a worker that has none."""
        free = [worker for worker in self._workers.values() if worker.task is None]
        if not free:
            raise RuntimeError("more tasks were submitted than there are slots")
        traced = [worker for worker in free if worker.last_trial == task.trial]
        max(traced or free, key=lambda worker: worker.is_ready).give(task)

    def wait(self, on_record: OnRecord) -> FoldKey:
        """Pass the workers' records on, and verdicts back, until a task is over."""
        if all(worker.task is None for worker in self._workers.values()):
            raise RuntimeError("wait without a submitted task")
        self._looked_at = time.monotonic()
        while True:
            by_connection = {worker.connection: n for n, worker in self._workers.items()}
            for connection in wait_for_any(list(by_connection), timeout=_TICK):
                over = self._hear(by_connection[connection], on_record)  # type: ignore[index]
                if over is not None:
                    return over
            over = self._end_overdue(on_record)
            if over is not None:
                return over

    def load(self) -> None:
        """Wait until all workers have loaded everything.

        Raises:
            WorkerFailed: one could not.
        """
        for worker in self._workers.values():
            while not worker.is_ready:
                self._expect(worker, LOADING, READY)

    def probe(self, probes: Sequence[Probe], *, longest: float = math.inf) -> list[Probed]:
        """Let all workers train for a moment, at the same time; none may have a task.

        Args:
            probes: what each is to train.
            longest: seconds that one may take for it, building and tracing included.

        Raises:
            WorkerFailed: one could not train it.
        """
        for worker, probe in zip(self._workers.values(), probes, strict=True):
            worker.ask(probe)
        return [self._expect(worker, longest=longest) for worker in self._workers.values()]

    def adopt(self, precision: str) -> None:
        """Compute in another precision from the next task on."""
        self._work = replace(self._work, precision=precision)
        for worker in self._workers.values():
            worker.ask(Adopt(precision))

    def _expect(self, worker: Worker, *words: str, longest: float = math.inf) -> Any:
        """Return what a worker says next, which is one of the words or no word at all."""
        patience = min(longest, self._limits.still_seconds)
        try:
            said = worker.hear() if worker.connection.poll(patience) else None
        except (EOFError, ConnectionError):
            raise WorkerFailed(
                f"{worker.death().reason}. Its last words:\n{worker.last_words()}"
            ) from None
        if said is None:
            raise WorkerFailed(
                f"a worker could not be measured: it said nothing for {patience:g} s"
            )
        if isinstance(said, str) and said not in words:
            raise WorkerFailed(f"a worker could not be measured: {said}")
        return said

    def close(self) -> None:
        """End the workers at once; finished folds are with the coordinator already."""
        for worker in self._workers.values():
            worker.kill()

    def _hear(self, number: int, on_record: OnRecord) -> FoldKey | None:
        """Take in what a worker says; return trial and fold if its task is over."""
        worker = self._workers[number]
        try:
            said = worker.hear()
        except (EOFError, ConnectionError):
            return self._bury(number, on_record)
        if said == READY:
            self._failed_starts = 0
        elif said == DONE:
            return self._finish(number)
        elif isinstance(said, Record):
            worker.answer(on_record(said))
            worker.is_spoilt |= isinstance(said, AttemptFailed) and said.cause != "error"
        return None

    def _finish(self, number: int) -> FoldKey | None:
        worker = self._workers[number]
        task = worker.task
        worker.finish()
        most = self._limits.memory
        is_worn = worker.tasks_done >= self._limits.tasks or worker.is_spoilt
        if is_worn or (most is not None and worker.memory() > most):
            self._replace(number)
        return task.key if task is not None else None

    def _bury(self, number: int, on_record: OnRecord) -> FoldKey | None:
        """Replace a worker that has died; report the task it had."""
        worker = self._workers[number]
        death = worker.death()
        if worker.is_ready:
            cause = "memory" if death.for_memory else "lost"
            return self._break_off(number, on_record, cause, death.reason)
        self._failed_starts += 1
        if death.code >= 0 or self._failed_starts >= _STARTS:  # it will not go better next time
            words = worker.last_words()
            raise WorkerFailed(f"{death.reason} before it could work. Its last words:\n{words}")
        self._replace(number)
        if worker.task is not None:
            self._workers[number].give(worker.task)
        return None

    def _end_overdue(self, on_record: OnRecord) -> FoldKey | None:
        limits, passed = self._limits, self._time_passed()
        is_others_turn = any(worker.is_loading for worker in self._workers.values())
        for number, worker in self._workers.items():
            if not worker.is_ready:
                if worker.is_loading or (worker.task is not None and not is_others_turn):
                    worker.pass_time(passed)
                    self._check_loading(worker)
                continue
            if worker.task is None:
                continue
            worker.pass_time(passed)
            before = worker.task.seconds_before
            longest = limits.trial_seconds
            if longest is not None and before + worker.training_seconds > longest:
                reason = f"it trained for longer than the {longest:g} s that a trial may take"
                return self._break_off(number, on_record, "time", reason)
            if worker.still_seconds > limits.still_seconds:
                reason = f"its worker neither reported nor computed for {limits.still_seconds:g} s"
                return self._break_off(number, on_record, "time", reason)
        return None

    def _check_loading(self, worker: Worker) -> None:
        still, longest = self._limits.still_seconds, self._limits.loading_seconds
        if worker.still_seconds > still:
            fault = f"a worker neither reported nor computed for {still:g} s while it loaded"
        elif worker.loading_seconds > longest:
            fault = f"a worker has been loading for longer than {longest:g} s"
        else:
            return
        raise WorkerFailed(
            f"{fault} TensorFlow, the data and the space. Does the space's module compute or wait"
            f" when it is imported? Its last words:\n{worker.last_words()}"
        )

    def _time_passed(self) -> float:
        """Return the seconds since the last look.

        No more than a look takes: a coordinator that was stopped, or whose terminal was, kept its
        workers waiting, which is not their fault.
        """
        now = time.monotonic()
        passed, self._looked_at = now - self._looked_at, now
        return min(passed, 2 * _TICK)

    def _break_off(
        self, number: int, on_record: OnRecord, cause: str, reason: str
    ) -> FoldKey | None:
        worker = self._workers[number]
        task, words = worker.task, worker.last_words()
        self._replace(number)
        if task is None:
            return None
        on_record(
            AttemptFailed(
                at=time.time(),
                trial=task.trial,
                fold=task.fold,
                cause=cause,
                reason=reason,
                error=words,
            )
        )
        return task.key

    def _start(self, number: int) -> Worker:
        turn = self._log(1 + (number - 1) % self._at_once)
        return Worker(
            self._work, self._log(number), threads=self._threads, place=number - 1, turn=turn
        )

    def _replace(self, number: int) -> None:
        self._workers[number].kill()
        self._workers[number] = self._start(number)
