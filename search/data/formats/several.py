"""Samples of several inputs: arrays by name, or a table's columns in groups."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import (
    INPUTS,
    ROWS,
    SPLITS,
    array_file,
    map_array,
    pieces,
    write_array,
    write_labels,
)
from search.data.checks import Contents, InputContents
from search.data.duplicates import several
from search.data.formats.npz import Samples, samples_of, write_values
from search.data.reading import Column
from search.errors import DataError
from tracking.files import make_folder
from tracking.text import listed

_NAME = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True)
class SeveralSamples:
    """The samples of several inputs, by name."""

    inputs: tuple[tuple[str, Samples], ...]
    kind = "several"

    @classmethod
    def of(
        cls,
        given: Mapping[str, NDArray[Any]],
        what: str,
        like: "SeveralSamples | None" = None,
        kind: str | None = None,
    ) -> "SeveralSamples":
        """Find out the kind of each array.

        Args:
            given: arrays by name.
            what: they are called in messages.
            like: for test samples, the training samples, fitted.
            kind: `image` or `sequence`, where an array may be either.

        Raises:
            DataError: an array cannot be used, or differs from the training samples.
        """
        known = {} if like is None else dict(like.inputs)
        if like is not None and set(known) != set(given):
            raise DataError(
                f"{what} must have the inputs of the training samples, {listed(sorted(known))}; got"
                f" {listed(sorted(given))}"
            )
        found = []
        for name in sorted(given):
            _check_name(name)
            array = given[name]
            if array.ndim == 1 and array.dtype.kind in "biuf":
                array = array[:, np.newaxis]
            found.append((name, samples_of(array, f"{what}[{name!r}]", known.get(name), kind)))
        return cls(tuple(found))

    def fitted(self, train: NDArray[np.int64]) -> "SeveralSamples":
        """Return the samples with what is decided on the training part."""
        return SeveralSamples(tuple((name, own.fitted(train)) for name, own in self.inputs))

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about the kinds and conversions of all inputs."""
        return tuple(told for _, own in self.inputs for told in own.notices)

    def groups(self) -> NDArray[np.int64] | None:
        """Return a number for each sample; those that are equal in every input have the same."""
        found = [own.groups() for _, own in self.inputs]
        known = [groups for groups in found if groups is not None]
        if len(known) < len(found):
            return None  # in one input all are alone
        equal = np.unique(np.stack(known, axis=1), axis=0, return_inverse=True)[1]
        return several(equal.reshape(-1))

    @property
    def contents(self) -> tuple[InputContents, ...]:
        """What is stored of each."""
        return tuple(
            InputContents(
                name,
                own.kind,
                tuple(Column(f"x{i}") for i in range(own.shape[0])) if own.kind == "table" else (),
                own.range,
            )
            for name, own in self.inputs
        )

    def write(
        self, folder: Path, split: str, labels: NDArray[Any], chosen: NDArray[np.int64]
    ) -> None:
        """Write the chosen samples and their targets as a split's arrays."""
        for name, own in self.inputs:
            place = folder / INPUTS / name
            make_folder(place)
            write_values(place, split, own, chosen)
        write_labels(folder, split, labels[chosen])


@dataclass(frozen=True)
class Grouping:
    """Which columns of a table are which input.

    Attributes:
        texts: `NAME=COLUMN,COLUMN` each, as `--input` takes them; `*` stands for all columns that
            no other names.
    """

    texts: tuple[str, ...]

    @cached_property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The columns' names by the input's.

        Raises:
            DataError: the texts are not of that form, or name an input or a column twice.
        """
        found: dict[str, tuple[str, ...]] = {}
        for text in self.texts:
            name, sign, rest = text.partition("=")
            columns = tuple(column.strip() for column in rest.split(",") if column.strip())
            if not sign or not columns:
                raise DataError(f"`--input` must be NAME=COLUMN,COLUMN; got {text!r}")
            _check_name(name.strip())
            if name.strip() in found:
                raise DataError(f"`--input` must name each input once; {name.strip()} comes twice")
            found[name.strip()] = columns
        named = [column for columns in found.values() for column in columns]
        twice = sorted({column for column in named if named.count(column) > 1})
        if twice:
            raise DataError(f"`--input` must name each column once; {twice[0]} comes twice")
        return found

    def of(self, columns: tuple[Column, ...]) -> dict[str, list[int]]:
        """Return the places of each input's columns.

        Raises:
            DataError: a column is not there, or belongs to no input.
        """
        places = {column.name: place for place, column in enumerate(columns)}
        named = {column for own in self.columns.values() for column in own} - {"*"}
        unknown = sorted(named - set(places))
        if unknown:
            raise DataError(
                f"`--input` names column {unknown[0]!r}, which is not among the columns that models"
                f" are given: {listed(places)}"
            )
        rest = [place for name, place in places.items() if name not in named]
        found = {
            name: [p for column in own for p in (rest if column == "*" else [places[column]])]
            for name, own in self.columns.items()
        }
        left = sorted(set(places.values()) - {p for own in found.values() for p in own})
        if left:
            raise DataError(
                f"`--input` must name every column, or `*` for the rest; {columns[left[0]].name!r}"
                " belongs to no input. `--ignore` leaves a column out."
            )
        return found


def grouped(folder: Path, contents: Contents, grouping: Grouping) -> Contents:
    """Split a table's arrays into those of its inputs.

    Args:
        folder: holds the table's arrays; those of its rows are replaced.
        contents: of the table.
        grouping: which columns are which input.
    """
    if contents.kind != "table":
        raise DataError(f"`--input` groups the columns of tables; these are {contents.kind}s")
    columns = contents.columns
    found = grouping.of(columns)
    for split in SPLITS:
        path = array_file(folder, f"{split}_rows")
        if not path.exists():
            continue
        rows = map_array(path)
        for name, places in found.items():
            place = folder / INPUTS / name
            make_folder(place)
            write_array(
                array_file(place, f"{split}_rows"),
                ROWS,
                (len(rows), len(places)),
                (piece[:, places] for _, piece in pieces(rows)),
            )
        del rows
        path.unlink()
    inputs = tuple(
        InputContents(name, "table", tuple(columns[place] for place in places))
        for name, places in found.items()
    )
    return replace(contents, kind="several", columns=(), inputs=inputs)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise DataError(
            "the name of an input must begin with a letter and hold letters, digits, `_`, `-` and"
            f" `.` alone; got {name!r}"
        )
