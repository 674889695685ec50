"""What a worker process does: load, then train one fold after another."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, TypeAlias

from search.executors.protocol import Adopt, FoldTask, Probe, Probed, Verdict, Work
from spaces import cause_of
from tracking.records import Record

if TYPE_CHECKING:
    from search.training.fold_data import FoldData

LOADING = "loading"
READY = "ready"
DONE = "done"

# A worker sends records and words, and receives tasks and verdicts.
Task: TypeAlias = FoldTask | Probe | Adopt
WorkerEnd: TypeAlias = "Connection[Record | Probed | str, Task | Verdict]"

_LONGEST_LOG = 10_000_000  # bytes; a longer one is begun anew with the next worker
_PR_SET_PDEATHSIG = 1  # Linux, sys/prctl.h
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def serve(
    connection: "WorkerEnd", work: Work, log: str, threads: int, place: int, turn: str
) -> None:
    """Be a worker until the coordinator is gone.

    Args:
        connection: to the coordinator.
        work: what to load.
        log: file that takes all output.
        threads: number of threads to compute with, 0 for as many as TensorFlow likes.
        place: its place among the workers of the machine, from 0.
        turn: file that is locked while this one loads; others that are to load after it have the
            same.
    """
    _die_with_parent()
    _redirect_output(log)
    if threads:
        os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    with _its_turn(turn):
        connection.send(LOADING)
        from search.training.fold import train_fold
        from search.training.fold_data import FoldData

        data = FoldData.open(work, place=place)
    gc.freeze()  # what was loaded stays: collecting after a fold need not look through it
    # A copy of this process, made by a space's own code, must not report in its name.
    os.register_at_fork(after_in_child=connection.close)
    connection.send(READY)

    def report(record: Record) -> Verdict:
        connection.send(record)
        verdict = connection.recv()
        assert isinstance(verdict, Verdict)  # noqa: S101 # nosec B101 # narrows the pipe's type
        return verdict

    while True:
        try:
            match connection.recv():
                case FoldTask() as task:
                    train_fold(data, task, report)
                    connection.send(DONE)
                case Probe() as probe:
                    connection.send(_probed(data, probe))
                case Adopt(precision=precision):
                    data = replace(data, precision=precision)
        except (EOFError, ConnectionError):
            return


def _probed(data: "FoldData", probe: Probe) -> Probed | str:
    from search.training.probe import measure

    try:
        return measure(data, probe)
    except Exception as error:  # noqa: BLE001 # the space's own; its first trial will tell of it
        return cause_of(error)


@contextmanager
def _its_turn(path: str) -> Iterator[None]:
    """Hold a lock that ends with this process at the latest."""
    with open(path, "ab") as file:  # noqa: PTH123
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _die_with_parent() -> None:
    if sys.platform == "linux":  # also while it is stopped, or deep in a library
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _redirect_output(log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if os.fstat(descriptor).st_size > _LONGEST_LOG:
        os.ftruncate(descriptor, 0)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
