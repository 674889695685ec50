"""A worker process as the coordinator sees it."""

import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from search.errors import FoldwiseError
from search.executors.base import out_of_memory_kills
from search.executors.channel import Channel, ChannelBroken
from search.executors.descendants import MARK, end_group, end_marked
from search.executors.protocol import (
    MOST_PROGRAMS,
    Adopt,
    FoldTask,
    FromWorker,
    Loading,
    Probe,
    Ready,
    Verdict,
)
from search.executors.worker import Start, command
from search.quiet import BACKEND, BACKEND_VARIABLE
from tracking.files import private_file

LONGEST_LOG = 10_000_000  # bytes

_LOG_TAIL_LINES, _LOG_TAIL_BYTES = 12, 20_000
_SIGN_OF_LIFE = 0.1  # seconds of computing
_SILENCE = 0.25  # seconds without a word, after which computing is looked for
_MOMENT = 5.0  # seconds for what takes none, on a machine that is not stuck


class WorkerFailed(FoldwiseError):
    """No worker process can be brought to work at all."""


@dataclass(frozen=True)
class Death:
    """How a worker process came to its end.

    Attributes:
        reason: one sentence.
        for_memory: whether the system ended it because memory ran out.
        is_final: whether another one would come to the same end while it loads.
    """

    reason: str
    for_memory: bool = False
    is_final: bool = True


class Worker:
    """One process that has one task at a time, with whatever it starts itself.

    Args:
        start: what it is told first.
        log: file that takes its output.

    Attributes:
        channel: to the process; readable when it has something to say or has died.
        task: what it was given and has not finished.
        trials: whose folds it was given last, the latest last.
        is_loading: whether it has its turn to load.
        is_ready: whether it has loaded everything.
        tasks_done: how many tasks it has finished.
        loading_seconds: for how long a task has waited for it to load.
        training_seconds: how long it has been at its task.
        idle_seconds: for how long it has neither said anything nor computed.
        is_spoilt: whether it should be replaced after its task.

    Raises:
        WorkerFailed: the system has no room for another process.
    """

    def __init__(self, start: Start, log: Path) -> None:
        self.task: FoldTask | None = None
        self.trials: deque[int] = deque(maxlen=MOST_PROGRAMS)
        self.is_loading = self.is_ready = False
        self.tasks_done = 0
        self.is_spoilt = False
        self.loading_seconds = self.training_seconds = self.idle_seconds = 0.0
        self._kills = out_of_memory_kills()
        self._computed = 0.0
        self._fault = ""
        self.mark = secrets.token_hex(8)
        try:
            self.channel, self._process = _started(self.mark)
        except OSError as error:
            raise WorkerFailed(
                f"a worker process cannot be started: {error.strerror or error}. Every finished"
                " fold is kept; run the same command again when the machine has room."
            ) from error
        self._statistics = psutil.Process(self._process.pid)
        self._log = WorkerLog(log, self._process.stdout)
        self.channel.send(start)

    def give(self, task: FoldTask) -> None:
        """Hand it a task; that it has died meanwhile shows when its channel is read."""
        self.task = task
        with suppress(ValueError):
            self.trials.remove(task.trial)
        self.trials.append(task.trial)
        self.training_seconds = self.idle_seconds = 0.0
        self._kills = out_of_memory_kills()
        self.channel.send(task)

    def ask(self, question: Probe | Adopt) -> None:
        """Send it something that is no task."""
        self.channel.send(question)

    def answer(self, verdict: Verdict) -> None:
        """Answer the record it sent."""
        self.channel.send(verdict)

    def hear(self, seconds: float = 0.0) -> FromWorker | None:
        """Return what it says next, None where it does not within so many seconds.

        Raises:
            ChannelClosed: it has died, or can no longer be heard.
            ChannelBroken: what came is nothing that a worker says.
        """
        self.channel.flush()
        try:
            said = self.channel.wait(seconds)
            if not isinstance(said, FromWorker | None):
                raise ChannelBroken(f"it is a {type(said).__name__}")
        except ChannelBroken as error:
            self._fault = str(error)
            raise
        if said is not None:
            self.idle_seconds = 0.0
            self.is_loading = isinstance(said, Loading)
            self.is_ready |= isinstance(said, Ready)
        return said

    def finish(self) -> None:
        """Take note that its task is over."""
        self.task = None
        self.tasks_done += 1

    def pass_time(self, seconds: float) -> None:
        """Count time during which it was at its task and the coordinator was there to hear it.

        Computing is a sign of life, but not in the middle of a message.
        """
        if self.is_ready:
            self.training_seconds += seconds
        else:
            self.loading_seconds += seconds
        self.idle_seconds += seconds
        if self.idle_seconds < _SILENCE or self.channel.is_halfway:
            return  # to ask the system costs more than all else here
        with suppress(psutil.Error):
            times = self._statistics.cpu_times()
            if times.user + times.system > self._computed + _SIGN_OF_LIFE:
                self._computed = times.user + times.system
                self.idle_seconds = 0.0

    def memory(self) -> int:
        """Return the bytes it holds, without mapped files; 0 where it is gone."""
        with suppress(psutil.Error):
            used = self._statistics.memory_info()
            return int(used.rss - getattr(used, "shared", 0))
        return 0

    def has_died(self) -> bool:
        """Say whether the process is over, which another one with its descriptors may hide."""
        try:
            return self._statistics.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            return True

    def kill(self) -> None:
        """End it and its processes at once; may be called twice."""
        kill([self])

    def death(self) -> Death:
        """End what is left of it and return how it died, or why it had to."""
        end = time.monotonic() + (0.0 if self._fault else _MOMENT)
        while not (has_died := self.has_died()) and time.monotonic() < end:
            time.sleep(0.01)  # its descriptors are closed just before it is over
        self.kill()
        if self._fault:
            return Death(f"the worker process sent what is no message: {self._fault}")
        code = self._process.returncode
        if not has_died or code is None:
            return Death(
                "the worker process closed its connection to the coordinator; does the space's"
                " code close files that are not its own?"
            )
        if code == -signal.SIGKILL and out_of_memory_kills() > self._kills:
            reason = "the system ended the worker process because memory ran out"
            return Death(reason, for_memory=True, is_final=False)
        reason = f"the worker process ended with exit code {code}"
        return Death(reason, is_final=code >= 0)

    def last_words(self) -> str:
        """Return the end of its log, all of it where the worker has ended."""
        return self._log.tail(_MOMENT if self._process.returncode is not None else 0.0)

    # What `kill` is made of.

    def end_at_once(self) -> None:
        """End it and its group; those of its processes that left the group remain."""
        self.channel.close()
        if self._process.returncode is None:
            end_group(self._process.pid)
            self._process.kill()

    def wait_for_end(self) -> None:
        """Wait until it is gone; one that not even the system can end is left alone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_MOMENT)


def kill(workers: Iterable[Worker]) -> None:
    """End workers and all that they have started at once."""
    ending = list(workers)
    for worker in ending:
        worker.end_at_once()
    end_marked({worker.mark for worker in ending})
    for worker in ending:
        worker.wait_for_end()


class WorkerLog:
    """The file that takes what a worker and its processes print.

    It is the user's alone, never longer than `LONGEST_LOG`, and where it would be, begins anew with
    its later half. A thread reads what is printed: nobody who prints has to wait for the
    coordinator, and a disk without room costs the words alone.

    Args:
        path: of the file; what it has is kept.
        source: what the worker prints; closed when all who could print there are gone.
    """

    def __init__(self, path: Path, source: IO[bytes] | None) -> None:
        self._path, self._source = path, source
        self._file = -1
        with suppress(OSError):
            self._file = private_file(path)
        self._thread = threading.Thread(target=self._copy, daemon=True, name=f"log {path.name}")
        self._thread.start()

    def tail(self, patience: float) -> str:
        """Return the last lines.

        Args:
            patience: seconds to wait for words that are on their way.
        """
        self._thread.join(patience)
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, self._path.stat().st_size - _LOG_TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            lines = []
        return "\n".join(lines[-_LOG_TAIL_LINES:]) or "(nothing)"

    def _copy(self) -> None:
        if self._source is None:
            return
        with self._source:
            while block := self._read(self._source.fileno()):
                with suppress(OSError):
                    self._write(block)
        if self._file >= 0:
            os.close(self._file)

    def _read(self, descriptor: int) -> bytes:
        try:
            return os.read(descriptor, 1 << 16)
        except OSError:
            return b""

    def _write(self, block: bytes) -> None:
        if os.fstat(self._file).st_size + len(block) > LONGEST_LOG:
            self._shorten()
        while block:
            block = block[os.write(self._file, block) :]

    def _shorten(self) -> None:
        with self._path.open("rb") as file:
            file.seek(-min(LONGEST_LOG // 2, os.fstat(self._file).st_size), os.SEEK_END)
            kept = file.read().partition(b"\n")[2]
        os.ftruncate(self._file, 0)
        os.write(self._file, b"(what was printed before is left out)\n" + kept)


def _started(mark: str) -> tuple[Channel, subprocess.Popen[bytes]]:
    """Start a worker process; its group is its own, so Ctrl-C is for the coordinator."""
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(  # nosec B603 # our own program
            command(theirs.fileno(), mark),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs.fileno()],
            env={**os.environ, MARK: mark, BACKEND_VARIABLE: BACKEND},
            process_group=0,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return Channel(ours), process
