"""Data frames that are passed from Python: pandas, Polars, pyarrow, and dictionaries of columns."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.data.checks import Contents
from search.data.formats.columns import Batches, Part
from search.data.formats.layout import TARGETS
from search.data.formats.tables import NewRows, rows_of, write_table
from search.data.reading import Column, Reading
from search.data.targets import check_no_spans
from search.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536


def is_frame(given: Any) -> bool:
    """Return whether something is a table with named columns."""
    if isinstance(given, Mapping):
        shapes = {np.shape(values) for values in given.values() if not isinstance(values, str)}
        return len(given) > 0 and len(shapes) == 1 and len(shapes.pop()) == 1
    if hasattr(given, "iloc"):
        return hasattr(given, "columns")
    named = hasattr(given, "columns") or hasattr(given, "column_names")
    return named and (hasattr(given, "__arrow_c_stream__") or hasattr(given, "to_arrow"))


def as_table(given: Any, what: str) -> "pa.Table":
    """Return a frame as an Arrow table; names of columns are texts, and an index is left out.

    Raises:
        DataError: its columns cannot be in a table; the message names one.
    """
    import pyarrow as pa

    try:
        if isinstance(given, Mapping):
            table = pa.table({str(name): _values(values) for name, values in given.items()})
        elif hasattr(given, "iloc"):  # pandas
            names = [_name(name) for name in given.columns]
            _check_names(names, what)
            columns = [_of_pandas(given.iloc[:, at], name, what) for at, name in enumerate(names)]
            table = pa.table(columns, names=names)
        else:
            table = given.to_arrow() if hasattr(given, "to_arrow") else pa.table(given)
    except (pa.ArrowException, OverflowError) as error:
        raise DataError(f"{what} must have columns of one type each: {error}") from error
    _check_names(table.column_names, what)
    if not table.num_rows:
        raise DataError(f"{what} must have rows; it has none")
    return table


def _values(values: Any) -> Any:
    return values.to_numpy() if hasattr(values, "to_numpy") else values


def _name(name: Any) -> str:
    return " ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _check_names(names: list[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{what} must have columns of different names; `{twice[0]}` is there twice")


def _of_pandas(series: Any, name: str, what: str) -> Any:
    """Return a column of pandas' as an Arrow array; spans of time begin when they begin."""
    import pyarrow as pa

    if hasattr(series, "sparse"):
        series = series.sparse.to_dense()
    kind = type(series.dtype).__name__
    if kind == "PeriodDtype":
        series = series.dt.to_timestamp()
    elif kind == "IntervalDtype" or "interval" in str(getattr(series.dtype, "categories", "")):
        series = series.astype(str).where(series.notna(), None)
    try:
        return pa.Array.from_pandas(series)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        kinds = sorted({type(value).__name__ for value in series.head(10_000)})
        raise DataError(
            f"{what}: column `{name}` must hold values of one type; it holds {', '.join(kinds)}."
            " Convert it, as with frame[column].astype(str), or leave it out"
        ) from error


@dataclass(frozen=True)
class Frame:
    """A part of a dataset as a table, with its labels among the columns.

    Attributes:
        table: all columns.
        roles: which columns were passed beside the frame, by the option that names a column.
        names: of the columns of a target (n, k), as they were called beside the frame.
    """

    table: "pa.Table"
    roles: Mapping[str, str | tuple[str, ...]]
    names: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        given: Any,
        what: str,
        beside: Mapping[str, NDArray[Any] | None],
        labels: Sequence[str] = (),
    ) -> "Frame":
        """Return a frame with what was passed beside it as further columns.

        Args:
            given: the frame.
            what: its name in messages.
            beside: `target`, `groups`, `weights` and `time`, (n,) each, the target perhaps (n, k);
                None: not given.
            labels: names of the target's columns.

        Raises:
            DataError: their lengths differ, or a column cannot be in a table.
        """
        table, roles = as_table(given, what), dict[str, str | tuple[str, ...]]()
        for option, values in beside.items():
            if values is None:
                continue
            if option == "target":
                check_no_spans(values, "y")
            if option == "target" and values.ndim == 2 and len(values) == table.num_rows:
                table, roles[option] = _with_targets(table, values, labels, what)
                continue
            if values.shape != (table.num_rows,):
                shown = {"target": "y", "weights": "sample_weight"}.get(option, option)
                raise DataError(
                    f"{what} must have one value of `{shown}` for each of its {table.num_rows:,}"
                    f" rows; got {values.dtype} {values.shape}"
                )
            label = labels[0] if len(labels) == 1 else ""
            name = label if option == "target" else option
            table, roles[option] = _with_column(table, values, name or TARGETS[0], what)
        is_named = len(labels) > 1 and len(labels) == len(roles.get("target", ()))
        return cls(table, roles, tuple(labels) if is_named else ())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def beside(self, option: str, values: NDArray[Any]) -> "Frame":
        """Return the frame with values beside it, `(n,)`, for an option that it has none of."""
        name = TARGETS[0] if option == "target" else option
        table, column = _with_column(self.table, values, name, "data")
        return replace(self, table=table, roles={**self.roles, option: column})

    def without(self, columns: Sequence[str]) -> "Frame":
        """Return the frame without some columns, and their roles."""
        left = [name for name in self.table.column_names if name not in columns]
        roles = {
            option: named
            for option, named in self.roles.items()
            if not set(columns) & ({named} if isinstance(named, str) else set(named))
        }
        return Frame(self.table.select(left), roles, self.names if "target" in roles else ())

    def reading(self, reading: Reading) -> Reading:
        """Return how to read the table: columns that were passed beside it have their roles.

        Raises:
            DataError: a role is given twice.
        """
        twice = [name for name in self.roles if getattr(reading, name) is not None]
        if twice:
            shown = "y" if twice[0] == "target" else twice[0]
            raise DataError(
                f"`{twice[0]}` names a column, and `{shown}` is passed as values, too: leave one"
                " out"
            )
        roles: dict[str, Any] = dict(self.roles)
        return replace(reading, **roles)

    def feed(self, digest: Any) -> None:
        """Add names, types and values to a digest."""
        import pyarrow as pa

        digest.update(repr(sorted(self.roles.items())).encode())
        plain = self.table.replace_schema_metadata(None).combine_chunks()
        with pa.ipc.new_stream(pa.PythonFile(_Sink(digest), mode="w"), plain.schema) as writer:
            writer.write_table(plain, max_chunksize=BATCH_ROWS)

    def part(self, name: str) -> Part:
        """Return the table as formats of tables read it."""
        return part_of(self.table, name)


def part_of(table: "pa.Table", name: str) -> Part:
    """Return an Arrow table as formats of tables read it."""

    def batches() -> Batches:
        found: Iterator[Any] = iter(table.to_batches(max_chunksize=BATCH_ROWS))
        return found

    part = Part.of(batches, name)

    def read(chosen: Sequence[str], types: "dict[str, pa.DataType]") -> Batches:
        _check_types(table.schema, chosen, name)
        return part.read(chosen, types)

    return replace(part, read=read)


def _check_types(schema: "pa.Schema", chosen: Sequence[str], what: str) -> None:
    """Raise DataError for a column of which a value is more than one number or text."""
    import pyarrow as pa

    for name in chosen:
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
            raise DataError(
                f"{what}: column `{name}` must hold numbers, truth values, dates or texts; it holds"
                f" {kind}. Make columns of its parts, or leave it out with `ignore`"
            )


def _with_column(
    table: "pa.Table", values: NDArray[Any], name: str, what: str
) -> "tuple[pa.Table, str]":
    """Return a table with a further column, and its name there."""
    while name in table.column_names:
        name += "_"
    return table.append_column(name, _of_numpy(values, f"{what}: `{name}`")), name


def _with_targets(
    table: "pa.Table", values: NDArray[Any], labels: Sequence[str], what: str
) -> "tuple[pa.Table, tuple[str, ...]]":
    """Return a table with the columns of a target, and their names there."""
    width = values.shape[1]
    own = list(labels) if len(labels) == width else [f"y{at}" for at in range(1, width + 1)]
    names: list[str] = []
    for at, label in enumerate(own):
        name = label
        while name in table.column_names:
            name += "_"
        names.append(name)
        column = values[:, at].tolist() if values.dtype == object else values[:, at]
        table = table.append_column(name, _of_numpy(np.asarray(column), f"{what}: `{name}`"))
    return table, tuple(names)


def _of_numpy(values: NDArray[Any], what: str) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"{what} must hold values of one type; got {values.dtype}") from error


class _Sink:
    """A file that passes on what is written to it."""

    closed = False

    def __init__(self, digest: "hashlib._Hash") -> None:
        self._digest = digest
        self._at = 0

    def write(self, content: Any) -> int:
        self._digest.update(content)
        self._at += len(content)
        return len(content)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def write_frames(
    train: Frame, test: Frame | None, reading: Reading, folder: Path, *, has_test: bool = True
) -> Contents:
    """Write the arrays of frames; see `write_table`.

    Raises:
        DataError: they are not tables with labels.
    """
    parts = {"train": train.part("data")}
    if test is not None:
        parts["test"] = test.part("test")
    return write_table(parts, train.reading(reading), folder, "data", has_test=has_test)


def new_rows(given: Any, columns: tuple[Column, ...], reading: Reading) -> NewRows:
    """Return the rows of a frame for a model with these columns; see `read_rows`.

    Raises:
        DataError: it lacks a column, or has a value of another type.
    """
    return rows_of(part_of(as_table(given, "X"), "X"), columns, reading)
