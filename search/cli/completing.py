"""What a shell completes: names of studies, spaces and datasets, and the values of options.

A shell runs this at a press of a key: nothing here may import TensorFlow or read a journal.
"""

import os
import re
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


def join_options() -> None:
    """Have `--option=value` completed in Bash as `--option value` is.

    Bash hands over three words, `--option`, `=` and `value`, of which it replaces the last.
    """
    if not _is_bash():
        return
    words, position = _bash_words()
    found: list[str] = []
    for at, word in enumerate(words):
        if word != "=" or not words[at - 1].startswith("--"):
            found.append(word)
        elif at < position:
            position -= 1
        else:
            found.append("")  # its value is still to be typed
    os.environ.update(COMP_WORDS="\n".join(found), COMP_CWORD=str(position))


def _is_bash() -> bool:
    return os.environ.get("_FOLDWISE_COMPLETE") == "complete_bash"


def _bash_words() -> tuple[list[str], int]:
    """Return the words of the command line, and the number of the one to complete."""
    words = os.environ.get("COMP_WORDS", "").split("\n")
    return words, int(os.environ.get("COMP_CWORD") or 0)


def _typed(name: str) -> str:
    """Return a name as it is typed: Bash takes what it is given literally."""
    words, position = _bash_words()
    if not _is_bash() or "".join(words[position : position + 1]).startswith(("'", '"')):
        return name
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", name)


def _of(values: Sequence[str]) -> Complete:
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        del ctx
        return _beginning(incomplete, values)

    return complete


def _beginning(incomplete: str, names: Any) -> list[str]:
    return sorted(_typed(name) for name in names if name.startswith(incomplete))


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
