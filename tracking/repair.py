"""Examines a journal line by line, and mends one by setting aside what cannot be used."""

import json
import os
import re
import shutil
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import IO

from tracking.files import sync_folder, why_not_written
from tracking.history import History
from tracking.home import BEFORE_REPAIR, DAMAGED, END, beside
from tracking.journal_lines import (
    START,
    End,
    JournalError,
    crc_before,
    crc_of,
    decode,
    encode,
    fault_of,
    is_sound,
    linked,
    raw_lines,
)
from tracking.records import FoldEnded, JournalRepaired, ModelExported, Record, StudyStarted

NOTHING: frozenset[tuple[int, int]] = frozenset()

_BEGIN = b'{"crc":"'
_KIND = re.compile(rb'"kind": ?"(\w+)"')
_TOLD = 5  # things that were wrong, in the record of a repair
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
        is_damaged: whether the line itself is; else it builds on what is not there, or has no
            place among the others.
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
        gaps: sentences on where lines are missing or moved, other than those of `faults`.
        kept: position and length of the lines that can be used, in the order they were written.
        foreign: what a later version wrote, the first such line; empty when there is none.
    """

    records: int
    history: History
    faults: tuple[Fault, ...]
    gaps: tuple[str, ...] = ()
    kept: tuple[tuple[int, int], ...] = ()
    foreign: str = ""

    @property
    def needs_repair(self) -> bool:
        """Whether the study cannot go on without one."""
        return bool(self.gaps) or any(not fault.is_end for fault in self.faults)


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
    history, faults, kept, foreign = History(), list[Fault](), list[tuple[int, int]](), ""
    with path.open("rb") as file:
        lines, damaged = _lines(file)
        order, misplaced, gaps = _arranged(lines, {fault.number for fault in damaged})
        faults += damaged
        for line in order:
            file.seek(line.position)
            raw = file.read(line.length)
            try:
                record = decode(raw[:-1])
            except ValueError as error:
                foreign = foreign or str(JournalError.foreign(path, line.number, error))
                continue
            reason = misplaced.get(line.position) or _take(record, history, again)
            if reason:
                faults.append(_fault(line.number, line.position, reason, record, raw))
            else:
                kept.append((line.position, line.length))
    if not gaps or End.load(path).crc not in {line.crc for line in lines}:
        gaps += _missing_end(path, lines)
    last_sound = max((line.position for line in lines), default=0)
    faults.sort(key=lambda fault: fault.position)
    marked = [replace(fault, is_end=fault.position > last_sound) for fault in faults]
    return Examined(len(kept), history, tuple(marked), tuple(gaps), tuple(kept), foreign)


def repair(path: Path, *, again: frozenset[tuple[int, int]] = NOTHING) -> Repair:
    """Leave out of a journal what cannot be used; the caller holds the study's lock.

    The whole file is copied first; the lines that are left out are kept in a file of their own.
    What is left is linked anew, and a record tells of the repair.

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
    aside = beside(path, DAMAGED)
    try:
        copy = _copy(path)
        _rewrite(path, aside, found)
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


@dataclass(frozen=True)
class _Line:
    """A sound line: where it stands, its CRC, and the one it has of the line before."""

    number: int
    position: int
    length: int
    crc: bytes
    after: bytes | None


def _lines(file: IO[bytes]) -> tuple[list[_Line], list[Fault]]:
    lines, damaged = [], []
    for number, position, raw in _pieces(file):
        if is_sound(raw):
            lines.append(_Line(number, position, len(raw), crc_of(raw), crc_before(raw)))
        else:
            damaged.append(_fault(number, position, _damage(raw), None, raw))
    return lines, damaged


def _arranged(
    lines: Sequence[_Line], damaged: Container[int]
) -> tuple[list[_Line], dict[int, str], list[str]]:
    """Put lines in the order they were written, as they say.

    Args:
        lines: the sound ones, as they stand in the file.
        damaged: numbers of the others.

    Returns:
        All lines; those that have no place among them, by position, with the reason; and sentences
        on what is missing or moved.
    """
    misplaced, known = dict[int, str](), dict[tuple[bytes, bytes | None], _Line]()
    for line in lines:
        if known.setdefault((line.crc, line.after), line) is not line:
            misplaced[line.position] = "it stands there twice"
    single = [line for line in lines if line.position not in misplaced]
    chains = _chains(single)
    for chain in chains:
        inside = [
            other
            for other in chains
            if other is not chain
            and other[0].position < chain[0].position
            and chain[-1].position < max(line.position for line in other)
        ]
        if inside:
            reason = "it was inserted: the lines around it follow each other"
            misplaced |= {line.position: reason for line in chain}
    chains = [chain for chain in chains if chain[0].position not in misplaced]
    gaps = [
        f"line {later[0].number} does not follow line {earlier[-1].number}: lines are missing"
        for earlier, later in pairwise(chains)
        if not any(n in damaged for n in range(earlier[-1].number, later[0].number + 1))
    ]
    order = [line for chain in chains for line in chain]
    moved = [b.number for a, b in pairwise(order) if b.position < a.position]
    gaps += [f"line {number} stands where it does not belong" for number in moved]
    return [*order, *(line for line in lines if line.position in misplaced)], misplaced, gaps


def _chains(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Return the runs of lines that follow each other, by where they begin."""
    claimed = {line.after for line in lines}
    # Of two that claim to follow the same line, the one that is followed itself, else the first.
    likeliest_last = sorted(lines, key=lambda line: (line.crc in claimed, -line.position))
    followers = {line.after: line for line in likeliest_last if line.after is not None}
    behind = {
        one.position: other for one, other in pairwise(lines) if one.after is other.after is None
    }
    followed = {line.position for line in behind.values()}
    present = {line.crc for line in lines}
    chains, seen = [], set[int]()
    heads = [line for line in lines if line.after not in present and line.position not in followed]
    for head in (*heads, *lines):  # of a ring, as chance could make one, any line
        line: _Line | None = head
        chain = []
        while line is not None and line.position not in seen:
            seen.add(line.position)
            chain.append(line)
            line = behind.get(line.position) or followers.get(line.crc)
        if chain:
            chains.append(chain)
    return sorted(chains, key=lambda chain: chain[0].position)


def _missing_end(path: Path, lines: Sequence[_Line]) -> list[str]:
    noted = End.load(path)
    is_there = any(
        (line.position + line.length, line.crc) == (noted.size, noted.crc) for line in lines
    )
    if not noted.size or is_there:
        return []
    size = path.stat().st_size
    if size < noted.size:
        return [
            f"its end is missing: it has {size:,} of the {noted.size:,} bytes it was closed with"
        ]
    return [f"it is not as it was closed, with {noted.size:,} bytes"]


def _take(record: Record, history: History, again: frozenset[tuple[int, int]]) -> str:
    """Add a record to the history; return why it cannot be, if so."""
    if history.study is None and not isinstance(record, StudyStarted):
        return "the study's first record is missing"
    if isinstance(record, ModelExported) and record.trial not in history.trials:
        return f"it tells of trial {record.trial}, which never began"
    if isinstance(record, FoldEnded) and (record.trial, record.fold) in again:
        return "the file of its predictions is missing or damaged"
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
        copy = beside(path, BEFORE_REPAIR + ("" if number == 1 else f"-{number}"))
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
        sync_folder(path.parent)
        return copy


def _rewrite(path: Path, aside: Path, found: Examined) -> None:
    faults = {fault.position: fault for fault in found.faults}
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
            last = START
            for line in _relinked(source, found):
                target.write(line)
                last = crc_of(line)
            _to_disk(left_out)
            _to_disk(target)
        beside(path, END).unlink(missing_ok=True)  # first, lest a reader take the new file for cut
        temporary.replace(path)
        End(path.stat().st_size, last).store(path)
    finally:
        temporary.unlink(missing_ok=True)
    with suppress(OSError):  # the file is in its place already
        sync_folder(path.parent)


def _relinked(source: IO[bytes], found: Examined) -> Iterator[bytes]:
    last = START
    for position, length in found.kept:
        source.seek(position)
        line = linked(source.read(length), last)
        last = crc_of(line)
        yield line
    reasons = [f"line {fault.number}: {fault.reason}" for fault in found.faults]
    told = [*found.gaps, *reasons]
    text = "; ".join(told[:_TOLD]) + (f"; and {len(told) - _TOLD:,} more" * (len(told) > _TOLD))
    left_out, gaps = len(found.faults), len(found.gaps)
    yield encode(JournalRepaired(at=time.time(), left_out=left_out, gaps=gaps, text=text), last)


def _described(fault: Fault, raw: bytes) -> str:
    text = raw[:_SHOWN].decode("utf-8", "backslashreplace")
    entry = {"line": fault.number, "position": fault.position, "reason": fault.reason, "text": text}
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _to_disk(file: IO[bytes] | IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())
