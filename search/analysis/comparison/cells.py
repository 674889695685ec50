"""Where two models err differently: the difference of their confusion matrices."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Confusion = Sequence[Sequence[int]]  # rows true, columns predicted


@dataclass(frozen=True)
class Cell:
    """One cell of two confusion matrices.

    Attributes:
        true: number of the true class.
        predicted: number of the predicted one; of the diagonal, the same.
        first: share of the true class's samples that the first model puts there, 0 to 1.
        second: likewise for the second.
        samples: how many samples the true class has, in the first model's matrix.
    """

    true: int
    predicted: int
    first: float
    second: float
    samples: int

    @property
    def difference(self) -> float:
        """First minus second."""
        return self.first - self.second


def shares(confusion: Confusion) -> NDArray[np.float64]:
    """Return counts as shares of their row; NaN in the row of a class without samples."""
    counts = np.asarray(confusion, dtype=np.float64).reshape(len(confusion), len(confusion))
    sums = counts.sum(axis=1, keepdims=True)
    return np.where(sums > 0, counts / np.maximum(sums, 1), np.nan)


def share_differences(first: Confusion, second: Confusion) -> NDArray[np.float64]:
    """Return the shares of `first` minus those of `second`, `(n_classes, n_classes)`.

    Raises:
        ValueError: the matrices differ in size.
    """
    if len(first) != len(second):
        raise ValueError(f"both must have as many classes; got {len(first)} and {len(second)}")
    return shares(first) - shares(second)


def differing_cells(
    first: Confusion, second: Confusion, *, diagonal: bool, most: int = 5
) -> tuple[Cell, ...]:
    """Return the cells whose shares differ most, those first that differ more.

    Args:
        first: confusion matrix of the first model.
        second: of the second.
        diagonal: whether the cells of right predictions are looked at, one a class, else those of
            wrong ones, one a pair of classes.
        most: how many at most; cells that do not differ are never among them.

    Raises:
        ValueError: the matrices differ in size.
    """
    differences = np.nan_to_num(share_differences(first, second))
    wanted = np.eye(len(differences), dtype=bool) == diagonal
    sizes = np.where(wanted, np.abs(differences), 0.0).round(12)  # ties by number, not rounding
    order = np.argsort(-sizes, axis=None, kind="stable")[:most]
    places = np.column_stack(np.unravel_index(order, sizes.shape))
    one, other = shares(first), shares(second)
    return tuple(
        Cell(int(t), int(p), float(one[t, p]), float(other[t, p]), int(sum(first[t])))
        for t, p in places
        if sizes[t, p] > 0
    )
