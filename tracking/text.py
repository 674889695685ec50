"""Numbers, lists and commands as text, and the type of functions that take notices."""

import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from shutil import which
from typing import TypeAlias

# A function that takes a notice for the user: one or more sentences.
Notify: TypeAlias = Callable[[str], None]

SHOWN = 10  # entries of a list


def counted(number: int | str, noun: str) -> str:
    """Return `1 fold`, `5 folds`, `1,200 epochs`; the number may be text, as `2..4` is."""
    shown = number if isinstance(number, str) else f"{number:,}"
    return f"{shown} {noun}" if shown == "1" else f"{shown} {noun}s"


def listed(entries: Iterable[object]) -> str:
    """Return `1, 2, 3`; of a long list the first ten, `and 7 more`."""
    known = list(entries)
    more = len(known) - SHOWN
    shown = ", ".join(map(str, known[:SHOWN]))
    return f"{shown} and {more:,} more" if more > 0 else shown


def joined(parts: Iterable[str], word: str = "and") -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    *first, last = list(parts) or [""]
    return f"{', '.join(first)} {word} {last}" if first else last


def shell(*words: str) -> str:
    """Return a command of this program, quoted for a shell, so that it can be pasted.

    It begins with `foldwise`; with `python -m search` where this process was called so and the
    shell would not find `foldwise`.

    Args:
        words: the command and its arguments.
    """
    is_module = Path(sys.argv[0]).parts[-2:] == ("search", "__main__.py")
    is_found = not is_module or which("foldwise") is not None
    program = ("foldwise",) if is_found else ("python", "-m", "search")
    return shlex.join((*program, *words))
