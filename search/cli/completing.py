"""What a shell completes: names of studies, spaces and datasets, and the values of options.

A shell runs this at a press of a key: nothing here may import TensorFlow or read a journal.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Literal, get_args, get_origin

import typer

from search.executors import EXECUTORS
from search.study.drivers.catalog import DRIVERS
from search.study.pruners import PRUNERS
from spaces import names as names_of_spaces
from tracking.home import DEFAULT_HOME, Home
from tracking.objectives import OBJECTIVES

Complete = Callable[[typer.Context, str], list[str]]


def studies(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the studies in the home that is given so far."""
    home = Home(ctx.params.get("home") or DEFAULT_HOME)
    return _beginning(incomplete, home.studies())


def spaces(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the spaces."""
    del ctx
    return _beginning(incomplete, names_of_spaces())


def datasets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the datasets. After `csv:` and the like shells complete files."""
    from search.data import known

    del ctx
    return _beginning(incomplete, [entry.name for entry in known()])


def of_setting(name: str, annotation: Any) -> Complete | None:
    """Return what completes a setting of `run`; None where it may be anything."""
    own = _OWN.get(name)
    if own is not None:
        return own
    values = _VALUES.get(name) or [str(value) for value in _literals(annotation)]
    return _of(values) if values else None


def _of(values: Sequence[str]) -> Complete:
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        del ctx
        return _beginning(incomplete, values)

    return complete


def _beginning(incomplete: str, names: Any) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _literals(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for part in get_args(annotation) for value in _literals(part)]


_OWN = {"study": studies, "space": spaces, "dataset": datasets}
_VALUES = {
    "driver": list(DRIVERS),
    "sampler": sorted({*chain(*DRIVERS.values())}),
    "pruner": list(PRUNERS),
    "executor": list(EXECUTORS),
    "objective": list(OBJECTIVES),
}
