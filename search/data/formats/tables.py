"""Tables: from batches of named columns to the arrays of a dataset, whatever the format."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.data.answers import Found, Surroundings
from search.data.arrays import (
    EXTRAS,
    IMAGES,
    KINDS,
    ROWS,
    array_file,
    map_array,
    write_array,
    write_extras,
    write_growing,
    write_labels,
    write_part,
)
from search.data.checks import Contents
from search.data.duplicates import related_groups
from search.data.folds import held_out, joined_groups
from search.data.formats.archives import check_file, expanded, open_packed
from search.data.formats.archives import reading as reading_file
from search.data.formats.columns import Batches, Part, Reader, words
from search.data.formats.csv import open_csv
from search.data.formats.jsonl import open_jsonl
from search.data.formats.layout import TARGETS, Roles, named_targets
from search.data.formats.parquet import MAGIC, open_parquet
from search.data.formats.rows import Rows, Table, Taken, read_batch, rows_of_groups
from search.data.formats.several import Grouping, grouped
from search.data.formats.survey import Decimals, survey
from search.data.reading import DATE, NUMBER, Column, Reading
from search.data.targets import named_as_known
from search.errors import DataError, SettingsError
from tracking.text import listed

if TYPE_CHECKING:
    import pyarrow as pa

Open = Callable[[Path, Reading], Part]
OPENERS: dict[str, Open] = {"csv": open_csv, "parquet": open_parquet, "jsonl": open_jsonl}


def find(kind: str, rest: str, around: Surroundings) -> Found:
    """Return the source that `csv:TRAIN` or `csv:TRAIN,TEST` names; likewise of other formats.

    Args:
        kind: one of `OPENERS`.
        rest: one path or two.
        around: how to read them.

    Raises:
        SettingsError: more than two files, or the same one twice.
        DataError: a file does not exist.
    """
    paths = tuple(expanded(part) for part in rest.split(","))
    if len(paths) > 2 or len(set(paths)) < len(paths):
        raise SettingsError(
            f"`{kind}:` must be followed by TRAIN or by TRAIN,TEST, two different files;"
            f" got {rest!r}"
        )
    for path in paths:
        check_file(path)
    write = partial(write_files, kind, paths, around.reading)
    return Found(" and ".join(map(str, paths)), paths, write)


def write_files(kind: str, paths: Sequence[Path], reading: Reading, folder: Path) -> Contents:
    """Check the tables of files and write their arrays.

    Args:
        kind: one of `OPENERS`.
        paths: of the training part and, if there is one, of the test part.
        reading: how to read them.
        folder: receives the `.npy` files.

    Raises:
        DataError: a file is not a table with labels; the message has file and line.
    """
    parts = {
        split: OPENERS[kind](path, reading)
        for split, path in zip(("train", "test"), paths, strict=False)
    }
    return write_table(parts, reading, folder, str(paths[0]))


def write_table(
    parts: "Mapping[str, Part | Callable[[], Batches]]",
    reading: Reading,
    folder: Path,
    origin: Mapping[str, str] | str,
    *,
    has_test: bool = True,
) -> Contents:
    """Find out what the columns of a table are, and write its arrays.

    The table is read twice or three times; only labels and what else belongs to a sample besides
    its values is in memory as a whole, and texts.

    Args:
        parts: `train` and perhaps `test`: a `Part`, or a function that yields the batches anew.
            Batches have columns of numbers, truth values, dates or texts; words of any kind may be
            texts.
        reading: how to read it.
        folder: receives the `.npy` files.
        origin: names of the parts in messages, or one for all.
        has_test: False to keep all rows for training where there is no test part.

    Raises:
        DataError: it is not a table with labels; the message has the place of the first fault.
    """
    given = {split: _part(part, origin, split) for split, part in parts.items()}
    train = given["train"]
    roles = Roles.of(train, reading)
    table = Table.of(train, roles, reading)
    notices = [*table.notices]
    if "test" in given:
        if reading.header == "none":
            check_width(given["test"].name, len(given["test"].names), len(train.names))
        given["test"] = _like(given["test"], train, table)
        if reading.decimal is None and any(c.decimal for c in table.layout.columns):
            readers_of(given["test"], table.layout.columns, reading)  # raises for numbers in doubt
    taken = {split: _write(table, part, folder, split) for split, part in given.items()}
    if "test" not in given:
        notices += _split(table, taken["train"], reading, folder, train.name, has_test=has_test)
    else:
        for split, part in taken.items():
            if part.texts is not None:
                _write_texts(folder, split, part.texts, np.arange(len(part.labels)))
            else:
                name = f"{split}_{KINDS[table.kind][0]}"
                (folder / f"{split}.npy").rename(array_file(folder, name))
            _finish(folder, split, part.labels, part.extras)
        notices += taken["test"].unseen(given["test"].name)
        notices += _shared_groups(given["test"], roles, taken["train"].groups)
    notices += _remarks(table, folder, train.name)
    task = named_as_known(table.target.task, taken["train"].labels, table.kind)
    columns = table.layout.columns if table.kind == "table" else ()
    tested = has_test or "test" in given
    extras = tuple(roles.extras)
    found = Contents(
        table.kind,
        task.names,
        columns,
        tuple(notices),
        extras,
        tested,
        task=task.name,
        width=len(train.names) if reading.header == "none" else 0,
    )
    return grouped(folder, found, Grouping(reading.input)) if reading.input else found


def _part(
    part: "Part | Callable[[], Batches]", origin: Mapping[str, str] | str, split: str
) -> Part:
    if isinstance(part, Part):
        return part
    return Part.of(part, origin if isinstance(origin, str) else origin[split])


def check_width(name: str, found: int, width: int) -> None:
    """Raise DataError for a file without a header that lacks a column, or has one more.

    Its columns are known by their places alone: with another number, those behind the gap would be
    taken for their neighbours.
    """
    if found != width:
        raise DataError(
            f"{name} must have {width:,} columns, as the training file, which has no header either;"
            f" it has {found:,}. Keep the target's column, if only empty, and all others in their"
            " places."
        )


def _like(part: Part, model: Part, table: Table) -> Part:
    """Return a test part with the names of the training part.

    Raises:
        DataError: it lacks a column.
    """
    needed = [*table.roles.targets, *table.names]
    if "weights" in table.roles.extras:
        needed.append(table.roles.extras["weights"])
    part = part.aligned(needed)
    lacking = [name for name in needed if name not in part.names]
    if lacking:
        raise DataError(
            f"{part.name}: the test part must have the columns of {model.name}; missing:"
            f" {listed(lacking)}. It has {len(part.names):,} columns: {listed(part.names)}."
        )
    return part


def _shared_groups(test: Part, roles: Roles, groups: frozenset[str]) -> list[str]:
    """Return a notice if a test part has rows of groups that the training part has.

    Such rows stay where they are: a test part that is given may be meant so.
    """
    name = roles.extras.get("groups")
    test = test.aligned([name]) if name else test
    if name is None or name not in test.names:
        return []
    rows, shared, total = rows_of_groups(test, name, groups)
    if not rows:
        return []
    return [
        f"{test.name}: {rows:,} of {total:,} test rows belong to groups that training rows have,"
        f" too ({shared:,} values of `{name}`), so test scores may be too good for new groups."
        " The folds keep groups apart; a test part that is given is tested as it is."
    ]


def _write(table: Table, part: Part, folder: Path, split: str) -> Taken:
    """Write the samples of a part to one file, and return what else there is."""
    rows = Rows(table, part, with_extras=split == "train")
    if table.kind == "text":
        import pyarrow as pa

        texts = list(rows.texts())
        rows.taken.texts = pa.chunked_array(texts, pa.large_string())
    else:
        dtype = IMAGES if table.kind == "image" else ROWS
        write_growing(folder / f"{split}.npy", dtype, table.shape, rows.samples())
    return rows.finished()


def _split(
    table: Table,
    taken: Taken,
    reading: Reading,
    folder: Path,
    origin: str,
    *,
    has_test: bool,
) -> list[str]:
    """Hold out a test part where one is wanted, write both, and return notices."""
    whole = folder / "train.npy"
    groups = taken.extras.get("groups")
    if not reading.allow_duplicates:
        held = map_array(whole) if taken.texts is None else taken.texts.to_pylist()
        groups = joined_groups(groups, related_groups(held))
    everything = np.arange(len(taken.labels))
    parts, told = {"train": everything, "test": everything[:0]}, list[str]()
    if has_test:
        time = taken.extras.get("time")
        parts, notice = held_out(
            taken.labels, origin, task=table.target.task, groups=groups, time=time
        )
        told = [notice]
    for split, chosen in parts.items():
        if table.kind == "text":
            _write_texts(folder, split, taken.texts, chosen)
        else:
            # Mapped again for each piece, so that pages already read do not stay in memory.
            take = lambda indices: np.asarray(map_array(whole)[indices])  # noqa: E731
            write_part(folder, split, kind=table.kind, shape=table.shape, take=take, chosen=chosen)
        extras = {name: values[chosen] for name, values in taken.extras.items()}
        _finish(folder, split, taken.labels[chosen], extras)
    whole.unlink(missing_ok=True)
    return told


def _finish(
    folder: Path, split: str, labels: NDArray[Any], extras: Mapping[str, NDArray[Any]]
) -> None:
    write_labels(folder, split, labels)
    typed: dict[str, NDArray[Any]] = {
        name: values.astype(EXTRAS[name]) for name, values in extras.items()
    }
    if "groups" in typed:  # without gaps, in the order in which they occur
        typed["groups"] = np.asarray(joined_groups(typed["groups"]))
    write_extras(folder, split, typed)


def _write_texts(folder: Path, split: str, texts: "pa.ChunkedArray", chosen: NDArray[Any]) -> None:
    import pyarrow.compute as pc

    part = texts.take(chosen)
    lengths = pc.binary_length(part).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    shape = (int(offsets[-1]),)
    write_array(array_file(folder, f"{split}_texts"), IMAGES, shape, _bytes(part))
    write_array(array_file(folder, f"{split}_offsets"), offsets.dtype, offsets.shape, [offsets])


def _bytes(texts: "pa.ChunkedArray") -> Iterator[NDArray[np.uint8]]:
    for chunk in texts.chunks:
        for start in range(0, len(chunk), 10_000):
            piece = "".join(chunk.slice(start, 10_000).to_pylist())
            yield np.frombuffer(piece.encode(), np.uint8)


MOST_CHECKED = 20_000_000  # values of a table that are compared with one another
NOTABLE = 200  # of the distinct values one in so many


def _remarks(table: Table, folder: Path, name: str) -> list[str]:
    """Return notices about numbers that never repeat, or of which float32 makes fewer."""
    if table.kind != "table":
        return []
    rows = map_array(array_file(folder, "train_rows"))
    count = max(1, MOST_CHECKED // rows.shape[1])
    unique, merging = [], []
    for index, column in enumerate(table.layout.columns):
        if column.type not in (NUMBER, DATE):
            continue
        values = np.asarray(rows[:count, index])
        values = values[~np.isnan(values)]
        distinct = np.unique(values)
        if len(distinct) < 2:
            continue
        is_whole = bool((distinct == np.floor(distinct)).all())
        if is_whole and column.type == NUMBER and len(distinct) == len(values) >= 20:
            unique.append(column.name)
        if is_whole and distinct[-1] - distinct[0] < 1 << 23:
            continue  # exact after centring, or nearly
        with np.errstate(over="ignore"):
            centred = (distinct - values.mean()).astype(np.float32)
        lost = len(distinct) - len(np.unique(centred))
        if lost * NOTABLE > len(distinct):
            merging.append(f"{column.name} ({lost:,} of {len(distinct):,})")
    notices = []
    if unique:
        notices.append(
            f"{name}: {listed(unique)}: whole numbers that never repeat, as those that name rows."
            f" If they are such, leave them out: `--ignore {unique[0]}`."
        )
    if merging:
        notices.append(
            f"{name}: distinct values become equal in float32, in which models compute, even after"
            f" the column's mean is subtracted: {listed(merging)}. Subtract a start, or split the"
            " column."
        )
    return notices


@dataclass(frozen=True)
class NewRows:
    """Rows of a table for a model that was trained on other rows.

    Attributes:
        values: (n, columns), float64: as a dataset's rows are stored, see `Column`.
        places: of each row: file and line.
        labels: of each row as text, None where it is missing; None: the table has no target, or
            several.
        width: number of columns of the table.
    """

    values: NDArray[np.float64]
    places: Sequence[str]
    labels: Sequence[str | None] | None
    width: int


def open_table(path: Path, reading: Reading) -> Part:
    """Return the table of a file in any of the formats, recognised by its content and name.

    Raises:
        DataError: it is none.
    """
    check_file(path)
    return OPENERS[_format_of(path)](path, reading)


def _format_of(path: Path) -> str:
    with reading_file(path), open_packed(path) as file:
        start = file.read(4096)
    if start.startswith(MAGIC):
        return "parquet"
    named = path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson", ".json"))
    return "jsonl" if named or start.lstrip().startswith((b"{", b"[{")) else "csv"


def read_rows(path: Path, columns: Sequence[Column], reading: Reading) -> NewRows:
    """Return the rows of a CSV, Parquet or JSON Lines file for a model with these columns.

    Columns may be in any order; others are ignored, except the target.

    Args:
        path: plain or gzipped.
        columns: of the dataset that the model was trained on.
        reading: how that was read.

    Raises:
        DataError: it is no table, lacks a column, or has a value of another type; the message has
            the line.
    """
    return rows_of(open_table(path, reading), columns, reading)


def rows_of(part: Part, columns: Sequence[Column], reading: Reading) -> NewRows:
    """Return the rows of a table for a model with these columns; as `read_rows`."""
    part = part.aligned([column.name for column in columns])
    lacking = [column.name for column in columns if column.name not in part.names]
    if lacking:
        raise DataError(
            f"{part.name} must have the columns {listed(c.name for c in columns)}; missing:"
            f" {listed(lacking)}. It has {len(part.names):,}: {listed(part.names)}."
        )
    wanted = [column.name for column in columns]
    targets = _targets_in(part, reading, wanted)
    target = targets[0] if len(targets) == 1 else None
    readers = readers_of(part, columns, reading)
    values, labels = [np.empty((0, len(columns)))], list[str | None]()
    start = 0
    for batch in part.read([*wanted, *([target] if target else [])], {}):
        values.append(read_batch(part, readers, batch, start))
        labels += words(batch[target]).to_pylist() if target else []
        start += batch.num_rows
    if not start:
        raise DataError(f"{part.name} must contain rows of data; it has none")
    known = labels if target else None
    return NewRows(np.concatenate(values), _Places(part, start), known, len(part.names))


def readers_of(part: Part, columns: Sequence[Column], reading: Reading) -> list[Reader]:
    """Return what reads the columns of new rows for a model, in the model's order.

    Raises:
        DataError: the numbers of a column may be read in two ways.
    """
    numeric = [column.name for column in columns if column.type == NUMBER]
    surveys = survey(part, numeric, [])
    decimals = Decimals(part, surveys, reading, columns)
    signs = {name: decimals.sign(found) for name, found in surveys.items()}
    return [Reader(column, signs.get(column.name, ".")) for column in columns]


def _targets_in(part: Part, reading: Reading, columns: Sequence[str]) -> list[str]:
    """Return the columns of a table that hold the targets."""
    if named := named_targets(reading, part.names):
        return [name for name in named if name in part.names]
    known = [n for n in part.names if n.lower() in TARGETS and n not in columns]
    return known if len(known) == 1 else []


class _Places(Sequence[str]):
    """The places of rows, looked up one by one."""

    def __init__(self, part: Part, count: int) -> None:
        self._part, self._count = part, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return self._part.place(index % self._count)
