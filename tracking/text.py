"""Numbers, values, lists and commands as text, and the type of functions that take notices."""

import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from reprlib import Repr
from shutil import which
from typing import TypeAlias

# A function that takes a notice for the user: one or more sentences.
Notify: TypeAlias = Callable[[str], None]

SHOWN = 10  # entries of a list


def unheard(text: str) -> None:
    """Take a notice that nobody is to hear."""


_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 40
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 4
_SHORT.maxlevel = 2


def counted(number: int | str, noun: str) -> str:
    """Return `1 fold`, `5 folds`, `2 studies`; the number may be text, as `2..4` is."""
    shown = number if isinstance(number, str) else f"{number:,}"
    if shown == "1":
        return f"{shown} {noun}"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{shown} {noun[:-1]}ies"
    return f"{shown} {noun}{'es' if noun.endswith(('s', 'x')) else 's'}"


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


def short(value: object) -> str:
    """Return a value as one short word or list: `on`, `0.001`, `(3, 3)`."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str):
        return value if len(value) <= _SHORT.maxstring else f"{value[: _SHORT.maxstring - 3]}..."
    return _SHORT.repr(value)


def fields_text(fields: Iterable[tuple[str, object]], most: int = 12) -> str:
    """Return `a=1, b='x'`; long values and long lists are cut."""
    known = [
        f"{name}={f'{value:.6g}' if isinstance(value, float) else _SHORT.repr(value)}"
        for name, value in fields
    ]
    more = len(known) - most
    return ", ".join(known[:most]) + (f", ... ({more} more)" if more > 0 else "")


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
