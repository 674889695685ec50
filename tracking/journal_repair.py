"""Examines a journal line by line, and mends one by setting aside what cannot be used."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tracking.history import History
from tracking.journal_errors import JournalError
from tracking.journal_lines import decode, fault_of, is_sound, raw_lines
from tracking.records import FoldEnded, ModelExported, Record, StudyStarted
from tracking.room import why_not_written

NOTHING: frozenset[tuple[int, int]] = frozenset()

_BEGIN = b'{"crc":"'
_KIND = re.compile(rb'"kind": ?"(\w+)"')
_SHOWN = 100_000  # characters of a damaged line that are written out; the copy has all of it


@dataclass(frozen=True)
class Fault:
    """A line, or a part of one, that cannot be used.

    Attributes:
        number: of the line, from 1.
        position: bytes of the file before it.
        reason: what is wrong with it.
        kind: the kind of its record as far as it can be told, else empty.
        trial: the trial it tells of, as far as that can be told; so `fold`.
        is_end: whether no sound line follows: what a crash left, which the next `run` sets aside.
        is_damaged: whether the line itself is; else it builds on what is not there.
    """

    number: int
    position: int
    reason: str
    kind: str = ""
    trial: int | None = None
    fold: int | None = None
    is_end: bool = False
    is_damaged: bool = True

    @property
    def record(self) -> str:
        """What it was a record of, as far as that can be told."""
        parts = [self.kind or "record"]
        parts += [] if self.trial is None else [f"of trial {self.trial}"]
        parts += [] if self.fold is None else [f"fold {self.fold}"]
        return " ".join(parts[:2]) + "".join(f", {part}" for part in parts[2:])


@dataclass(frozen=True)
class Examined:
    """A journal, line by line.

    Attributes:
        records: how many can be used.
        history: what these tell.
        faults: what cannot, in order.
        foreign: what a later version wrote, the first such line; empty when there is none.
    """

    records: int
    history: History
    faults: tuple[Fault, ...]
    foreign: str = ""

    @property
    def needs_repair(self) -> bool:
        """Whether the study cannot go on without one."""
        return any(not fault.is_end for fault in self.faults)


@dataclass(frozen=True)
class Repair:
    """What a repair did.

    Attributes:
        found: the journal as it was; its history is the journal's now.
        copy: of the whole file as it was.
        aside: the file with the lines that were left out.
    """

    found: Examined
    copy: Path
    aside: Path


def examine(path: Path, *, again: frozenset[tuple[int, int]] = NOTHING) -> Examined:
    """Read a journal to its end, whatever is in it; change nothing.

    Args:
        path: the journal; it exists.
        again: trials and folds whose scores are not to be used, as their predictions are lost.
    """
    history, faults, foreign = History(), list[Fault](), ""
    records = last_sound = 0
    with path.open("rb") as file:
        for number, position, raw in _pieces(file):
            sound = is_sound(raw)
            last_sound = position if sound else last_sound
            try:
                record = decode(raw[:-1]) if sound else None
            except ValueError as error:
                foreign = foreign or str(JournalError.foreign(path, number, error))
                continue
            reason = _take(record, history, again) if record else _damage(raw)
            if reason:
                faults.append(_fault(number, position, reason, record, raw))
            else:
                records += 1
    marked = [replace(fault, is_end=fault.position > last_sound) for fault in faults]
    return Examined(records, history, tuple(marked), foreign)


def repair(path: Path, *, again: frozenset[tuple[int, int]] = NOTHING) -> Repair:
    """Leave out of a journal what cannot be used; the caller holds the study's lock.

    The whole file is copied first; the lines that are left out are kept in a file of their own.

    Args:
        path: the journal; it exists.
        again: trials and folds that are to be trained again, as their predictions are lost.

    Raises:
        JournalError: it cannot be repaired, as its first record is lost or a later version wrote
            it; or there is no room. The journal is as it was.
    """
    found = examine(path, again=again)
    if found.foreign:
        raise JournalError(found.foreign)
    if found.history.study is None:
        reason = found.faults[0].reason if found.faults else "the file is empty"
        raise JournalError.nothing_sound(path, ValueError(reason))
    aside = path.with_name(f"{path.name}.damaged")
    try:
        copy = _copy(path)
        _rewrite(path, aside, {fault.position: fault for fault in found.faults})
    except OSError as error:
        raise JournalError(
            f"{path} was not repaired: {why_not_written(error, path)}. Make room for two more"
            " files of its size and try again."
        ) from error
    return Repair(found, copy, aside)


def _pieces(file: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, position and bytes of lines; a sound one glued to a torn one by itself."""
    number, position = 1, 0
    for raw in raw_lines(file):
        glued = 0 if is_sound(raw) else max(0, raw.rfind(_BEGIN, 1))
        cut = glued if glued and is_sound(raw[glued:]) else 0
        for piece in (raw[:cut], raw[cut:]) if cut else (raw,):
            yield number, position, piece
            position += len(piece)
        number += raw.endswith(b"\n")


def _take(record: Record, history: History, again: frozenset[tuple[int, int]]) -> str:
    """Add a record to the history; return why it cannot be, if so."""
    if history.study is None and not isinstance(record, StudyStarted):
        return "the study's first record is missing"
    if isinstance(record, ModelExported) and record.trial not in history.trials:
        return f"it tells of trial {record.trial}, which never began"
    if isinstance(record, FoldEnded) and (record.trial, record.fold) in again:
        return "the file of its predictions is missing"
    try:
        history.add(record)
    except KeyError:
        trial, fold = getattr(record, "trial", None), getattr(record, "fold", None)
        known = trial in history.trials and fold is not None
        return f"it tells of {f'fold {fold} of ' if known else ''}trial {trial}, which never began"
    return ""


def _damage(raw: bytes) -> str:
    if raw.endswith(b"\n"):
        return fault_of(raw[:-1])
    return "it is not whole"


def _fault(number: int, position: int, reason: str, record: Record | None, raw: bytes) -> Fault:
    if record is not None:
        trial, fold = getattr(record, "trial", None), getattr(record, "fold", None)
        return Fault(number, position, reason, type(record).__name__, trial, fold, is_damaged=False)
    kind = _KIND.search(raw)
    name = kind[1].decode() if kind and kind[1].decode() in Record.kinds else ""
    return Fault(number, position, reason, name, _number("trial", raw), _number("fold", raw))


def _number(name: str, raw: bytes) -> int | None:
    found = re.search(rb'"%s": ?(\d{1,9})\b' % name.encode(), raw)
    return int(found[1]) if found else None


def _copy(path: Path) -> Path:
    number = 1
    while True:
        suffix = ".before-repair" if number == 1 else f".before-repair-{number}"
        copy = path.with_name(path.name + suffix)
        try:
            with copy.open("xb") as target, path.open("rb") as source:
                shutil.copyfileobj(source, target)
                _to_disk(target)
        except FileExistsError:
            number += 1
            continue
        except OSError:
            copy.unlink(missing_ok=True)
            raise
        return copy


def _rewrite(path: Path, aside: Path, faults: dict[int, Fault]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with (
            path.open("rb") as source,
            temporary.open("wb") as target,
            aside.open("a", encoding="utf-8") as left_out,
        ):
            for _, position, raw in _pieces(source):
                if position in faults:
                    left_out.write(_described(faults[position], raw))
                else:
                    target.write(raw)
            _to_disk(left_out)
            _to_disk(target)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _folder_to_disk(path.parent)


def _described(fault: Fault, raw: bytes) -> str:
    text = raw[:_SHOWN].decode("utf-8", "backslashreplace")
    entry = {"line": fault.number, "position": fault.position, "reason": fault.reason, "text": text}
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _to_disk(file: IO[bytes] | IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _folder_to_disk(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    with suppress(OSError):  # not every file system can; the file is in place already
        os.fsync(opened)
    os.close(opened)
