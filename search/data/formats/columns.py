"""The values of a table's columns: which are missing, and what type a column is of."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.data.reading import DATE, LARGEST, NUMBER, TRUTH, Column
from search.errors import DataError
from tracking.text import joined

if TYPE_CHECKING:
    import pyarrow as pa

Values: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Batches: TypeAlias = "Iterator[pa.RecordBatch]"


@dataclass(frozen=True)
class Part:
    """A table that can be read again and again.

    Attributes:
        name: its file, or what its owner calls it.
        names: of its columns, all different.
        read: returns batches of some columns, by name; a column whose type is wanted has that
            type, where all values of a batch are of it, else it is text.
        place: returns where a row is, counted from 0.
    """

    name: str
    names: tuple[str, ...]
    read: "Callable[[Sequence[str], dict[str, pa.DataType]], Batches]"
    place: Callable[[int], str]

    def aligned(self, needed: Sequence[str]) -> "Part":
        """Return the part with columns called as needed, where they differ only in case.

        Raises:
            DataError: several columns may be meant.
        """
        own, wanted = set(self.names), set(needed)
        alike: dict[str, list[str]] = {}
        for name in self.names:
            if name not in wanted:
                alike.setdefault(name.lower(), []).append(name)
        rivals = Counter(name.lower() for name in wanted)
        renamed: dict[str, str] = {}
        for name in needed:
            found = alike.get(name.lower(), [])
            if name in own or not found or rivals[name.lower()] > 1:  # there, or case tells
                continue
            if len(found) > 1:
                raise DataError(
                    f"{self.name} must have one column `{name}`; {joined(f'`{n}`' for n in found)}"
                    " may be meant. Rename the right one, or leave the others out."
                )
            renamed[name] = found[0]
        if not renamed:
            return self
        back = {name: wanted for wanted, name in renamed.items()}

        def read(chosen: Sequence[str], types: "dict[str, pa.DataType]") -> Batches:
            inner = {renamed.get(name, name): kind for name, kind in types.items()}
            for batch in self.read([renamed.get(name, name) for name in chosen], inner):
                yield batch.rename_columns(list(chosen))

        names = tuple(back.get(name, name) for name in self.names)
        return Part(self.name, names, read, self.place)

    def text(self, name: str, row: int) -> str:
        """Return a value as it is written."""
        for batch in self.read([name], {}):
            if row < batch.num_rows:
                return str(batch[name][row].as_py()).strip()
            row -= batch.num_rows
        return ""

    @classmethod
    def of(cls, batches: "Callable[[], Batches]", name: str) -> "Part":
        """Return the part whose batches a function yields anew."""
        first = next(batches(), None)
        names = tuple(first.schema.names) if first is not None else ()

        def read(chosen: Sequence[str], _: "dict[str, pa.DataType]") -> Batches:
            return (batch.select(list(chosen)) for batch in batches())

        return cls(name, names, read, lambda row: f"{name}, row {row + 1}")


MISSING = frozenset(
    {"", "nan", "na", "n/a", "<na>", "null", "none", "nil", "?", "-", "nat"}
    | {"#n/a", "#na", "#n/a n/a", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}  # of spreadsheets
)
SPELLINGS = tuple(
    sorted(
        {spelled for word in MISSING for spelled in (word, word.upper(), word.capitalize())}
        | {"NaN", "-nan", "-NaN", "NaT"}
    )
)
PAIRS = (("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"))

_POINT = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_COMMA = r"[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?"
# A number with a decimal sign, or with groups of thousands; which sign is which decides the column.
_STYLES = {
    ".": f"^({_POINT}|[+-]?[1-9]\\d{{0,2}}(,\\d{{3}})+(\\.\\d*)?)$",
    ",": f"^({_COMMA}|[+-]?[1-9]\\d{{0,2}}(\\.\\d{{3}})+(,\\d*)?)$",
}
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_DAY = r"\d{4}-\d\d-\d\d"
_DATE = rf"^{_DAY}([T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC|[+-]\d\d:?\d\d))?)?$"


def is_number(text: str) -> bool:
    """Return whether a text is a finite number with a decimal point."""
    return re.fullmatch(_POINT, text.strip(), re.ASCII) is not None


def words(values: "pa.Array") -> "pa.Array":
    """Return values of any type as texts without blanks around them; missing ones are null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_dictionary(kind):
        return words(values.cast(kind.value_type))
    if pa.types.is_boolean(kind):
        return pc.if_else(values, "True", "False").cast(pa.large_string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.array([spelled(value) for value in values.to_pylist()], pa.large_string())
    texts = values.cast(pa.large_string())
    if not _is_text(kind):
        return texts
    texts = pc.utf8_trim_whitespace(texts)
    missing = pc.is_in(texts, value_set=pa.array(SPELLINGS, pa.large_string()))
    return pc.if_else(missing, pa.scalar(None, pa.large_string()), texts)


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()
    )


def spelled(value: Any) -> str | None:
    """Return a number as text, without a point if it is whole; None for a missing one."""
    if value is None or value != value:
        return None
    return str(int(value)) if abs(value) < 1 << 53 and value == int(value) else str(value)


def is_supported(kind: "pa.DataType") -> bool:
    """Return whether values of an Arrow type can be in a column."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return is_supported(kind.value_type)
    return typed(kind) is not None or _is_text(kind) or pa.types.is_null(kind)


def typed(kind: "pa.DataType") -> str | None:
    """Return the column type that an Arrow type says; None for texts, which say nothing."""
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return TRUTH
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return DATE
    is_number = (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_duration(kind)
    )
    return NUMBER if is_number else None


def numbers(values: "pa.Array", decimal: str = ".") -> tuple[Values, Mask]:
    """Return values as numbers, NaN where they are missing or none, and which are none.

    Args:
        values: of any type.
        decimal: the decimal sign of texts; the other sign may separate thousands.

    Returns:
        Numbers (n,), infinite where the text is, and a mask (n,) of texts that are no numbers.
    """
    import pyarrow as pa

    kind = values.type
    if typed(kind) == NUMBER:
        if pa.types.is_duration(kind):
            seconds = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
            return _floats(values.cast(pa.int64())) / seconds, np.zeros(len(values), np.bool_)
        return _floats(values), np.zeros(len(values), np.bool_)
    if typed(kind) == TRUTH:
        return _floats(values), np.zeros(len(values), np.bool_)
    return numbers_in(words(values), decimal)


def numbers_in(texts: "pa.Array", decimal: str = ".") -> tuple[Values, Mask]:
    """Return what `numbers` does of texts that `words` has returned."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if decimal == ".":
        with suppress(pa.ArrowInvalid):
            return _floats(texts), np.zeros(len(texts), np.bool_)
    good = matches(texts, _STYLES[decimal])
    endless = matches(texts, "(?i)^[+-]?inf(inity)?$")
    other = "," if decimal == "." else "."
    kept = pc.if_else(good, texts, pa.scalar(None, pa.large_string()))
    plain = pc.replace_substring(pc.replace_substring(kept, other, ""), decimal, ".")
    found = _floats(plain)
    found[endless] = np.inf
    return found, ~(good | endless | mask(pc.is_null(texts)))


def _floats(values: "pa.Array") -> Values:
    import pyarrow as pa

    floats = values.cast(pa.float64(), safe=False)
    return np.array(floats.to_numpy(zero_copy_only=False), np.float64)


def matches(texts: "pa.Array", pattern: str) -> Mask:
    """Return which texts a pattern is found in; not null ones."""
    import pyarrow.compute as pc

    return mask(pc.match_substring_regex(texts, pattern))


def holds(texts: "pa.Array", part: str) -> bool:
    """Return whether any text has a part in it."""
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring(texts, part)).as_py())


def first_match(texts: "pa.Array", pattern: str) -> str | None:
    """Return the first text that a pattern is found in."""
    places = np.flatnonzero(matches(texts, pattern))
    return texts[int(places[0])].as_py() if len(places) else None


def mask(flags: "pa.Array") -> Mask:
    """Return flags as a NumPy array; null counts as false."""
    return np.asarray(flags.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


def dates(values: "pa.Array") -> tuple[Values, Mask]:
    """Return dates as seconds since 1970 (UTC), NaN where missing or none, and which are none.

    Args:
        values: dates, or texts in ISO 8601; without a time zone they are UTC.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if typed(values.type) == DATE:
        stamps = values.cast(pa.timestamp("us"), safe=False)
        return _floats(stamps.cast(pa.int64())) / 1e6, np.zeros(len(values), np.bool_)
    texts = words(values)
    given = mask(pc.is_valid(texts))
    good = matches(texts, _DATE)
    kept = pc.if_else(good, texts, pa.scalar(None, pa.large_string()))
    micro = pc.replace_substring_regex(kept, r"(\.\d{6})\d+", r"\1")
    full = pc.replace_substring_regex(micro, f"^({_DAY})$", r"\1 00:00")
    utc = pc.replace_substring_regex(full, r" ?(UTC|Z)$", "")
    zoned = pc.replace_substring_regex(utc, r"(:\d\d(\.\d+)?)$", r"\1Z")
    zoned = pc.replace_substring_regex(zoned, r" ([+-]\d\d:?\d\d)(Z?)$", r"\1")
    zoned = pc.replace_substring_regex(zoned, r"([+-]\d\d:\d\d)Z$", r"\1")
    try:
        stamps = zoned.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        return _floats(stamps) / 1e6, given & ~good
    except pa.ArrowInvalid:  # such as the 30th of February
        found = np.array([_seconds(text) for text in zoned.to_pylist()])
        return found, given & np.isnan(found)


def _seconds(text: str | None) -> float:
    if text is None:
        return np.nan
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return np.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def truths(values: "pa.Array") -> tuple[Values, Mask]:
    """Return 0 for false and 1 for true, NaN where missing or neither, and which are neither."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if typed(values.type) == TRUTH:
        return _floats(values), np.zeros(len(values), np.bool_)
    texts = pc.utf8_lower(words(values))
    found = np.full(len(values), np.nan)
    for value, choices in enumerate(zip(*PAIRS, strict=True)):
        spelled = pa.array([*choices, str(value)], pa.large_string())
        found[mask(pc.is_in(texts, value_set=spelled)) & mask(pc.is_valid(texts))] = value
    return found, mask(pc.is_valid(texts)) & np.isnan(found)


class Categories:
    """Finds the index of a category by its name; numbers may be written otherwise (`1.0` for `1`).

    Args:
        names: of the categories.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._exact = {name: index for index, name in enumerate(names)}
        values = Counter(float(name) for name in names if is_number(name))
        self._numbers = {
            float(name): index
            for index, name in enumerate(names)
            if is_number(name) and values[float(name)] == 1
        }

    def index(self, name: str) -> int:
        """Return the index of a name; -1 for one that is not among them."""
        found = self._exact.get(name)
        if found is None and is_number(name):
            found = self._numbers.get(float(name))
        return -1 if found is None else found

    def numbers(self, values: "pa.Array") -> tuple[Values, Mask]:
        """Return the index of each value; -1 where it is unknown, NaN where it is missing."""
        coded = words(values).dictionary_encode()
        indices = np.array([self.index(name) for name in coded.dictionary.to_pylist()], float)
        places = _floats(coded.indices)
        missing = np.isnan(places)
        found = np.full(len(values), np.nan)
        if len(indices):
            found[~missing] = indices[places[~missing].astype(np.int64)]
        return found, np.zeros(len(values), np.bool_)


@dataclass(frozen=True)
class Reader:
    """Reads the values of one column.

    Attributes:
        column: its name and type.
        decimal: the decimal sign of its numbers.
    """

    column: Column
    decimal: str = "."
    _categories: list[Categories] = field(default_factory=list, init=False, repr=False)

    def read(self, values: "pa.Array") -> tuple[Values, Mask]:
        """Return values as they are stored, and a mask of those that are not of the type."""
        match self.column.type:
            case "date":
                return dates(values)
            case "truth":
                return truths(values)
            case "category":
                if not self._categories:
                    self._categories.append(Categories(self.column.categories))
                return self._categories[0].numbers(values)
            case _:
                found, wrong = numbers(values, self.decimal)
                return found, wrong | (np.abs(found) > LARGEST)

    def fault(self, text: str) -> str:
        """Return why a value is not of the column's type, as the end of a sentence."""
        shown = shortened(text)
        if self.column.type == NUMBER:
            if _INFINITE.fullmatch(text):
                return f"must be finite; it is {shown}. Replace it, or leave the line out"
            if re.match(_STYLES[self.decimal], text, re.ASCII):
                return f"must be within +-{LARGEST:g}; it is {shown}"
            for sign, name in ((",", "comma"), (".", "point")):
                if sign != self.decimal and re.match(_STYLES[sign], text, re.ASCII):
                    return (
                        f"must be a number; it is {shown!r}. If its decimal sign is a {name}, say"
                        f" `--decimal {sign}`"
                    )
            return f"must be a number; it is {shown!r}"
        if self.column.type == DATE:
            return f"must be a date such as 2024-12-31 or 2024-12-31 23:59; it is {shown!r}"
        pair = " or ".join(self.column.categories) or "true or false, or yes or no"
        return f"must be {pair}; it is {shown!r}"


def shortened(text: str, most: int = 40) -> str:
    """Return a text, or its beginning."""
    return text if len(text) <= most else text[:most] + "..."
