"""One process at a time runs a study."""

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from tracking.files import make_folder

_TRIES, _PAUSE = 5, 0.05  # `holder` takes the lock for an instant; that must not refuse a `run`


class StudyLocked(RuntimeError):
    """Another process runs the study; the message names it."""


class StudyLock:
    """Held by the process that runs a study; the system lets go of it when that process ends.

    What the file says is for people: a file that a dead process left is no lock.

    Raises:
        StudyLocked: on entering, when another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "StudyLock":
        make_folder(self._path.parent)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _take(self._file, fcntl.LOCK_EX, tries=_TRIES):
            said = _read(self._file)
            os.close(self._file)
            raise StudyLocked(f"the study is being run by {_named(said)}")
        with suppress(OSError):  # a full disk: the lock holds, only its file does not say whose
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps(_self()).encode(), 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)


def holder(path: Path) -> str | None:
    """Return who holds the lock, as people say it; None when nobody does.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return None if _take(file, fcntl.LOCK_SH, tries=1) else _named(_read(file))
    finally:
        os.close(file)


def _take(file: int, kind: int, *, tries: int) -> bool:
    for left in reversed(range(tries)):
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE if left else 0.0)
        else:
            return True
    return False


def _self() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}


def _read(file: int) -> bytes:
    return os.pread(file, 4096, 0)


def _named(said: bytes) -> str:
    try:
        entry = json.loads(said)
        name = f"process {entry['pid']} on {entry['host']}"
        if "since" not in entry:
            return name
        since = datetime.fromtimestamp(entry["since"])  # local, for people
        return f"{name} since {since:%Y-%m-%d %H:%M}"
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return "another process"
