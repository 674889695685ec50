"""Labels of a user's own data: they run from 0 without gaps, so that each numbers a class."""

import numpy as np
from numpy.typing import NDArray

from search.data.catalog import recognise
from search.errors import DataError

RULE = "labels must be whole numbers that run from 0 without gaps"


def count_classes(labels: NDArray[np.int64], origin: str) -> int:
    """Return the number of classes of training labels.

    Args:
        labels: (n,), n > 0.
        origin: whose labels they are, in messages.

    Raises:
        DataError: a label is negative, or a number below the highest never occurs.
    """
    present = np.unique(labels)
    if present[0] < 0:
        raise DataError(
            f"{origin}: {RULE}; got {present[0]}. Number the classes 0, 1, 2 and so on."
        )
    gaps = np.flatnonzero(present != np.arange(len(present)))
    if len(gaps):
        missing = int(gaps[0])
        shifted = present[-1] - present[0] + 1 == len(present)
        remedy = (
            f"Subtract {present[0]} from each"
            if missing == 0 and shifted
            else "Number the classes 0, 1, 2 and so on"
        )
        raise DataError(
            f"{origin}: {RULE}; {missing} is missing in the training part, which has"
            f" {len(present):,} different labels from {present[0]} to {present[-1]}. {remedy}."
        )
    return len(present)


def class_names(labels: NDArray[np.int64], classes: int, kind: str) -> tuple[str, ...]:
    """Return the names of the classes: those of a known dataset where these are its labels.

    Args:
        labels: the training labels, (n,), in the source's order.
        classes: how many classes they have.
        kind: of the samples.
    """
    entry = recognise(labels) if classes <= 256 else None
    if entry is not None and (entry.kind, len(entry.classes)) == (kind, classes):
        return entry.classes
    return tuple(str(number) for number in range(classes))
