"""What is to be said about a training set of rows of numbers."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.description_pieces import pieces


@dataclass(frozen=True)
class Column:
    """One column over all training rows; `std` is its standard deviation."""

    name: str
    lowest: float
    mean: float
    std: float
    highest: float

    @property
    def constant(self) -> bool:
        """Whether it has one value in all rows."""
        return self.lowest == self.highest


@dataclass(frozen=True)
class TableStatistics:
    """Statistics over all training rows.

    Attributes:
        missing: values that are not finite.
        columns: in their order.
    """

    missing: int
    columns: tuple[Column, ...]

    @property
    def constant_columns(self) -> tuple[str, ...]:
        """Names of the columns that never change."""
        return tuple(column.name for column in self.columns if column.constant)

    def to_json(self) -> dict[str, Any]:
        """Return everything."""
        return {
            "missing_values": self.missing,
            "constant_columns": list(self.constant_columns),
            "columns": [asdict(column) for column in self.columns],
        }


def describe_table(rows: NDArray[np.float32], columns: tuple[str, ...]) -> TableStatistics:
    """Return the statistics of rows.

    Args:
        rows: (n, columns), memory-mapped; read twice in pieces.
        columns: their names; where there are none, their numbers from 1.
    """
    lowest, highest = np.full((2, rows.shape[1]), [[np.inf], [-np.inf]])
    total, missing = np.zeros(rows.shape[1]), 0
    for _, piece in pieces(rows):
        missing += int((~np.isfinite(piece)).sum())
        lowest, highest = np.minimum(lowest, piece.min(0)), np.maximum(highest, piece.max(0))
        total += piece.sum(axis=0, dtype=np.float64)
    mean = total / len(rows)
    # A second pass: the mean of squares minus the square of the mean would cancel.
    squares = np.zeros(rows.shape[1])
    for _, piece in pieces(rows):
        squares += ((piece - mean) ** 2).sum(axis=0)
    std = np.sqrt(squares / len(rows))
    numbers = (part.tolist() for part in (lowest, mean, std, highest))
    names = column_names(columns, rows.shape[1])
    return TableStatistics(missing, tuple(map(Column, names, *numbers)))


def column_names(columns: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Return the names of a table's columns: its own, or their numbers from 1."""
    return columns or tuple(f"column {number}" for number in range(1, count + 1))
