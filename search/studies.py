"""The studies of a home, read from their journals."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from search.errors import FoldwiseError, SettingsError, near_matches
from tracking.event_log import EventLog
from tracking.files import beside as unfinished
from tracking.files import sync_folder
from tracking.history import History
from tracking.home import DROPPED, Home, StudyFolder, beside, home_of
from tracking.journal import JournalError, JournalReader, without_collections
from tracking.journal_lines import repair_command
from tracking.lock import StudyLock, StudyLocked
from tracking.records import Record, StudyRenamed, StudyStarted
from tracking.text import Notify, shell


def study_folder(home: Home, name: str) -> StudyFolder:
    """Return a study's files.

    Raises:
        SettingsError: the name cannot be a study's.
    """
    try:
        return home.study(name)
    except ValueError as error:
        raise SettingsError(str(error)) from error


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


def rename_study(home: Home, name: str, new: str, notify: Notify) -> History:
    """Give a study another name: in its journal, from which MLflow gets it, and of its folder.

    Returns:
        Its history, under the new name.

    Raises:
        SettingsError: there is no study of the name, one of the new name, or it is running.
    """
    reader, target = known_reader(home, name), study_folder(home, new)
    if target.root.exists():
        raise SettingsError(
            f"the new name must be free; {home.root} has a study called {new!r} already. Choose"
            " another, or delete that one"
        )
    try:
        with opened_log(reader, notify) as log:
            if log.history.known_study().study != new:  # else this was interrupted
                log.append(StudyRenamed(at=time.time(), study=new))
        with StudyLock(reader.folder.lock):
            reader.folder.root.rename(target.root)
            sync_folder(target.root.parent)
    except StudyLocked as error:
        raise SettingsError(_runs(name, error, "rename")) from error
    return reader.history


def delete_study(folder: StudyFolder, forget: Callable[[], None]) -> None:
    """Delete a study's folder, as a whole or not at all.

    Args:
        folder: the study's files.
        forget: called once nobody can write to it any more; if it raises, all stays.

    Raises:
        SettingsError: it is running.
        OSError: the folder cannot be moved away.
    """
    name = unquote(folder.root.name)
    try:
        with StudyLock(folder.lock):
            forget()
            # Out of the studies at once; what an interrupted deletion leaves, `doctor` finds.
            doomed = unfinished(home_of(folder.journal) / folder.root.name)
            folder.root.rename(doomed)
            sync_folder(folder.root.parent)
    except StudyLocked as error:
        raise SettingsError(_runs(name, error, "delete")) from error
    shutil.rmtree(doomed)


def _runs(name: str, error: StudyLocked, what: str) -> str:
    return f"{error}; `{shell('stop', name)}` ends it, then {what} it"


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
        raise SettingsError(no_study(home, name))
    return reader


def no_study(home: Home, name: str) -> str:
    """Return a message that no study of a home has a name, with the near ones."""
    near = near_matches(name, set(home.studies()) - {name})
    return f"no study is called {name!r} in {home.root}; {near}"


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
