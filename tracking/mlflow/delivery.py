"""Brings a journal's records to a sink, in order, and notes beside the journal how far it came."""

import fcntl
import hashlib
import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tracking.files import whole_file
from tracking.history import History
from tracking.journal import JournalReader
from tracking.mlflow.calls import reason
from tracking.records import EpochEnded, FoldEnded, FoldPaused, ModelExported, Record, StudyStarted
from tracking.text import shell

_TRIES = 5  # of a record that is refused while the sink takes others
# Records; after a crash those since the last save are published again. What is told of the study as
# a whole is brought up to date as often.
_SAVE_EVERY = 500
_BYTES_A_SECOND = 100_000  # of a model's files, by a slow line
# As what records are shown: 2 since runs have names that tell their study, and durations without
# waiting. What an earlier version has shown is shown again, so that it is brought up to date.
_SHOWN_AS = 2

logger = logging.getLogger(__name__)


class BusyError(RuntimeError):
    """Another process is publishing the same journal to the same address."""


class Sink(Protocol):
    """Takes a study's records, in order, to a place where people look at them.

    Every record may be applied more than once, also by another process after a crash; the effect
    is that of applying it once. `apply` raises whatever the place raises when it cannot be
    reached; the caller tries again later with the same record.
    """

    def apply(self, record: Record, history: History, *, more: bool = False) -> None:
        """Show `record`; `history` already contains it and everything before it.

        Where `more` records follow at once, what is told of the study as a whole may be left to
        the last of them.
        """

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True)
class Offset:
    """How far the store at one address has come with a journal.

    Attributes:
        position: bytes of the journal, always the end of a whole line.
        refused: records among them that the store refused and that were left out.
        whole: bytes up to the first of these; `position` where there are none.
    """

    position: int = 0
    refused: int = 0
    whole: int = 0

    @classmethod
    def load(cls, path: Path, key: str) -> "Offset":
        """Return that of the address of `key`; the start when the file is absent or damaged.

        It is the start, too, where a version wrote it that showed records otherwise. Starting over
        is harmless: every record may be applied twice.
        """
        try:
            entry = _entries(path)[key]
            position, refused = int(entry["offset"]), int(entry["set_aside"])
            if int(entry.get("shown_as", 1)) < _SHOWN_AS:
                return cls()
            return cls(position, refused, int(entry.get("whole", 0 if refused else position)))
        except (TypeError, KeyError, ValueError):
            return cls()

    def store(self, path: Path, key: str) -> None:
        """Note it for the address of `key`, leaving other addresses' entries."""
        entry = {"offset": self.position, "set_aside": self.refused, "whole": self.whole}
        entries = _entries(path) | {key: entry | {"shown_as": _SHOWN_AS}}
        with whole_file(path, to_disk=False) as file:
            file.write(json.dumps(entries, indent=1).encode())


def address_key(tracking_uri: str) -> str:
    """Return a name for the address that does not tell it: addresses may hold passwords."""
    return hashlib.sha256(tracking_uri.encode()).hexdigest()[:16]


def addresses(shipped: Path) -> frozenset[str]:
    """Return the keys of all addresses that have something of a journal, by its `shipped.json`."""
    return frozenset(_entries(shipped))


class PublisherLock:
    """Held by the one process that publishes a journal to an address.

    Two at once would both find a run missing and both make it.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._file = path.with_name(f"{path.name}.{key}.lock").open("a")

    def acquire(self) -> bool:
        """Take the lock, or keep it; tell whether this process holds it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Give the lock back, for good."""
        if not self._file.closed:
            fcntl.flock(self._file, fcntl.LOCK_UN)  # a forked child would keep it by its copy
            self._file.close()


class Delivery:
    """Delivers what a sink has not taken yet. Used by one thread.

    Args:
        journal: the file of records; it may not exist yet.
        offset_path: where it is remembered how far the sink came; its folder exists.
        make_sink: makes a sink; called again after every failure, so that nothing that the
            failed one believed is believed on.
        key: the sink's address, as `address_key` names it.
        notify: takes one sentence for the user.
        once_more: go back to the first record that was refused. Those that were taken since are
            applied again: what the sink shows depends on their order.
        record_seconds: how long a record may take, with all its tries, until it is overdue; a
            model that is uploaded may take longer, by its size.

    Attributes:
        failure: why the last delivery stopped; None when all was delivered.
        overdue_at: by the monotonic clock, when whoever waits for the record on its way should
            give up. Any thread may look.
    """

    def __init__(
        self,
        journal: Path,
        offset_path: Path,
        make_sink: Callable[[], Sink],
        *,
        key: str,
        notify: Callable[[str], None],
        once_more: bool = False,
        record_seconds: float = math.inf,
    ) -> None:
        self.failure: Exception | None = None
        self.overdue_at = math.inf
        self._record_seconds = record_seconds
        self._journal = journal
        self._path, self._key = offset_path, key
        self._make_sink, self._notify = make_sink, notify
        self._once_more = once_more
        self._offset = self._load()
        self._saved = self._offset
        self._lock: PublisherLock | None = None
        self._sink: Sink | None = None
        self._reader = JournalReader(journal)
        self._history = History()
        self._queue: deque[tuple[Record, int]] = deque()  # each with the end of its line
        self._first_is_in_history = False
        self._refusals = 0  # of the first in the queue

    @property
    def position(self) -> int:
        """How far the sink came, bytes of the journal."""
        return self._offset.position

    @property
    def is_refused(self) -> bool:
        """Whether the last delivery stopped at a record the sink refuses while it takes others."""
        return self._refusals > 0

    @property
    def refused(self) -> int:
        """Number of records that were refused and left out."""
        return self._offset.refused

    def deliver(self) -> bool:
        """Deliver the records there are; tell whether all of them were taken.

        What the sink or the disk raises is not raised but kept in `failure`; the next call goes on
        with the same record.

        Raises:
            JournalError: the journal is damaged.
        """
        try:
            if not self._locked():
                self.failure = BusyError("another process is publishing the same study")
                return False
            self.failure = None
            self._read()
        except OSError as error:
            self.failure = error
            return False
        try:
            while self._queue:
                if not self._deliver_first():
                    return False
            return True
        finally:
            self._save()

    def waiting(self) -> int:
        """Return how many records the sink has not taken."""
        if not self._journal.exists():
            return 0
        with self._journal.open("rb") as file:
            file.seek(self._offset.position)
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))

    def close(self) -> None:
        """Let go of the sink, and let other processes publish."""
        self._drop_sink()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _locked(self) -> bool:
        if self._lock is not None:
            return True
        lock = PublisherLock(self._path, self._key)
        if not lock.acquire():
            lock.release()
            return False
        self._lock = lock
        self._offset = self._load()  # another process may have published meanwhile
        return True

    def _load(self) -> Offset:
        offset = Offset.load(self._path, self._key)
        if not self._ends_a_line(offset.position):
            return Offset()  # another journal; applying everything again is harmless
        if self._once_more and offset.refused:
            return Offset(position=offset.whole, whole=offset.whole)
        return offset

    def _ends_a_line(self, position: int) -> bool:
        """Say whether the journal has a line that ends there; a power cut may have taken it."""
        if position == 0:
            return True
        if not self._journal.exists():
            return False
        with self._journal.open("rb") as file:
            file.seek(position - 1)
            return file.read(1) == b"\n"

    def _read(self) -> None:
        for record in self._reader.read():
            if self._reader.offset <= self._offset.position:
                self._history.add(record)
            else:
                self._queue.append((record, self._reader.offset))

    def _deliver_first(self) -> bool:
        record, end = self._queue[0]
        if not self._first_is_in_history:
            record = self._history.add(record)
            self._queue[0] = record, end
            self._first_is_in_history = True
            self.overdue_at = time.monotonic() + self._seconds_for(record)
        is_brought = len(self._queue) > 1 and _brings(self._queue[1][0], record)
        if not is_brought and not self._apply(record):
            return False
        self._queue.popleft()
        self._first_is_in_history = False
        self._refusals = 0
        whole = end if not self._offset.refused else self._offset.whole
        self._offset = replace(self._offset, position=end, whole=whole)
        if len(self._queue) % _SAVE_EVERY == 0:
            self._save()
        return True

    def _apply(self, record: Record) -> bool:
        try:
            self._sink = self._sink or self._make_sink()
            self._sink.apply(record, self._history, more=not self._is_last())
        except Exception as error:  # noqa: BLE001 - a sink raises whatever its libraries raise
            self._drop_sink()
            self.failure = error
            if not self._takes_others(record):
                return False
            self._refusals += 1
            return self._refusals >= _TRIES and self._leave_out(record, error)
        return True

    def _is_last(self) -> bool:
        """Tell whether the first in the queue is the last before it is noted what was taken."""
        return (len(self._queue) - 1) % _SAVE_EVERY == 0

    def _takes_others(self, record: Record) -> bool:
        """Tell whether the place works, by showing it the study's first record once more."""
        study = self._history.study
        if study is None or isinstance(record, StudyStarted):
            return False
        try:
            self._sink = self._make_sink()
            self._sink.apply(study, self._history)
        except Exception:  # noqa: BLE001 - the same
            self._drop_sink()
            return False
        return True

    def _leave_out(self, record: Record, error: Exception) -> bool:
        kind = type(record).__name__
        logger.info("%s was refused %d times", kind, self._refusals, exc_info=error)
        self._notify(
            f"The tracking server refuses a record ({kind}: {reason(error)});"
            " it is left out there, and kept in the journal;"
            f" `{shell('sync')}` tries it again."
        )
        self._offset = replace(self._offset, refused=self._offset.refused + 1)
        self.failure = None
        return True

    def _seconds_for(self, record: Record) -> float:
        """Return how long a record may take; a model's files by a slow line."""
        size = 0
        if isinstance(record, ModelExported):
            with suppress(OSError):
                files = self._journal.parent.joinpath(record.folder).rglob("*")
                size = sum(file.stat().st_size for file in files if file.is_file())
        return self._record_seconds + size / _BYTES_A_SECOND

    def _drop_sink(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _save(self) -> None:
        if self._offset != self._saved:
            with suppress(OSError):  # a full disk: the same is published again then
                self._offset.store(self._path, self._key)
                self._saved = self._offset


def _brings(later: Record, earlier: Record) -> bool:
    """Tell whether showing `later` shows `earlier` too: a fold's records bring all its epochs."""
    return (
        isinstance(earlier, EpochEnded)
        and isinstance(later, EpochEnded | FoldPaused | FoldEnded)
        and (later.trial, later.fold) == (earlier.trial, earlier.fold)
    )


def _entries(path: Path) -> dict[str, dict[str, int]]:
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
