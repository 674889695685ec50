"""Numbers and lists as text, and who is told of what was noticed. Imports nothing."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

# Takes a notice for the user, one or more sentences.
Notify: TypeAlias = Callable[[str], None]

SHOWN = 10  # entries of a list


def counted(number: int | str, noun: str) -> str:
    """Return `1 fold`, `5 folds`, `1,200 epochs`; the number may be text, as `2..4` is."""
    shown = number if isinstance(number, str) else f"{number:,}"
    return f"{shown} {noun}" if shown == "1" else f"{shown} {noun}s"


def listed(entries: Iterable[object]) -> str:
    """Return `1, 2, 3`; of a long list the first ones, `and 7 more`."""
    known = list(entries)
    more = len(known) - SHOWN
    shown = ", ".join(map(str, known[:SHOWN]))
    return f"{shown} and {more:,} more" if more > 0 else shown


def joined(parts: Iterable[str], word: str = "and") -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    *first, last = list(parts) or [""]
    return f"{', '.join(first)} {word} {last}" if first else last
