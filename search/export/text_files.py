"""Texts to predict: as they are, in files with one a line, or in a column of a table."""

import os
import re
from pathlib import Path

from search.data.formats.columns import Part
from search.data.formats.rows import whole_texts
from search.data.formats.tables import check_width, open_table
from search.data.reading import Reading
from search.errors import DataError
from search.export.picture_files import is_table
from tracking.text import Notify, listed

MAX_FILE_BYTES = 256 << 20  # of a file of texts or rows
_MORE_TABLES = (".ndjson", ".json", ".ndjson.gz", ".json.gz")
_ENDINGS = (
    "txt|md|log|csv|tsv|parquet|pq|jsonl|ndjson|json|npz|npy|html?|xml|pdf|docx?|xlsx?|gz|zip"
)
# A separator without a space, a name with an ending, or an ending that files of texts have.
_PATH = re.compile(rf"\S*[/\\]\S*|\S+\.[a-z]\w{{0,4}}|[^\n]+\.({_ENDINGS})", re.IGNORECASE)


def is_file(given: str) -> bool:
    """Say whether there is a file of this name; a pipe or a device is one, too.

    Raises:
        DataError: it is a folder, or looks like a file that is not there.
    """
    if os.path.isdir(given):  # noqa: PTH112 - Path.is_dir raises for a text of many words
        raise DataError(f"{given} is a folder; name the files in it. {_REMEDY}")
    if os.path.exists(given):  # noqa: PTH110 - likewise
        return True
    if _PATH.fullmatch(given):
        raise DataError(f"there is no file {given[:200]}. {_REMEDY}")
    return False


_REMEDY = "To predict a text that looks like a file name, put it into a file"


def texts_in(
    path: Path, reading: Reading, column: str | None, *, width: int, notify: Notify
) -> list[str]:
    """Return the texts of a file: of a table those in one column, of any other its lines.

    Texts that are missing or blank are empty ones, so that there is one for each row or line.

    Args:
        path: of the file.
        reading: how the training data were read; `text` is the column with the texts there.
        column: with the texts; None for that of the training data.
        width: number of columns of a training file that does not name them; 0 of others.
        notify: takes notices.

    Raises:
        DataError: it cannot be read, holds no text, or has no such column.
    """
    wanted = column or reading.text
    is_named = column is not None or has_table_name(path)
    if is_named or _is_like_training(path, reading, width, notify):
        texts = _column_of(path, reading, wanted, width)
    else:
        texts = _lines(read_text(path))
    blank = sum(not text.strip() for text in texts)
    if blank == len(texts):
        raise DataError(f"{path} holds no text")
    if blank:
        notify(f"{path}: {blank:,} of {len(texts):,} texts are blank, and predicted as such")
    return texts


def has_table_name(path: Path) -> bool:
    """Say whether a file is called as a table with texts is."""
    return is_table(path) or path.name.lower().endswith(_MORE_TABLES)


def whole_text(path: Path) -> str:
    """Return a file's content as one text.

    Raises:
        DataError: it cannot be read, or holds no text.
    """
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path} holds no text")
    return text


def read_text(path: Path) -> str:
    """Return a text file's content; reading is bounded, even for an endless device.

    Raises:
        DataError: it cannot be read, is too large, or is not in UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise too_large(path)
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a name with a zero byte
        raise DataError(f"{path} must be a text file in UTF-8; {error}") from error


def check_size(path: Path) -> None:
    """Raise DataError for a file that is too large."""
    if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
        raise too_large(path)


def too_large(path: Path) -> DataError:
    """Return the error for a file that is too large."""
    return DataError(f"{path} must have at most {MAX_FILE_BYTES:,} bytes; it has more. Split it.")


def _lines(content: str) -> list[str]:
    """Return the lines of a text; they end with a line feed, perhaps after a carriage return."""
    lines = [line.removesuffix("\r") for line in content.split("\n")]
    return lines if lines[-1] else lines[:-1]


def _is_like_training(path: Path, reading: Reading, width: int, notify: Notify) -> bool:
    """Say whether a file whose name is none of a table has the training table's columns."""
    if reading.text is None or not path.is_file():
        return False
    check_size(path)
    try:
        names = open_table(path, reading).aligned([reading.text]).names
    except DataError:
        return False
    if reading.header == "none":
        if len(names) == width > 1:
            notify(
                f"{path} is read as one text a line; if it is a table, name the column of the texts"
                f" with `--column {reading.text}`"
            )
        return False
    if reading.text not in names:
        return False
    notify(f"{path} is read as a table, as its first line names the column `{reading.text}`")
    return True


def _column_of(path: Path, reading: Reading, column: str | None, width: int) -> list[str]:
    check_size(path)
    part = open_table(path, reading)
    if column is None:
        raise DataError(
            f"{path} is a table, and the model was not trained on one: name the column of the texts"
            f" with `--column`, one of {listed(part.names)}; or give a file that ends in .txt, with"
            " one text a line"
        )
    if reading.header == "none" and width:
        check_width(part.name, len(part.names), width)
    part = part.aligned([column])
    if column not in part.names:
        raise DataError(
            f"{path} must have the column `{column}` with the texts; it has {listed(part.names)}."
            " Name another with `--column`"
        )
    return texts_in_part(part, column)


def texts_in_part(part: Part, column: str) -> list[str]:
    """Return the texts in a column of a table; missing ones are empty."""
    return [
        text for batch in part.read([column], {}) for text in whole_texts(batch[column]).to_pylist()
    ]
