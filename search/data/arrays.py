"""The arrays of a dataset as `.npy` files: written in pieces, memory-mapped, digested.

A folder of arrays holds for each split, `train` and `test`, its labels, int64 (n,), and

- images: `SPLIT_images.npy`, uint8 (n, height, width, 1 or 3);
- texts: `SPLIT_texts.npy`, uint8 (bytes,), all texts in UTF-8 one after another, and
  `SPLIT_offsets.npy`, int64 (n + 1,), where each begins and the last ends;
- tables: `SPLIT_rows.npy`, float32 (n, columns).
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError
from tracking.files import whole_file

Images: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]

IMAGES = np.dtype("u1")
LABELS = np.dtype("<i8")
ROWS = np.dtype("<f4")
SPLITS = ("train", "test")
KINDS = {"image": ("images",), "text": ("texts", "offsets"), "table": ("rows",)}
PIECE_BYTES = 1 << 22


def array_names(kind: str) -> tuple[str, ...]:
    """Return the names of a dataset's arrays: of `train`, then of `test`.

    Args:
        kind: `image`, `text` or `table`.
    """
    return tuple(f"{split}_{part}" for split in SPLITS for part in (*KINDS[kind], "labels"))


def array_file(folder: Path, name: str) -> Path:
    """Return the file of the array called `name`, one of `array_names`."""
    return folder / f"{name}.npy"


def write_array(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], pieces: Iterable[NDArray[Any]]
) -> None:
    """Write an array piece by piece, so that no more than one piece is in memory.

    `path` is whole or absent, also when two processes write it at once.

    Args:
        path: the `.npy` file.
        dtype: of the file; pieces are converted to it.
        shape: of the whole array.
        pieces: consecutive parts of the array along its first axis.

    Raises:
        ValueError: the pieces do not add up to `shape`.
    """
    # Plain writes, not a writable memory map: a full disk raises instead of killing the process.
    with whole_file(path, to_disk=False) as file:
        descr = np.lib.format.dtype_to_descr(dtype)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype).data)
        written = file.tell() - start
        expected = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        if written != expected:
            raise ValueError(f"{path.name} must hold {expected:,} bytes; got {written:,}")


def map_array(path: Path) -> np.memmap[Any, np.dtype[Any]]:
    """Return the array of a `.npy` file, read-only and memory-mapped.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a header is Python's text, which can be wrong in many ways
        raise DataError(
            f"a cached array must be a whole .npy file; {path} is not ({error})."
            f" Delete {path.parent}: it is made anew when next needed."
        ) from error
    if not isinstance(array, np.memmap):
        raise DataError(f"a cached array must be a .npy file; {path} is something else")
    return array


def digest_of(folder: Path, kind: str) -> str:
    """Return the SHA-256 (hex) over name, dtype, shape and bytes of the arrays."""
    digest = hashlib.sha256()
    for name in array_names(kind):
        array = map_array(array_file(folder, name))
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        rows = max(1, PIECE_BYTES * len(array) // max(1, array.nbytes))
        for start in range(0, len(array), rows):
            digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    return digest.hexdigest()
