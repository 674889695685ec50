"""What samples of a table have besides their values: labels, and groups, weights, times, folds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.data.checks import MAX_CLASSES
from search.data.formats.columns import Part, Reader, numbers, shortened, spelled, words
from search.data.formats.layout import EXTRA_OPTIONS, Roles
from search.data.formats.survey import CAP, Decimals, Survey
from search.data.reading import DATE, NUMBER, Column
from search.errors import DataError
from tracking.text import listed

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Classes:
    """The classes that the labels of a training part name.

    Attributes:
        names: of the classes, as they are written; of numbers in numeric order.
        values: of the numbers, sorted; None: the names are words.
        decimal: the decimal sign of the numbers.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64] | None
    decimal: str = "."
    _places: dict[str, int] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, part: Part, found: Survey, decimal: str) -> "Classes":
        """Return the classes of a column.

        Raises:
            DataError: labels are missing, or the column holds a number to predict.
        """
        name, distinct = found.name, len(found.counts)
        if found.missing or not found.rows:
            more = f", and in {found.missing - 1:,} more rows" if found.missing > 1 else ""
            if not found.rows:
                raise DataError(f"{part.name} must contain rows of data; it has only a header")
            raise DataError(
                f"{part.place(found.first_missing)}: `{name}` is missing{more}. Fill it in, or"
                " leave the rows out."
            )
        is_numeric = found.number_sign is not None
        many = distinct > max(20, found.given / 2) or distinct > CAP
        if is_numeric and (many or (not found.whole and distinct > 20)):
            raise DataError(
                f"{part.name}: `{name}` has {distinct:,} different numbers in {found.given:,} rows;"
                " a target of numbers is regression, which is not supported; name a column of"
                " classes with `--target`."
            )
        if distinct > MAX_CLASSES or (many and distinct > 20):
            raise DataError(
                f"{part.name}: `{name}` has {distinct:,} different labels in {found.given:,} rows."
                " Name a column of classes with `--target`."
            )
        import pyarrow as pa

        if is_numeric:
            values = np.unique(numbers(pa.array(list(found.counts), pa.large_string()), decimal)[0])
            if np.isinf(values).any():
                raise DataError(f"{part.name}: `{name}` must have finite labels; one is infinite")
            if np.abs(values).max() < 1 << 53:
                names = tuple(str(spelled(value)) for value in values.tolist())
                return cls(names, values, decimal)
        for label in found.counts:
            if not label.isprintable() or len(label) > 200:
                raise DataError(
                    f"{part.name}: `{name}` must hold names of classes in one line; got"
                    f" {shortened(label)!a}. Rename it, or name another column with `--target`."
                )
        return cls(tuple(sorted(found.counts)), None)

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

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about names that may mean the same."""
        lowered: dict[str, list[str]] = {}
        for name in self.names:
            lowered.setdefault(name.casefold(), []).append(name)
        alike = next((names for names in lowered.values() if len(names) > 1), None)
        if alike is None:
            return ()
        return (f"The classes {listed(alike)} differ only in upper and lower case.",)


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
