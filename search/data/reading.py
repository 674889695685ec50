"""How a user's files are read: the options, and the columns of a table."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from search.tasks import CLASSIFICATION

NUMBER, CATEGORY, TRUTH, DATE = "number", "category", "truth", "date"
COLUMN_TYPES = (NUMBER, CATEGORY, TRUTH, DATE)
LARGEST = 1e150  # the squares of larger numbers are too large for float64
_LONG = 1e15  # whole numbers below it are shown with all their digits
_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Column:
    """A column of a table, as its values are stored: one float64 each, NaN where it is missing.

    Attributes:
        name: its name.
        type: `number`: the number itself; `category`: the index of its name in `categories`;
            `truth`: 0 or 1; `date`: seconds since 1970 (UTC).
        categories: names of the values of a `category` column; of a `truth` column the two words of
            the file, false first; empty otherwise.
        decimal: the decimal sign of a `number` column in the file that the values are from; None
            where no text showed it. Equal columns may have been written with different signs.
        thousands: whether that file separates thousands by the other sign.
    """

    name: str
    type: str = NUMBER
    categories: tuple[str, ...] = ()
    decimal: str | None = field(default=None, compare=False)
    thousands: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if self.type not in COLUMN_TYPES:
            raise ValueError(f"a column's type must be one of {COLUMN_TYPES}; got {self.type!r}")
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"a column's decimal sign must be . or ,; got {self.decimal!r}")

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its values: value n is word n; empty if its values are numbers."""
        return self.categories if self.type in (CATEGORY, TRUTH) else ()

    def shown(self, value: float) -> str:
        """Return a value as people write it: a word, a date, a number; blank where it is missing.

        Dates are in UTC, without a time at midnight.
        """
        if math.isnan(value):
            return ""
        if self.type == DATE:
            return _day(value)
        if self.type in (CATEGORY, TRUTH):
            known = self.words or (("false", "true") if self.type == TRUTH else ())
            return known[int(value)] if 0 <= value < len(known) else "unknown"
        return f"{value:.0f}" if value.is_integer() and abs(value) < _LONG else f"{value:.5g}"


# How studies that began before these settings existed were read, cut and searched.
AS_BEFORE: Mapping[str, Mapping[str, Any]] = {
    "split": {"split": "stratified", "allow_duplicates": True},
    "task": {"task": CLASSIFICATION},
    "learn_from": {"learn_from": ("none",)},
}


def began_with(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a study began with, those included that did not exist then.

    Args:
        settings: as the study's journal has them.
    """
    found = dict(settings)
    for name, before in AS_BEFORE.items():
        if name not in settings:
            found |= before
    return found


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a source is read, where its files alone do not say it.

    Each field is a setting of a study with the same name.

    Attributes:
        target: name of the column with the targets, or names of several, `a,b`; None: `label`,
            `target` or `class`.
        task: what the targets are, by the name of a task; None: as they show.
        ignore: columns to leave out.
        groups: column of which equal values are never on both sides of a split.
        weights: column with the weights of samples.
        time: column by which samples are ordered.
        fold_column: column with the fold, from 1, in which a sample is validated.
        types: type of a column by its name, where the one that is found is not right.
        text: column with the text; the samples are texts then.
        input: which columns are which of a model's inputs, `NAME=a,b` each, `*` for the others;
            none: all are one input.
        header: whether the first line names the columns: `first` or `none`.
        decimal: the decimal sign of numbers, `.` or `,`; None: as the file shows.
        kind: what arrays of numbers hold, where they may be read as both: `image` or `sequence`.
        skip_unreadable: leave out pictures that cannot be read.
        allow_duplicates: equal samples may be on both sides of a split.
    """

    target: str | tuple[str, ...] | None = None
    task: str | None = None
    ignore: tuple[str, ...] = ()
    groups: str | None = None
    weights: str | None = None
    time: str | None = None
    fold_column: str | None = None
    types: Mapping[str, str] = None  # type: ignore[assignment] # a dictionary after __post_init__
    text: str | None = None
    input: tuple[str, ...] = ()
    header: str = "first"
    decimal: str | None = None
    kind: str | None = None
    skip_unreadable: bool = False
    allow_duplicates: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "ignore", tuple(self.ignore))
        object.__setattr__(self, "input", tuple(self.input))
        if self.target is not None and not isinstance(self.target, str):  # a list in JSON
            object.__setattr__(self, "target", tuple(self.target))
        object.__setattr__(self, "types", dict(self.types or {}))

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Reading":
        """Return what a study's settings, by name, say of reading; the rest has its defaults."""
        return cls(**{f.name: settings[f.name] for f in fields(cls) if f.name in settings})

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the options' names."""
        return tuple(f.name for f in fields(cls))

    @property
    def given(self) -> dict[str, Any]:
        """The options that are not at their defaults, by name."""
        plain = Reading()
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != getattr(plain, field.name)
        }

    @property
    def of_rows(self) -> "Reading":
        """What reading rows for a model needs, whose columns are known."""
        target = self.target if isinstance(self.target, str) else ",".join(self.target or ())
        return Reading(
            target=target or None, text=self.text, header=self.header, decimal=self.decimal
        )

    @property
    def key(self) -> str:
        """The given options as a text that is equal for equal readings; empty for none."""
        return json.dumps(self.given, sort_keys=True) if self.given else ""


def _day(seconds: float) -> str:
    try:
        moment = _START + timedelta(seconds=seconds)
    except OverflowError:  # before the year 1 or after 9999
        return f"{seconds:.5g} s"
    return moment.replace(tzinfo=None).isoformat(" ").removesuffix(" 00:00:00")
