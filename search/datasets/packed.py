"""Files that may be gzipped, and what can be wrong with reading them."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from search.errors import DataError

GZIP_SIGNATURE = b"\x1f\x8b"


def open_packed(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked; what it is shows in its first bytes, not in its name."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_SIGNATURE
    return cast(BinaryIO, gzip.open(path, "rb") if packed else path.open("rb"))


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
    if path.is_dir():
        raise DataError(f"{path} must be a file; it is a folder. Name the file in it.")
    if not path.is_file():
        raise DataError(f"there is no file {path}. Check the path.")
