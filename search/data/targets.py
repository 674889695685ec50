"""Which task the targets of a source set, and targets from arrays in the form of that task.

The rule, where no task is given: words and truth values are classes. Numbers with fractions are
predicted as numbers, and so are more than `FEW` different ones that are floats; up to `FEW`
different whole numbers are classes. More are classes where they are counted from 0 or 1 without
gaps and come often, and numbers where most samples have one of their own; else the user is asked.
Several zeros and ones a sample are one-hot classes where each has a single one, else labels;
several other numbers are all predicted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.checks import MAX_CLASSES, class_names
from search.data.reading import LARGEST
from search.errors import DataError
from search.tasks import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    Classification,
    MultiLabel,
    MultiOutput,
    OutputTask,
    Regression,
    Task,
)
from tracking.text import listed

Array = NDArray[Any]

FEW = 20  # different whole numbers that are classes, however they are written
OFTEN = 5  # samples of each of many classes, on average
SEPARATORS = "|;,"  # of labels in one word
LONGEST = 200  # characters of a name
RULE = (
    "must be one class a sample (whole numbers, words or truth values, or one-hot rows), labels (0"
    " or 1 for each), or numbers to predict, of shape (n,) or (n, k)"
)


@dataclass(frozen=True)
class Spread:
    """What is known of one column of numbers when its task is found.

    Attributes:
        samples: how many there are.
        different: how many different numbers; a lower bound if they are too many to be counted.
        lowest: the lowest.
        highest: the highest.
        is_whole: whether none has a fraction.
        are_floats: whether they are floats by type, or are written with a decimal sign.
        rarest: samples of the number that comes least often.
    """

    samples: int
    different: int
    lowest: float
    highest: float
    is_whole: bool
    are_floats: bool
    rarest: int

    @classmethod
    def of(cls, values: Array) -> "Spread":
        """Return the spread of an array of numbers, `(n,)`."""
        present, counts = np.unique(values, return_counts=True)
        is_float = values.dtype.kind == "f"
        return cls(
            samples=len(values),
            different=len(present),
            lowest=float(present[0]),
            highest=float(present[-1]),
            is_whole=not is_float or bool((present == np.floor(present)).all()),
            are_floats=is_float,
            rarest=int(counts.min()),
        )

    @property
    def is_counted(self) -> bool:
        """Whether the numbers are those of classes, from 0 or 1 without gaps, that come often."""
        return (
            self.lowest in (0, 1)
            and self.highest - self.lowest + 1 == self.different
            and self.samples >= OFTEN * self.different
            and self.rarest > 1
        )


def task_of_numbers(found: Spread, what: str) -> tuple[str, str]:
    """Return the task of one number a sample, and a notice where it is not classification.

    Args:
        found: the numbers.
        what: they are called in messages.

    Raises:
        DataError: they may be classes or numbers to predict.
    """
    shown = f"{what}: {found.different:,} different whole numbers in {found.samples:,} samples"
    if not found.is_whole:
        return REGRESSION, _told(f"{what}: numbers with fractions", REGRESSION)
    if found.different <= FEW:
        return CLASSIFICATION, ""
    if found.are_floats:
        return REGRESSION, _told(f"{shown}, written as decimals", REGRESSION)
    if found.is_counted:
        return CLASSIFICATION, ""
    if found.different > found.samples / 2:
        return REGRESSION, _told(shown, REGRESSION)
    raise DataError(
        f"{shown} may be numbers to predict or names of classes. Say which: `--task regression` or"
        " `--task classification`."
    )


def task_of_several(what: str, count: int, *, are_bits: bool, is_one_hot: bool) -> tuple[str, str]:
    """Return the task of several numbers a sample, and a notice; of one-hot classes there is none.

    Args:
        what: they are called in messages.
        count: numbers of a sample.
        are_bits: whether all are 0 or 1.
        is_one_hot: whether exactly one of each sample is 1.
    """
    if are_bits and is_one_hot:
        return CLASSIFICATION, ""
    if are_bits:
        why = f"{what}: {count:,} zeros or ones for each sample, any number of them ones"
        return MULTI_LABEL, _told(why, MULTI_LABEL)
    return (
        REGRESSION,
        f"{what}: {count:,} numbers for each sample, so all are predicted (regression).",
    )


_TOLD = {
    MULTI_LABEL: "each is a label that a sample has or not; `--task regression` predicts numbers",
    REGRESSION: "a number is predicted (regression); `--task classification` reads classes",
}


def _told(why: str, task: str) -> str:
    return f"{why}, so {_TOLD[task]}."


def no_numbers(what: str, value: str) -> DataError:
    """Return the refusal of `--task regression` for targets that are no numbers.

    Args:
        what: the place of the first of them, and what the targets are called.
        value: as it is written.
    """
    return DataError(
        f"`--task regression` predicts numbers; {what} is {value!r}. Correct it, name a column of"
        " numbers with `--target`, or leave `--task` out to predict a class."
    )


def no_bits(what: str, value: str) -> DataError:
    """Return the refusal of `--task multi-label` for numbers that say of no label whether it is."""
    return DataError(
        f"`--task multi-label` needs 0 or 1 for each label, or words in one column; {what} is"
        f" {value}."
    )


class LabelWords:
    """Labels in one word a sample, such as `red|round`, split at the one separator they have.

    Args:
        words: the different words of the training part.
        what: they are called in messages.

    Attributes:
        names: of the labels, sorted.
        separator: between labels; empty where each word is a single one.

    Raises:
        DataError: the words have more than one kind of separator, or no label at all.
    """

    def __init__(self, words: Iterable[str], what: str) -> None:
        different = list(words)
        found = {sign: word for sign in SEPARATORS for word in different if sign in word}
        if len(found) > 1:
            shown = " and ".join(f"`{sign}` ({word!r})" for sign, word in list(found.items())[:2])
            raise DataError(
                f"{what} must have one separator between labels, `|`, `;` or `,`; it has {shown}."
                " Write all alike, or give each label a column of 0 and 1."
            )
        self.separator = next(iter(found), "")
        self.names = tuple(sorted({name for word in different for name in self._parts(word)}))
        if not self.names:
            raise DataError(f"{what} must hold labels; it holds none")
        _check_names(self.names, what)
        self._places = {name: place for place, name in enumerate(self.names)}

    def _parts(self, word: str) -> list[str]:
        parts = word.split(self.separator) if self.separator else [word]
        return [part.strip() for part in parts if part.strip()]

    def bits(self, words: Sequence[str]) -> tuple[NDArray[np.uint8], str, int]:
        """Return the labels of words, uint8 `(n, labels)`, the first unknown label, and its place.

        Args:
            words: any number; one without labels is empty, or a separator alone.
        """
        first = {word: row for row, word in reversed(list(enumerate(words)))}
        of_word: dict[str, NDArray[np.uint8]] = {}
        for word in sorted(first, key=first.__getitem__):
            of_word[word] = np.zeros(len(self.names), np.uint8)
            for name in self._parts(word):
                place = self._places.get(name)
                if place is None:
                    return np.zeros((len(words), len(self.names)), np.uint8), name, first[word]
                of_word[word][place] = 1
        found = np.array([of_word[word] for word in words], np.uint8)
        return found.reshape(len(words), len(self.names)), "", -1

    @property
    def notice(self) -> str:
        """What was found."""
        if not self.separator:
            return ""
        return f"labels are split at `{self.separator}`: {listed(self.names)}."


def _check_names(names: Iterable[str], what: str) -> None:
    for name in names:
        if not name.strip() or not name.isprintable() or len(name) > LONGEST:
            shown = name if len(name) <= 40 else name[:40] + "..."
            raise DataError(f"{what} must hold names in one line, not empty; got {shown!a}")


@dataclass(frozen=True)
class Targets:
    """Targets of a training part that were given as an array.

    Attributes:
        task: what is predicted.
        values: in the form of the task, `(n, ...)`.
        notices: what the user should know.
        what: they are called in messages.
    """

    task: Task
    values: Array
    notices: tuple[str, ...]
    what: str
    _present: Array | None = None  # of classes: the different ones, sorted
    _words: LabelWords | None = None
    _outputs: "tuple[tuple[str, Targets], ...]" = ()

    @classmethod
    def of_outputs(cls, given: Mapping[str, Array], what: str, asked: str | None) -> "Targets":
        """Find out what the targets of several outputs are, each by itself.

        Args:
            given: by the outputs' names.
            what: they are called in messages.
            asked: a task that the user names for all; None: as each shows.

        Raises:
            DataError: as of `of`.
        """
        found = tuple(
            (name, cls.of(given[name], f"{what}[{name!r}]", asked, (name,))) for name in given
        )
        parts = tuple(OutputTask(name, targets.task) for name, targets in found)
        task = MultiOutput(tuple(given), parts)
        values = task.side_by_side({name: targets.values for name, targets in found})
        told = tuple(notice for _, targets in found for notice in targets.notices)
        return cls(task, values, told, what, _outputs=found)

    @classmethod
    def of(
        cls, given: Array, what: str, asked: str | None = None, names: Sequence[str] = ()
    ) -> "Targets":
        """Find out what targets are, and bring them to the form of their task.

        Args:
            given: `(n,)` or `(n, k)`, of any type.
            what: they are called in messages.
            asked: the task that the user names.
            names: of the `k` columns, or of the one, where they have any.

        Raises:
            DataError: they are of no form that a task has, some are missing, or they may be of two
                tasks.
        """
        array = _plain(given, what)
        if array.ndim == 2:
            return cls._of_several(array, what, asked, names)
        if array.dtype.kind not in "iuf":
            return cls._of_words(array, what, asked, names)
        task, notice = (asked, "") if asked else task_of_numbers(Spread.of(array), what)
        told = (notice,) if notice else ()
        if task == REGRESSION:
            return cls(Regression(_named(names, 1)), numbers_of(array, what), told, what)
        if task == MULTI_LABEL:
            return cls(MultiLabel(_named(names, 1)), _bits(array, what), told, what)
        return cls._of_classes(array, what, told)

    @classmethod
    def _of_words(
        cls, array: Array, what: str, asked: str | None, names: Sequence[str]
    ) -> "Targets":
        if asked == REGRESSION:
            raise no_numbers(f"{what}, number 1,", str(array[0]))
        if asked != MULTI_LABEL:
            return cls._of_classes(array, what, ())
        if array.dtype.kind == "b":
            return cls(MultiLabel(_named(names, 1)), _bits(array, what), (), what)
        listed_words = array.tolist()
        words = LabelWords(dict.fromkeys(listed_words), what)
        told = (f"{what}: {words.notice}",) if words.notice else ()
        return cls(MultiLabel(words.names), words.bits(listed_words)[0], told, what, None, words)

    @classmethod
    def _of_classes(cls, array: Array, what: str, told: tuple[str, ...]) -> "Targets":
        present, numbers = np.unique(array, return_inverse=True)
        names = tuple(map(_shown, present.tolist()))
        if len(names) > MAX_CLASSES:
            raise DataError(
                f"{what} must have at most {MAX_CLASSES:,} classes; got {len(names):,}. Are these"
                " numbers to predict? `--task regression` does."
            )
        if array.dtype.kind == "U":
            for name in names:
                place = int((array == name).argmax())
                _check_names([name], f"{what}, number {place + 1:,},")
        return cls(Classification(names), numbers.reshape(-1).astype(np.int64), told, what, present)

    @classmethod
    def _of_several(
        cls, array: Array, what: str, asked: str | None, names: Sequence[str]
    ) -> "Targets":
        if array.dtype.kind not in "biuf":
            raise DataError(f"{what} {RULE}; got several words for each sample. Pass one of them")
        are_bits = bool(((array == 0) | (array == 1)).all())
        task, notice = (
            (asked, "")
            if asked
            else task_of_several(
                what, array.shape[1], are_bits=are_bits, is_one_hot=is_one_hot(array)
            )
        )
        told = (notice,) if notice else ()
        if task == CLASSIFICATION:
            return cls._of_classes(places_of_ones(array, what), what, told)
        called = _named(names, array.shape[1])
        if task == MULTI_LABEL:
            return cls(MultiLabel(called), _bits(array, what), told, what)
        return cls(Regression(called), numbers_of(array, what), told, what)

    def like(self, given: Any, what: str) -> Array:
        """Return the targets of a test part in the form of these.

        Raises:
            DataError: they are of another form, or of classes that are not in the training part.
        """
        if self._outputs or isinstance(given, dict):
            return self._outputs_like(given, what)
        array = _plain(given, what)
        width = 1 if array.ndim == 1 else array.shape[1]
        if self._words is not None:
            return self._labels_like(array, what)
        if self._present is not None:
            return self._classes_like(array, what)
        if width != self.task.units:
            raise DataError(
                f"{what} must have {self.task.units} columns, as {self.what} has; got"
                f" {given.dtype} {given.shape}"
            )
        if self.task.name == MULTI_LABEL:
            return _bits(array, what)
        return numbers_of(array, what)

    def _outputs_like(self, given: Any, what: str) -> Array:
        names = self.task.names if self._outputs else ()
        if not isinstance(given, dict) or not isinstance(self.task, MultiOutput):
            raise DataError(f"{what} must have the form of {self.what}: a dictionary, or not")
        if set(given) != set(names):
            raise DataError(
                f"{what} must have the outputs of {self.what}, {listed(names)}; got {listed(given)}"
            )
        return self.task.side_by_side(
            {name: own.like(given[name], f"{what}[{name!r}]") for name, own in self._outputs}
        )

    def _labels_like(self, array: Array, what: str) -> Array:
        if self._words is None or array.ndim != 1 or array.dtype.kind != "U":
            raise DataError(f"{what} must hold labels as {self.what} does")
        found, unknown, row = self._words.bits(array.tolist())
        if unknown:
            raise DataError(
                f"{what} must hold labels of the training part ({listed(self.task.names)}); number"
                f" {row + 1:,} has {unknown!r}"
            )
        return found

    def _classes_like(self, array: Array, what: str) -> NDArray[np.int64]:
        present = self._present
        if array.ndim == 2:
            array = places_of_ones(array, what)
        shown = [_shown(one) for one in array.tolist()]
        known = {
            _shown(one): at
            for at, one in enumerate(present.tolist() if present is not None else ())
        }
        unknown = [row for row, name in enumerate(shown) if name not in known]
        if unknown:
            raise DataError(
                f"{what} must hold classes that are in the training part"
                f" ({listed(self.task.names)}); number {unknown[0] + 1:,} is {shown[unknown[0]]},"
                f" and {len(unknown):,} in all are not. Leave them out, or add such samples to the"
                " training part."
            )
        return np.array([known[name] for name in shown], np.int64)


def named_as_known(task: Task, targets: Array, kind: str) -> Task:
    """Return the task with the names of a known dataset's classes, if these are its labels.

    Args:
        task: as it was found.
        targets: of the training part, in the source's order.
        kind: of the samples.
    """
    names = task.names
    if task.name != CLASSIFICATION or names != tuple(map(str, range(len(names)))):
        return task
    return Classification(class_names(targets, len(names), kind))


def numbers_of(array: Array, what: str) -> NDArray[np.float64]:
    """Return numbers to predict, float64 `(n, k)`.

    Raises:
        DataError: some are no numbers, or too large.
    """
    if array.dtype.kind not in "iuf":
        raise no_numbers(f"{what}, number 1,", str(array.reshape(-1)[0]))
    values = array.reshape(len(array), -1).astype(np.float64)
    wrong = np.argwhere(~(np.abs(values) <= LARGEST))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{what} must hold numbers within +-{LARGEST:g}; number {row + 1:,} has"
            f" {values[row, column]}. Replace it, or leave the sample out."
        )
    return values


def _bits(array: Array, what: str) -> NDArray[np.uint8]:
    values = array.reshape(len(array), -1)
    wrong = np.argwhere((values != 0) & (values != 1))
    if len(wrong):
        row, column = wrong[0]
        raise no_bits(f"{what}, number {row + 1:,},", str(values[row, column]))
    return np.asarray(values, np.uint8)


def places_of_ones(labels: Array, what: str) -> NDArray[np.int64]:
    """Return the place of the one in each row of one-hot labels, int64 `(n,)`.

    Args:
        labels: numbers or truth values, `(n, classes)`.
        what: they are called in messages.

    Raises:
        DataError: a row is not one 1 among zeros.
    """
    ones = labels == 1
    wrong = np.flatnonzero((ones.sum(axis=1) != 1) | ((labels != 0) & ~ones).any(axis=1))
    if len(wrong):
        row = labels[wrong[0]]
        shown = ", ".join(map(str, row[:8].tolist())) + (", ..." if len(row) > 8 else "")
        raise DataError(
            f"{what} {RULE}; got shape {labels.shape}, and row {wrong[0] + 1:,} is not one 1"
            f" among zeros: {shown}"
        )
    return np.asarray(ones.argmax(axis=1), np.int64)


def is_one_hot(labels: Array) -> bool:
    """Return whether `(n, k)` targets have a single 1 in each row, and zeros besides."""
    if labels.dtype.kind not in "biuf":
        return False
    ones = labels == 1
    return bool((ones.sum(axis=1) == 1).all() and (ones | (labels == 0)).all())


def names_of(given: Any) -> tuple[str, ...]:
    """Return the names of the columns of a frame, or the one of a series; none of others."""
    if hasattr(given, "columns"):
        return tuple(
            " ".join(map(str, n)) if isinstance(n, tuple) else str(n) for n in given.columns
        )
    name = getattr(given, "name", None)
    return (name,) if isinstance(name, str) and name else ()


def _named(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Return the names of columns; `y`, or `y1`, `y2`, ..., where they have none of their own."""
    own = tuple(str(name) for name in names)
    if len(own) == count == len(set(own)) and all(map(str.strip, own)):
        return own
    return ("y",) if count == 1 else tuple(f"y{at}" for at in range(1, count + 1))


def _shown(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


_SPANS = {
    "timedelta": "durations; say in which unit, as with y / np.timedelta64(1, 'h') for hours",
    "Period": "periods; pass numbers such as their years (y.dt.year), or words with y.astype(str)",
    "Interval": "intervals; pass numbers such as y.mid, or words with y.astype(str)",
}


def check_no_spans(given: Array, what: str) -> None:
    """Check that targets are no spans of time or of numbers, which have no one unit.

    Raises:
        DataError: they are.
    """
    kinds = {"timedelta"} if given.dtype.kind == "m" else set[str]()
    if given.dtype.kind == "O":
        kinds = {base.__name__ for one in given.reshape(-1)[:1000] for base in type(one).__mro__}
    found = next((told for kind, told in _SPANS.items() if kind in kinds), "")
    if found:
        raise DataError(f"{what} must be classes, labels or numbers to predict; got {found}.")


def _plain(given: Array, what: str) -> Array:
    """Return targets, `(n,)` or `(n, k)` with k > 1, of numbers, truth values or words.

    Raises:
        DataError: they have another shape or type, or some are missing.
    """
    shown = f"{given.dtype} {given.shape}"
    if given.ndim > 2:
        raise DataError(
            f"{what} {RULE}; got {shown}: targets of the samples' own shape, as of an autoencoder,"
            " or of several steps are not supported"
        )
    if given.ndim == 0 or 0 in given.shape:
        raise DataError(f"{what} {RULE}, and not empty; got {shown}")
    check_no_spans(given, what)
    array = given.reshape(-1) if given.ndim == 2 and given.shape[1] == 1 else given
    if array.dtype.kind == "O":
        array = _of_objects(array, what)
    if array.dtype.kind == "T":
        array = array.astype(str)
    if array.dtype.kind == "f":
        missing = np.argwhere(np.isnan(array))
        if len(missing):
            raise _missing(what, int(missing[0][0]))
        endless = np.argwhere(np.isinf(array))
        if len(endless):
            raise DataError(
                f"{what} must be finite; number {int(endless[0][0]) + 1:,} is"
                f" {array[tuple(endless[0])]}. Replace it, or leave the sample out."
            )
    if array.dtype.kind not in "biufU":
        hint = " Convert bytes to str with y.astype(str)." if array.dtype.kind == "S" else ""
        raise DataError(f"{what} {RULE}; got {shown}.{hint}")
    return array


def _of_objects(array: Array, what: str) -> Array:
    values = array.reshape(-1).tolist()
    kinds = {type(one) for one in values}
    missing = [at for at, one in enumerate(values) if is_missing(one)]
    if missing:
        raise _missing(what, missing[0] // (array.size // len(array)))
    if kinds <= {str}:
        return array.astype(str)
    if all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return array.astype(bool)
    if all(issubclass(kind, int | np.integer | float | np.floating) for kind in kinds):
        return np.array(array.tolist())
    names = sorted(kind.__name__ for kind in kinds)
    raise DataError(f"{what} {RULE}, all of one type; got {listed(names)}")


def is_missing(value: Any) -> bool:
    """Return whether a value of an array of objects stands for none: None, NaN, and pandas' own."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def _missing(what: str, at: int) -> DataError:
    return DataError(
        f"{what} must have a target for each sample; number {at + 1:,} has none (missing). Fill it"
        " in, or leave the sample out"
    )
