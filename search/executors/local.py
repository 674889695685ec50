"""Evaluates trials in a supervised worker process that outlives them."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeAlias

from search.errors import FoldwiseError
from search.executors.base import Executor, OnRecord
from search.folds import CONFIRMATIONS
from search.work import TrialTask, Verdict, Work
from tracking.records import Record, TrialConfirmed, TrialEnded

_READY = "ready"
_DONE = "done"
_LOG_TAIL_LINES = 12

# A worker sends records and words, and receives tasks and verdicts.
_WorkerEnd: TypeAlias = "Connection[Record | str, TrialTask | Verdict]"


class WorkerFailed(FoldwiseError):
    """The worker process cannot be brought to work at all."""


class LocalExecutor(Executor):
    """One worker process beside the coordinator.

    The worker loads TensorFlow and the data while the coordinator prepares, then evaluates trial
    after trial. What TensorFlow writes goes to the log, not to the user's terminal. A worker that
    dies fails the trial it had and is replaced; it dies with its coordinator.

    Args:
        work: what the worker loads.
        log: file that takes the worker's output.
    """

    def __init__(self, work: Work, log: Path) -> None:
        self._work = work
        self._log = log
        self._task: TrialTask | None = None
        self._ready = False
        self._start()

    def submit(self, task: TrialTask) -> None:
        """Hand the trial to the worker."""
        self._task = task
        self._send(task)

    def wait(self, on_record: OnRecord) -> int:
        """Pass the worker's records on, and verdicts back, until its trial is over."""
        if self._task is None:
            raise RuntimeError("wait without a submitted trial")
        task = self._task
        try:
            self._relay(on_record)
        except (EOFError, ConnectionError):
            on_record(self._lost(task))
            self._start()
        self._task = None
        return task.trial

    def close(self) -> None:
        """End the worker at once; finished folds are with the coordinator already."""
        self._connection.close()
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_serve, args=(theirs, self._work, str(self._log)), daemon=True
        )
        with _ctrl_c_held_back():
            self._process.start()
        theirs.close()
        self._ready = False

    def _relay(self, on_record: OnRecord) -> None:
        while True:
            message = self._connection.recv()
            if message == _READY:
                self._ready = True
            elif message == _DONE:
                return
            else:
                self._connection.send(on_record(message))

    def _send(self, task: TrialTask) -> None:
        try:
            self._connection.send(task)
        except ConnectionError:
            self._connection.close()  # `wait` meets the closed pipe and says what happened

    def _lost(self, task: TrialTask) -> TrialEnded | TrialConfirmed:
        self._process.join()
        tail = _tail(self._log)
        reason = f"the worker process ended with exit code {self._process.exitcode}"
        if not self._ready:
            raise WorkerFailed(f"{reason} before it could work. Its last words:\n{tail}")
        error = f"{reason}\n\n{self._log}:\n{tail}"
        if task.confirms:
            return TrialConfirmed(
                at=time.time(),
                trial=task.trial,
                repeats=CONFIRMATIONS,
                reason=reason,
                error=error,
            )
        return TrialEnded(
            at=time.time(),
            trial=task.trial,
            state="failed",
            value=None,
            reason=reason,
            error=error,
        )


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Let a process started inside be born deaf to Ctrl-C: that is for the coordinator."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: "_WorkerEnd", work: Work, log: str) -> None:
    """Be a worker: load, say so, then evaluate one task after another."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _redirect_output(log)
    from search.bench import Bench
    from search.objective import evaluate_trial

    bench = Bench.open(work)
    connection.send(_READY)

    def report(record: Record) -> Verdict:
        connection.send(record)
        verdict = connection.recv()
        assert isinstance(verdict, Verdict)  # noqa: S101 # narrows the pipe's type
        return verdict

    while True:
        try:
            task = connection.recv()
            assert isinstance(task, TrialTask)  # noqa: S101 # narrows the pipe's type
            evaluate_trial(bench, task, report)
            connection.send(_DONE)
        except (EOFError, ConnectionError):
            return


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _redirect_output(log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _tail(log: Path) -> str:
    if not log.exists():
        return "(nothing)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
