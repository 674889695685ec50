"""One process at a time runs a study."""

import fcntl
import json
import os
import socket
from pathlib import Path
from types import TracebackType


class StudyLocked(RuntimeError):
    """Another process runs the study; the message names it."""


class StudyLock:
    """Held by the process that runs a study; the system lets go of it when that process ends.

    Raises:
        StudyLocked: on entering, when another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "StudyLock":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read()
            self._file.close()
            raise StudyLocked(f"the study is being run by {_holder(holder)}") from error
        self._file.truncate(0)
        self._file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        self._file.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _holder(text: str) -> str:
    try:
        entry = json.loads(text)
        return f"process {entry['pid']} on {entry['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
