"""Check a home and its studies: what is wrong, and what to do about it."""

from collections.abc import Iterator, Sequence

from search.doctor.home import NOTICE, OK, PROBLEM, Finding, Place, home_findings
from search.doctor.mlflow import Books, repair_study
from search.doctor.study import study_findings
from search.errors import SettingsError, near_matches
from tracking.home import StudyFolder
from tracking.lock import holder
from tracking.repair import examine
from tracking.text import Notify


def examine_home(
    place: Place, names: Sequence[str], *, repair: bool, notify: Notify
) -> Iterator[Finding]:
    """Yield findings: those of the home, then those of each study.

    Args:
        place: the home and its MLflow store.
        names: studies; empty for all.
        repair: repair what can be repaired before each study is checked.
        notify: takes notices while records are published to MLflow.

    Raises:
        SettingsError: there is no such study.
    """
    studies = _chosen(place, names)
    return _findings(place, studies, repair=repair, notify=notify)


def _findings(
    place: Place, studies: dict[str, StudyFolder], *, repair: bool, notify: Notify
) -> Iterator[Finding]:
    yield from home_findings(place)
    books = Books(place)
    for name, folder in studies.items():
        try:
            if repair:
                yield from repair_study(place, name, folder, books, notify)
            running = holder(folder.lock)
            found = examine(folder.journal)
            yield from study_findings(place, name, folder, found, running=running)
            yield from books.findings(name, folder, found, is_running=running is not None)
        except OSError as error:
            text = f"{error.filename or folder.root}: {error.strerror or error}"
            yield Finding("files", PROBLEM, text, name)
    yield from books.unreachable()


def _chosen(place: Place, names: Sequence[str]) -> dict[str, StudyFolder]:
    known = place.home.studies()
    for name in names:
        if name not in known:
            raise SettingsError(
                f"no study is called {name!r} in {place.home.root}; {near_matches(name, known)}"
            )
    return {name: known[name] for name in names} if names else known


__all__ = ["NOTICE", "OK", "PROBLEM", "Finding", "Place", "examine_home"]
