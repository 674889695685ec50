"""A journal's end: what a crash left there, and where it was when the journal was closed.

The lines of a journal vouch for each other, but for the last. So where a journal ends is noted
beside it when it is closed. One that was never closed in good order, as its process was killed, may
lose its last lines unnoticed until the next one is written.
"""

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tracking.files import whole_file
from tracking.journal_errors import JournalError
from tracking.journal_lines import START, Chain, DamagedLine, fault_of, is_sound, raw_lines
from tracking.room import why_not_written


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
            entry = json.loads(end_path(path).read_bytes())
            return cls(int(entry["size"]), str(entry["crc"]).encode())
        except (OSError, ValueError, TypeError, LookupError):
            return cls()

    def store(self, path: Path) -> None:
        """Note it; where there is no room, what was noted before still holds."""
        content = {"size": self.size, "crc": self.crc.decode()}
        with suppress(OSError), whole_file(end_path(path)) as file:
            file.write(json.dumps(content).encode() + b"\n")

    def is_missed_at(self, size: int, crc: bytes) -> bool:
        """Say whether a journal whose lines are sound up to `size` bytes has another end there."""
        return size > self.size or (size == self.size and crc != self.crc)


def end_path(path: Path) -> Path:
    """Return where it is noted how a journal ended."""
    return path.with_name(f"{path.name}.end")


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


def dropped_path(path: Path) -> Path:
    """Return where a journal's damaged ends are kept, one after another."""
    return path.with_name(f"{path.name}.dropped")


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
    kept = dropped_path(path)
    before = kept.stat().st_size if kept.exists() else 0
    try:
        with kept.open("ab") as target:
            shutil.copyfileobj(file, target)
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        if kept.exists():
            os.truncate(kept, before)
        raise JournalError(
            f"{path}: a crash left a damaged end, which has to be kept in {kept.name};"
            f" {why_not_written(error, kept)}. Make room and run the same command again."
        ) from error
