"""What samples of a table have besides their values: targets, and groups, weights, times, folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from search.data.checks import MAX_CLASSES
from search.data.formats.columns import (
    Mask,
    Part,
    Reader,
    is_number,
    numbers,
    shortened,
    spelled,
    words,
)
from search.data.formats.layout import EXTRA_OPTIONS, MOSTLY, Roles
from search.data.formats.survey import CAP, Decimals, Survey
from search.data.reading import DATE, NUMBER, TRUTH, Column
from search.data.targets import (
    FEW,
    LONGEST,
    Array,
    LabelWords,
    Spread,
    no_bits,
    no_numbers,
    task_of_numbers,
    task_of_several,
)
from search.errors import DataError
from search.tasks import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    Classification,
    MultiLabel,
    Regression,
    Task,
)
from tracking.text import joined, listed

if TYPE_CHECKING:
    import pyarrow as pa


class Target(Protocol):
    """The target of a table: of one column or several."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""

    @property
    def task(self) -> Task:
        """What is predicted."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know."""

    def read(self, batch: "pa.RecordBatch") -> tuple[Array, Mask]:
        """Return targets in the form of the task, `(n, ...)`, and which of them are none."""

    def fault(self, batch: "pa.RecordBatch", row: int) -> str:
        """Return why a row of a batch has no target: a sentence that begins with its column."""


def _missing(batch: "pa.RecordBatch", columns: Sequence[str], row: int) -> str:
    """Return the fault of a row in which a column is missing; empty if none is."""
    for name in columns:
        if words(batch[name].slice(row, 1))[0].as_py() is None:
            return f"`{name}` is missing. Fill it in, or leave the row out."
    return ""


@dataclass(frozen=True)
class Classes:
    """A class for each sample.

    Attributes:
        columns: the one with the classes.
        names: of the classes, as they are written; of numbers in numeric order.
        values: of the numbers, sorted; None: the names are words.
        decimal: the decimal sign of the numbers.
        told: notices on how the task was found.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.float64] | None
    decimal: str = "."
    told: tuple[str, ...] = ()
    _places: dict[str, int] = field(default_factory=dict, init=False, repr=False)

    @property
    def task(self) -> Task:
        """What is predicted."""
        return Classification(self.names)

    def read(self, batch: "pa.RecordBatch") -> tuple[Array, Mask]:
        """Return the number of each row's class; -1 for one that is missing or unknown."""
        found = self.numbers(batch[self.columns[0]])
        return found, found < 0

    def numbers(self, values: "pa.Array") -> NDArray[np.int64]:
        """Return the number of each label's class; -1 for one that is missing or unknown."""
        if self.values is not None:
            given = numbers(values, self.decimal)[0]
            places = np.searchsorted(self.values, given).clip(0, len(self.values) - 1)
            return np.where(self.values[places] == given, places, -1).astype(np.int64)
        if not self._places:
            self._places.update({name: index for index, name in enumerate(self.names)})
        coded = words(values).dictionary_encode()
        known = [self._places.get(word, -1) for word in coded.dictionary.to_pylist()]
        indices = coded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        codes: NDArray[np.int64] = np.array([*known, -1], np.int64)
        return np.asarray(codes[indices])

    def fault(self, batch: "pa.RecordBatch", row: int) -> str:
        """Return why a row of a batch has no target."""
        name = self.columns[0]
        return _missing(batch, self.columns, row) or (
            f"`{name}` must be one of the training part's labels, {listed(self.names)}; it is"
            f" {shortened(_text(batch, name, row))}. Leave the row out, or add rows of that class"
            " to the training part."
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about the task, and about names that may mean the same."""
        lowered: dict[str, list[str]] = {}
        for name in self.names:
            lowered.setdefault(name.casefold(), []).append(name)
        alike = next((names for names in lowered.values() if len(names) > 1), None)
        if alike is None:
            return self.told
        return (*self.told, f"The classes {listed(alike)} differ only in upper and lower case.")


@dataclass(frozen=True)
class NumberColumns:
    """Numbers to predict; or zeros and ones, which are labels or one-hot classes.

    Attributes:
        task: what is predicted.
        readers: one for each column.
        notices: on how the task was found.
    """

    task: Task
    readers: tuple[Reader, ...]
    notices: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(reader.column.name for reader in self.readers)

    def read(self, batch: "pa.RecordBatch") -> tuple[Array, Mask]:
        """Return targets in the form of the task, and which of them are none."""
        values, wrong = self._numbers(batch)
        if self.task.name == REGRESSION:
            return values, wrong
        wrong |= ~((values == 0) | (values == 1)).all(axis=1)
        if self.task.name == CLASSIFICATION:
            return values.argmax(axis=1).astype(np.int64), wrong | (values.sum(axis=1) != 1)
        return np.where(values == 1, 1, 0).astype(np.uint8), wrong

    def _numbers(self, batch: "pa.RecordBatch") -> tuple[Array, Mask]:
        read = [reader.read(batch[reader.column.name]) for reader in self.readers]
        values = np.column_stack([found for found, _ in read])
        wrong = np.logical_or.reduce([np.isnan(found) | unfit for found, unfit in read])
        return values, np.asarray(wrong)

    def fault(self, batch: "pa.RecordBatch", row: int) -> str:
        """Return why a row of a batch has no target."""
        if missing := _missing(batch, self.columns, row):
            return missing
        for reader in self.readers:
            name = reader.column.name
            found, wrong = reader.read(batch[name].slice(row, 1))
            if wrong[0]:
                return f"`{name}` {reader.fault(_text(batch, name, row))}."
            if self.task.name != REGRESSION and found[0] not in (0, 1):
                return f"`{name}` must be 0 or 1; it is {shortened(_text(batch, name, row))}."
        return (
            f"exactly one of {listed(self.columns)} must be 1, as in the training part;"
            " `--task multi-label` reads any number of them."
        )


@dataclass(frozen=True)
class LabelCell:
    """Labels of which a sample has any number, all in one column.

    Attributes:
        columns: the one with the labels.
        labels: which there are.
    """

    columns: tuple[str, ...]
    labels: LabelWords

    @property
    def task(self) -> Task:
        """What is predicted."""
        return MultiLabel(self.labels.names)

    @property
    def notices(self) -> tuple[str, ...]:
        """How the labels are split."""
        told = self.labels.notice
        return (f"`{self.columns[0]}`: {told}",) if told else ()

    def read(self, batch: "pa.RecordBatch") -> tuple[Array, Mask]:
        """Return targets in the form of the task, and which of them are none."""
        coded = words(batch[self.columns[0]]).dictionary_encode()
        rows, wrong = [], []
        for word in [*coded.dictionary.to_pylist(), ""]:
            bits, unknown, _ = self.labels.bits([word])
            rows.append(bits[0])
            wrong.append(bool(unknown))
        wrong[-1] = True  # missing
        places = coded.indices.fill_null(len(rows) - 1).to_numpy(zero_copy_only=False)
        return np.array(rows, np.uint8)[places], np.array(wrong)[places]

    def fault(self, batch: "pa.RecordBatch", row: int) -> str:
        """Return why a row of a batch has no target."""
        name = self.columns[0]
        if _missing(batch, self.columns, row):
            return _no_labels(name, self.labels.separator)
        text = _text(batch, name, row)
        unknown = self.labels.bits([text])[1]
        return (
            f"`{name}` must hold labels of the training part, {listed(self.labels.names)}; it has"
            f" {shortened(unknown)}. Leave the row out, or add rows with that label to the training"
            " part."
        )


def _no_labels(name: str, separator: str) -> str:
    return (
        f"`{name}` is missing. Fill it in, or leave the row out; a row without labels has"
        f" `{separator or '|'}` there."
    )


def _text(batch: "pa.RecordBatch", name: str, row: int) -> str:
    return str(words(batch[name].slice(row, 1))[0].as_py())


def target_of(
    part: Part,
    columns: Sequence[str],
    surveys: Mapping[str, Survey],
    decimals: Decimals,
    asked: str | None,
) -> Target:
    """Find out what the target columns of a training part hold.

    Args:
        part: the table.
        columns: names of the target columns.
        surveys: of these, whose different values are counted.
        decimals: of all columns.
        asked: the task that the user names; None: as they show.

    Raises:
        DataError: targets are missing, or they are of no form that a task has, or may be of two
            tasks.
    """
    for name in columns:
        _check_given(part, surveys[name], asked)
    if len(columns) > 1:
        return _of_several(part, columns, surveys, decimals, asked)
    found = surveys[columns[0]]
    what = f"{part.name}: `{found.name}`"
    if asked == MULTI_LABEL:
        if set(found.counts) <= {"0", "1"} or found.types == {TRUTH}:
            return NumberColumns(MultiLabel((found.name,)), (_bit_reader(found, what),))
        few = len(found.counts) <= CAP
        cells = found.counts if few else _cells(part, found.name)
        return LabelCell((found.name,), LabelWords(cells, what))
    if asked == REGRESSION and found.number_sign is None:
        row, text = _first_word(found)
        raise no_numbers(f"{part.place(row)}: `{found.name}`", shortened(text))
    if found.number_sign is None:
        return _words(part, found)
    sign = decimals.sign(found)
    spread, values = _spread(found, sign)
    task, notice = (asked, "") if asked else task_of_numbers(spread, what)
    if task == REGRESSION:
        reader = Reader(Column(found.name, NUMBER), sign)
        return NumberColumns(Regression((found.name,)), (reader,), (notice,) if notice else ())
    return _classes(part, found, values, sign)


def _cells(part: Part, name: str) -> dict[str, None]:
    """Return the different texts of a column, of which there are too many to be counted."""
    return {
        text: None
        for batch in part.read([name], {})
        for text in words(batch[name]).unique().to_pylist()
    }


def _check_given(part: Part, found: Survey, asked: str | None) -> None:
    if not found.rows:
        raise DataError(f"{part.name} must contain rows of data; it has only a header")
    if found.missing:
        more = f", and in {found.missing - 1:,} more rows" if found.missing > 1 else ""
        way_out = "Fill it in, or leave the rows out."
        if asked == MULTI_LABEL and found.number_sign is None:
            way_out = f"{way_out[:-1]}; a row without labels has a separator alone, such as `|`."
        raise DataError(
            f"{part.place(found.first_missing)}: `{found.name}` is missing{more}. {way_out}"
        )


def _first_word(found: Survey) -> tuple[int, str]:
    """Return row and text of the first value that is no number."""
    fewest = min(".,", key=lambda sign: found.wrong[sign])
    text = "a date" if found.types == {DATE} else "a truth value"
    return found.first_wrong.get(fewest, (0, text))


def _spread(found: Survey, sign: str) -> tuple[Spread, NDArray[np.float64]]:
    """Return what is known of a column of numbers, and its different finite ones, sorted.

    Of more than `CAP` different ones those that were counted.
    """
    import pyarrow as pa

    texts = pa.array(list(found.counts), pa.large_string())
    given = numbers(texts, sign)[0]
    values, places = np.unique(given, return_inverse=True)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, places.reshape(-1), np.array(list(found.counts.values()), np.int64))
    is_finite = np.isfinite(values)
    values, counts = values[is_finite], counts[is_finite]
    spread = Spread(
        samples=found.given,
        different=len(values),
        lowest=float(values.min(initial=np.inf)),
        highest=float(values.max(initial=-np.inf)),
        is_whole=found.whole and bool((values == np.floor(values)).all()),
        are_floats=found.are_floats or sign in found.examples,
        rarest=int(counts.min(initial=found.given)),
    )
    return spread, values


def _classes(part: Part, found: Survey, values: NDArray[np.float64], sign: str) -> Classes:
    """Return the classes that numbers name."""
    name = found.name
    if len(values) > MAX_CLASSES or len(found.counts) > CAP:
        raise _too_many(part, found)
    if "inf" in {text.lower().lstrip("+-")[:3] for text in found.counts}:
        raise DataError(f"{part.name}: `{name}` must have finite labels; one is infinite")
    if np.abs(values).max() < 1 << 53:
        names = tuple(str(spelled(value)) for value in values.tolist())
        return Classes((name,), names, values, sign)
    return _words(part, found)


def _words(part: Part, found: Survey) -> Classes:
    """Return the classes that words name."""
    name, distinct = found.name, len(found.counts)
    numeric = sum(map(is_number, found.counts))
    if distinct > FEW and distinct > numeric >= MOSTLY * distinct:
        row, text = _first_word(found)
        raise DataError(
            f"{part.place(row)}: `{name}` holds numbers, but here it is {shortened(text)!r}."
            " Correct it, or leave the row out."
        )
    if distinct > MAX_CLASSES or distinct > max(FEW, found.given / 2):
        raise _too_many(part, found)
    for label in found.counts:
        if not label.isprintable() or len(label) > LONGEST:
            raise DataError(
                f"{part.name}: `{name}` must hold names of classes in one line; got"
                f" {shortened(label)!a}. Rename it, or name another column with `--target`."
            )
    return Classes((name,), tuple(sorted(found.counts)), None)


def _too_many(part: Part, found: Survey) -> DataError:
    return DataError(
        f"{part.name}: `{found.name}` has {len(found.counts):,} different labels in"
        f" {found.given:,} rows. Name a column of classes with `--target`."
    )


def _of_several(
    part: Part,
    columns: Sequence[str],
    surveys: Mapping[str, Survey],
    decimals: Decimals,
    asked: str | None,
) -> Target:
    what = f"{part.name}: {joined(f'`{name}`' for name in columns)}"
    several = [surveys[name] for name in columns]
    are_bits = all(
        (found.number_sign and _are_bits(found)) or found.is_all(TRUTH) for found in several
    )
    if asked != REGRESSION and are_bits:
        readers = tuple(_bit_reader(found, what) for found in several)
        bits = NumberColumns(MultiLabel(tuple(columns)), readers)
        is_one_hot = asked != MULTI_LABEL and _is_one_hot(part, bits)
        task, notice = (
            (asked, "")
            if asked
            else task_of_several(what, len(columns), are_bits=True, is_one_hot=is_one_hot)
        )
        if task == MULTI_LABEL:
            return replace(bits, notices=(notice,) if notice else ())
        if is_one_hot:
            return replace(bits, task=Classification(tuple(columns)))
    for found in several:
        if found.number_sign is None:
            row, text = _first_word(found)
            if asked == REGRESSION:
                raise no_numbers(f"{part.place(row)}: `{found.name}`", shortened(text))
            raise DataError(
                f"{part.place(row)}: `{found.name}` must be a number, as {what} are predicted"
                f" together; it is {shortened(text)!r}. Several classes a sample are not supported:"
                " name one column with `--target`."
            )
    if asked in (CLASSIFICATION, MULTI_LABEL):
        rule = "0 or 1" + (", with a single 1 in each row" if asked == CLASSIFICATION else "")
        raise DataError(
            f"{what}: `--task {asked}` needs {rule} in several columns. Name one column, or leave"
            " the option out."
        )
    signs = [decimals.sign(found) for found in several]
    read = tuple(
        Reader(Column(found.name, NUMBER), sign) for found, sign in zip(several, signs, strict=True)
    )
    notice = (
        "" if asked else task_of_several(what, len(columns), are_bits=False, is_one_hot=False)[1]
    )
    return NumberColumns(Regression(tuple(columns)), read, (notice,) if notice else ())


def _are_bits(found: Survey) -> bool:
    return all(is_number(text) and float(text) in (0, 1) for text in found.counts)


def _bit_reader(found: Survey, what: str) -> Reader:
    """Return the reader of a column of zeros and ones, or of truth values."""
    if found.number_sign is not None:
        return Reader(Column(found.name, NUMBER))
    if not found.is_all(TRUTH):
        raise no_bits(what, "something else")
    return Reader(Column(found.name, TRUTH))


def _is_one_hot(part: Part, bits: NumberColumns) -> bool:
    """Return whether exactly one of the columns is 1 in each row; the rows are read for it."""
    return all(
        bool((bits.read(batch)[0].sum(axis=1) == 1).all())
        for batch in part.read(list(bits.columns), {})
    )


def extra_reader(part: Part, extra: str, found: Survey, decimals: Decimals) -> Reader:
    """Return the reader of a column of weights, times or folds.

    Raises:
        DataError: a value is missing or of another kind.
    """
    option = f"--{EXTRA_OPTIONS[extra].replace('_', '-')}"
    rule = {
        "weights": "a number from 0",
        "time": "a number, or a date such as 2024-12-31",
        "folds": "the number of a fold, or -1 for a row that is never validated",
    }[extra]
    if found.missing:
        raise DataError(
            f"{part.place(found.first_missing)}: `{found.name}` is missing, as in"
            f" {found.missing:,} rows in all; `{option}` needs {rule} in each. Fill it in, or leave"
            " the rows out."
        )
    is_date = extra == "time" and found.is_all(DATE)
    good = is_date or (
        found.number_sign is not None
        and (extra == "time" or found.lowest >= (-1 if extra == "folds" else 0))
        and (extra != "folds" or found.whole)
    )
    if not good:
        row, text = found.first_wrong.get(DATE if extra == "time" else ".", (0, ""))
        shown = f"; it is {shortened(text)!r}" if text else f"; the lowest is {found.lowest}"
        raise DataError(
            f"{part.place(row)}: `{option}` needs {rule} in each row of `{found.name}`{shown}."
            " Correct it, or name another column."
        )
    return Reader(
        Column(found.name, DATE if is_date else NUMBER), "." if is_date else decimals.sign(found)
    )


def check_groups(part: Part, roles: Roles, surveys: Mapping[str, Survey]) -> None:
    """Raise DataError if the group of a row is missing."""
    found = surveys.get(roles.extras.get("groups", ""))
    if found is not None and found.missing:
        raise DataError(
            f"{part.place(found.first_missing)}: `{found.name}` is missing, as in"
            f" {found.missing:,} rows in all; without it nobody can say to which group the row"
            " belongs. Fill it in, or leave the rows out."
        )
