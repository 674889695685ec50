"""The studies of a home, read from their journals."""

from collections.abc import Iterator
from contextlib import contextmanager

from search.errors import FoldwiseError, SettingsError, near_matches
from tracking.event_log import EventLog
from tracking.history import History
from tracking.home import DROPPED, Home, StudyFolder, beside
from tracking.journal import JournalError, JournalReader, without_collections
from tracking.journal_lines import repair_command
from tracking.records import Record, StudyStarted
from tracking.text import Notify


def study_folder(home: Home, name: str) -> StudyFolder:
    """Return a study's files.

    Raises:
        SettingsError: the name cannot be a study's.
    """
    try:
        return home.study(name)
    except ValueError as error:
        raise SettingsError(f"`--study`: {error}") from error


class StudyReader:
    """Reads a study's journal; each further read continues where the last one ended.

    Attributes:
        folder: the study's files.
        history: the records read so far. A process that writes the journal adds its own records
            and does not read again.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self.folder = folder
        self.history = History()
        self._journal = JournalReader(folder.journal)

    def read(self) -> History:
        """Read new records; a missing journal has none.

        Raises:
            FoldwiseError: the journal is damaged.
        """
        with without_collections():
            for _ in self.news():
                pass
        return self.history

    def check_same(self) -> None:
        """Check that the journal still belongs to the study that was read; needs its lock.

        Raises:
            SettingsError: meanwhile another process started a study of that name, or removed this
                one.
        """
        known = self.history.study
        try:
            first = next(JournalReader(self.folder.journal).read(), None)
        except JournalError as error:
            raise FoldwiseError(str(error)) from error
        there = first if isinstance(first, StudyStarted) else None
        if (known.id if known else None) == (there.id if there else None):
            return
        name = self.folder.root.name
        if there is None:
            raise SettingsError(f"study {name!r} was removed while it was being opened")
        raise SettingsError(
            f"another process started a study called {name!r} while this one was being opened"
            f" (space {there.space}, dataset {there.dataset['name']}). Repeat the command to"
            " continue that one, or name another study."
        )

    def news(self) -> Iterator[Record]:
        """Yield new records, each after adding it to `history`.

        Raises:
            FoldwiseError: the journal is damaged.
        """
        try:
            for record in self._journal.read():
                yield self.history.add(record)
        except JournalError as error:
            raise FoldwiseError(str(error)) from error
        except KeyError as error:
            raise FoldwiseError(
                f"{self.folder.journal} lacks records: one refers to trial or fold {error}, which"
                " never started. Remove the unusable records with"
                f" `{repair_command(self.folder.journal)}`; it keeps a copy of the file."
            ) from error


@contextmanager
def opened_log(reader: StudyReader, notify: Notify) -> Iterator[EventLog]:
    """Open the log of a study that was read, to write to it; read what has come since.

    Args:
        reader: of the study, read up to some point.
        notify: takes what is said where a crash left a damaged end.

    Raises:
        StudyLocked: another process writes to it.
        SettingsError: it is another study's by now.
        FoldwiseError: the journal is damaged.
        OSError: the folder cannot be written.
    """

    def read() -> History:
        reader.check_same()
        return reader.read()

    folder = reader.folder
    with EventLog.open(folder, read) as log:
        if log.dropped:
            notify(
                f"{folder.journal}: a damaged end, as a crash leaves it, was set aside"
                f" ({log.dropped:,} bytes, in {beside(folder.journal, DROPPED).name})"
            )
        yield log


def study_history(folder: StudyFolder) -> History:
    """Return a study's history; it is empty without a journal.

    Raises:
        FoldwiseError: the journal is damaged.
    """
    return StudyReader(folder).read()


def known_study(home: Home, name: str) -> tuple[StudyFolder, History]:
    """Return an existing study's files and history.

    Raises:
        SettingsError: there is no such study; with the near matches.
    """
    reader = known_reader(home, name)
    return reader.folder, reader.history


def known_reader(home: Home, name: str) -> StudyReader:
    """Return an existing study's reader, which has read all records so far.

    Raises:
        SettingsError: there is no such study; with the near matches.
    """
    reader = StudyReader(study_folder(home, name))
    if reader.read().study is None:
        raise SettingsError(
            f"no study is called {name!r} in {home.root};"
            f" {near_matches(name, set(home.studies()) - {name})}"
        )
    return reader


def readable_studies(home: Home, notify: Notify) -> dict[str, History]:
    """Return the histories of a home's studies by name; a notice names each unreadable one."""
    found = {}
    for name, folder in home.studies().items():
        try:
            history = study_history(folder)
        except FoldwiseError as error:
            notify(f"study {name} is left out: {error}")
            continue
        if history.study is not None:  # empty if a crash came before the first record
            found[name] = history
    return found
