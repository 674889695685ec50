"""Files that are written whole or not at all, and the room there is for them."""

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_LONGEST = 80  # characters of a file's name that are kept in its temporary one
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")
_CANNOT_SAY = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)  # from file systems that only force files
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota on this disk is used up",
    errno.EFBIG: "the file has the largest size that is allowed",
}


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


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, and wait until the disk has them.

    Raises:
        OSError: it cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder: without them new files may be lost with it.

    Raises:
        OSError: the disk did not confirm them.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in _CANNOT_SAY:
            raise
    finally:
        os.close(opened)


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


def free_bytes(path: Path) -> int:
    """Return how many bytes can still be written where `path` is, or will be."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def amount(size: int) -> str:
    """Return a number of bytes in short: `0 bytes`, `12 KB`, `3.4 GB`."""
    if size < 1000:
        return f"{size} bytes"
    for unit in ("KB", "MB", "GB"):
        size_in_unit = size / 1000 ** (("KB", "MB", "GB").index(unit) + 1)
        if size_in_unit < 999.5 or unit == "GB":
            break
    return f"{size_in_unit:.1f} {unit}" if size_in_unit < 10 else f"{size_in_unit:,.0f} {unit}"


def why_not_written(error: OSError, path: Path) -> str:
    """Return a phrase: what keeps `path` from being written, and how much room there is."""
    reason = _REASONS.get(error.errno or 0, f"it cannot be written ({error.strerror or error})")
    return f"{reason}; {amount(free_bytes(path))} free"
