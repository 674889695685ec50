"""Read `.npz` and gzipped files that may be damaged or malicious."""

import gzip
import io
import lzma
import math
import os
import sys
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import IMAGES, LABELS, PIECE_BYTES, SPLITS, array_file, write_array
from search.data.checks import check_counts, check_images, check_labels
from search.errors import DataError

GZIP_SIGNATURE = b"\x1f\x8b"
MAX_EXPANSION = 200  # times; tables and images of few values shrink to about a twentieth
FREE_BYTES = 256 << 20  # bytes that are allowed at any compression


def most_bytes(packed: int) -> int:
    """Return how many bytes a compressed file may expand to; more would be a bomb."""
    return max(FREE_BYTES, MAX_EXPANSION * packed)


def open_packed(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked; its first bytes, not its name, say whether it is gzipped.

    Reading raises DataError if it expands to far more than an honest file would.
    """
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_SIGNATURE
    return cast(BinaryIO, io.BufferedReader(_Unpacked(path)) if packed else path.open("rb"))


class _Unpacked(io.RawIOBase):
    """The content of a gzipped file, up to a limit."""

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
                f"{self._path}: a gzipped file may expand to at most {MAX_EXPANSION} times its"
                f" size; this has more than {self._limit:,} bytes. If you trust it, unpack it."
            )
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn errors while a file is read into a DataError that names the file."""
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
    """Return the path that a user wrote, which may begin with `~`.

    Raises:
        DataError: there is no user of that name.
    """
    try:
        return Path(text.strip()).expanduser()
    except RuntimeError as error:
        raise DataError(f"{text.strip()}: {error} Write the path in full.") from error


MAX_BYTES = 4 << 30
LAYOUT = "x_train, y_train, x_test and y_test"
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,  # encrypted, or a compression that zipfile does not know
    MemoryError,
    LookupError,
)


def write_npz(path: Path, folder: Path, classes: int) -> None:
    """Check a file in Keras's layout and write its arrays to `folder`.

    Images are uint8, (n, height, width) or (n, height, width, 1 or 3).

    Args:
        path: the `.npz` file.
        folder: receives the `.npy` files.
        classes: number of classes.

    Raises:
        DataError: the file is damaged or too large, or an array is missing or of another kind.
    """
    for split in SPLITS:
        images, labels = read_array(path, f"x_{split}"), read_array(path, f"y_{split}")
        if images.ndim == 3:
            images = images[..., np.newaxis]
        check_images(images, f"{path}: x_{split}")
        check_labels(labels, classes, f"{path}: y_{split}")
        check_counts(len(images), len(labels), f"{path}: {split} set")
        write_array(array_file(folder, f"{split}_images"), IMAGES, images.shape, [images])
        write_array(array_file(folder, f"{split}_labels"), LABELS, labels.shape, [labels])


def array_names(path: Path) -> tuple[str, ...]:
    """Return the names of a file's arrays.

    Raises:
        DataError: it is not an `.npz` file.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    return tuple(names)


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_array(path: Path, name: str) -> NDArray[Any]:
    """Return one array of a file.

    Its header is compared with bounds and with the file's size before memory is allocated.

    Raises:
        DataError: the file is damaged, or the array is missing, too large or pickled.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        member = archive.NameToInfo.get(f"{name}.npy")
        if member is None:
            raise DataError(
                f"{path} must hold {LAYOUT}; {name} is missing. Save it with"
                " numpy.savez(file, x_train=..., y_train=..., x_test=..., y_test=...)."
            )
        if member.file_size > min(MAX_BYTES, most_bytes(member.compress_size)):
            raise DataError(
                f"{path}: {name} must be at most {MAX_BYTES:,} bytes, and not far more than it has"
                f" packed; got {member.file_size:,} of {member.compress_size:,}"
            )
        with archive.open(member) as file:
            return _array(file, member.file_size, f"{path}: {name}")


def read_samples(path: Path, names: Sequence[str]) -> NDArray[Any]:
    """Return the array of a `.npy` file, or one of an `.npz` file.

    Args:
        path: the file; its content says which it is.
        names: of the array in a file of several, the first that is there.

    Raises:
        DataError: there is no such file, it is damaged, or has several arrays with other names.
    """
    check_file(path)
    if zipfile.is_zipfile(path):
        held = array_names(path)
        found = held if len(held) == 1 else [name for name in names if name in held]
        if not found:
            raise DataError(
                f"{path} must hold one array, or one called {' or '.join(names)}; it holds"
                f" {', '.join(held) or 'none'}"
            )
        return read_array(path, found[0])
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise DataError(f"{path} must have at most {MAX_BYTES:,} bytes; it has {size:,}. Split it.")
    with _reading(path, ".npy"), path.open("rb") as file:
        return _array(file, size, str(path))


def _array(file: IO[bytes], size: int, what: str) -> NDArray[Any]:
    """Return the array of a `.npy` stream, read a piece at a time.

    Raises:
        DataError: it holds pickled objects.
        ValueError: it is damaged, or its header does not fit its content.
    """
    header = _header(file)
    if header.dtype.hasobject:
        raise DataError(
            f"{what} holds Python objects, which NumPy pickles, and pickled data are never opened,"
            " as they may run code. Save texts with x.astype(str), numbers with x.astype(float)."
        )
    if not header.dtype.itemsize:
        raise ValueError(f"arrays of {header.dtype} are not supported")
    if min(header.shape, default=0) < 0 or header.size + file.tell() != size:
        raise ValueError(f"its header says {header.dtype} {header.shape}, but its size differs")
    array = np.empty(math.prod(header.shape), header.dtype)
    rest = array.view(np.uint8).data
    while rest:
        piece = file.read(min(len(rest), PIECE_BYTES))
        if not piece:
            raise EOFError("it is cut short")
        rest[: len(piece)] = piece
        rest = rest[len(piece) :]
    if array.dtype.kind == "U" and len(array):
        codes = array.view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if codes.max() > sys.maxunicode:  # Python cannot make a str of it
            raise ValueError("its texts hold characters that do not exist")
    return array.reshape(header.shape, order="F" if header.fortran else "C")


def _header(file: IO[bytes]) -> _Header:
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd spellings in headers
        version = np.lib.format.read_magic(file)
        if version not in read:
            raise ValueError(f"its format is version {version}")
        try:
            return _Header(*read[version](file))
        except Exception as error:  # a header is a Python literal, which can be wrong in many ways
            why = str(error).splitlines() or [type(error).__name__]
            raise ValueError(f"its header is damaged: {why[0][:200]}") from error


@contextmanager
def _reading(path: Path, kind: str = ".npz") -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise DataError(
            f"{path} must be a complete {kind} file without pickled objects; it is not ({error})."
            " Get the file again."
        ) from error
