"""The header line of a table: the delimiter, and the names and meaning of the columns."""

import csv
import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from search.errors import DataError

BLANKS = " \t"
EXACT = 1 << 53  # below this, float64 represents every whole number
MISSING = frozenset({"", "nan", "na", "n/a", "<na>", "null", "none", "nil", "?", "-"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)


def is_number(text: str) -> bool:
    """Return whether a field is a finite number."""
    return _NUMBER.fullmatch(text.strip(BLANKS)) is not None


def missing_fault(text: str) -> str:
    """Return the end of a sentence if a field is missing, else an empty text."""
    field = text.strip(BLANKS)
    if field.lower() not in MISSING:
        return ""
    shown = f" ({field})" if field else ""
    return f"is missing{shown}. Fill it in, or leave the line out"


def number_fault(text: str) -> str:
    """Return why a field is not a number, as the end of a sentence; empty if it is one."""
    field = text.strip(BLANKS)
    if _INFINITE.fullmatch(field):
        return f"must be finite; it is {field}. Replace it, or leave the line out"
    if _DECIMAL_COMMA.fullmatch(field):
        return f"must be a number; it is {field!r}. Write decimals with a point"
    if not is_number(field):
        shown = field if len(field) <= 40 else field[:40] + "..."
        return f"must be a number; it is {shown!r}. Use numbers, or leave the column out"
    return ""


LABEL = "label"
DELIMITERS = ",;\t"
SHOWN = 8  # columns named in a message
MAX_COLUMNS = 200_000  # images of 256 x 256 in colour have 196,608
_PIXEL = re.compile(r"pixel[ _]?(\d{1,9})", re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """The first line of a table.

    Attributes:
        path: the file.
        delimiter: comma, semicolon or tab.
        names: of all columns, in order.
        label: index of the column with the labels.
    """

    path: Path
    delimiter: str
    names: tuple[str, ...]
    label: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns beside the label."""
        return self.names[: self.label] + self.names[self.label + 1 :]

    @property
    def kind(self) -> str:
        """Kind of the samples: `image` or `table`."""
        return "image" if len(self.shape) == 3 else "table"

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (side, side, 1 or 3) or (columns,)."""
        count = len(self.columns)
        if _are_pixels(self.columns):
            for channels in (1, 3):
                side = math.isqrt(count // channels)
                if side * side * channels == count:
                    return side, side, channels
        return (count,)

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about how the columns were interpreted."""
        named = sum(_PIXEL.fullmatch(name) is not None for name in self.columns)
        if self.kind == "image" or not named:
            return ()
        return (
            f"{self.path} is read as a table: its {named:,} pixel columns are no images. Those have"
            " a square number of pixels, or three times that, numbered from 0 or 1, and no"
            " columns except pixels and label.",
        )


def read_header(path: Path, line: bytes) -> Header:
    """Parse a header line.

    Args:
        path: the file, for messages.
        line: its first line, without the byte order mark.

    Raises:
        DataError: it is not the header of a table with labels.
    """
    text = _decoded(path, line)
    delimiter = max(DELIMITERS, key=re.sub(r'"[^"]*"', "", text).count)
    if text.count(delimiter) >= 2 * MAX_COLUMNS:  # before that many names are created
        _refuse_columns(path, text.count(delimiter))
    try:
        fields = next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise DataError(f"{path}, line 1 must be a header of column names; {error}") from error
    names = tuple(name.strip() for name in fields)
    if len(names) > MAX_COLUMNS:
        _refuse_columns(path, len(names))
    _check_names(path, names)
    labels = [index for index, name in enumerate(names) if name.lower() == LABEL]
    if len(labels) != 1:
        _refuse_labels(path, names, len(labels))
    if len(names) < 2:
        raise DataError(
            f"{path}, line 1: a table must have columns besides `{names[0]}`; it has none, or none"
            " that are separated by comma, semicolon or tab"
        )
    return Header(path, delimiter, names, labels[0])


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
            f" ({', '.join(names[:SHOWN])}). Add a line of column names, with `{LABEL}` among them."
        )
    if "" in names:
        raise DataError(
            f"{path}, line 1: every column must have a name; column {names.index('') + 1} has none."
            " Name it, or save the table without its row numbers (pandas: index=False)."
        )
    ordered = sorted(names)
    repeated = next((one for one, other in pairwise(ordered) if one == other), None)
    if repeated is not None:
        places = [str(i + 1) for i, name in enumerate(names) if name == repeated]
        raise DataError(
            f"{path}, line 1: column names must differ; columns {' and '.join(places[:2])} are both"
            f" called `{repeated}`. Rename one."
        )


def _refuse_columns(path: Path, count: int) -> NoReturn:
    raise DataError(
        f"{path}, line 1: a table must have at most {MAX_COLUMNS:,} columns; there are"
        f" {count:,}. Keep such samples in an `.npz` file."
    )


def _refuse_labels(path: Path, names: tuple[str, ...], found: int) -> NoReturn:
    if found:
        raise DataError(f"{path}, line 1: one column must be called `{LABEL}`; {found} are")
    listed = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    lowered = {name.lower(): name for name in names}
    close = get_close_matches(LABEL, lowered, n=1, cutoff=0.5)
    hint = f" Did you mean `{lowered[close[0]]}`?" if close else ""
    raise DataError(
        f"{path}, line 1: one column must be called `{LABEL}`; there are {len(names):,} columns:"
        f" {listed}.{hint} Rename the column that holds the class."
    )


def _are_pixels(columns: tuple[str, ...]) -> bool:
    matches = [_PIXEL.fullmatch(name) for name in columns]
    numbers = [int(match[1]) for match in matches if match]
    return len(numbers) == len(columns) and any(
        numbers == list(range(first, first + len(numbers))) for first in (0, 1)
    )
