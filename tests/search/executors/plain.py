"""A worker's tasks as plain functions: no TensorFlow, ready in a moment.

A task's parameter `does` names what happens to it; what a process should know of it, such as the
numbers of other processes, goes into the metrics of an epoch.
"""

import ctypes
import json
import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from search.executors import LocalExecutor
from search.executors.protocol import GO_ON, FoldTask, Probe, ProbeResult, Verdict, Work
from search.executors.worker import OnRecord
from tracking.records import EpochEnded, FoldEnded, FoldStarted, Record

WORK = Work("plain", "", "", "", seed=0, precision="float32", objectives=("cv_accuracy",))
SLEEP = [sys.executable, "-c", "import time; time.sleep(3600)"]


class Plain:
    """Does what a task says; the name of the work's space says what happens while it loads."""

    def __init__(self, work: Work, place: int) -> None:
        LOADING[work.space](Path(work.folder))

    def train(self, task: FoldTask, on_record: OnRecord) -> None:
        def note(**metrics: float) -> Verdict:
            return on_record(
                EpochEnded(
                    at=time.time(), trial=task.trial, fold=task.fold, epoch=1, metrics=metrics
                )
            )

        on_record(FoldStarted(at=time.time(), trial=task.trial, fold=task.fold))
        DOES[str(task.params["does"])](note)
        on_record(fold_ended(task))

    def measure(self, probe: Probe) -> ProbeResult:
        DOES[str(probe.params["does"])](lambda **_: GO_ON)
        return ProbeResult(samples=10, seconds=1.0, steps=1, score=0.5, checked=10)

    def adopt(self, precision: str) -> None:
        pass


def fold_ended(task: FoldTask) -> Record:
    scores = {"accuracy": 0.5, "loss": 0.5, "macro_f1": 0.5, "seconds": 1.0}
    return FoldEnded(at=time.time(), trial=task.trial, fold=task.fold, predictions="", **scores)


Note = Callable[..., Verdict]


def _fine(note: Note) -> None:
    note(pid=os.getpid())


def _sleep(note: Note) -> None:
    note(pid=os.getpid())
    time.sleep(3600)


def _compute(note: Note) -> None:
    note(pid=os.getpid())
    while True:
        pass


def _say_half(note: Note) -> None:
    note(pid=os.getpid())
    with _socket() as channel:
        channel.sendall(b"FWM1\x00\x00\x00\x00\x00\x00\x10\x00the beginning of a record")


def _say_half_and_sleep(note: Note) -> None:
    _say_half(note)
    time.sleep(3600)


def _say_half_and_compute(note: Note) -> None:
    _say_half(note)
    while True:
        pass


def _die_while_speaking(note: Note) -> None:
    _say_half(note)
    os.kill(os.getpid(), signal.SIGKILL)


def _say_nothing_sensible(note: Note) -> None:
    note(pid=os.getpid())
    with _socket() as channel:
        channel.sendall(b"hello, coordinator")
    time.sleep(3600)


def _say_what_cannot_be_read(note: Note) -> None:
    note(pid=os.getpid())
    with _socket() as channel:
        channel.sendall(b"FWM1\x00\x00\x00\x00\x00\x00\x00\x05hello")
    time.sleep(3600)


def _close_and_sleep(note: Note) -> None:
    note(pid=os.getpid())
    os.closerange(3, 1000)
    time.sleep(3600)


def _close_everything_and_compute(note: Note) -> None:
    note(pid=os.getpid())
    os.closerange(0, 1000)
    while True:
        pass


def _exit(note: Note) -> None:
    os._exit(7)


def _say_much(note: Note) -> None:
    line = b"words without an end\n" * 5_000
    for _ in range(400):  # 42 MB
        os.write(1, line)
    os.write(2, b"the last words\n")


def _say_something_and_die(note: Note) -> None:
    os.write(2, b"words\n" * 100 + b"a fatal error of the library\n")
    os.kill(os.getpid(), signal.SIGSEGV)


def _start_others(note: Note) -> None:
    near = subprocess.Popen(SLEEP)
    far = subprocess.Popen(SLEEP, start_new_session=True)
    reader, writer = os.pipe()
    if os.fork() == 0:  # a daemon, as the books say
        os.setsid()
        if (daemon := os.fork()) == 0:
            time.sleep(3600)
        os.write(writer, str(daemon).encode())
        os._exit(0)
    note(near=near.pid, far=far.pid, daemon=int(os.read(reader, 20)))


def _start_others_and_sleep(note: Note) -> None:
    _start_others(note)
    time.sleep(3600)


def _start_others_and_die(note: Note) -> None:
    _start_others(note)
    os.kill(os.getpid(), signal.SIGKILL)


def _fork_unseen_and_die(note: Note) -> None:
    """Leave a copy behind that has all descriptors, as a C library does."""
    copy = ctypes.CDLL(None).fork()
    if copy == 0:
        while True:
            time.sleep(3600)
    note(copy=copy)
    os.kill(os.getpid(), signal.SIGKILL)


def _wait_for_children(note: Note) -> None:
    if os.fork() == 0:
        os._exit(0)
    count = 0
    try:
        while os.wait():
            count += 1
    except ChildProcessError:
        note(children=count)


def _use_multiprocessing(note: Note) -> None:
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
    note()


def _read_input(note: Note) -> None:
    note(read=len(sys.stdin.read()))


DOES: dict[str, Callable[[Note], None]] = {
    "fine": _fine,
    "sleep": _sleep,
    "compute": _compute,
    "say half and sleep": _say_half_and_sleep,
    "say half and compute": _say_half_and_compute,
    "die while speaking": _die_while_speaking,
    "say nothing sensible": _say_nothing_sensible,
    "say what cannot be read": _say_what_cannot_be_read,
    "close and sleep": _close_and_sleep,
    "close everything and compute": _close_everything_and_compute,
    "exit": _exit,
    "say much": _say_much,
    "say something and die": _say_something_and_die,
    "start others": _start_others,
    "start others and sleep": _start_others_and_sleep,
    "start others and die": _start_others_and_die,
    "fork unseen and die": _fork_unseen_and_die,
    "wait for children": _wait_for_children,
    "read input": _read_input,
    "use multiprocessing": _use_multiprocessing,
}


def _close_all(_: Path) -> None:
    os.closerange(0, 1000)
    time.sleep(3600)


LOADING: dict[str, Callable[[Path], object]] = {
    "plain": lambda folder: None,
    "sleeps": lambda folder: time.sleep(3600),
    "raises": lambda folder: (folder / "folds.npz").read_bytes(),
    "closes": _close_all,
    "dies once": lambda folder: _die_once(folder / "died"),
}


def _die_once(path: Path) -> None:
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def coordinate(folder: str, does: str) -> None:
    """Be a coordinator that prints what an epoch of its one task says."""
    work = replace(WORK, folder=folder)
    executor = LocalExecutor(work, lambda number: Path(folder) / f"{number}.log", load=Plain)
    executor.submit(FoldTask(trial=0, params={"does": does}, fold=1))

    def on_record(record: Record) -> Verdict:
        if isinstance(record, EpochEnded):
            os.write(1, f"{json.dumps(record.metrics)}\n".encode())
        return GO_ON

    executor.wait(on_record)


def _socket() -> socket.socket:
    """Return the worker's own end of its connection."""
    for descriptor in range(3, 4096):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return socket.socket(fileno=os.dup(descriptor))
        except OSError:
            continue
    raise AssertionError("the worker has no connection")
