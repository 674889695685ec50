"""Tables in JSON Lines: an object a line, with a value for each column."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.data.formats.archives import open_packed
from search.data.formats.archives import reading as reading_file
from search.data.formats.columns import Batches, Part, spelled
from search.data.reading import Reading
from search.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 10_000  # lines
MAX_LINE = 64 << 20
MAX_COLUMNS = 200_000
RULE = 'must be an object such as {"age": 41, "label": "yes"}'


def open_jsonl(path: Path, reading: Reading) -> Part:
    """Return the table of a file in JSON Lines, plain or gzipped; all lines are read for the names.

    Columns are in the order in which they occur first; one that a line lacks is missing there.

    Raises:
        DataError: a line is no object, or has a list or an object that is not ignored.
    """
    names: dict[str, None] = {}
    for line, entry in _objects(path):
        for name, value in entry.items():
            if name not in names:
                _check_name(path, line, name)
                names[name] = None
            if isinstance(value, list | dict) and name not in reading.ignore:
                raise DataError(
                    f"{path}, line {line}: `{name}` must be a number, a text, true, false or null;"
                    f" it is {'a list' if isinstance(value, list) else 'an object'}. Write its"
                    " entries as columns of their own, or leave it out with `--ignore`."
                )
        if len(names) > MAX_COLUMNS:
            raise DataError(
                f"{path}, line {line}: a table must have at most {MAX_COLUMNS:,} columns; there"
                " are more."
            )
    if not names:
        raise DataError(f"{path} must have lines of JSON objects; it has none")
    return Part(str(path), tuple(names), partial(_read, path), partial(_place, path))


def _check_name(path: Path, line: int, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{path}, line {line}: names of columns must be texts that UTF-8 can encode;"
            f" got {name!a}. Rename it."
        ) from error


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each line that is not blank, and its object."""
    with reading_file(path), open_packed(path) as file:
        number = 0
        while text := file.readline(MAX_LINE + 1):
            number += 1
            if len(text) > MAX_LINE:
                raise DataError(
                    f"{path}, line {number}: a line must have at most {MAX_LINE:,} bytes"
                )
            if number == 1:
                text = _checked(path, text)
            if text.strip():
                yield number, _object(path, number, text)


def _checked(path: Path, text: bytes) -> bytes:
    if text.startswith(b"PAR1"):
        raise DataError(f"{path} is a Parquet file: name it with `parquet:` instead of `jsonl:`")
    if text.lstrip().startswith(b"["):
        raise DataError(
            f"{path}: JSON Lines has an object a line; this file begins with a list. Save it with"
            ' pandas: frame.to_json(path, orient="records", lines=True).'
        )
    return text.removeprefix(b"\xef\xbb\xbf")


def _object(path: Path, number: int, text: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:  # also for bytes that are no UTF-8
        hint = " For a text table name the file with `csv:`." if number == 1 else ""
        raise DataError(f"{path}, line {number} {RULE}; it is not ({error}).{hint}") from error
    if not isinstance(entry, dict):
        raise DataError(f"{path}, line {number} {RULE}; it is a {type(entry).__name__}")
    return entry


def _read(path: Path, chosen: Sequence[str], _: "dict[str, pa.DataType]") -> Batches:
    import pyarrow as pa

    objects = (entry for _, entry in _objects(path))
    while batch := list(islice(objects, BATCH)):
        columns = [_column([entry.get(name) for entry in batch]) for name in chosen]
        yield pa.RecordBatch.from_arrays(columns, list(chosen))


def _column(values: list[Any]) -> "pa.Array":
    """Return values as numbers or truth values if all are, else as texts."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} and kinds:
        return pa.array(values, pa.bool_())
    if kinds and kinds <= {int, float}:
        try:
            return pa.array(values, pa.int64() if kinds == {int} else pa.float64())
        except (pa.ArrowInvalid, OverflowError):  # too large for int64
            pass
    return pa.array([_text(value) for value in values], pa.large_string())


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return str(value) if isinstance(value, int) else spelled(value)
    text = value if value is None or isinstance(value, str) else json.dumps(value)
    return text if text is None else text.encode(errors="replace").decode()


def _place(path: Path, row: int) -> str:
    number = next((n for n, _ in islice(_objects(path), row, None)), None)
    return f"{path}, line {number}" if number else str(path)
