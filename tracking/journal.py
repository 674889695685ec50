"""The append-only file of records: the one durable truth of a study.

One record a line. Records that later work depends on (a fold's score, a trial's end) are forced to
the disk before `append` returns; epochs are handed to the operating system only, so a power cut may
cost those.

What stands after the last sound line is what a crash, a power cut or a full disk left: to readers
it is not there, and opening the journal for writing sets it aside. Damage before a sound line is
nothing that writing could leave: it is refused. So are lines that do not follow each other, and an
end that is not the one noted when the journal was closed.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from tracking.files import sync_folder, why_not_written
from tracking.journal_lines import (
    LONGEST,
    Chain,
    DamagedLine,
    End,
    JournalError,
    crc_of,
    decode,
    encode,
    is_sound,
    raw_lines,
    set_end_aside,
)
from tracking.records import EpochEnded, FoldPaused, FoldStarted, Record

__all__ = ["Journal", "JournalError", "JournalReader", "decode", "encode", "read_journal"]

_NOT_FORCED = (EpochEnded, FoldPaused, FoldStarted)


class JournalReader:
    """Reads a journal from the start, then what is appended, as often as asked.

    Attributes:
        offset: bytes read so far; always the end of a whole line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self._lines = 0
        self._chain = Chain()
        self._end: End | None = None  # as it was noted; until it is reached

    def read(self) -> Iterator[Record]:
        """Yield the sound records not yet read.

        It stops before a damaged end of the file; the next call looks at that again.

        Raises:
            JournalError: a line is damaged and a sound one follows, or none is sound; one does not
                follow that before it; or the end that was noted is not there; with its number and
                position. Or a later version wrote it.
        """
        if not self.path.exists():
            return
        if self._lines == 0:
            self._end = End.load(self.path)
        yield from self._sound()
        if self._end is not None and self.offset < self._end.size:
            raise JournalError.cut_short(self.path, self._lines + 1, self.offset, self._end.size)

    def _sound(self) -> Iterator[Record]:
        follows = self._chain.follows
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for raw in raw_lines(file):
                if not raw.endswith(b"\n") and len(raw) < LONGEST:
                    return  # it is being written; looking further could find it whole
                try:
                    record = decode(raw[:-1])
                except DamagedLine as fault:
                    self._refuse_unless_at_end(file, fault)
                    return
                except ValueError as fault:
                    raise JournalError.foreign(self.path, self._lines + 1, fault) from fault
                if not follows(raw):
                    raise JournalError.broken(self.path, self._lines + 1, self.offset)
                self._lines += 1
                self.offset += len(raw)
                if self._end is not None and self.offset >= self._end.size:
                    self._reach(self._end)
                yield record

    def _reach(self, end: End) -> None:
        if end.is_missed_at(self.offset, self._chain.last) and end.size:
            raise JournalError.cut_short(self.path, self._lines, self.offset, end.size)
        self._end = None

    def _refuse_unless_at_end(self, file: IO[bytes], fault: DamagedLine) -> None:
        if any(is_sound(raw) for raw in raw_lines(file)):
            raise JournalError.damaged(self.path, self._lines + 1, self.offset, fault) from fault
        if self._lines == 0:
            raise JournalError.nothing_sound(self.path, fault) from fault


class Journal:
    """The journal opened for writing, by one process at a time.

    Opening it moves what stands after the last sound line to a file beside it. Closing it notes
    where it ends.

    Attributes:
        dropped: how many bytes that were.

    Raises:
        JournalError: it is damaged before a sound line, its lines do not follow each other, its
            end is not the one that was noted, or there is no room for what is moved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped, self._last = set_end_aside(path)
        is_new = not path.exists()
        self._file: IO[bytes] = path.open("ab", buffering=0)
        if is_new:
            sync_folder(path.parent)
        self._is_whole = True
        self._has_grown = False
        self._unconfirmed = ""

    def append(self, record: Record) -> None:
        """Write the record as one line; where that fails, none of it stays.

        Raises:
            JournalError: it could not be written, or the disk did not confirm it. In the first
                case the journal can be tried again; in the second it must be opened anew.
        """
        line = self._line(record)
        if not self._is_whole:
            self._cut_torn_line()
        self._is_whole = False
        try:
            self._write(line)
        except OSError as error:
            self._cut_torn_line()
            raise self._not_kept(error) from error
        self._is_whole = self._has_grown = True
        self._last = crc_of(line)
        if not isinstance(record, _NOT_FORCED):
            self._force()

    def close(self) -> None:
        """Close the file. Nothing is pending: every record was written by its `append`."""
        if self._has_grown and self._is_whole and not self._unconfirmed:
            with suppress(OSError):
                os.fsync(self._file.fileno())  # the end that is noted must not be lost after that
                End(os.fstat(self._file.fileno()).st_size, self._last).store(self.path)
            self._has_grown = False
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

    def _line(self, record: Record) -> bytes:
        if self._unconfirmed:
            raise JournalError(self._unconfirmed)
        line = encode(record, self._last)
        if len(line) > LONGEST:
            raise JournalError(
                f"{self.path}: a record must fit in {LONGEST:,} bytes; this"
                f" {type(record).__name__} takes {len(line):,}"
            )
        return line

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:  # a disk that fills up takes a part, and says why with the next
            rest = rest[self._file.write(rest) :]

    def _force(self) -> None:
        """Wait until the disk has the file.

        Once it failed, a second try tells nothing: the system forgets what it could not write.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._unconfirmed = (
                f"{self.path}: the disk did not confirm the last record"
                f" ({why_not_written(error, self.path)}). Every record that it confirmed is kept."
                " See to the disk and run the same command again."
            )
            raise JournalError(self._unconfirmed) from error

    def _cut_torn_line(self) -> None:
        """Cut off what was written of a line, lest the next one is glued to it."""
        try:
            with self.path.open("rb") as file:
                end = _end_of_last_newline(file, file.seek(0, os.SEEK_END))
            os.ftruncate(self._file.fileno(), end)
        except OSError as error:
            raise self._not_kept(error) from error
        self._is_whole = True

    def _not_kept(self, error: OSError) -> JournalError:
        return JournalError(
            f"{self.path}: {why_not_written(error, self.path)}. The last record could not be kept;"
            " every record before it is. Make room and run the same command again."
        )


def read_journal(path: Path) -> list[Record]:
    """Return the sound records of a journal; an absent file has none.

    Raises:
        JournalError: as `JournalReader.read` does.
    """
    with without_collections():
        return list(JournalReader(path).read())


@contextmanager
def without_collections() -> Iterator[None]:
    """Spare the search for garbage: records refer to no others, and it took a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _end_of_last_newline(file: IO[bytes], end: int, block: int = 65536) -> int:
    while end > 0:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
