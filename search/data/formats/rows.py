"""The rows of a table as they are stored, read batch after batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from search.data.formats.columns import Batches, Part, Reader, numbers, shortened, words
from search.data.formats.labels import Target, check_groups, extra_reader, target_of
from search.data.formats.layout import Layout, Roles, lay_out
from search.data.formats.survey import Decimals, survey
from search.data.reading import CATEGORY, NUMBER, TRUTH, Reading
from search.errors import DataError
from search.tasks import MULTI_LABEL
from tracking.text import listed

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Table:
    """What a table's columns are.

    Attributes:
        roles: what each is for.
        kind: `image`, `text` or `table`.
        shape: of one sample; empty for texts.
        layout: how the columns of the samples are read; of a table only.
        names: of the columns of the samples.
        target: how what is predicted is read.
        extras: how weights, time and folds are read.
    """

    roles: Roles
    kind: str
    shape: tuple[int, ...]
    layout: Layout
    names: tuple[str, ...]
    target: Target
    extras: Mapping[str, Reader]
    notices: tuple[str, ...]

    @classmethod
    def of(cls, part: Part, roles: Roles, reading: Reading) -> "Table":
        """Find out what the columns of a table are.

        Raises:
            DataError: labels, or what else a sample must have, are missing; or the values of a
                column may be read in two ways.
        """
        pixels = None if reading.text or reading.types else roles.pixels
        is_table = reading.text is None and pixels is None
        own = [*roles.targets, *roles.extras.values()]
        names = list(dict.fromkeys([*own, *(roles.features if is_table else ())]))
        asked = [name for name, kind in reading.types.items() if kind in (CATEGORY, TRUTH)]
        surveys = survey(part, names, [*roles.targets, *asked])
        # A comma between labels says nothing of decimal signs.
        silent = roles.targets if reading.task == MULTI_LABEL else ()
        of_numbers = {name: found for name, found in surveys.items() if name not in silent}
        decimals = Decimals(part, of_numbers, reading)
        target = target_of(part, roles.targets, surveys, decimals, reading.task)
        extras = {
            extra: extra_reader(part, extra, surveys[name], decimals)
            for extra, name in roles.extras.items()
            if extra != "groups"
        }
        check_groups(part, roles, surveys)
        notices = list(target.notices)
        layout, kind = Layout(), "text"
        shape: tuple[int, ...] = ()
        used = roles.features
        if is_table:
            layout = lay_out(part, roles.features, surveys, decimals, reading)
            kind, shape = "table", (len(layout.readers),)
            used = tuple(column.name for column in layout.columns)
            notices += layout.notices
            notices += _almost_pixels(part, roles.features)
        elif pixels is not None:
            kind, (used, shape) = "image", pixels
        if roles.unused:
            notices.append(f"{part.name}: not used besides the text: {listed(roles.unused)}.")
        return cls(roles, kind, shape, layout, used, target, extras, tuple(notices))


def _almost_pixels(part: Part, features: Sequence[str]) -> list[str]:
    named = sum(name.lower().startswith("pixel") for name in features)
    if not named:
        return []
    return [
        f"{part.name} is read as a table: its {named:,} pixel columns are no images. Those have"
        " a square number of pixels, or three times that, numbered from 0 or 1, and no"
        " columns except pixels and label."
    ]


@dataclass
class Taken:
    """What was read of a part, besides the samples that are in files.

    Attributes:
        labels: targets in the form of their task.
        extras: of `arrays.EXTRAS`, (n,) each.
        texts: all texts, if the samples are texts.
        unknown: number of values of each column that are no known categories.
        groups: the value of each group's rows in the column of groups, as written.
    """

    labels: NDArray[Any]
    extras: dict[str, NDArray[Any]]
    texts: "pa.ChunkedArray | None" = None
    unknown: dict[str, int] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()

    def unseen(self, name: str) -> list[str]:
        """Return a notice about categories that the training part lacks."""
        shown = [f"{column} {count:,}" for column, count in self.unknown.items() if count]
        if not shown:
            return []
        return [f"{name}: values that the training part does not have: {listed(shown)}."]


class Rows:
    """Reads the rows of a part, batch after batch."""

    def __init__(self, table: Table, part: Part, *, with_extras: bool) -> None:
        self._table, self._part, self._start = table, part, 0
        self._labels: list[NDArray[Any]] = []
        extras = table.roles.extras
        self._extras = {
            extra: [np.empty(0)]
            for extra in extras
            if (with_extras or extra == "weights") and extra != "groups"
        }
        self._groups: dict[str, int] = {}
        self._of_group: list[NDArray[np.int64]] | None = (
            [np.empty(0, np.int64)] if with_extras and "groups" in extras else None
        )
        self.taken = Taken(np.empty(0), {})

    def finished(self) -> Taken:
        """Return what else there is, once all samples have been read."""
        if not self._start:
            raise DataError(f"{self._part.name} must contain rows of data; it has only a header")
        self.taken.labels = np.concatenate(self._labels)
        self.taken.extras = {name: np.concatenate(read) for name, read in self._extras.items()}
        if self._of_group is not None:
            self.taken.extras["groups"] = np.concatenate(self._of_group)
            self.taken.groups = frozenset(self._groups)
        return self.taken

    def samples(self) -> Iterator[NDArray[Any]]:
        """Yield rows (any number, columns), float64, or images, uint8.

        Raises:
            DataError: a value or a label is wrong; the message has the place of the first.
        """
        read = self._pixels if self._table.kind == "image" else self._numbers
        for batch in self._batches():
            if batch.num_rows:
                yield read(batch)
                self._take_others(batch)

    def texts(self) -> "Iterator[pa.Array]":
        """Yield arrays of texts; a missing one is empty."""
        for batch in self._batches():
            yield whole_texts(batch[self._table.names[0]])
            self._take_others(batch)

    def _batches(self) -> Batches:
        import pyarrow as pa

        table = self._table
        wanted: dict[str, Any] = {}
        if table.kind == "image":
            wanted = dict.fromkeys(table.names, pa.uint8())
        elif table.kind == "table":
            wanted = {
                reader.column.name: pa.float64()
                for reader in table.layout.readers
                if reader.column.type == NUMBER and reader.decimal == "."
            }
        extras = [name for extra, name in table.roles.extras.items() if self._has(extra)]
        return self._part.read(
            list(dict.fromkeys([*table.roles.targets, *table.names, *extras])), wanted
        )

    def _has(self, extra: str) -> bool:
        return extra in self._extras or (extra == "groups" and self._of_group is not None)

    def _numbers(self, batch: "pa.RecordBatch") -> NDArray[np.float64]:
        rows = read_batch(self._part, self._table.layout.readers, batch, self._start)
        for index, column in enumerate(self._table.layout.columns):
            if column.type == CATEGORY and (unknown := int((rows[:, index] < 0).sum())):
                self.taken.unknown[column.name] = self.taken.unknown.get(column.name, 0) + unknown
        return rows

    def _pixels(self, batch: "pa.RecordBatch") -> NDArray[np.uint8]:
        import pyarrow as pa

        names = self._table.names
        pixels = np.empty((batch.num_rows, len(names)), np.uint8)
        first: tuple[int, str] | None = None
        for index, name in enumerate(names):
            values = batch[name]
            if values.type == pa.uint8() and not values.null_count:
                pixels[:, index] = values.to_numpy(zero_copy_only=False)
                continue
            found, wrong = numbers(values)
            wrong |= ~((found >= 0) & (found <= 255) & (found == np.floor(found)))
            if wrong.any() and (first is None or int(wrong.argmax()) < first[0]):
                first = int(wrong.argmax()), name
            pixels[:, index] = np.where(wrong, 0, found)
        if first is not None:
            row, name = first
            text = words(batch[name].slice(row, 1))[0].as_py()
            what = "it is missing" if text is None else f"it is {shortened(text)}"
            raise DataError(
                f"{self._part.place(self._start + row)}: `{name}` must be a pixel, a whole number"
                f" within 0..255; {what}. If these are not pixels, rename the columns, and they are"
                " read as a table."
            )
        return pixels.reshape(-1, *self._table.shape)

    def _take_others(self, batch: "pa.RecordBatch") -> None:
        roles = self._table.roles
        labels, unfit = self._table.target.read(batch)
        if unfit.any():
            row = int(unfit.argmax())
            place = self._part.place(self._start + row)
            raise DataError(f"{place}: {self._table.target.fault(batch, row)}")
        self._labels.append(labels)
        for extra, read in self._extras.items():
            reader = self._table.extras[extra]
            values, wrong = reader.read(batch[reader.column.name])
            wrong |= np.isnan(values) | ((extra == "weights") & (values < 0))
            if wrong.any():
                refuse_value(self._part, reader, self._start + int(wrong.argmax()))
            read.append(values)
        if self._of_group is not None:
            coded = words(batch[roles.extras["groups"]]).dictionary_encode()
            known = [
                self._groups.setdefault(name, len(self._groups))
                for name in coded.dictionary.to_pylist()
            ]
            places = coded.indices.to_numpy(zero_copy_only=False)
            self._of_group.append(np.array(known, np.int64)[places])
        self._start += batch.num_rows


def whole_texts(values: "pa.Array") -> "pa.Array":
    """Return the values of a column of texts as they are; a missing one is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return pc.fill_null(values.cast(pa.large_string()), "")


def rows_of_groups(part: Part, name: str, groups: frozenset[str]) -> tuple[int, int, int]:
    """Count the rows of a part that belong to some groups.

    Args:
        part: whose rows are counted.
        name: its column of groups.
        groups: values of that column, as written.

    Returns:
        The number of these rows, of the groups that they belong to, and of all rows.
    """
    found, rows, total = set[str](), 0, 0
    for batch in part.read([name], {}):
        total += batch.num_rows
        for pair in words(batch[name]).value_counts().to_pylist():
            if pair["values"] in groups:
                found.add(pair["values"])
                rows += pair["counts"]
    return rows, len(found), total


def read_batch(
    part: Part, readers: Sequence[Reader], batch: "pa.RecordBatch", start: int
) -> NDArray[np.float64]:
    """Return a batch's rows as they are stored, (n, readers).

    Args:
        part: from which the batch is, for messages.
        readers: of the columns.
        batch: with these columns by name.
        start: number of its first row in the part.

    Raises:
        DataError: a value is not of its column's type; the message is about the first such row.
    """
    rows = np.empty((batch.num_rows, len(readers)), np.float64)
    first: tuple[int, Reader] | None = None
    for index, reader in enumerate(readers):
        rows[:, index], wrong = reader.read(batch[reader.column.name])
        if wrong.any() and (first is None or int(wrong.argmax()) < first[0]):
            first = int(wrong.argmax()), reader
    if first is not None:
        refuse_value(part, first[1], start + first[0])
    rows[np.isnan(rows)] = np.nan  # one of the many, so that equal rows have equal bytes
    return rows


def refuse_value(part: Part, reader: Reader, row: int) -> NoReturn:
    """Raise DataError for a value, in a row from 0, that is not of its column's type."""
    name = reader.column.name
    raise DataError(f"{part.place(row)}: `{name}` {reader.fault(part.text(name, row))}.")
