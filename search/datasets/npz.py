"""`.npz` files: read with care, and the layout of Keras's datasets.

That layout is `x_train`, `y_train`, `x_test`, `y_test`.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.datasets.arrays import IMAGES, LABELS, SPLITS, array_file, write_array
from search.datasets.checks import check_counts, check_images, check_labels
from search.errors import DataError

MAX_BYTES = 4 << 30
LAYOUT = "x_train, y_train, x_test and y_test"
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,  # encrypted, or packed in a way that zipfile does not know
    MemoryError,  # a header that promises more than there is
)


def write_npz(path: Path, folder: Path, classes: int) -> None:
    """Check a file in Keras's layout and write its arrays to `folder`.

    Images are uint8, (n, height, width) or (n, height, width, 1 or 3).

    Args:
        path: the `.npz` file.
        folder: receives the `.npy` files.
        classes: number of classes.

    Raises:
        DataError: the file is damaged, too large, or lacks an array or has one of another kind.
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
        DataError: it is no `.npz` file.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    return tuple(names)


def read_array(path: Path, name: str) -> NDArray[Any]:
    """Return one array of a file.

    Raises:
        DataError: the file is damaged, the array is too large or pickled, or there is none.
    """
    try:
        with _reading(path):
            with zipfile.ZipFile(path) as archive:
                size = archive.getinfo(f"{name}.npy").file_size
            if size > MAX_BYTES:
                raise DataError(f"{path}: {name} must be at most {MAX_BYTES:,} bytes; got {size:,}")
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return np.asarray(file[name])
    except KeyError as error:
        raise DataError(
            f"{path} must hold {LAYOUT}; {name} is missing. Save it with"
            " numpy.savez(file, x_train=..., y_train=..., x_test=..., y_test=...)."
        ) from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise DataError(
            f"{path} must be a whole .npz file without pickled objects; it is not ({error})."
            " Get the file again."
        ) from error
