"""Executors: where trials are evaluated. Importing this package imports no framework."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from search.environment import missing_extra
from search.errors import SettingsError
from search.executors.base import (
    ClusterRequest,
    Executor,
    IsStopped,
    Limits,
    OnRecord,
    PerTrial,
    auto_workers,
    cores,
    never,
)
from search.executors.local import InlineExecutor, LocalExecutor
from search.executors.protocol import Work

EXECUTORS = ("local", "inline", "ray")

_RAY_ENVIRONMENT = {  # Ray reads it when it is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # it would print over the progress, whatever else it is told
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the workers hide GPUs themselves, Ray only warns
}

__all__ = [
    "EXECUTORS",
    "ClusterRequest",
    "Executor",
    "InlineExecutor",
    "IsStopped",
    "Limits",
    "LocalExecutor",
    "OnRecord",
    "PerTrial",
    "auto_workers",
    "cores",
    "make_executor",
    "missing_for",
    "never",
]


def missing_for(name: str) -> str:
    """Return the command that installs what is missing for an executor; empty if nothing is."""
    return missing_extra("ray") if name == "ray" else ""


def make_executor(
    name: str,
    work: Work,
    log: Callable[[int], Path],
    *,
    workers: int | None = 1,
    limits: Limits | None = None,
    request: ClusterRequest | None = None,
    notify: Callable[[str], None] | None = None,
    is_stopped: IsStopped = never,
) -> Executor:
    """Return an executor of the given name, one of `EXECUTORS`.

    Args:
        name: where trials are evaluated.
        work: what a worker loads.
        log: returns the file for the output of the worker process of a number, from 1.
        workers: how many workers there are; None for as many as the machine or cluster carries.
        limits: what each of them may take.
        request: which cluster, and what a trial takes of it; for `ray` alone.
        notify: takes notices for the user.
        is_stopped: says whether nothing more is to begin.

    Raises:
        SettingsError: the executor's package is not installed, or its cluster not to be had.
    """
    if name == "inline":
        return InlineExecutor(replace(work, memory=(limits or Limits()).on_share(1).memory))
    if name == "local":
        count = workers or auto_workers()
        return LocalExecutor(work, log, workers=count, limits=limits, is_stopped=is_stopped)
    if missing_for(name):
        raise SettingsError(
            f"`--executor {name}` needs a package that is not installed here;"
            f" install it with `{missing_for(name)}`."
        )
    os.environ.update(_RAY_ENVIRONMENT)
    from search.executors.ray.executor import RayExecutor

    return RayExecutor(
        work,
        workers=workers,
        limits=limits,
        request=request,
        notify=notify,
        is_stopped=is_stopped,
    )
