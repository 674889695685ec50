"""What a crash, a power cut or a full disk left at a journal's end."""

import os
import shutil
from pathlib import Path
from typing import IO

from tracking.journal_errors import JournalError
from tracking.journal_lines import DamagedLine, fault_of, is_sound, raw_lines
from tracking.room import why_not_written


def set_end_aside(path: Path) -> int:
    """Move what stands after the last sound line to a file beside it; return its length.

    Args:
        path: a journal that this process alone writes; it may not exist.

    Raises:
        JournalError: a line is damaged and a sound one follows, or none is sound; or the file
            beside it cannot be written.
    """
    if not path.exists():
        return 0
    with path.open("rb+") as file:
        sound = _sound_length(path, file)
        length = file.seek(0, os.SEEK_END) - sound
        if length:
            file.seek(sound)
            _keep(file, path)
            file.truncate(sound)
            os.fsync(file.fileno())
    return length


def dropped_path(path: Path) -> Path:
    """Return where a journal's damaged ends are kept, one after another."""
    return path.with_name(f"{path.name}.dropped")


def _sound_length(path: Path, file: IO[bytes]) -> int:
    end = number = 0
    fault: DamagedLine | None = None
    has_newline = False
    for raw in raw_lines(file):
        has_newline |= raw.endswith(b"\n")
        if not is_sound(raw):
            fault = fault or DamagedLine(fault_of(raw[:-1]) or "not a journal line")
        elif fault is None:
            end += len(raw)
            number += 1
        else:
            raise JournalError.damaged(path, number + 1, end, fault)
    if fault is not None and number == 0 and has_newline:  # not what a crash left of one line
        raise JournalError.nothing_sound(path, fault)
    return end


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
