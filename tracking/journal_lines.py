"""A journal's lines: one record each, as JSON whose first entry is the CRC-32 of the rest.

The second entry, `after`, is the CRC of the line before, so that a line that is missing, doubled,
inserted or moved is noticed. Lines of journals from before format 2 have none; a line may follow
one of these, but none of these a linked one.

The lines vouch for each other, but for the last. So where a journal ends is noted beside it when it
is closed. One that was never closed in good order, as its process was killed, may lose its last
lines unnoticed until the next one is written.
"""

import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from tracking.files import sync_folder, whole_file, why_not_written
from tracking.home import DEFAULT_HOME, DROPPED, END, beside, home_of
from tracking.records import FORMAT, Record, record_from_json
from tracking.text import shell

# Bytes of a line. A record of a trial over 1,000 classes takes 8 MB; without a bound, reading a
# file that lost its newlines would take as much memory as there is file.
LONGEST = 64 << 20

START = b"00000000"  # what the first line follows

_AFTER = b'"after":"'
_BRACE = zlib.crc32(b"{")
_PARSE = json.JSONDecoder().raw_decode


class DamagedLine(ValueError):
    """A line that is not as it was written, or that was never one."""


def encode(record: Record, after: bytes | None = None) -> bytes:
    """Return the record's line, newline included.

    Args:
        record: the record.
        after: CRC of the line before; None for a line that is not linked, as of format 1.
    """
    text = json.dumps(record.to_json(), ensure_ascii=False, allow_nan=True)
    body = text.encode("utf-8", "surrogatepass")[1:]  # a path may hold what is no UTF-8
    body = body if after is None else b'%b%b",%b' % (_AFTER, after, body)
    return b'{"crc":"%08x",%b\n' % (zlib.crc32(body, _BRACE), body)


def linked(line: bytes, after: bytes) -> bytes:
    """Return a line, newline included, as it is when it follows the one with the CRC `after`."""
    rest = line[37:] if crc_before(line) is not None else line[18:]
    body = b'%b%b",%b' % (_AFTER, after, rest)
    return b'{"crc":"%08x",' % zlib.crc32(body[:-1], _BRACE) + body


def crc_of(line: bytes) -> bytes:
    """Return the CRC of a sound line, 8 hexadecimal digits."""
    return line[8:16]


def crc_before(line: bytes) -> bytes | None:
    """Return the CRC that a sound line has of the one before; None for one that is not linked."""
    return line[27:35] if line[18:27] == _AFTER else None


class Chain:
    """Looks at sound lines, one after the other.

    Attributes:
        last: CRC of the last one.
    """

    def __init__(self) -> None:
        self.last = START
        self._is_linked = False

    def follows(self, line: bytes) -> bool:
        """Say whether a line follows the last one; only then it is the last from now on."""
        if line[18:27] == _AFTER:
            if line[27:35] != self.last:
                return False
            self._is_linked = True
        elif self._is_linked:
            return False
        self.last = line[8:16]
        return True


def decode(line: bytes) -> Record:
    """Return the record on a line (without its newline).

    Raises:
        DamagedLine: the line is not one that `encode` wrote.
        ValueError: it is one, of a version that knows more kinds of records.
    """
    fault = fault_of(line)
    if fault:
        raise DamagedLine(fault)
    rest = line[37:] if line[18:27] == _AFTER else line[18:]
    entries, _ = _PARSE("{" + rest.decode("utf-8", "surrogatepass"))
    if entries.get("format", 0) > FORMAT:
        raise ValueError(f"a journal of format {entries['format']}; this version knows {FORMAT}")
    try:
        return Record.kinds[entries.pop("kind")](**entries)
    except (KeyError, TypeError):  # of another version
        return _decode_slowly(line)


def fault_of(line: bytes) -> str:
    """Return what is wrong with a line (without its newline); nothing when it is sound."""
    if not (line.startswith(b'{"crc":"') and line[16:18] == b'",' and line.endswith(b"}")):
        return "not a journal line"
    if line[8:16] != b"%08x" % zlib.crc32(line[18:], _BRACE):
        return "its checksum does not match"
    return ""


def raw_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's lines from where it stands, each with its newline if it has one.

    One that is longer than any record comes in pieces, of which only the last ends in a newline.
    """
    return iter(partial(file.readline, LONGEST), b"")


def is_sound(raw: bytes) -> bool:
    """Say whether a line with its newline is whole and as it was written."""
    return raw.endswith(b"\n") and not fault_of(raw[:-1])


def _decode_slowly(line: bytes) -> Record:
    return record_from_json(json.loads(b"{" + line[18:]))


@dataclass(frozen=True)
class End:
    """Where a journal ended when it was closed.

    Attributes:
        size: bytes of it.
        crc: of its last line.
    """

    size: int = 0
    crc: bytes = START

    @classmethod
    def load(cls, path: Path) -> "End":
        """Return what is noted of a journal: that of an empty one where nothing is."""
        try:
            entry = json.loads(beside(path, END).read_bytes())
            return cls(int(entry["size"]), str(entry["crc"]).encode())
        except (OSError, ValueError, TypeError, LookupError):
            return cls()

    def store(self, path: Path) -> None:
        """Note it; where there is no room, what was noted before still holds."""
        content = {"size": self.size, "crc": self.crc.decode()}
        with suppress(OSError), whole_file(beside(path, END)) as file:
            file.write(json.dumps(content).encode() + b"\n")

    def is_missed_at(self, size: int, crc: bytes) -> bool:
        """Say whether a journal whose lines are sound up to `size` bytes has another end there."""
        return size > self.size or (size == self.size and crc != self.crc)


def set_end_aside(path: Path) -> tuple[int, bytes]:
    """Move what stands after the last sound line to a file beside it.

    Returns:
        How many bytes that were, and the CRC of the last sound line.

    Args:
        path: a journal that this process alone writes; it may not exist.

    Raises:
        JournalError: a line is damaged and a sound one follows, or none is sound; lines do not
            follow each other; the end is not what it was; or the file beside it cannot be written.
    """
    if not path.exists():
        return 0, START
    with path.open("rb+") as file:
        sound, last = _sound_part(path, file)
        length = file.seek(0, os.SEEK_END) - sound
        if length:
            file.seek(sound)
            _keep(file, path)
            file.truncate(sound)
            os.fsync(file.fileno())
    return length, last


def _sound_part(path: Path, file: IO[bytes]) -> tuple[int, bytes]:
    noted, chain = End.load(path), Chain()
    is_open = noted.size > 0  # whether the end that was noted is still to come
    end = number = 0
    fault: DamagedLine | None = None
    has_newline = False
    for raw in raw_lines(file):
        has_newline |= raw.endswith(b"\n")
        if not is_sound(raw):
            fault = fault or DamagedLine(fault_of(raw[:-1]) or "not a journal line")
        elif fault is None:
            if not chain.follows(raw):
                raise JournalError.broken(path, number + 1, end)
            end += len(raw)
            number += 1
            if is_open and end >= noted.size:
                if noted.is_missed_at(end, chain.last):
                    raise JournalError.cut_short(path, number, end, noted.size)
                is_open = False
        else:
            raise JournalError.damaged(path, number + 1, end, fault)
    if fault is not None and number == 0 and has_newline:  # not what a crash left of one line
        raise JournalError.nothing_sound(path, fault)
    if is_open:
        raise JournalError.cut_short(path, number + 1, end, noted.size)
    return end, chain.last


def _keep(file: IO[bytes], path: Path) -> None:
    kept = beside(path, DROPPED)
    before = kept.stat().st_size if kept.exists() else 0
    try:
        with kept.open("ab") as target:
            shutil.copyfileobj(file, target)
            target.flush()
            os.fsync(target.fileno())
        sync_folder(kept.parent)
    except OSError as error:
        if kept.exists():
            os.truncate(kept, before)
        raise JournalError(
            f"{path}: a crash left a damaged end, which has to be kept in {kept.name};"
            f" {why_not_written(error, kept)}. Make room and run the same command again."
        ) from error


def repair_command(journal: Path) -> str:
    """Return the command that sets aside what is damaged in the home of a study's journal."""
    home = home_of(journal)
    more = () if home == DEFAULT_HOME else ("--home", str(home))
    return shell("doctor", "--repair", *more)


class JournalError(ValueError):
    """A journal that cannot be read or written; the message says where and what to do."""

    @classmethod
    def damaged(cls, path: Path, number: int, position: int, fault: Exception) -> "JournalError":
        """Return the error for a damaged line that a sound one follows."""
        return cls(
            f"{path}, line {number}: {fault} (at byte {position:,}). Every line before it is sound."
            f" Set aside what is damaged with `{repair_command(path)}`, which keeps a copy of the"
            " whole file."
        )

    @classmethod
    def broken(cls, path: Path, number: int, position: int) -> "JournalError":
        """Return the error for a sound line that does not follow the one before it."""
        return cls(
            f"{path}, line {number}: it does not follow the line before it (at byte {position:,}):"
            " lines are missing, doubled, inserted or in another order. Put back a copy of the"
            f" file; or find out what is left with `{repair_command(path)}`, which keeps a copy of"
            " the whole file."
        )

    @classmethod
    def cut_short(cls, path: Path, number: int, position: int, size: int) -> "JournalError":
        """Return the error for a journal that lacks what it held when it was closed."""
        return cls(
            f"{path}, line {number}: the journal is not the one that was closed last, which had"
            f" {size:,} bytes (it differs by byte {position:,}): its end is missing or damaged."
            " Put back a copy of the file; or go on without what is lost with"
            f" `{repair_command(path)}`, which keeps a copy of the whole file."
        )

    @classmethod
    def nothing_sound(cls, path: Path, fault: Exception) -> "JournalError":
        """Return the error for a journal without its first record, which gives the others sense."""
        return cls(
            f"{path}, line 1: {fault} (at byte 0), and no other line says what the study is. Put"
            " back a copy of the file; or move the study's folder away, and the study begins anew."
        )

    @classmethod
    def foreign(cls, path: Path, number: int, fault: Exception) -> "JournalError":
        """Return the error for a line that is sound, and that this version cannot read."""
        return cls(
            f"{path}, line {number}: {fault}. The line is sound, so a later version wrote it;"
            " use that one for this study."
        )
