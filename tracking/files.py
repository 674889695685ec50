"""Files that are written whole or not at all, and are there after a power cut."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_LONGEST = 80  # characters of a file's name that are kept in its temporary one
_CANNOT_SAY = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")


@contextmanager
def whole_file(path: Path, *, to_disk: bool = True) -> Iterator[BinaryIO]:
    """Open a file for writing that appears at `path` once all has been written.

    What was there stays until then, and for good if writing fails. Two processes may write the
    same file at once: one of the two is whole in the end.

    Args:
        path: where it appears; its folder is there.
        to_disk: wait until it is on the disk, as the journal may say that it is.

    Raises:
        OSError: it cannot be written.
    """
    temporary = beside(path)
    try:
        with temporary.open("xb") as file:
            yield file
            if to_disk:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if to_disk:
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows which files a folder has: a power cut may take a new one's name.

    Raises:
        OSError: the disk does not confirm it. File systems that cannot say are believed.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SAY:
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, durably; one that is there stays.

    Raises:
        OSError: it cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def private_file(path: Path) -> int:
    """Return a descriptor that appends to a file which is its user's alone, also if it was not.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with suppress(OSError):  # somebody else's file stays as it is
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)
    return descriptor


def beside(path: Path) -> Path:
    """Return a name that `path` may have until it is whole, another one at each call."""
    return path.with_name(f".{path.name[:_LONGEST]}.{secrets.token_hex(4)}")


def temporary_files(folder: Path) -> list[Path]:
    """Return the files in a folder that are being written, or were when a process died."""
    return [path for path in folder.glob(".*.*") if _TEMPORARY.fullmatch(path.name)]
