"""The one way in to training: a worker process loads, then trains one fold after another."""

import ctypes
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.spawn import get_executable
from multiprocessing.util import _args_from_interpreter_flags  # type: ignore[attr-defined]
from pathlib import Path
from typing import Protocol, TypeAlias

from search.executors.channel import Channel, ChannelBroken, ChannelClosed
from search.executors.descendants import leave_guard
from search.executors.protocol import (
    Adopt,
    Done,
    FoldTask,
    FromWorker,
    Loading,
    Probe,
    ProbeFailed,
    ProbeResult,
    Ready,
    Report,
    Verdict,
    Work,
)
from spaces import cause_of
from tracking.files import private_file
from tracking.records import Record

OnRecord: TypeAlias = Callable[[Record], Verdict]

_PR_SET_PDEATHSIG = 1  # Linux, sys/prctl.h
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from search.executors.worker import main; main(int(sys.argv[2]), sys.argv[3])"
)


class Trainer(Protocol):
    """What a worker does with what it is given, once it has loaded."""

    def train(self, task: FoldTask, on_record: OnRecord) -> None:
        """Train a fold; `on_record` takes each record and says how to go on."""

    def measure(self, probe: Probe) -> ProbeResult:
        """Train for a moment and return how that went."""

    def adopt(self, precision: str) -> None:
        """Compute in a precision from now on."""


Load: TypeAlias = Callable[[Work, int], Trainer]


class Training:
    """Trains with Keras; TensorFlow is imported here.

    Args:
        work: what to load.
        place: the worker's place among those of the machine, from 0.
    """

    def __init__(self, work: Work, place: int = 0) -> None:
        from search.training.fold_data import FoldData

        self._data = FoldData.open(work, place=place)

    def train(self, task: FoldTask, on_record: OnRecord, *, interruptible: bool = False) -> None:
        """Train the task's fold; see `search.training.fold`."""
        from search.training.fold import train_fold

        train_fold(self._data, task, on_record, interruptible=interruptible)

    def measure(self, probe: Probe) -> ProbeResult:
        """Train for a moment; see `search.training.fold`."""
        from search.training.fold import measure

        return measure(self._data, probe)

    def adopt(self, precision: str) -> None:
        """Compute in a precision from now on."""
        self._data = replace(self._data, precision=precision)


@dataclass(frozen=True)
class Start:
    """The first message to a worker process.

    Attributes:
        work: what to load.
        load: makes of it and the place what works; a class or function known by its name.
        threads: number of threads to compute with, 0 for as many as TensorFlow likes.
        place: its place among the workers of the machine, from 0.
        turn: file that is locked while this one loads; others that are to load after it have the
            same.
    """

    work: Work
    load: Load
    threads: int
    place: int
    turn: str


def command(connection: int, mark: str) -> list[str]:
    """Return the command line of a worker process.

    It finds modules where this process does, and does not run the user's script again. Its standard
    input is its lifeline: what has the other end open is its coordinator.

    Args:
        connection: descriptor of the socket to the coordinator.
        mark: that its processes carry.
    """
    flags = _args_from_interpreter_flags()
    places = json.dumps([place for place in sys.path if isinstance(place, str)])
    return [os.fsdecode(get_executable()), *flags, "-c", _PROGRAM, places, str(connection), mark]


def main(connection: int, mark: str) -> None:
    """Be a worker until the coordinator is gone."""
    if sys.platform == "linux":  # at once, also while it is stopped, or deep in a library
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    leave_guard(0, mark)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    channel = Channel(socket.socket(fileno=connection))
    # A copy of this process, made by a space's own code, must not report in its name.
    os.register_at_fork(after_in_child=channel.close)
    try:
        _serve(channel)
    except (ChannelClosed, ChannelBroken):
        return


def _serve(channel: Channel) -> None:
    start: Start = channel.wait()
    if start.threads:
        os.environ.update(dict.fromkeys(_THREADS, str(start.threads)))
    with _its_turn(start.turn):
        _send(channel, Loading())
        trainer = start.load(start.work, start.place)
    gc.freeze()  # what was loaded stays: collecting after a fold need not look through it
    _send(channel, Ready())

    def on_record(record: Record) -> Verdict:
        _send(channel, Report(record))
        verdict = channel.wait()
        assert isinstance(verdict, Verdict)  # noqa: S101 # nosec B101 # narrows the channel's type
        return verdict

    while True:
        match channel.wait():
            case Probe() as probe:
                _send(channel, _probed(trainer, probe))
            case Adopt(precision=precision):
                trainer.adopt(precision)
            case FoldTask() as task:
                trainer.train(task, on_record)
                _send(channel, Done())


def _send(channel: Channel, message: FromWorker) -> None:
    """Send a message; the channel's type."""
    channel.send(message)


def _probed(trainer: Trainer, probe: Probe) -> ProbeResult | ProbeFailed:
    try:
        return trainer.measure(probe)
    except Exception as error:  # noqa: BLE001 # the space's own; its first trial will tell of it
        return ProbeFailed(cause_of(error))


@contextmanager
def _its_turn(path: str) -> Iterator[None]:
    """Hold a lock that ends with this process at the latest."""
    file = private_file(Path(path))
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
