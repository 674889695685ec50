"""Mends what `doctor` found: a journal's damage, and an MLflow that lacks what it was told."""

from search.doctor.consistency import unusable_predictions
from search.doctor.findings import NOTICE, PROBLEM, Finding, Place, listed, plural
from search.doctor.mlflow import Books
from search.doctor.study import is_needed, unfinished_text
from search.studies import Notify
from tracking.history import History
from tracking.home import StudyFolder
from tracking.journal import JournalError
from tracking.lock import StudyLock, StudyLocked
from tracking.repair import Repair, examine, repair


def repair_study(
    place: Place, name: str, folder: StudyFolder, books: Books, notify: Notify
) -> list[Finding]:
    """Repair one study as far as it needs it; return what was done, or why not.

    Args:
        place: the home and its MLflow.
        name: the study's.
        folder: its files.
        books: compares it with MLflow.
        notify: takes what is said while MLflow is told.
    """
    try:
        with StudyLock(folder.lock):
            return [*_journal(name, folder), *_books(place, name, folder, books, notify)]
    except StudyLocked as error:
        return [Finding("repair", PROBLEM, f"not repaired: {error}; wait for it to end", name)]
    except JournalError as error:
        return [Finding("repair", PROBLEM, f"not repaired: {error}", name)]


def _journal(name: str, folder: StudyFolder) -> list[Finding]:
    found = examine(folder.journal)
    again = _to_train_again(folder, found.history)
    if found.history.study is None and not found.needs_repair:
        return []  # nothing was ever recorded
    if not found.faults and not found.gaps and not again:
        return []
    done = repair(folder.journal, again=again)
    folder.shipped.unlink(missing_ok=True)  # its numbers are of the file as it was
    return [Finding("repair", NOTICE, _told(done), name)]


def _to_train_again(folder: StudyFolder, history: History) -> frozenset[tuple[int, int]]:
    if history.study is None:
        return frozenset()
    lost = unusable_predictions(folder, history)
    return frozenset((n, fold) for n, fold in lost if is_needed(history.trials[n], fold))


def _told(done: Repair) -> str:
    found = done.found
    damaged = [f for f in found.faults if f.is_damaged] or found.faults
    lines = [f"line {f.number} ({f.record}: {f.reason})" for f in damaged]
    others = len(found.faults) - len(damaged)
    building = f", with {plural(others, 'record')} that built on what is lost" if others else ""
    gaps = f" What is missing cannot be brought back: {listed(found.gaps)}." * bool(found.gaps)
    history = found.history
    vanished = sorted(_vanished(done))
    again = [*([f"trial {listed(vanished)}, from the start"] if vanished else [])]
    again += [unfinished] if (unfinished := unfinished_text(history)) else []
    return (
        f"repaired: {plural(len(found.faults), 'record')} lost, {found.records:,} kept."
        f" Left out: {listed(lines) or 'nothing'}{building}.{gaps}"
        f" To be trained or finished by the next `run`: {'; '.join(again) or 'nothing'}."
        f" The whole file as it was: {done.copy.name}; the lines left out: {done.aside.name}."
        " The next `run` or `sync` tells MLflow everything again"
    )


def _vanished(done: Repair) -> set[int]:
    known = done.found.history.trials
    named = {fault.trial for fault in done.found.faults if fault.trial is not None}
    gaps = set(range(max(known, default=-1) + 1))
    # A number read off a damaged line is a guess; only the next one can be of a trial lost at the
    # end.
    return {n for n in named | gaps if n not in known and n <= max(known, default=-1) + 1}


def _books(
    place: Place, name: str, folder: StudyFolder, books: Books, notify: Notify
) -> list[Finding]:
    found = examine(folder.journal)
    findings = books.findings(name, folder, found, is_running=False)
    if all(finding.level != PROBLEM for finding in findings):
        return []
    folder.shipped.unlink(missing_ok=True)
    waiting = place.tracker.sync(folder, notify)
    if waiting:
        text = f"MLflow did not take {plural(waiting, 'record')} when it was told all again"
        command = place.command("sync", tracked=True)
        return [Finding("repair", PROBLEM, text, name, command)]
    return [Finding("repair", NOTICE, "MLflow was told everything again", name)]
