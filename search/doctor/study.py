"""One study's files: its journal, its lock, how its last session ended, its predictions."""

from collections.abc import Iterator
from pathlib import Path

from search.doctor.consistency import meaning_findings, unusable_predictions
from search.doctor.findings import NOTICE, OK, PROBLEM, Finding, Place, listed, plural
from search.doctor.home import leftover_findings
from tracking.history import History, TrialHistory
from tracking.home import StudyFolder
from tracking.journal import JournalError
from tracking.journal_end import End
from tracking.repair import Examined
from tracking.room import amount


def study_findings(
    place: Place, name: str, folder: StudyFolder, found: Examined, *, running: str | None
) -> Iterator[Finding]:
    """Look at a study's files; `found` is its journal, `running` who runs it."""
    yield from _journal(place, name, folder, found, is_running=running is not None)
    yield _lock(name, running, is_there=folder.lock.exists())
    if found.history.study is None:
        return
    if running is None:
        yield _session(place, name, found.history)
    yield from _predictions(place, name, folder, found.history)
    if not found.needs_repair:  # else much would be told that comes of the damage
        yield from meaning_findings(place, name, folder, found.history)
    for repaired in found.history.repairs:
        gaps = ", with gaps that cannot be filled" * bool(repaired.gaps)
        yield Finding("repaired", NOTICE, f"the journal was repaired{gaps}: {repaired.text}", name)
    yield from leftover_findings([] if running else folder.leftovers(), name)


def is_needed(trial: TrialHistory, fold: int) -> bool:
    """Say whether a fold's predictions are: a trial that was pruned or failed keeps its outcome."""
    return fold in trial.more_folds or trial.state in ("complete", "running")


def unfinished_text(history: History) -> str:
    """Return which trials are not over, and how far they came: `trial 3 (in fold 2)`."""
    trials = [trial for _, trial in sorted(history.trials.items()) if trial.ended is None]
    return listed([f"trial {trial.number} ({_progress(trial)})" for trial in trials])


def _progress(trial: TrialHistory) -> str:
    done = len(trial.finished_folds())
    return f"{plural(done, 'fold')} finished" if done else "no fold finished"


def _journal(
    place: Place, name: str, folder: StudyFolder, found: Examined, *, is_running: bool
) -> Iterator[Finding]:
    path = folder.journal
    faults = [fault for fault in found.faults if not (fault.is_end and is_running)]
    if found.foreign:
        yield Finding("journal", PROBLEM, found.foreign, name)
    elif found.history.study is None:
        yield _without_study(name, folder, found)
    elif found.needs_repair:
        yield _unsound(place, name, path, found)
    elif faults:
        text = (
            f"{path} ends in {amount(path.stat().st_size - faults[0].position)} that a crash left"
            f" (line {faults[0].number}); the next `run` sets them aside"
        )
        yield Finding("journal", NOTICE, text, name)
    else:
        yield Finding("journal", OK, plural(found.records, "sound record"), name)


def _unsound(place: Place, name: str, path: Path, found: Examined) -> Finding:
    worst = [fault for fault in found.faults if not fault.is_end]
    told = []
    if worst:
        first = worst[0]
        more = f", and {plural(len(worst) - 1, 'more line')}" if len(worst) > 1 else ""
        at = f"line {first.number} (at byte {first.position:,})"
        told.append(f"{at}: {first.reason} ({first.record}){more}")
    if found.gaps:
        told.append(f"{listed(found.gaps)}. What they told is lost, such as that the test set was")
        told[-1] += " opened, unless there is a copy of the file"
    text = f"{path}, {'; '.join(told)}. The study cannot go on until the journal is mended"
    return Finding("journal", PROBLEM, text, name, place.command("doctor", name, "--repair"))


def _without_study(name: str, folder: StudyFolder, found: Examined) -> Finding:
    if found.faults and not all(fault.is_end for fault in found.faults):
        error = JournalError.nothing_sound(folder.journal, ValueError(found.faults[0].reason))
        return Finding("journal", PROBLEM, f"{error} It cannot be repaired.", name)
    if End.load(folder.journal).size:
        text = (
            f"{folder.journal} holds no record, but did when it was last closed. It cannot be"
            " repaired: bring back a copy of the file, or remove the folder to begin anew"
        )
        return Finding("journal", PROBLEM, text, name)
    text = f"{folder.journal} holds no record: it ended before the study began; `run` begins anew"
    return Finding("journal", NOTICE, text, name)


def _lock(name: str, running: str | None, *, is_there: bool) -> Finding:
    if running is not None:
        return Finding("lock", NOTICE, f"it is being run by {running}", name)
    left = " (the file `lock` that is left locks nothing)" if is_there else ""
    return Finding("lock", OK, f"not being run{left}", name)


def _session(place: Place, name: str, history: History) -> Finding:
    unfinished = unfinished_text(history)
    if history.sessions and history.last_end is None:
        trials = str(history.sessions[-1].trials)
        text = (
            "its last session did not end in good order;"
            f" unfinished: {unfinished or 'no trial'}. Every finished fold is kept; go on with"
        )
        command = place.command("run", "--study", name, "--trials", trials, tracked=True)
        return Finding("session", NOTICE, text, name, command)
    if not history.last_end:
        return Finding("session", OK, "no session yet", name)
    text = f"last session: {history.last_end.reason}"
    return Finding("session", OK, text + (f"; unfinished: {unfinished}" * bool(unfinished)), name)


def _predictions(
    place: Place, name: str, folder: StudyFolder, history: History
) -> Iterator[Finding]:
    lost = unusable_predictions(folder, history)
    needed = [(n, fold) for n, fold in lost if is_needed(history.trials[n], fold)]
    others = [pair for pair in lost if pair not in needed]
    if needed:
        text = (
            f"predictions are missing or damaged: {_folds_text(needed)} ({lost[needed[0]]}). Have"
            " these folds trained again, by the next `run` after"
        )
        command = place.command("doctor", name, "--repair")
        yield Finding("predictions", PROBLEM, text, name, command)
    if others:
        text = (
            f"predictions are missing or damaged: {_folds_text(others)}. These trials were pruned"
            " or failed; what is known of them is kept"
        )
        yield Finding("predictions", NOTICE, text, name)
    if not lost:
        yield Finding("predictions", OK, "all files of predictions are whole", name)


def _folds_text(folds: list[tuple[int, int]]) -> str:
    return listed([f"trial {trial} fold {fold}" for trial, fold in folds])
