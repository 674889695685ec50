"""Blocks of a table's lines turned into arrays, quickly; a block that is refused, looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.ahead import map_ahead
from search.data.arrays import IMAGES, LABELS, ROWS
from search.data.formats.csv_blocks import Block
from search.data.formats.csv_faults import fault_in
from search.data.formats.csv_header import Header
from search.data.formats.csv_numbers import EXACT


@dataclass(frozen=True)
class Rows:
    """The samples of some lines.

    Attributes:
        samples: (n, *header.shape), uint8 for images, float32 for tables.
        labels: (n,).
    """

    samples: NDArray[Any]
    labels: NDArray[np.int64]


def read_rows(
    header: Header, blocks: Iterator[Block], classes: int | None = None
) -> Iterator[Rows]:
    """Yield the rows of a table, in order; blocks are read in threads.

    Args:
        header: of the table.
        blocks: all lines but the first.
        classes: labels must be below; None: any.

    Raises:
        DataError: the first line that is not as it must be, with its number.
    """
    return map_ahead(partial(_rows, header=header, classes=classes), blocks)


def _rows(block: Block, *, header: Header, classes: int | None) -> Rows:
    # Numbers are written alike in nearly every file: whole pixels and labels. `12.0` is a whole
    # number, too, and comes second.
    read = _pixels if header.kind == "image" else _numbers
    for exact in (True, False):
        rows = read(block, header, exact)
        if rows is not None and _are_classes(rows.labels, classes):
            return rows
    raise fault_in(block, header, classes)


def _pixels(block: Block, header: Header, exact: bool) -> Rows | None:
    columns = _columns(block, header, "uint8" if exact else "float64", exact)
    if columns is None or not (exact or all(_are_whole(c, 255) for c in columns[:-1])):
        return None
    return _gathered(columns, header, IMAGES)


def _numbers(block: Block, header: Header, exact: bool) -> Rows | None:
    columns = _columns(block, header, "float32", exact)
    if columns is None:
        return None
    rows = _gathered(columns, header, ROWS)
    return rows if np.isfinite(rows.samples).all() else None


def _columns(block: Block, header: Header, kind: str, exact: bool) -> list[NDArray[Any]] | None:
    """Return the columns, the label last as int64, or None where a field is not of that kind."""
    import pyarrow as pa
    from pyarrow import csv

    names = [str(number) for number in range(len(header.names))]
    types = dict.fromkeys(names, getattr(pa, kind)())
    label = names.pop(header.label)
    types[label] = pa.int64() if exact else pa.float64()
    try:
        table = csv.read_csv(
            pa.BufferReader(block.text),
            csv.ReadOptions(
                use_threads=False, block_size=len(block.text) + 1, column_names=list(types)
            ),
            csv.ParseOptions(delimiter=header.delimiter),
            csv.ConvertOptions(column_types=types, null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    columns = [table[name].to_numpy() for name in (*names, label)]
    if not exact:
        if not _are_whole(columns[-1], EXACT - 1):
            return None
        columns[-1] = columns[-1].astype(LABELS)
    return columns


def _gathered(columns: list[NDArray[Any]], header: Header, dtype: np.dtype[Any]) -> Rows:
    *values, labels = columns
    samples = np.empty((len(labels), len(values)), dtype)
    for index, column in enumerate(values):
        samples[:, index] = column
    return Rows(samples.reshape(-1, *header.shape), labels)


def _are_whole(values: NDArray[Any], high: int) -> bool:
    return bool(np.all((values >= 0) & (values <= high) & (values == np.floor(values))))


def _are_classes(labels: NDArray[np.int64], classes: int | None) -> bool:
    return bool(np.all(labels >= 0) and (classes is None or np.all(labels < classes)))
