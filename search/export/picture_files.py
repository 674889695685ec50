"""Pictures to predict, where they are many: in folders, or in tables that list or hold them."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from search.data.arrays import Array, Images
from search.data.encoders import ImageEncoder
from search.data.formats.tables import read_rows
from search.data.pictures import FORMATS
from search.data.ranges import BLACK, WHITE
from search.data.reading import Column, Reading
from search.errors import DataError
from tracking.text import listed

if TYPE_CHECKING:
    from search.data.formats.columns import Part

_TABLES = frozenset({".csv", ".tsv", ".parquet", ".pq", ".jsonl"})
_PIXEL = re.compile(r"pixel[ _]?(\d{1,9})", re.IGNORECASE)


def pictures_in(folder: Path) -> list[Path]:
    """Return the picture files in a folder and those below, sorted; hidden ones are left out.

    Raises:
        DataError: there is none.
    """
    endings = {end for end, kind in Image.registered_extensions().items() if kind in FORMATS}
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in endings
        and (path.is_file() or path.is_symlink())  # a link that leads nowhere is an error later
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise DataError(
            f"{folder} must hold pictures, such as .png or .jpg, also in folders within; there is"
            " none"
        )
    return found


def is_table(path: Path) -> bool:
    """Say whether a file is a table, by its name, plain or gzipped."""
    ends = [end.lower() for end in path.suffixes[-2:]]
    return bool(ends) and (ends[-1] in _TABLES or (ends[-1] == ".gz" and ends[0] in _TABLES))


def pixel_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that hold an image's pixels, in their order; none of other tables."""
    numbers = {int(match[1]): name for name in names if (match := _PIXEL.fullmatch(name))}
    ordered = sorted(numbers)
    first = ordered[0] if ordered else 0
    whole = ordered == list(range(first, first + len(ordered))) and first in (0, 1)
    return tuple(numbers[number] for number in ordered) if whole else ()


def pixels_in(path: Path, names: Sequence[str], encoder: ImageEncoder) -> Images:
    """Return the images of a table with a column for each pixel, as training reads them.

    Raises:
        DataError: there are others than the model's, or values that are no pixels.
    """
    shape = encoder.native_shape
    if len(names) != math.prod(shape) or encoder.pixel_range is not None:
        sizes = " x ".join(map(str, shape))
        raise DataError(
            f"{path} must have the pixels of the model's images, {sizes} of 8 bits; it has"
            f" {len(names):,} columns of pixels"
        )
    values: Array = read_rows(path, [Column(name) for name in names], Reading()).values
    wrong = np.argwhere(~((values >= BLACK) & (values <= WHITE) & (values == np.rint(values))))
    if len(wrong):
        row, place = wrong[0].tolist()
        raise DataError(
            f"{path}, row {row + 1}: `{names[place]}` must be a whole number {BLACK}..{WHITE}; it"
            f" is {values[row, place]:g}"
        )
    return values.astype(np.uint8).reshape(-1, *shape)


def listed_pictures(path: Path, part: "Part", column: str | None) -> Iterator[Path]:
    """Yield the picture files that a table lists; relative ones are relative to its folder.

    Args:
        path: of the table.
        part: the table.
        column: that has the paths; None for the only one whose first value is a file.

    Raises:
        DataError: no column has paths, or several have; or there is no row.
    """
    wanted = [column] if column is not None else list(part.names)
    if column is not None and column not in part.names:
        raise DataError(f"{path}: `--column` must be one of {listed(part.names)}; got {column!r}")
    row = 0
    for batch in part.read(wanted, {}):
        if column is None and batch.num_rows:
            column = _column_of_files(path, {n: batch.column(n)[0].as_py() for n in wanted})
        values = batch.column(column).to_pylist() if column is not None else []
        for value in values:
            row += 1
            if value is None or not str(value).strip():
                raise DataError(
                    f"{path}, row {row}: `{column}` must be the path of a picture; it is empty"
                )
            yield path.parent / str(value)
    if not row:
        raise DataError(f"{path} must contain rows of data; it has none")


def _column_of_files(path: Path, first: dict[str, object]) -> str:
    found = [
        name
        for name, value in first.items()
        if isinstance(value, str) and value and _is_file(path.parent / value)
    ]
    if len(found) != 1:
        told = f"{listed(found)} all have" if found else "none has"
        raise DataError(
            f"{path} must have one column with the paths of pictures, from its own folder on, or a"
            f" column for each pixel (`pixel0`, `pixel1` ...); {told} a file in the first row. Name"
            " the column with `--column`"
        )
    return found[0]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False
