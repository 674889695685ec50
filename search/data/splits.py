"""Writing the training and the test part of samples that are numbered through."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import (
    IMAGES,
    KINDS,
    LABELS,
    PIECE_BYTES,
    ROWS,
    SPLITS,
    array_file,
    write_array,
)
from search.data.holdout import hold_out

Indices: TypeAlias = NDArray[np.int64]
Take: TypeAlias = Callable[[Indices], NDArray[Any]]

DTYPES: dict[str, np.dtype[Any]] = {"image": IMAGES, "table": ROWS}


def held_out(labels: NDArray[np.int64], origin: str) -> tuple[dict[str, Indices], str]:
    """Return the indices of `train` and of `test`, and the notice that says so.

    Args:
        labels: of all samples, (n,).
        origin: the source's name in messages.

    Raises:
        DataError: a class has a single sample.
    """
    parts = dict(zip(SPLITS, hold_out(labels, origin), strict=True))
    notice = (
        f"{origin} has no test part: a stratified fifth ({len(parts['test']):,} of"
        f" {len(labels):,} samples) is set aside for the test."
    )
    return parts, notice


def write_part(
    folder: Path, split: str, *, kind: str, shape: tuple[int, ...], take: Take, chosen: Indices
) -> None:
    """Write the chosen samples, a piece at a time.

    Args:
        folder: receives the `.npy` file.
        split: `train` or `test`.
        kind: `image` or `table`.
        shape: of one sample.
        take: returns the samples of some indices.
        chosen: indices, sorted.
    """
    dtype = DTYPES[kind]
    rows = max(1, PIECE_BYTES // (dtype.itemsize * int(np.prod(shape))))

    def pieces() -> Iterator[NDArray[Any]]:
        for start in range(0, len(chosen), rows):
            yield take(chosen[start : start + rows])

    target = array_file(folder, f"{split}_{KINDS[kind][0]}")
    write_array(target, dtype, (len(chosen), *shape), pieces())


def write_labels(folder: Path, split: str, labels: NDArray[np.int64]) -> None:
    """Write the labels of a split."""
    write_array(array_file(folder, f"{split}_labels"), LABELS, labels.shape, [labels])
