"""Files that may be gzipped, and what can be wrong with reading them."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from search.errors import DataError

GZIP_SIGNATURE = b"\x1f\x8b"
MAX_EXPANSION = 200  # times; tables and images of few values get to a twentieth or so
FREE_BYTES = 256 << 20  # what may be packed as small as it likes


def most_bytes(packed: int) -> int:
    """Return how many bytes may come out of some that are packed; more come out of a bomb."""
    return max(FREE_BYTES, MAX_EXPANSION * packed)


def open_packed(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked; what it is shows in its first bytes, not in its name.

    Reading raises DataError where far more comes out than any honest file packs.
    """
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_SIGNATURE
    return cast(BinaryIO, io.BufferedReader(_Unpacked(path)) if packed else path.open("rb"))


class _Unpacked(io.RawIOBase):
    """What comes out of a gzipped file, up to a limit."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = gzip.open(path, "rb")  # noqa: SIM115 - closed with this one
        self._limit = most_bytes(path.stat().st_size)
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self._count += count
        if self._count > self._limit:
            raise DataError(
                f"{self._path}: out of a gzipped file at most {MAX_EXPANSION} times its size may"
                f" come; here it is more than {self._limit:,} bytes. If it is honest, unpack it."
            )
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what may go wrong while a file is read into a DataError that names it."""
    try:
        yield
    except EOFError as error:
        raise DataError(
            f"{path} is cut short: its gzip data has no end. Get the file again."
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path} is damaged: its gzip data is corrupt ({error}). Get the file again."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def check_file(path: Path) -> None:
    """Raise DataError unless `path` is a file."""
    if os.path.isdir(path):  # noqa: PTH112 - those of Path raise for a name that is too long
        raise DataError(f"{path} must be a file; it is a folder. Name the file in it.")
    if not os.path.isfile(path):  # noqa: PTH113
        raise DataError(f"there is no file {path}. Check the path.")


def expanded(text: str) -> Path:
    """Return the path of a text that a user wrote, which may begin with `~`.

    Raises:
        DataError: there is no user of that name.
    """
    try:
        return Path(text.strip()).expanduser()
    except RuntimeError as error:
        raise DataError(f"{text.strip()}: {error} Write the path in full.") from error
