"""Executors: where trials are evaluated. Importing this package imports no framework."""

from pathlib import Path

from search.executors.base import Executor, OnRecord
from search.executors.inline import InlineExecutor
from search.executors.local import LocalExecutor
from search.work import Work

EXECUTORS = ("local", "inline")

__all__ = ["EXECUTORS", "Executor", "InlineExecutor", "LocalExecutor", "OnRecord", "make_executor"]


def make_executor(name: str, work: Work, log: Path) -> Executor:
    """Return an executor of the given name, one of `EXECUTORS`.

    Args:
        name: where trials are evaluated.
        work: what a worker loads.
        log: file for the output of worker processes.
    """
    if name == "inline":
        return InlineExecutor(work)
    return LocalExecutor(work, log)
