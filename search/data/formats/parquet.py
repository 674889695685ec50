"""Tables in Parquet files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.data.formats.archives import open_packed
from search.data.formats.archives import reading as reading_file
from search.data.formats.columns import Batches, Part, is_supported
from search.data.formats.csv import check_repeated
from search.data.reading import Reading
from search.errors import DataError
from tracking.text import listed

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAGIC = b"PAR1"
BATCH_VALUES = 1 << 20


def open_parquet(path: Path, reading: Reading) -> Part:
    """Return the table of a Parquet file, plain or gzipped.

    Raises:
        DataError: it is none, or has columns of values that are no numbers, truth values, dates or
            texts and that are not ignored.
    """
    with _readable(path), _opened(path) as file:
        schema = file.schema_arrow
    check_repeated(str(path), schema.names)
    odd = [
        f"{field.name} ({field.type})"
        for field in schema
        if not is_supported(field.type) and field.name not in reading.ignore
    ]
    if odd:
        raise DataError(
            f"{path}: columns must hold numbers, truth values, dates or texts; not so:"
            f" {listed(odd)}. Leave them out with `--ignore`."
        )
    read = partial(_read, path)
    return Part(str(path), tuple(schema.names), read, lambda row: f"{path}, row {row + 1}")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        with reading_file(path):
            yield
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        why = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path} must be a readable Parquet file; it is not ({why}). Write it again."
        ) from error


@contextmanager
def _opened(path: Path) -> "Iterator[pq.ParquetFile]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_packed(path) as file:
        start = file.read(len(MAGIC))
        if start != MAGIC:
            raise DataError(
                f"{path} must be a Parquet file; it is not one. For a text table name it with"
                " `csv:`, for objects in lines with `jsonl:`."
            )
        whole: Any = pa.BufferReader(start + file.read()) if _is_packed(path) else str(path)
    # Before pyarrow 21 there is no such choice, and columns are read without Arrow's extensions.
    has_choice = "arrow_extensions_enabled" in signature(pq.ParquetFile).parameters
    choice: dict[str, Any] = {"arrow_extensions_enabled": False} if has_choice else {}
    with pq.ParquetFile(whole, memory_map=False, **choice) as opened:
        yield opened


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) != MAGIC


def _read(path: Path, chosen: Sequence[str], _: "dict[str, pa.DataType]") -> Batches:
    size = max(1, BATCH_VALUES // max(1, len(chosen)))
    with _readable(path), _opened(path) as file:
        for batch in file.iter_batches(size, columns=list(chosen)):
            yield batch.select(list(chosen))
