"""A text file, plain or gzipped, in blocks of whole lines."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from search.data.formats.packed import open_packed, reading
from search.errors import DataError

BLOCK_BYTES = 8 << 20  # measured: smaller ones cost time, larger ones only memory
MAX_LINE = 64 << 20
BOM = b"\xef\xbb\xbf"
OTHERS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet: unpack it, or save it as CSV",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"PAR1": "a Parquet file: save it as CSV",
}


@dataclass(frozen=True)
class Block:
    """Consecutive whole lines of a file.

    Attributes:
        text: the lines with their ends.
        line: the number of the first, from 1.
    """

    text: bytes
    line: int


def read_blocks(path: Path) -> Generator[Block, None, None]:
    """Yield the first line by itself, then blocks of the others.

    Args:
        path: plain or gzipped.

    Raises:
        DataError: the file cannot be read, is empty, or is no text.
    """
    line = 1
    with reading(path), open_packed(path) as file:
        for text in _whole_lines(path, file):
            rest = text
            if line == 1:
                _check_text(path, text)
                first, _, rest = text.removeprefix(BOM).partition(b"\n")
                yield Block(first, line)
                line = 2
            if rest:
                yield Block(rest, line)
                line += rest.count(b"\n")
    if line == 1:
        raise DataError(f"{path} must be a table with a header line; it is empty")


def _whole_lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while piece := file.read(BLOCK_BYTES):
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
        if len(rest) > MAX_LINE:
            raise DataError(
                f"{path} must be a table in lines; one is longer than {MAX_LINE:,} bytes."
                " Is it a CSV file?"
            )
    if rest:
        yield rest


def _check_text(path: Path, start: bytes) -> None:
    for signature, what in OTHERS.items():
        if start.startswith(signature):
            raise DataError(f"{path} must be a text file; it is {what}")
    if b"\0" in start:
        raise DataError(
            f"{path} must be a text file in UTF-8; it holds zero bytes, as binary files do."
            " Save the table as CSV."
        )
