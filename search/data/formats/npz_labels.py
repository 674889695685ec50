"""Labels of a user's `.npz` file, as whole numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError

RULE = "must be whole numbers of shape (n,) or (n, 1), or one-hot of shape (n, classes)"


def label_numbers(labels: NDArray[Any], what: str) -> NDArray[np.int64]:
    """Return labels as int64, (n,).

    Args:
        labels: whole numbers of any dtype, (n,) or (n, 1); or one-hot, (n, classes).
        what: the array's name in messages.

    Raises:
        DataError: they are something else.
    """
    if labels.dtype.kind in "USO":
        raise DataError(
            f"{what} {RULE}; got text ({labels.dtype}). Number the classes:"
            " numpy.unique(y, return_inverse=True)[1]"
        )
    if labels.dtype.kind not in "biuf" or labels.ndim not in (1, 2) or 0 in labels.shape:
        raise DataError(f"{what} {RULE}, and not empty; got {labels.dtype} {labels.shape}")
    if labels.ndim == 2 and labels.shape[1] > 1:
        return _places_of_ones(labels, what)
    labels = labels.reshape(-1)
    if labels.dtype.kind == "f":
        wrong = np.flatnonzero(~(labels == np.floor(labels)) | np.isinf(labels))
        if len(wrong):
            raise DataError(f"{what} {RULE}; number {wrong[0] + 1:,} is {labels[wrong[0]]}")
    return labels.astype(np.int64)


def _places_of_ones(labels: NDArray[Any], what: str) -> NDArray[np.int64]:
    ones = labels == 1
    wrong = np.flatnonzero((ones.sum(axis=1) != 1) | ((labels != 0) & ~ones).any(axis=1))
    if len(wrong):
        row = labels[wrong[0]]
        shown = ", ".join(map(str, row[:8].tolist())) + (", ..." if len(row) > 8 else "")
        raise DataError(
            f"{what} {RULE}; got shape {labels.shape}, and row {wrong[0] + 1:,} has not one 1"
            f" among zeros: {shown}"
        )
    return np.asarray(ones.argmax(axis=1), np.int64)
