"""Executors: where trials are evaluated. Importing this package imports no framework."""

from collections.abc import Callable
from pathlib import Path

from search.executors.base import Executor, OnRecord
from search.executors.inline import InlineExecutor
from search.executors.limits import Limits, auto_memory, auto_workers
from search.executors.local import LocalExecutor
from search.work import Work

EXECUTORS = ("local", "inline")

__all__ = [
    "EXECUTORS",
    "Executor",
    "InlineExecutor",
    "Limits",
    "LocalExecutor",
    "OnRecord",
    "auto_memory",
    "auto_workers",
    "make_executor",
]


def make_executor(
    name: str,
    work: Work,
    log: Callable[[int], Path],
    *,
    workers: int = 1,
    limits: Limits | None = None,
) -> Executor:
    """Return an executor of the given name, one of `EXECUTORS`.

    Args:
        name: where trials are evaluated.
        work: what a worker loads.
        log: returns the file for the output of the worker process of a number, from 1.
        workers: how many worker processes there are.
        limits: what each of them may take.
    """
    if name == "inline":
        return InlineExecutor(work)
    return LocalExecutor(work, log, workers=workers, limits=limits)
