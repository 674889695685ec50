"""A worker process as the coordinator sees it."""

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import psutil

from search.executors.limits import out_of_memory_kills
from search.executors.protocol import Adopt, FoldTask, Probe, Probed, Verdict, Work
from search.executors.worker import LOADING, READY, Task, serve
from tracking.records import Record

_LOG_TAIL_LINES, _LOG_TAIL_BYTES = 12, 20_000
_SIGN_OF_LIFE = 0.1  # seconds of computing
_SILENCE = 0.25  # seconds without a word, after which computing is looked for

# The coordinator sends tasks and verdicts, and receives records and words.
_OurEnd: TypeAlias = "Connection[Task | Verdict, Record | Probed | str]"


@dataclass(frozen=True)
class Death:
    """How a worker process died.

    Attributes:
        code: its exit code; minus the signal's number where a signal ended it.
        for_memory: whether the system ended it because memory ran out.
    """

    code: int
    for_memory: bool

    @property
    def reason(self) -> str:
        """One sentence."""
        if self.for_memory:
            return "the system ended the worker process because memory ran out"
        return f"the worker process ended with exit code {self.code}"


class Worker:
    """One process that evaluates one task at a time.

    Args:
        work: what it loads.
        log: file that takes its output.
        threads: number of threads it computes with, 0 for TensorFlow's choice.
        place: its place among the workers of its machine, which decides its GPU.
        turn: file whose lock it takes to load; None for its log.

    Attributes:
        connection: to the process; readable when it has something to say or has died.
        task: what it was given and has not finished.
        is_loading: whether it has its turn to load.
        is_ready: whether it has loaded everything.
        tasks_done: how many tasks it has finished.
        loading_seconds: for how long a task has waited for it to load.
        training_seconds: how long it has been at its task.
        still_seconds: for how long it has neither said anything nor computed.
        is_spoilt: whether it should be replaced after its task.
    """

    def __init__(
        self, work: Work, log: Path, *, threads: int, place: int = 0, turn: Path | None = None
    ) -> None:
        self._log = log
        self.task: FoldTask | None = None
        self.last_trial = -1
        self.is_loading = self.is_ready = False
        self.tasks_done = 0
        self.is_spoilt = False
        self.loading_seconds = self.training_seconds = self.still_seconds = 0.0
        self._kills = out_of_memory_kills()
        self._computed = 0.0
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self.connection: _OurEnd = ours
        self._process: BaseProcess = context.Process(
            target=serve,
            args=(theirs, work, str(log), threads, place, str(turn or log)),
            daemon=True,
        )
        with _ctrl_c_held_back(), _main_left_out():
            self._process.start()
        theirs.close()
        self._statistics = psutil.Process(self._process.pid)

    def give(self, task: FoldTask) -> None:
        """Hand it a task; that it has died meanwhile shows when its connection is read."""
        self.task, self.last_trial = task, task.trial
        self.training_seconds = self.still_seconds = 0.0
        self._kills = out_of_memory_kills()
        with suppress(ConnectionError):
            self.connection.send(task)

    def ask(self, question: Probe | Adopt) -> None:
        """Send it something that is no task."""
        with suppress(ConnectionError):
            self.connection.send(question)

    def hear(self) -> Record | Probed | str:
        """Return what it says next.

        Raises:
            EOFError: it has died.
            ConnectionError: the same.
        """
        said = self.connection.recv()
        self.still_seconds = 0.0
        self.is_loading = said == LOADING
        self.is_ready |= said == READY
        return said

    def answer(self, verdict: Verdict) -> None:
        """Answer the record it sent; that it has died meanwhile shows at the next reading."""
        with suppress(ConnectionError):
            self.connection.send(verdict)

    def finish(self) -> None:
        """Take note that its task is over."""
        self.task = None
        self.tasks_done += 1

    def pass_time(self, seconds: float) -> None:
        """Count time during which it was at its task and the coordinator was there to hear it."""
        if self.is_ready:
            self.training_seconds += seconds
        else:
            self.loading_seconds += seconds
        self.still_seconds += seconds
        if self.still_seconds < _SILENCE:  # to ask the system costs more than all else here
            return
        with suppress(psutil.Error):
            times = self._statistics.cpu_times()
            if times.user + times.system > self._computed + _SIGN_OF_LIFE:
                self._computed = times.user + times.system
                self.still_seconds = 0.0

    def memory(self) -> int:
        """Return the bytes it holds, without mapped files; 0 where it is gone."""
        with suppress(psutil.Error):
            used = self._statistics.memory_info()
            return int(used.rss - getattr(used, "shared", 0))
        return 0

    def kill(self) -> None:
        """End it at once and wait until it is gone."""
        self.connection.close()
        self._process.kill()
        self._process.join()

    def death(self) -> "Death":
        """Return how it died, once it has."""
        self._process.join()
        code = self._process.exitcode or 0
        for_memory = code == -signal.SIGKILL and out_of_memory_kills() > self._kills
        return Death(code, for_memory)

    def last_words(self) -> str:
        """Return the end of its log."""
        if not self._log.exists():
            return "(nothing)"
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - _LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Let a process started inside be born deaf to Ctrl-C: that is for the coordinator."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _main_left_out() -> Iterator[None]:
    """Let a process started inside not run the user's script again.

    A spawned process imports the main module anew, for what it may have to unpickle from there.
    Workers need nothing of it; a script without a guard would begin its search once more.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
