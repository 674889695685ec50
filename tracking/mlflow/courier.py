"""Carries a journal's records to a sink, in order, remembering how far it came."""

import logging
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tracking.history import History
from tracking.journal import JournalReader
from tracking.mlflow import shipped
from tracking.mlflow.shipped import Acknowledged, ShippingLock
from tracking.mlflow.sink_base import Sink
from tracking.records import EpochEnded, FoldEnded, Record, StudyStarted
from tracking.secrets import without_secrets

_TRIES = 5  # of a record that is refused while the sink takes others
# Records; after a crash those since the last save are shipped again. What is told of the study as a
# whole is brought up to date as often.
_SAVE_EVERY = 500

logger = logging.getLogger(__name__)


class BusyError(RuntimeError):
    """Another process is shipping the same journal to the same address."""


class Courier:
    """Delivers what a sink has not taken yet. Used by one thread.

    Args:
        journal: the file of records; it may not exist yet.
        shipped_path: where it is remembered how far the sink came; its folder exists.
        make_sink: makes a sink; called again after every failure, so that nothing that the
            failed one believed is believed on.
        uri_key: the sink's address, as `tracking.mlflow.shipped.address_key` names it.
        notify: takes one sentence for the user.
        once_more: go back to the first record that was set aside. Those that were taken since are
            told again: what the sink shows depends on their order.

    Attributes:
        failure: why the last delivery stopped; None when all was delivered.
    """

    def __init__(
        self,
        journal: Path,
        shipped_path: Path,
        make_sink: Callable[[], Sink],
        *,
        uri_key: str,
        notify: Callable[[str], None],
        once_more: bool = False,
    ) -> None:
        self.failure: Exception | None = None
        self._journal = journal
        self._path, self._key = shipped_path, uri_key
        self._make_sink, self._notify = make_sink, notify
        self._once_more = once_more
        self._acknowledged = self._load()
        self._saved = self._acknowledged
        self._lock: ShippingLock | None = None
        self._sink: Sink | None = None
        self._reader = JournalReader(journal)
        self._history = History()
        self._queue: deque[tuple[Record, int]] = deque()  # each with the end of its line
        self._first_is_in_history = False
        self._refusals = 0  # of the first in the queue

    @property
    def offset(self) -> int:
        """How far the sink came, bytes of the journal."""
        return self._acknowledged.offset

    @property
    def refused(self) -> bool:
        """Whether the last delivery stopped at a record the sink refuses while it takes others."""
        return self._refusals > 0

    @property
    def set_aside(self) -> int:
        """Number of records that were refused and left out."""
        return self._acknowledged.set_aside

    def deliver(self) -> bool:
        """Deliver the records there are; tell whether all of them were taken.

        What the sink or the disk raises is not raised but kept in `failure`; the next call goes on
        with the same record.

        Raises:
            JournalError: the journal is damaged.
        """
        try:
            if not self._locked():
                self.failure = BusyError("another process is shipping the same study")
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
            file.seek(self._acknowledged.offset)
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))

    def close(self) -> None:
        """Let go of the sink, and let other processes ship."""
        self._drop_sink()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _locked(self) -> bool:
        if self._lock is not None:
            return True
        lock = ShippingLock(self._path, self._key)
        if not lock.acquire():
            lock.release()
            return False
        self._lock = lock
        self._acknowledged = self._load()  # another process may have shipped meanwhile
        return True

    def _load(self) -> Acknowledged:
        acknowledged = shipped.load(self._path, self._key)
        if not self._ends_a_line(acknowledged.offset):
            return Acknowledged()  # another journal; telling everything again is harmless
        if self._once_more and acknowledged.set_aside:
            return Acknowledged(offset=acknowledged.whole, whole=acknowledged.whole)
        return acknowledged

    def _ends_a_line(self, offset: int) -> bool:
        """Say whether the journal has a line that ends there; a power cut may have taken it."""
        if offset == 0:
            return True
        if not self._journal.exists():
            return False
        with self._journal.open("rb") as file:
            file.seek(offset - 1)
            return file.read(1) == b"\n"

    def _read(self) -> None:
        for record in self._reader.read():
            if self._reader.offset <= self._acknowledged.offset:
                self._history.add(record)
            else:
                self._queue.append((record, self._reader.offset))

    def _deliver_first(self) -> bool:
        record, end = self._queue[0]
        if not self._first_is_in_history:
            record = self._history.add(record)
            self._queue[0] = record, end
            self._first_is_in_history = True
        is_brought = len(self._queue) > 1 and _brings(self._queue[1][0], record)
        if not is_brought and not self._apply(record):
            return False
        self._queue.popleft()
        self._first_is_in_history = False
        self._refusals = 0
        whole = end if not self._acknowledged.set_aside else self._acknowledged.whole
        self._acknowledged = replace(self._acknowledged, offset=end, whole=whole)
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
            return self._refusals >= _TRIES and self._put_aside(record, error)
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

    def _put_aside(self, record: Record, error: Exception) -> bool:
        kind = type(record).__name__
        logger.info("%s was refused %d times", kind, self._refusals, exc_info=error)
        self._notify(
            f"The tracking server refuses a record ({kind}: {reason(error)});"
            " it is left out there, and kept in the journal;"
            " `python -m search sync` tries it again."
        )
        count = self._acknowledged.set_aside + 1
        self._acknowledged = replace(self._acknowledged, set_aside=count)
        self.failure = None
        return True

    def _drop_sink(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _save(self) -> None:
        if self._acknowledged != self._saved:
            with suppress(OSError):  # a full disk: the same is told again then
                shipped.store(self._path, self._key, self._acknowledged)
                self._saved = self._acknowledged


def reason(error: Exception) -> str:
    """Return an error's first line, short, without a password in an address.

    Where a library tells a chain of causes in one line, the last of them is returned.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    _, _, cause = lines[0].rpartition("Caused by ")
    shown = re.split(r": |\('|\(\"", cause.rstrip(")\"'"))[-1] if cause != lines[0] else lines[0]
    return without_secrets(shown)[:200]


def _brings(later: Record, earlier: Record) -> bool:
    """Tell whether showing `later` shows `earlier` too: a fold's records bring all its epochs."""
    return (
        isinstance(earlier, EpochEnded)
        and isinstance(later, EpochEnded | FoldEnded)
        and (later.trial, later.fold) == (earlier.trial, earlier.fold)
    )
