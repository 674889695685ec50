"""Errors a user can cause or meet, each with the exit code of its kind.

Every message states the rule, the value received and the remedy.
"""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class FoldwiseError(Exception):
    """Base of all errors that end a command with one message and no traceback."""

    exit_code = 1


class SettingsError(FoldwiseError):
    """Wrong usage or settings: a value outside its rule, or a name nobody knows."""

    exit_code = 2


class DataError(FoldwiseError):
    """Data that is missing, damaged or unfit for its use."""

    exit_code = 3


class StoppedEarly(FoldwiseError):
    """`stop` asked a study to end before a session of it had begun; nothing was recorded."""

    exit_code = 0  # as asked; a scheduler that starts again what failed must not


class StudyFileError(OSError):
    """A file of the study's own could not be read or written: no params are to blame."""


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# Whatever file it was: a disk or server that fails, a table of open files that is full.
_MACHINE = (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE)


@contextmanager
def own_files() -> Iterator[None]:
    """Mark what fails meanwhile as a fault of the study's own files.

    Raises:
        StudyFileError: instead of any other OSError.
    """
    try:
        yield
    except OSError as error:
        raise StudyFileError(error.errno, error.strerror or str(error), error.filename) from error


def machine_cause(error: BaseException) -> str:
    """Return which fault of the machine an error tells of, as `AttemptFailed` names it.

    It is `disk` for want of room, `machine` for what may go better next time, else empty. That a
    file of the user's is missing or closed to us is not the machine's.
    """
    if not isinstance(error, OSError):
        return ""
    if error.errno in _NO_ROOM:
        return "disk"
    return "machine" if isinstance(error, StudyFileError) or error.errno in _MACHINE else ""


SHOWN = 30


def near_matches(name: str, known: Iterable[str]) -> str:
    """Return a phrase with the names closest to `name`, or with all known names.

    Close names differ by a typing error; sharing a part is not enough.
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"known: {', '.join(names[:SHOWN]) or 'none'}{more}"
