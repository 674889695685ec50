"""Processes that a worker's code starts end with the worker, however that ends.

They are in the worker's process group, unless they left it, and carry its mark in their
environment, unless they were given another one.
"""

import os
import signal
from collections.abc import Collection
from contextlib import suppress

import psutil

MARK = "FOLDWISE_WORKER"  # names the variable

_ROUNDS = 5  # a process may start another one while it is looked for
_DESCRIPTORS = 1024  # more than a process has open when it begins


def end_group(leader: int) -> None:
    """Kill a process and its group; it must not have been waited for, so that its number is its."""
    with suppress(ProcessLookupError, PermissionError):  # no longer there, or all but gone
        os.killpg(leader, signal.SIGKILL)


def end_marked(marks: Collection[str]) -> None:
    """Kill all of this user's processes that carry one of the marks, but this one."""
    for _ in range(_ROUNDS):
        found = [process for process in psutil.process_iter() if _mark_of(process) in marks]
        if not found:
            return
        for process in found:
            with suppress(psutil.Error):
                process.kill()


def leave_guard(lifeline: int, mark: str) -> None:
    """Leave a process behind that ends the caller's group and all that is marked.

    It does so when the other end of the lifeline is closed, as it is when the coordinator is gone,
    killed or not. It is in the caller's group and nobody's child, so that a space's code which
    waits for its own children does not wait for it. To be called before there are threads.

    Args:
        lifeline: read end of a pipe that nothing is written to.
        mark: of the caller's processes.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        if os.fork() == 0:
            _guard(lifeline, mark)
    finally:
        os._exit(0)


def _guard(lifeline: int, mark: str) -> None:
    """Hold nothing of the caller's but the lifeline, and wait."""
    os.dup2(lifeline, 0)
    os.closerange(1, _DESCRIPTORS)
    try:
        while os.read(0, 1):
            pass
        end_marked({mark})
    finally:
        os.killpg(0, signal.SIGKILL)


def _mark_of(process: psutil.Process) -> str | None:
    if process.pid == os.getpid():
        return None
    with suppress(psutil.Error, OSError):
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.environ().get(MARK)
    return None
