"""The append-only file of records: the one durable truth of a study.

One record a line, each a JSON object whose first entry is the CRC-32 of the rest. Records that
later work depends on (a fold's score, a trial's end) are forced to the disk before `append`
returns; epochs are handed to the operating system only, so a power cut may cost those.
"""

import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from tracking.records import EpochEnded, FoldStarted, Record, record_from_json

_LINE = re.compile(rb'^\{"crc":"([0-9a-f]{8})",(.*)\}$', re.DOTALL)
_NOT_FORCED = (EpochEnded, FoldStarted)


class JournalError(ValueError):
    """A journal that cannot be read or written; the message says where and what to do."""


def encode(record: Record) -> bytes:
    """Return the record's line, newline included."""
    body = json.dumps(record.to_json(), ensure_ascii=False, allow_nan=True).encode()
    return b'{"crc":"%08x",' % zlib.crc32(body) + body[1:] + b"\n"


def decode(line: bytes) -> Record:
    """Return the record on a line (without its newline).

    Raises:
        ValueError: the line is not one that `encode` wrote.
    """
    match = _LINE.match(line)
    if match is None:
        raise ValueError("not a journal line")
    body = b"{" + match[2] + b"}"
    if int(match[1], 16) != zlib.crc32(body):
        raise ValueError("its checksum does not match")
    return record_from_json(json.loads(body))


class JournalReader:
    """Reads a journal from the start, then what is appended, as often as asked.

    Attributes:
        offset: bytes read so far; always the end of a whole line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self._line = 0

    def read(self) -> Iterator[Record]:
        """Yield the whole records not yet read; a last line without its newline waits.

        Raises:
            JournalError: a whole line is damaged, with its number.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._line += 1
                try:
                    record = decode(line[:-1])
                except ValueError as error:
                    raise JournalError(
                        f"{self.path}, line {self._line}: {error}. Every line before it is sound;"
                        " move the file aside, or remove that line to lose its record alone."
                    ) from error
                self.offset += len(line)
                yield record


class Journal:
    """The journal opened for writing, by one process at a time.

    A last line that a crash left incomplete is cut off; `dropped` says how many bytes that were.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped = _cut_torn_line(path)
        self._file: IO[bytes] = path.open("ab", buffering=0)

    def append(self, record: Record) -> None:
        """Write the record as one line."""
        self._file.write(encode(record))
        if not isinstance(record, _NOT_FORCED):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file. Nothing is pending: every record was written by its `append`."""
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_journal(path: Path) -> list[Record]:
    """Return all whole records of a journal; an absent file has none.

    Raises:
        JournalError: a whole line is damaged.
    """
    return list(JournalReader(path).read())


def _cut_torn_line(path: Path) -> int:
    if not path.exists():
        return 0
    with path.open("rb+") as file:
        content_end = file.seek(0, os.SEEK_END)
        whole_end = _end_of_last_newline(file, content_end)
        file.truncate(whole_end)
    return content_end - whole_end


def _end_of_last_newline(file: IO[bytes], end: int, block: int = 65536) -> int:
    while end > 0:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
