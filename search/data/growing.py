"""An array written to a file while nobody knows yet how long it will be."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tracking.files import whole_file


def write_growing(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], pieces: Iterable[NDArray[Any]]
) -> int:
    """Write an array piece by piece and return its length; it appears whole or not at all.

    Args:
        path: the `.npy` file.
        dtype: of the file; pieces are converted to it.
        shape: of one sample.
        pieces: (any number, *shape) each; no more than one is in memory.
    """
    with whole_file(path, to_disk=False) as file:
        # NumPy leaves room in the header for any number of samples.
        _write_header(file, dtype, (0, *shape))
        count = 0
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype).data)
            count += len(piece)
        file.seek(0)
        _write_header(file, dtype, (count, *shape))
    return count


def _write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    descr = np.lib.format.dtype_to_descr(dtype)
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
