"""Tables in text files, `csv:TRAIN[,TEST]`: images with a pixel a column, or any numbers."""

import csv
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search.data.answers import Found, Surroundings
from search.data.arrays import (
    DTYPES,
    IMAGES,
    KINDS,
    LABELS,
    ROWS,
    array_file,
    map_ahead,
    map_array,
    write_growing,
    write_labels,
    write_part,
)
from search.data.checks import Contents, class_names, count_classes
from search.data.folds import held_out
from search.data.formats.archives import check_file, expanded, open_packed, reading
from search.data.formats.csv_header import (
    EXACT,
    Header,
    is_number,
    missing_fault,
    number_fault,
    read_header,
)
from search.data.reading import Column
from search.errors import DataError, SettingsError

BLOCK_BYTES = 8 << 20  # bytes; measured: smaller blocks cost time, larger ones only memory
MAX_LINE = 64 << 20
BOM = b"\xef\xbb\xbf"
OTHERS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet: unpack it, or save it as CSV",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"PAR1": "a Parquet file: save it as CSV",
}


@dataclass(frozen=True)
class Block:
    """Consecutive whole lines of a file.

    Attributes:
        text: the lines with their ends.
        line: number of the first line, from 1.
    """

    text: bytes
    line: int


def read_blocks(path: Path) -> Generator[Block, None, None]:
    """Yield the first line alone, then blocks of the others.

    Args:
        path: plain or gzipped.

    Raises:
        DataError: the file cannot be read, is empty, or is not text.
    """
    line = 1
    with reading(path), open_packed(path) as file:
        for text in _whole_lines(path, file):
            rest = text
            if line == 1:
                _check_text(path, text)
                first, _, rest = text.removeprefix(BOM).partition(b"\n")
                yield Block(first, line)
                line = 2
            if rest:
                yield Block(rest, line)
                line += rest.count(b"\n")
    if line == 1:
        raise DataError(f"{path} must be a table with a header line; it is empty")


def _whole_lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while piece := file.read(BLOCK_BYTES):
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
        if len(rest) > MAX_LINE:
            raise DataError(
                f"{path} must be a table in lines; one is longer than {MAX_LINE:,} bytes."
                " Is it a CSV file?"
            )
    if rest:
        yield rest


def _check_text(path: Path, start: bytes) -> None:
    for signature, what in OTHERS.items():
        if start.startswith(signature):
            raise DataError(f"{path} must be a text file; it is {what}")
    if b"\0" in start:
        raise DataError(
            f"{path} must be a text file in UTF-8; it contains zero bytes, as binary files do."
            " Save the table as CSV."
        )


LARGEST = float(np.finfo(np.float32).max)


def fault_in(block: Block, header: Header, classes: int | None) -> DataError:
    """Return the error for the first faulty line.

    Args:
        block: lines, at least one of them faulty.
        header: of the table.
        classes: labels must be below this; None: any.
    """
    for number, line in enumerate(block.text.split(b"\n"), block.line):
        for fault in _line_faults(line.removesuffix(b"\r"), header, classes):
            return DataError(f"{header.path}, line {number}: {fault}.")
    last = block.line + block.text.rstrip(b"\n").count(b"\n")
    return DataError(
        f"{header.path}: lines {block.line} to {last} cannot be read as"
        " numbers. Look for quotes and for line ends within them."
    )


def _line_faults(line: bytes, header: Header, classes: int | None) -> Iterator[str]:
    if not line:
        return
    text = line.decode(errors="replace")
    try:
        fields = next(csv.reader([text], delimiter=header.delimiter, strict=True))
    except csv.Error as error:
        yield f"quotes must be closed on their line ({error}). Leave them out around numbers"
        return
    if len(fields) != len(header.names):
        yield (
            f"there must be {len(header.names):,} values, as in the header; there are"
            f" {len(fields):,}: the line may be truncated"
        )
        return
    for index, (name, field) in enumerate(zip(header.names, fields, strict=True)):
        fault = (
            _label_fault(field, classes) if index == header.label else _value_fault(field, header)
        )
        if fault:
            yield f"`{name}` {fault}"


def _label_fault(field: str, classes: int | None) -> str:
    if fault := missing_fault(field):
        return fault
    value = float(field) if is_number(field) else -1.0
    if not (value.is_integer() and 0 <= value < EXACT):
        return (
            f"must be a whole number from 0; it is {field.strip()!r}."
            " Number the classes 0, 1, 2 and so on"
        )
    if classes is not None and value >= classes:
        return (
            f"must be one of the training part's labels, 0..{classes - 1}; it is {field.strip()}."
            " Leave the line out, or add lines of that class to the training part"
        )
    return ""


def _value_fault(field: str, header: Header) -> str:
    if fault := missing_fault(field) or number_fault(field):
        return fault
    value = float(field)
    if header.kind == "image" and not (value.is_integer() and 0 <= value <= 255):
        return (
            f"must be a pixel, a whole number within 0..255; it is {field.strip()}."
            " If these are not pixels, rename the columns, and they are read as a table"
        )
    if abs(value) > LARGEST:
        return f"must be within the range of float32, +-3.4e38; it is {field.strip()}"
    return ""


@dataclass(frozen=True)
class Rows:
    """The samples of a block of lines.

    Attributes:
        samples: (n, *header.shape), uint8 for images, float32 for tables.
        labels: (n,).
    """

    samples: NDArray[Any]
    labels: NDArray[np.int64]


def read_rows(
    header: Header, blocks: Iterator[Block], classes: int | None = None
) -> Iterator[Rows]:
    """Yield the rows of a table, in order; blocks are parsed in threads.

    Args:
        header: of the table.
        blocks: all lines but the first.
        classes: labels must be below this; None: any.

    Raises:
        DataError: a line is faulty; the message has the number of the first.
    """
    return map_ahead(partial(_rows, header=header, classes=classes), blocks)


def _rows(block: Block, *, header: Header, classes: int | None) -> Rows:
    # Nearly every file writes pixels and labels as whole numbers, so that is tried first; `12.0` is
    # a whole number, too, and is tried second.
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
    columns = _columns(block, header, "float64", exact)
    if columns is None:
        return None
    rows = _gathered(columns, header, ROWS)
    return rows if np.isfinite(rows.samples).all() else None


def _columns(block: Block, header: Header, kind: str, exact: bool) -> list[NDArray[Any]] | None:
    """Return the columns, the label last as int64, or None if a field is of another kind."""
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


class _Part(NamedTuple):
    header: Header
    labels: NDArray[np.int64]


def find(rest: str, _: Surroundings) -> Found:
    """Return the source that `csv:TRAIN` or `csv:TRAIN,TEST` names.

    Raises:
        SettingsError: more than two files, or the same one twice.
        DataError: a file does not exist.
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
        paths: of the training part and, if there is one, of the test part.
        folder: receives the `.npy` files.

    Raises:
        DataError: a file is not a table of numbers with labels; the message has file and line.
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
    columns = tuple(map(Column, train.header.columns)) if kind == "table" else ()
    return Contents(kind, class_names(train.labels, classes, kind), columns, notices)


def _read(
    path: Path, target: Path, model: Header | None = None, classes: int | None = None
) -> _Part:
    """Write the samples of one file in one pass, and return its labels.

    Args:
        path: the table.
        target: the `.npy` file.
        model: the header that its own must equal.
        classes: its labels must be below this.
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
        raise DataError(f"{path} must contain lines of data; it has only a header")
    return _Part(header, np.concatenate(labels))


def _split(whole: Path, folder: Path, part: _Part, origin: str) -> str:
    def take(indices: NDArray[np.int64]) -> NDArray[Any]:
        # Mapped again for each piece, so that pages already read do not stay in memory.
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
        fault = f"column {number:,} is `{one}` in one and `{other}` in the other"
    raise DataError(
        f"{header.path}, line 1: the test part must have the columns of {model.path}, in the same"
        f" order; {fault}"
    )
