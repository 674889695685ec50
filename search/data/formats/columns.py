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

from search.data.reading import DATE, NUMBER, TRUTH, Column

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

    @classmethod
    def of(cls, batches: "Callable[[], Batches]", name: str) -> "Part":
        """Return the part whose batches a function yields anew."""
        first = next(batches(), None)
        names = tuple(first.schema.names) if first is not None else ()

        def read(chosen: Sequence[str], _: "dict[str, pa.DataType]") -> Batches:
            return (batch.select(list(chosen)) for batch in batches())

        return cls(name, names, read, lambda row: f"{name}, row {row + 1}")


MISSING = frozenset({"", "nan", "na", "n/a", "<na>", "null", "none", "nil", "?", "-", "nat"})
SPELLINGS = tuple(
    sorted(
        {spelled for word in MISSING for spelled in (word, word.upper(), word.capitalize())}
        | {"NaN", "-nan", "-NaN", "NaT"}
    )
)
PAIRS = (("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"))
TYPES_TOLD = {NUMBER: "a number", TRUTH: "one of", DATE: "a date such as 2024-12-31 or with a time"}

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
_OTHER_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}[./]\d{1,2}[./]\d{1,2}")


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

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()


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
    import pyarrow.compute as pc

    kind = values.type
    if typed(kind) == NUMBER:
        if pa.types.is_duration(kind):
            seconds = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
            return _floats(values.cast(pa.int64())) / seconds, np.zeros(len(values), np.bool_)
        return _floats(values), np.zeros(len(values), np.bool_)
    if typed(kind) == TRUTH:
        return _floats(values), np.zeros(len(values), np.bool_)
    texts = words(values)
    if decimal == ".":
        with suppress(pa.ArrowInvalid):
            return _floats(texts), np.zeros(len(values), np.bool_)
    good = _matches(texts, _STYLES[decimal])
    endless = _matches(texts, "(?i)^[+-]?inf(inity)?$")
    other = "," if decimal == "." else "."
    kept = pc.if_else(good, texts, pa.scalar(None, pa.large_string()))
    plain = pc.replace_substring(pc.replace_substring(kept, other, ""), decimal, ".")
    found = _floats(plain)
    found[endless] = np.inf
    return found, ~(good | endless | _mask(pc.is_null(texts)))


def _floats(values: "pa.Array") -> Values:
    import pyarrow as pa

    floats = values.cast(pa.float64(), safe=False)
    return np.array(floats.to_numpy(zero_copy_only=False), np.float64)


def _matches(texts: "pa.Array", pattern: str) -> Mask:
    import pyarrow.compute as pc

    return _mask(pc.match_substring_regex(texts, pattern))


def _first(texts: "pa.Array", pattern: str) -> str | None:
    places = np.flatnonzero(_matches(texts, pattern))
    return texts[int(places[0])].as_py() if len(places) else None


def _mask(flags: "pa.Array") -> Mask:
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
    given = _mask(pc.is_valid(texts))
    good = _matches(texts, _DATE)
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
        found[_mask(pc.is_in(texts, value_set=spelled)) & _mask(pc.is_valid(texts))] = value
    return found, _mask(pc.is_valid(texts)) & np.isnan(found)


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
                return found, wrong | np.isinf(found)

    def fault(self, text: str) -> str:
        """Return why a value is not of the column's type, as the end of a sentence."""
        shown = shortened(text)
        if self.column.type == NUMBER:
            if _INFINITE.fullmatch(text):
                return f"must be finite; it is {shown}. Replace it, or leave the line out"
            if re.match(_STYLES[self.decimal], text, re.ASCII):
                return f"must be within the range of float64, +-1.8e308; it is {shown}"
            for sign, name in ((",", "comma"), (".", "point")):
                if sign != self.decimal and re.match(_STYLES[sign], text, re.ASCII):
                    return (
                        f"must be a number; it is {shown!r}. If its decimal sign is a {name}, say"
                        f" `--decimal {sign}`"
                    )
            return f"must be a number; it is {shown!r}"
        if self.column.type == DATE:
            return f"must be {TYPES_TOLD[DATE]}; it is {shown!r}"
        pair = " or ".join(self.column.categories) or "true or false, or yes or no"
        return f"must be {pair}; it is {shown!r}"


def shortened(text: str, most: int = 40) -> str:
    """Return a text, or its beginning."""
    return text if len(text) <= most else text[:most] + "..."


CAP = 100_000  # distinct values that are counted; columns with more are never categories


class Survey:
    """What the values of a column are, found out batch after batch.

    Args:
        name: of the column.
        count: count the distinct values even if all are numbers.

    Attributes:
        rows: number of values, missing ones included.
        missing: number of missing ones.
        first_missing: the first of them, a row from 0; -1: none.
        types: column types that Arrow types have said.
        wrong: for each way to read all values how many do not fit; of numbers by decimal sign.
        first_wrong: likewise the first of them: row and text.
        counts: how often each value occurs; see `complete`.
        complete: whether `counts` has all values.
        counting: whether the numbers so far are consecutive whole numbers.
        whole: whether all numbers are whole.
        lowest: the lowest number.
        examples: a text with a comma or a point between digits, by that sign.
    """

    def __init__(self, name: str, *, count: bool = False) -> None:
        self.name = name
        self.rows = self.missing = 0
        self.first_missing = -1
        self.types: set[str] = set()
        self.wrong = {".": 0, ",": 0, DATE: 0, TRUTH: 0}
        self.first_wrong: dict[str, tuple[int, str]] = {}
        self.counts: Counter[str] = Counter()
        self.complete = True
        self.counting = self.whole = True
        self.lowest = np.nan
        self.examples: dict[str, str] = {}
        self._count = count
        self._last: float | None = None

    @property
    def given(self) -> int:
        """Number of values that are not missing."""
        return self.rows - self.missing

    @property
    def number_sign(self) -> str | None:
        """The decimal sign if all values are numbers: `.`, `,`, or `both`; None: they are not."""
        if not self.given or self.types - {NUMBER}:
            return None
        fitting = [sign for sign in ".," if not self.wrong[sign]]
        return "both" if len(fitting) == 2 else (fitting or [None])[0]

    def is_all(self, kind: str) -> bool:
        """Return whether all values are dates, or all are truth values."""
        return self.given > 0 and not self.wrong[kind] and not self.types - {kind}

    def add(self, values: "pa.Array") -> None:
        """Look at the next values."""
        import pyarrow as pa

        start, self.rows = self.rows, self.rows + len(values)
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if kind := typed(values.type):
            self._add_typed(values, kind)
        elif not pa.types.is_null(values.type):
            self._add_texts(words(values), start)
        else:
            self._miss(np.arange(len(values)), start)

    def _miss(self, places: NDArray[np.int64], start: int) -> None:
        if len(places) and self.first_missing < 0:
            self.first_missing = start + int(places[0])
        self.missing += len(places)

    def _add_typed(self, values: "pa.Array", kind: str) -> None:
        start = self.rows - len(values)
        found = dates(values)[0] if kind == DATE else numbers(values)[0]
        absent = np.isnan(found)
        self._miss(np.flatnonzero(absent), start)
        if not absent.all():
            self.types.add(kind)
        for way in self.wrong:
            if (NUMBER if way in ".," else way) != kind:
                self.wrong[way] += int((~absent).sum())
        if kind == NUMBER:
            self._follow(found, absent)
        self._tally(values, force=kind != NUMBER and kind != DATE)

    def _add_texts(self, texts: "pa.Array", start: int) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        absent = _mask(pc.is_null(texts))
        self._miss(np.flatnonzero(absent), start)
        if absent.all():
            return
        found, wrong = numbers(texts)
        self._judge(".", texts, wrong, start)
        self._follow(found, absent | wrong)
        if not wrong.any():
            for way in (DATE, TRUTH):
                self._judge(way, texts, ~absent, start)
        else:
            self._judge(DATE, texts, dates(texts)[1], start)
            if not self.wrong[TRUTH]:
                self._judge(TRUTH, texts, truths(texts)[1], start)
        try:
            texts.cast(pa.int64())
        except pa.ArrowInvalid:
            if not self.wrong[","]:
                self._judge(",", texts, numbers(texts, ",")[1], start)
            for sign in ".,":
                if sign not in self.examples and (text := _first(texts, rf"^[+-]?\d*\{sign}\d")):
                    self.examples[sign] = text
        self._tally(texts, force=bool(wrong.any()))

    def _judge(self, way: str, texts: "pa.Array", wrong: Mask, start: int) -> None:
        places = np.flatnonzero(wrong)
        self.wrong[way] += len(places)
        if len(places) and way not in self.first_wrong:
            self.first_wrong[way] = start + int(places[0]), texts[int(places[0])].as_py()

    def _follow(self, found: Values, absent: Mask) -> None:
        known = found[~absent]
        if not len(known):
            return
        self.whole = self.whole and bool((known == np.floor(known)).all())
        self.lowest = float(np.fmin(self.lowest, known.min()))
        if self.counting:
            chain = known if self._last is None else np.concatenate([[self._last], known])
            self.counting = self.whole and not absent.any() and bool((np.diff(chain) == 1).all())
            self._last = float(known[-1])

    def _tally(self, values: "pa.Array", *, force: bool) -> None:
        """Count the distinct values, unless they are numbers, which need no counting."""
        import pyarrow.compute as pc

        if not (self._count or force):
            self.complete = False
            return
        if len(self.counts) > CAP:
            return
        for entry in pc.value_counts(words(values).drop_null()).to_pylist():
            self.counts[entry["values"]] += entry["counts"]
