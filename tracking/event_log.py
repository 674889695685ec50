"""The one writer of a study's records.

`run`, `export`, `evaluate` and `report` write through it, in one order: a record is given its time,
is written and made durable, is known to the history, and only then is acted upon. A repair, which
puts another file in the journal's place, writes what it did as the last line of that file.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tracking.history import History
from tracking.home import StudyFolder
from tracking.journal import Journal
from tracking.lock import StudyLock
from tracking.records import Record

Observer = Callable[[Record], None]


class EventLog:
    """A study's records, and what they tell.

    Args:
        history: what happened so far; kept current.
        journal: where records are made durable; None keeps them in memory alone.
        observers: called with each record once the history has it, in this order.

    Attributes:
        history: the same.
    """

    def __init__(
        self, history: History, journal: Journal | None = None, *observers: Observer
    ) -> None:
        self.history = history
        self._journal = journal
        self._observers = list(observers)

    @classmethod
    @contextmanager
    def open(cls, folder: StudyFolder, read: Callable[[], History]) -> Iterator["EventLog"]:
        """Open a study's log for this process alone: its lock, its journal and its history.

        Args:
            folder: the study's files; made if absent.
            read: called with the lock held, before anything is written; checks the journal and
                returns what it tells.

        Raises:
            StudyLocked: another process has it open.
            JournalError: the journal cannot be written to.
            OSError: nor can the folder.
        """
        with StudyLock(folder.lock):
            history = read()
            with Journal(folder.journal) as journal:
                yield cls(history, journal)

    @property
    def dropped(self) -> int:
        """Bytes of a damaged end, as a crash leaves it, that were set aside on opening."""
        return self._journal.dropped if self._journal else 0

    def append(self, record: Record) -> None:
        """Take in the next record.

        Raises:
            JournalError: it could not be written; nothing has changed then.
            KeyError: it tells of a trial or a fold that never began; the same.
        """
        record = self.history.stamped(record)
        if self._journal is not None:
            self._journal.append(record)
        self.history.add(record)
        for observe in self._observers:
            observe(record)

    def observe(self, observer: Observer) -> None:
        """Let an observer have every record from now on."""
        self._observers.append(observer)
