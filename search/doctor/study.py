"""Checks of one study's files: journal, lock, folds, predictions and scores."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean

import numpy as np

from search.data.folds import Folds
from search.doctor.home import NOTICE, OK, PROBLEM, Finding, Place, leftover_findings
from search.errors import DataError
from search.tasks import Predictions, Scored, Task, task_of_study
from search.tasks.classification import ClassPredictions, macro_f1
from search.tasks.multi_label import LabelPredictions
from search.tasks.multi_output import SeveralPredictions
from search.tasks.regression import NumberPredictions
from tracking.files import amount
from tracking.history import History, TrialHistory
from tracking.home import StudyFolder
from tracking.journal import JournalError
from tracking.journal_lines import End
from tracking.records import FoldEnded
from tracking.repair import Examined
from tracking.states import TrialState
from tracking.text import counted, listed

TOLERANCE = 1e-9  # tolerance of scores that are recomputed in another order


def meaning_findings(
    place: Place, name: str, folder: StudyFolder, history: History
) -> Iterator[Finding]:
    """Check that a study's records, folds and predictions agree."""
    found = [
        *_folds_file(name, folder, history),
        *_open_again(place, name, history),
        *_scores(name, history),
        *_of_predictions(name, folder, history),
        *_curves(name, history),
        *_exports(name, history),
    ]
    yield from found
    if not found:
        yield Finding("scores", OK, "scores, folds and predictions agree", name)


def unusable_predictions(folder: StudyFolder, history: History) -> dict[tuple[int, int], str]:
    """Return the finished folds with missing, damaged or wrong predictions.

    Keys are (trial, fold); values are reasons.
    """
    validation, predictions = _validation_parts(folder, history), _task(history).predictions
    unusable = {}
    for number, trial in sorted(history.trials.items()):
        for fold, ended in (trial.finished_folds() | trial.finished_confirmation_folds()).items():
            if not ended.predictions:
                continue
            try:
                found = predictions.load(folder.root / ended.predictions)
            except DataError as error:
                unusable[number, fold] = str(error)
                continue
            wanted = validation.get(fold, len(found.targets))
            if len(found.targets) != wanted:
                text = f"{len(found.targets):,} predictions for the fold's {wanted:,} samples"
                unusable[number, fold] = f"{folder.root / ended.predictions} has {text}"
    return unusable


def _task(history: History) -> Task:
    study = history.known_study()
    return task_of_study(study)


def _validation_parts(folder: StudyFolder, history: History) -> dict[int, int]:
    """Return the number of validation samples of each fold, as far as it is known."""
    sizes: list[int] = []
    for path, digest in (
        (folder.folds, history.known_study().folds_digest),
        (folder.confirmation_folds, None),
    ):
        try:
            sizes += map(len, Folds.load(path, digest=digest).validation)
        except DataError:
            break
    return dict(enumerate(sizes, start=1))


def _folds_file(name: str, folder: StudyFolder, history: History) -> Iterator[Finding]:
    if not folder.folds.exists():
        return  # the next `run` makes them again
    try:
        Folds.load(folder.folds, digest=history.known_study().folds_digest)
    except DataError:
        text = (
            f"{folder.folds} does not have the study's original folds; the next `run` makes"
            " them again from the data and the seed"
        )
        yield Finding("folds", PROBLEM, text, name)


def _open_again(place: Place, name: str, history: History) -> Iterator[Finding]:
    lost = [trial for _, trial in sorted(history.trials.items()) if trial.reopened]
    if not lost:
        return
    folds = range(1, history.known_study().folds + 1)
    lacking = [
        f"trial {trial.number} lacks fold"
        f" {listed([fold for fold in folds if fold not in trial.finished_folds()])}"
        for trial in lost
    ]
    trials = str(history.sessions[-1].trials if history.sessions else len(history.trials))
    yield Finding(
        "folds",
        NOTICE if history.repairs else PROBLEM,  # already reported by a repair
        f"complete trials lack folds in the journal: {listed(lacking)}. They no longer count as"
        " complete; to train the missing folds again:",
        name,
        place.command("run", "--study", name, "--trials", trials, tracked=True),
    )


def _scores(name: str, history: History) -> Iterator[Finding]:
    for trial in history.completed():
        wrong = _wrong_scores(trial, history)
        if wrong:
            text = (
                f"trial {trial.number}: {', '.join(wrong)}. Restore a copy of the journal, or do"
                " not use this trial's scores"
            )
            yield Finding("scores", PROBLEM, text, name)


def _wrong_scores(trial: TrialHistory, history: History) -> list[str]:
    scores = dict(trial.ended.scores) if trial.ended else {}
    wrong = _no_means(scores, trial.finished_folds())
    first = history.objectives[0].name
    if first in scores and not _is_close(trial.value, scores[first]):
        wrong.append(f"its value is {trial.value}, its {first} {scores[first]}")
    if trial.confirmed:
        known = {n: v for n, v in trial.confirmed.scores.items() if n != "macro_f1"}
        wrong += _no_means(known, trial.finished_confirmation_folds())
    return wrong


def _no_means(scores: dict[str, float], folds: dict[int, FoldEnded]) -> list[str]:
    """Return which scores are no means over the folds; `macro_f1` of classes is none."""
    wrong = []
    for score, known in scores.items():
        name = score.removeprefix("cv_")
        parts = [fold.metric(name) for fold in folds.values()]
        values = [value for value in parts if value is not None]
        if score == "macro_f1" or not values or len(values) < len(parts):
            continue
        if not _is_close(known, fmean(values)):
            wrong.append(f"its {score} is {known}, the mean of its folds {fmean(values)}")
    return wrong


def _is_close(one: float | None, other: float) -> bool:
    if one is None:
        return False
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (
        math.isnan(one) and math.isnan(other)
    )


def _of_predictions(name: str, folder: StudyFolder, history: History) -> Iterator[Finding]:
    task = _task(history)
    for trial in history.completed():
        try:
            parts = {
                fold: task.predictions.load(folder.root / ended.predictions)
                for fold, ended in trial.finished_folds().items()
                if ended.predictions
            }
        except DataError:
            continue  # reported as unusable
        if parts and task.names:
            is_weighted = bool(history.known_study().dataset.get("weighted"))
            wrong = _contradictions(trial, parts, task, is_weighted=is_weighted)
            if wrong:
                text = f"trial {trial.number} and its predictions differ: {', '.join(wrong)}"
                text += ". Restore a copy of the files, or do not use this trial's scores"
                yield Finding("predictions", PROBLEM, text, name)


def _contradictions(
    trial: TrialHistory, parts: Mapping[int, Predictions], task: Task, *, is_weighted: bool
) -> list[str]:
    """Return what a trial's records tell otherwise than its predictions.

    Scores of weighted samples are not compared: the weights are the dataset's.
    """
    for part in parts.values():
        try:
            task.check(part.targets, "its targets")
        except DataError as error:
            return [str(error)]
    joined = next(iter(parts.values())).joined(list(parts.values()))
    known = trial.ended.confusion if trial.ended else []
    try:
        is_same = not known or known == task.confusion(joined)
    except ValueError:  # a class beyond the last was predicted
        is_same = False
    wrong = [] if is_same else ["the confusion matrix differs"]
    if wrong or is_weighted:
        return wrong
    folds = trial.finished_folds()
    for fold, part in parts.items():
        for name, value in _scored(part, task).items():
            told = folds[fold].metric(name)
            if told is not None and not _is_close(told, value):
                text = f"fold {fold} has {name} {told} in the journal, {value} from its predictions"
                wrong.append(text)
    known_f1 = trial.score("macro_f1")
    if known_f1 is not None and isinstance(joined, ClassPredictions):
        f1 = macro_f1(joined, task.units)
        occurring = len(np.union1d(joined.labels, joined.predicted))
        earlier = f1 * occurring / task.units  # versions that counted absent classes as 0
        if not _is_close(known_f1, f1) and not _is_close(known_f1, earlier):
            wrong.append(f"macro_f1 is {known_f1}, from its predictions {f1}")
    return wrong


def _scored(predictions: Predictions, task: Task) -> dict[str, float]:
    """Return what can be scored of predictions as they are kept, by the metric's name."""
    match predictions:
        case ClassPredictions():
            return {"accuracy": float(predictions.right.mean())}
        case LabelPredictions():
            values = predictions.probabilities
            if predictions.thresholds is not None:  # all of the task's own are of decisions
                values = predictions.predicted
        case NumberPredictions():
            values = predictions.predicted
        case SeveralPredictions():
            values = predictions.values
        case _:
            return {}
    metrics = {name: task.metric(name) for name in task.scored}
    scored = Scored(values, predictions.targets)
    return {n: m.of(scored) for n, m in metrics.items() if m is not None}


def _curves(name: str, history: History) -> Iterator[Finding]:
    lacking = [
        f"trial {number} fold {fold}"
        for number, trial in sorted(history.trials.items())
        for fold, one in sorted((trial.folds | trial.confirmation_folds).items())
        if one.ended and one.ended.epochs and set(one.epochs) != set(range(1, one.ended.epochs + 1))
    ]
    if lacking:
        text = (
            f"epochs are missing in the curves of {listed(lacking)}; their scores are not affected"
        )
        yield Finding("epochs", NOTICE, text, name)


def _exports(name: str, history: History) -> Iterator[Finding]:
    known = {export.model_sha256 for export in history.exports}
    tested = {opening.model_sha256 for opening in history.test_openings}
    for opening in history.test_openings:
        if opening.model_sha256 not in known:
            text = (
                f"the test set was opened for a model ({opening.model_sha256[:12]}) whose export is"
                " not recorded; restore a copy of the journal, or export again"
            )
            yield Finding("exports", PROBLEM, text, name)
    for export in history.exports:
        if export.model_sha256 not in tested:
            text = (
                f"the model in {export.folder} was exported, but no opening of the test set is"
                " recorded for it: either the export broke off, or the record is lost"
            )
            yield Finding("exports", NOTICE, text, name)


def study_findings(
    place: Place, name: str, folder: StudyFolder, found: Examined, *, running: str | None
) -> Iterator[Finding]:
    """Check a study's files; `found` is its journal, `running` the process that runs it."""
    yield from _journal(place, name, folder, found, is_running=running is not None)
    yield _lock(name, running, is_there=folder.lock.exists())
    if found.history.study is None:
        return
    if running is None:
        yield _session(place, name, found.history)
    yield from _predictions(place, name, folder, found.history)
    if not found.needs_repair:  # otherwise the damage would cause many more findings
        yield from meaning_findings(place, name, folder, found.history)
    for repaired in found.history.repairs:
        gaps = ", with gaps that cannot be filled" * bool(repaired.gaps)
        yield Finding("repaired", NOTICE, f"the journal was repaired{gaps}: {repaired.text}", name)
    yield from leftover_findings([] if running else folder.leftovers(), name)


def is_needed(trial: TrialHistory, fold: int) -> bool:
    """Return whether a fold's predictions are needed: not for a pruned or failed trial."""
    return fold in trial.confirmation_folds or trial.state not in (
        TrialState.PRUNED,
        TrialState.FAILED,
    )


def unfinished_text(history: History) -> str:
    """Return the unfinished trials and their progress: `trial 3 (2 folds finished)`."""
    trials = [trial for _, trial in sorted(history.trials.items()) if trial.ended is None]
    return listed([f"trial {trial.number} ({_progress(trial)})" for trial in trials])


def _progress(trial: TrialHistory) -> str:
    done = len(trial.finished_folds())
    return f"{counted(done, 'fold')} finished" if done else "no fold finished"


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
            f"{path} ends in {amount(path.stat().st_size - faults[0].position)} left by a crash"
            f" (line {faults[0].number}); the next `run` moves them to a file of their own"
        )
        yield Finding("journal", NOTICE, text, name)
    else:
        yield Finding("journal", OK, counted(found.records, "sound record"), name)


def _unsound(place: Place, name: str, path: Path, found: Examined) -> Finding:
    worst = [fault for fault in found.faults if not fault.is_end]
    phrases = []
    if worst:
        first = worst[0]
        more = f", and {counted(len(worst) - 1, 'more line')}" if len(worst) > 1 else ""
        at = f"line {first.number} (at byte {first.position:,})"
        phrases.append(f"{at}: {first.reason} ({first.record}){more}")
    if found.gaps:
        phrases.append(f"{listed(found.gaps)}. What they recorded is lost, such as openings of the")
        phrases[-1] += " test set, unless there is a copy of the file"
    text = f"{path}, {'; '.join(phrases)}. The study cannot continue until the journal is repaired"
    return Finding("journal", PROBLEM, text, name, place.command("doctor", name, "--repair"))


def _without_study(name: str, folder: StudyFolder, found: Examined) -> Finding:
    if found.faults and not all(fault.is_end for fault in found.faults):
        error = JournalError.nothing_sound(folder.journal, ValueError(found.faults[0].reason))
        return Finding("journal", PROBLEM, f"{error} It cannot be repaired.", name)
    if End.load(folder.journal).size:
        text = (
            f"{folder.journal} holds no record, but did when it was last closed. It cannot be"
            " repaired: restore a copy of the file, or remove the folder to start again"
        )
        return Finding("journal", PROBLEM, text, name)
    text = f"{folder.journal} holds no record: a crash came before the first; `run` starts again"
    return Finding("journal", NOTICE, text, name)


def _lock(name: str, running: str | None, *, is_there: bool) -> Finding:
    if running is not None:
        return Finding("lock", NOTICE, f"run by {running}", name)
    left = " (no process holds its `lock` file)" if is_there else ""
    return Finding("lock", OK, f"not running{left}", name)


def _session(place: Place, name: str, history: History) -> Finding:
    unfinished = unfinished_text(history)
    if history.sessions and history.last_end is None:
        trials = str(history.sessions[-1].trials)
        text = (
            "its last session broke off;"
            f" unfinished: {unfinished or 'no trial'}. Every finished fold is kept; continue with"
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
            f"predictions are missing or damaged: {_folds_text(needed)} ({lost[needed[0]]}). To"
            " have these folds trained again, call `run` after"
        )
        command = place.command("doctor", name, "--repair")
        yield Finding("predictions", PROBLEM, text, name, command)
    if others:
        text = (
            f"predictions are missing or damaged: {_folds_text(others)}. These trials were pruned"
            " or failed, so their predictions are not needed"
        )
        yield Finding("predictions", NOTICE, text, name)
    if not lost:
        yield Finding("predictions", OK, "all files of predictions are complete", name)


def _folds_text(folds: list[tuple[int, int]]) -> str:
    return listed([f"trial {trial} fold {fold}" for trial, fold in folds])
