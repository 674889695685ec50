"""Tables in text files, `csv:TRAIN[,TEST]`: images a pixel a column, or any numbers."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search.data.answers import Found, Surroundings
from search.data.arrays import KINDS, array_file, map_array
from search.data.class_numbers import class_names, count_classes
from search.data.contents import Contents
from search.data.formats.csv_blocks import read_blocks
from search.data.formats.csv_header import Header, read_header
from search.data.formats.csv_rows import read_rows
from search.data.formats.packed import check_file, expanded
from search.data.growing import write_growing
from search.data.splits import DTYPES, held_out, write_labels, write_part
from search.errors import DataError, SettingsError


class _Part(NamedTuple):
    header: Header
    labels: NDArray[np.int64]


def find(rest: str, _: Surroundings) -> Found:
    """Return the source that `csv:TRAIN` or `csv:TRAIN,TEST` names.

    Raises:
        SettingsError: more than two files, or the same one twice.
        DataError: a file is not there.
    """
    paths = tuple(expanded(part) for part in rest.split(","))
    if len(paths) > 2 or len(set(paths)) < len(paths):
        raise SettingsError(
            f"`csv:` must be followed by TRAIN or by TRAIN,TEST, two different files; got {rest!r}"
        )
    for path in paths:
        check_file(path)
    return Found(" and ".join(map(str, paths)), paths, partial(write_csv, paths))


def write_csv(paths: tuple[Path, ...], folder: Path) -> Contents:
    """Check the tables and write their arrays.

    Args:
        paths: of the training part and, where there is one, of the test part.
        folder: receives the `.npy` files.

    Raises:
        DataError: a file is no table of numbers with labels; with file and line.
    """
    origin = str(paths[0])
    if len(paths) == 1:
        whole = folder / "whole.npy"
        try:
            train = _read(paths[0], whole)
            classes = count_classes(train.labels, origin)
            notice = _split(whole, folder, train, origin)
        finally:
            whole.unlink(missing_ok=True)
        notices = (*train.header.notices, notice)
    else:
        train = _read(paths[0], folder / "train.npy")
        classes = count_classes(train.labels, origin)
        test = _read(paths[1], folder / "test.npy", train.header, classes)
        for split, part in (("train", train), ("test", test)):
            samples = KINDS[part.header.kind][0]
            (folder / f"{split}.npy").rename(array_file(folder, f"{split}_{samples}"))
            write_labels(folder, split, part.labels)
        notices = train.header.notices
    kind = train.header.kind
    columns = train.header.columns if kind == "table" else ()
    return Contents(kind, class_names(train.labels, classes, kind), columns, notices)


def _read(
    path: Path, target: Path, model: Header | None = None, classes: int | None = None
) -> _Part:
    """Write the samples of one file in one pass, and return its labels.

    Args:
        path: the table.
        target: the `.npy` file.
        model: the header that its own must be equal to.
        classes: its labels must be below.
    """
    with closing(read_blocks(path)) as blocks:
        header = read_header(path, next(blocks).text)
        if model is not None:
            _check_same(header, model)
        labels = [np.empty(0, np.int64)]

        def samples() -> Iterator[NDArray[Any]]:
            for rows in read_rows(header, blocks, classes):
                labels.append(rows.labels)
                yield rows.samples

        count = write_growing(target, DTYPES[header.kind], header.shape, samples())
    if not count:
        raise DataError(f"{path} must hold lines of data; it has a header and nothing else")
    return _Part(header, np.concatenate(labels))


def _split(whole: Path, folder: Path, part: _Part, origin: str) -> str:
    def take(indices: NDArray[np.int64]) -> NDArray[Any]:
        # Mapped anew for each piece: what was read does not stay in this process's memory.
        return np.asarray(map_array(whole)[indices])

    parts, notice = held_out(part.labels, origin)
    header = part.header
    for split, chosen in parts.items():
        write_part(folder, split, kind=header.kind, shape=header.shape, take=take, chosen=chosen)
        write_labels(folder, split, part.labels[chosen])
    return notice


def _check_same(header: Header, model: Header) -> None:
    """Raise DataError unless two parts have the same columns in the same order."""
    if (header.columns, header.label) == (model.columns, model.label):
        return
    if len(header.names) != len(model.names):
        fault = f"there are {len(model.names):,} and {len(header.names):,} columns"
    else:
        pairs = zip(model.names, header.names, strict=True)
        number, (one, other) = next((i, p) for i, p in enumerate(pairs, 1) if p[0] != p[1])
        fault = f"column {number:,} is `{one}` in the one and `{other}` in the other"
    raise DataError(
        f"{header.path}, line 1: the test part must have the columns of {model.path}, in the same"
        f" order; {fault}"
    )
