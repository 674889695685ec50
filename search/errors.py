"""Errors a user can cause or meet, each with the exit code of its kind.

Every message states the rule, the value received and the remedy.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class FoldwiseError(Exception):
    """Base of all errors that end a command with one message and no traceback."""

    exit_code = 1


class SettingsError(FoldwiseError):
    """Wrong usage or settings: a value outside its rule, or a name nobody knows."""

    exit_code = 2


class DataError(FoldwiseError):
    """Data that is missing, damaged or unfit for what was asked of it."""

    exit_code = 3


SHOWN = 30


def near_matches(name: str, known: Iterable[str]) -> str:
    """Return a phrase with the names closest to `name`, or with all known names.

    Close is what a slip of the fingers makes of a name, not another word with a part in common.
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"known: {', '.join(names[:SHOWN]) or 'none'}{more}"
