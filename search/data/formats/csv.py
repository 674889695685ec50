"""Tables in text files: lines of values, separated by commas, semicolons, tabs or bars."""

import csv
import io
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from search.data.arrays import map_ahead
from search.data.formats.archives import open_packed
from search.data.formats.archives import reading as reading_file
from search.data.formats.columns import SPELLINGS, Batches, Part, is_number
from search.data.reading import Reading
from search.errors import DataError
from tracking.text import listed

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 8 << 20  # bytes; measured: smaller blocks cost time, larger ones only memory
MAX_LINE = 64 << 20
BOM = b"\xef\xbb\xbf"
DELIMITERS = "\t;,|"  # a comma comes after those that are no decimal sign; bars join words, too
MAX_COLUMNS = 200_000  # images of 256 x 256 in colour have 196,608
OTHERS = {
    b"PK\x03\x04": (
        "a zip archive or a spreadsheet. Unpack an archive; save a spreadsheet as CSV (Excel:"
        " Save As, CSV UTF-8)"
    ),
    b"\xd0\xcf\x11\xe0": "a spreadsheet. Save it as CSV (Excel: Save As, CSV UTF-8)",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"PAR1": "a Parquet file: name it with `parquet:` instead of `csv:`",
    b"ARROW1": "an Arrow file: save it as Parquet",
}


@dataclass(frozen=True)
class Header:
    """How the lines of a file are read.

    Attributes:
        path: the file.
        delimiter: one of `DELIMITERS`.
        names: of all columns, in order.
        named: whether the first line holds the names.
    """

    path: Path
    delimiter: str
    names: tuple[str, ...]
    named: bool


def open_csv(path: Path, reading: Reading) -> Part:
    """Return the table of a text file, plain or gzipped; only its first lines are read.

    Raises:
        DataError: it is no text, or has no usable header.
    """
    with reading_file(path), open_packed(path) as file:
        start = file.read(BLOCK_BYTES)
        while b"\n" not in start and (more := file.read(BLOCK_BYTES)):
            start += more
            _check_length(path, start, 1)
    start = _start(path, start)
    header = read_header(path, start, named=reading.header == "first")
    return Part(str(path), header.names, partial(_read, header), partial(_place, header))


def _start(path: Path, start: bytes) -> bytes:
    """Return the beginning of a file without the byte order mark, if it is that of a text."""
    for signature, what in OTHERS.items():
        if start.startswith(signature):
            raise DataError(f"{path} must be a text file; it is {what}")
    if b"\0" in start:
        wide = start[:2000]
        is_wide = not any(wide[::2]) or not any(wide[1::2])
        what = "UTF-16 text does. Save it as UTF-8" if is_wide else "binary files do"
        raise DataError(
            f"{path} must be a text file in UTF-8; it contains zero bytes, as {what}."
            + ("" if is_wide else " Save the table as CSV.")
        )
    start = start.removeprefix(BOM)
    if not start:
        raise DataError(f"{path} must be a table with a header line; it is empty")
    for pattern, what in _OTHER_TEXTS.items():
        if re.match(pattern, start, re.IGNORECASE):
            raise DataError(f"{path} must be a table; {what}")
    return start


# How texts begin that are no table, or not yet.
_OTHER_TEXTS = {
    rb"\s*<(!doctype|html|\?xml)": (
        "it is a web page or XML. Was it downloaded from the address of the file itself?"
    ),
    rb'\s*(\{\s*"|\[\s*\{)': "it is JSON: name it with `jsonl:`, an object in each line",
    rb'"?sep=.\r?\n"?': (
        "line 1 is a note of Excel's on the separator. Delete it, so that the column names come"
        " first"
    ),
}


SNIFFED = 20  # lines that are compared to find the delimiter


def read_header(path: Path, start: bytes, *, named: bool) -> Header:
    """Find the delimiter and the names of the columns.

    Args:
        path: the file, for messages.
        start: the beginning of the file, without the byte order mark.
        named: whether the first line holds the names; else they are `0`, `1` and so on.

    Raises:
        DataError: the first line is no header.
    """
    whole = start if b"\n" not in start else start[: start.rindex(b"\n")]
    lines = whole.split(b"\n", SNIFFED + 1)[: SNIFFED + 1]
    text = _decoded(path, lines[0])
    others = [line.decode(errors="replace").removesuffix("\r") for line in lines[1:]]
    delimiter = _delimiter(text, [line for line in others if line], named=named)
    if text.count(delimiter) >= 2 * MAX_COLUMNS:  # before that many names are created
        _refuse_columns(path, text.count(delimiter))
    try:
        fields = next(_rows([text], delimiter), [])
    except csv.Error as error:
        raise DataError(
            f"{path}, line 1 must be a header of column names; {error}. A name must be in one line,"
            " and its quotes closed."
        ) from error
    if len(fields) > MAX_COLUMNS:
        _refuse_columns(path, len(fields))
    _check_quotes(path, delimiter, [text, *others])
    if not named:
        return Header(path, delimiter, tuple(map(str, range(len(fields)))), named)
    names = tuple(name.strip() for name in fields)
    _check_names(path, names)
    # A column without a name is called as pandas calls it.
    filled = tuple(name or f"Unnamed: {index}" for index, name in enumerate(names))
    check_repeated(f"{path}, line 1", filled)
    return Header(path, delimiter, filled, named)


def _rows(lines: Sequence[str] | Iterator[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_LINE)
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _delimiter(first: str, others: Sequence[str], *, named: bool) -> str:
    """Return the delimiter that gives all lines the same number of values, or most names."""
    counts = {sign: re.sub(r'"[^"]*"', "", first).count(sign) for sign in DELIMITERS}
    even = [sign for sign in DELIMITERS if counts[sign] and _is_even(sign, [first, *others])]
    if even and (not named or counts[even[0]] == max(counts.values())):
        return even[0]
    return max(even or DELIMITERS, key=lambda sign: (counts[sign], sign == ","))


def _is_even(delimiter: str, lines: Sequence[str]) -> bool:
    try:
        return len({len(row) for row in _rows(lines, delimiter)}) == 1
    except csv.Error:
        return False


def _check_quotes(path: Path, delimiter: str, lines: Sequence[str]) -> None:
    """Raise DataError for a blank before a quote, which makes the quotes a part of the value."""
    for number, line in enumerate(lines, 1):
        # Without what is in quotes, so that a text may hold anything.
        if re.search(rf'{re.escape(delimiter)} +"', re.sub(r'"(?:[^"]|"")*"', '"', line)):
            raise DataError(
                f"{path}, line {number}: a quote must follow the separator at once; there is a"
                " blank between them. Save the file without these blanks, as with"
                " pandas.read_csv(..., skipinitialspace=True)."
            )


def _decoded(path: Path, line: bytes) -> str:
    try:
        text = line.decode().removesuffix("\r")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line 1 must be text in UTF-8; byte {error.start + 1} is not"
            f" (0x{line[error.start]:02x}). Save the file as UTF-8."
        ) from error
    if "\r" in text:
        raise DataError(
            f"{path}: lines must end with a line feed; they end with a carriage return alone."
            " Save the file with the line ends of Unix or Windows."
        )
    return text


def _check_names(path: Path, names: tuple[str, ...]) -> None:
    if not any(names):
        raise DataError(f"{path}, line 1 must be a header of column names; it is blank")
    if all(is_number(name) for name in names):
        raise DataError(
            f"{path}, line 1 must be a header of column names; it holds only numbers"
            f" ({listed(names)}). Add a line of column names; or say `--header none`, and columns"
            " are called 0, 1, 2 and so on."
        )


def check_repeated(where: str, names: Sequence[str]) -> None:
    """Raise DataError if two columns have the same name."""
    ordered = sorted(names)
    repeated = next((one for one, other in pairwise(ordered) if one == other), None)
    if repeated is not None:
        places = [str(i + 1) for i, name in enumerate(names) if name == repeated]
        raise DataError(
            f"{where}: column names must differ; columns {' and '.join(places[:2])} are both"
            f" called `{repeated}`. Rename one."
        )


def _refuse_columns(path: Path, count: int) -> NoReturn:
    raise DataError(
        f"{path}, line 1: a table must have at most {MAX_COLUMNS:,} columns; there are"
        f" {count:,}. Keep such samples in an `.npz` file."
    )


@dataclass(frozen=True)
class Block:
    """Consecutive whole rows of a file.

    Attributes:
        text: their lines, with the line ends.
        line: number of the first line, from 1.
    """

    text: bytes
    line: int


def read_blocks(header: Header) -> Generator[Block, None, None]:
    """Yield the rows of a file in blocks of whole rows, without the header.

    Raises:
        DataError: the file cannot be read, or a quoted value does not end.
    """
    line, rest, started = 1, b"", False
    with reading_file(header.path), open_packed(header.path) as file:
        while piece := file.read(BLOCK_BYTES):
            rest += piece if started else piece.removeprefix(BOM)
            started = True
            if line == 1 and header.named:
                first, end, rest = rest.partition(b"\n")
                if not end:
                    rest = first
                    _check_length(header.path, rest, line)
                    continue
                line = 2
            end_of_rows = _end_of_rows(header, rest, line)
            if end_of_rows:
                yield Block(rest[:end_of_rows], line)
                line += rest.count(b"\n", 0, end_of_rows)
                rest = rest[end_of_rows:]
            _check_length(header.path, rest, line)
    if rest and (line > 1 or not header.named):
        if b'"' in rest:
            _last_row(header, rest, line, partial=False)
        yield Block(rest, line)


def _check_length(path: Path, rest: bytes, line: int) -> None:
    if len(rest) > MAX_LINE:
        raise DataError(
            f"{path}, line {line}: a table must have rows; one is longer than {MAX_LINE:,}"
            " bytes. Is it a CSV file, and are all quotes closed?"
        )


def _end_of_rows(header: Header, text: bytes, line: int) -> int:
    """Return where the last row ends that is surely complete: a quoted value may have line ends."""
    end = text.rfind(b"\n") + 1
    if not end or b'"' not in text:
        return end
    lines = text.count(b"\n", 0, end)
    for _ in range(lines - _last_row(header, text[:end], line, partial=True)):
        end = text.rfind(b"\n", 0, end - 1) + 1
    return end


def _last_row(header: Header, text: bytes, line: int, *, partial: bool) -> int:
    """Return the number of lines up to the end of the last complete row.

    Args:
        header: of the file.
        text: whole lines.
        line: number of the first.
        partial: whether the last row may be incomplete.

    Raises:
        DataError: a quoted value is followed by something else, or does not end.
    """
    rows, last = _rows(_lines(text), header.delimiter), 0
    try:
        for _ in rows:
            last = rows.line_num  # type: ignore[attr-defined] # typeshed says Iterator
    except csv.Error as error:
        if not partial or "end of data" not in str(error):
            raise _unclosed(header, line + last, error) from error
    return last


def _lines(text: bytes) -> Iterator[str]:
    """Return the lines of a text; bytes stay distinct characters, for they are only counted."""
    return iter(io.TextIOWrapper(io.BytesIO(text), "latin-1", newline="\n"))


def _unclosed(header: Header, line: int, error: csv.Error) -> DataError:
    return DataError(
        f"{header.path}, line {line}: quotes must be closed and followed by a delimiter or the"
        f" line's end ({error}). Leave out single quotes, or double those within a quoted value."
    )


def _read(header: Header, chosen: Sequence[str], wanted: "dict[str, pa.DataType]") -> Batches:
    with closing(read_blocks(header)) as blocks:
        rows = _without_gaps(header, blocks) if len(header.names) == 1 else blocks
        for batches in map_ahead(partial(_batches, header, tuple(chosen), wanted), rows):
            yield from batches


def _without_gaps(header: Header, blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield the blocks of a table with one column.

    Raises:
        DataError: a line before the last row is empty. pandas leaves such lines out, spreadsheets
            write them for missing values.
    """
    gap = 0
    for block in blocks:
        if gap or re.search(rb"(^|\n)\r?\n", block.text):
            rows, line = _rows(_lines(block.text), header.delimiter), block.line
            with suppress(csv.Error):  # Arrow tells what is wrong
                for fields in rows:
                    if fields and gap:
                        raise DataError(
                            f"{header.path}, line {gap} must have a value; it is empty, which in a"
                            " table with one column may be a missing value or no row. Write NA for"
                            " a missing value, or delete the line."
                        )
                    gap = gap if fields or gap else line
                    line = block.line + rows.line_num  # type: ignore[attr-defined]
        yield block


def _batches(
    header: Header, chosen: tuple[str, ...], wanted: "dict[str, pa.DataType]", block: Block
) -> "list[pa.RecordBatch]":
    """Return the rows of a block, with the wanted types if all its values are of them."""
    import pyarrow as pa

    texts = dict.fromkeys(header.names, pa.large_string())
    for types in ([{**texts, **wanted}] if wanted else []) + [texts]:
        try:
            return _parsed(header, chosen, types, block)
        except pa.ArrowInvalid:
            continue
    raise fault_in(block, header)


def _parsed(
    header: Header, chosen: tuple[str, ...], types: "dict[str, pa.DataType]", block: Block
) -> "list[pa.RecordBatch]":
    import pyarrow as pa
    from pyarrow import csv as arrow

    # Numbers instead of names, which Arrow would read in its own way.
    names = {name: str(index) for index, name in enumerate(header.names)}
    table = arrow.read_csv(
        pa.BufferReader(block.text),
        arrow.ReadOptions(
            use_threads=False, block_size=len(block.text) + 1, column_names=list(names.values())
        ),
        arrow.ParseOptions(delimiter=header.delimiter, newlines_in_values=b'"' in block.text),
        arrow.ConvertOptions(
            column_types={names[name]: types[name] for name in chosen},
            include_columns=[names[name] for name in chosen],
            null_values=list(SPELLINGS),
            strings_can_be_null=False,
        ),
    )
    whole = [name for name in chosen if pa.types.is_integer(types[name])]
    if any(table[names[name]].null_count for name in whole):
        raise pa.ArrowInvalid("whole numbers are missing")
    batches: list[pa.RecordBatch] = table.rename_columns(list(chosen)).combine_chunks().to_batches()
    return batches


def fault_in(block: Block, header: Header) -> DataError:
    """Return the error for the first faulty row of a block, of which at least one is faulty."""
    rows, line = _rows(_lines(block.text), header.delimiter), block.line
    try:
        for row in rows:
            if row and len(row) != len(header.names):
                why = "the line may be truncated"
                if len(row) > len(header.names):
                    why = "a value that holds the separator must be quoted"
                if row[-1] == "" and len(row) == len(header.names) + 1:
                    why = "the line ends with a separator, so the header must, too"
                return DataError(
                    f"{header.path}, line {line}: there must be {len(header.names):,} values, as in"
                    f" the {'header' if header.named else 'first line'}; there are {len(row):,}:"
                    f" {why}."
                )
            line = block.line + rows.line_num  # type: ignore[attr-defined]
    except csv.Error as error:
        return _unclosed(header, line, error)
    for number, text in enumerate(block.text.split(b"\n"), block.line):
        try:
            text.decode()
        except UnicodeDecodeError as error:
            return DataError(
                f"{header.path}, line {number} must be text in UTF-8; byte {error.start + 1} is not"
                f" (0x{text[error.start]:02x}). Save the file as UTF-8."
            )
    return DataError(
        f"{header.path}: lines {block.line} to {line} cannot be read as a table. Look for quotes,"
        " and for line ends within them."
    )


def _place(header: Header, row: int) -> str:
    """Return where a row is: the file, and the line in which it begins."""
    line = 1
    with closing(read_blocks(header)) as blocks, suppress(csv.Error):  # Arrow reads more than it
        for block in blocks:
            rows, line = _rows(_lines(block.text), header.delimiter), block.line
            for fields in rows:
                if fields:
                    if not row:
                        return f"{header.path}, line {line}"
                    row -= 1
                line = block.line + rows.line_num  # type: ignore[attr-defined]
    return f"{header.path}, line {line} or later"
