"""Whether what a study's files say fits together: folds, scores, predictions, exports."""

import math
from collections.abc import Iterator
from statistics import fmean

from search.data.folds import Folds
from search.doctor.findings import NOTICE, OK, PROBLEM, Finding, Place, listed
from search.errors import DataError
from search.tasks.scores import Predictions, confusion_matrix, macro_f1
from tracking.history import History, TrialHistory
from tracking.home import StudyFolder
from tracking.records import FoldEnded

TOLERANCE = 1e-9  # of scores, which are recomputed in another order at most

_MEANS = {"cv_accuracy": "accuracy", "cv_loss": "loss"}  # a trial's score, and its folds' part


def meaning_findings(
    place: Place, name: str, folder: StudyFolder, history: History
) -> Iterator[Finding]:
    """Look at whether a study's records, folds and predictions fit together."""
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
        yield Finding("scores", OK, "scores, folds and predictions fit together", name)


def unusable_predictions(folder: StudyFolder, history: History) -> dict[tuple[int, int], str]:
    """Return the finished folds whose predictions are missing, damaged or of other samples.

    By trial and fold, with the reason.
    """
    validation = _validation_parts(folder, history)
    unusable = {}
    for number, trial in sorted(history.trials.items()):
        for fold, ended in (trial.finished_folds() | trial.finished_more_folds()).items():
            if not ended.predictions:
                continue
            try:
                found = Predictions.load(folder.root / ended.predictions)
            except DataError as error:
                unusable[number, fold] = str(error)
                continue
            wanted = validation.get(fold, len(found.labels))
            if len(found.labels) != wanted:
                text = f"{len(found.labels):,} predictions for the fold's {wanted:,} samples"
                unusable[number, fold] = f"{folder.root / ended.predictions} has {text}"
    return unusable


def _validation_parts(folder: StudyFolder, history: History) -> dict[int, int]:
    """Return the number of validation samples of each fold, as far as the files tell."""
    sizes: list[int] = []
    for path, digest in (
        (folder.folds, history.known_study().folds_digest),
        (folder.further_folds, None),
    ):
        try:
            sizes += map(len, Folds.load(path, digest=digest).validation)
        except DataError:
            break
    return dict(enumerate(sizes, start=1))


def _folds_file(name: str, folder: StudyFolder, history: History) -> Iterator[Finding]:
    if not folder.folds.exists():
        return  # the next `run` cuts them again
    try:
        Folds.load(folder.folds, digest=history.known_study().folds_digest)
    except DataError:
        text = (
            f"{folder.folds} does not have the folds the study began with; the next `run` cuts"
            " them anew, as data and seed tell"
        )
        yield Finding("folds", PROBLEM, text, name)


def _open_again(place: Place, name: str, history: History) -> Iterator[Finding]:
    lost = [trial for _, trial in sorted(history.trials.items()) if trial.reopened]
    if not lost:
        return
    folds = range(1, history.known_study().folds + 1)
    told = [
        f"trial {trial.number} without fold"
        f" {listed([fold for fold in folds if fold not in trial.finished_folds()])}"
        for trial in lost
    ]
    trials = str(history.sessions[-1].trials if history.sessions else len(history.trials))
    yield Finding(
        "folds",
        NOTICE if history.repairs else PROBLEM,  # a repair has told of it
        f"trials ended as complete whose folds are not all in the journal: {listed(told)}. They"
        " are not counted as complete; the missing folds are trained again by",
        name,
        place.command("run", "--study", name, "--trials", trials, tracked=True),
    )


def _scores(name: str, history: History) -> Iterator[Finding]:
    for trial in history.completed():
        wrong = _wrong_scores(trial, history)
        if wrong:
            text = (
                f"trial {trial.number}: {', '.join(wrong)}. Put back a copy of the journal, or do"
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
        accuracy = {n: v for n, v in trial.confirmed.scores.items() if n == "cv_accuracy"}
        wrong += _no_means(accuracy, trial.finished_more_folds())
    return wrong


def _no_means(scores: dict[str, float], folds: dict[int, FoldEnded]) -> list[str]:
    means = {
        score: fmean(float(getattr(fold, part)) for fold in folds.values())
        for score, part in _MEANS.items()
        if score in scores and folds
    }
    return [
        f"its {score} is {scores[score]}, the mean of its folds {mean}"
        for score, mean in means.items()
        if not _is_close(scores[score], mean)
    ]


def _is_close(one: float | None, other: float) -> bool:
    if one is None:
        return False
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (
        math.isnan(one) and math.isnan(other)
    )


def _of_predictions(name: str, folder: StudyFolder, history: History) -> Iterator[Finding]:
    classes = len(history.known_study().classes)
    for trial in history.completed():
        try:
            parts = {
                fold: Predictions.load(folder.root / ended.predictions)
                for fold, ended in trial.finished_folds().items()
                if ended.predictions
            }
        except DataError:
            continue  # it is told of as unusable
        if parts and classes:
            wrong = _contradictions(trial, parts, classes)
            if wrong:
                text = f"trial {trial.number} and its predictions differ: {', '.join(wrong)}"
                text += ". Put back a copy of the files, or do not use this trial's scores"
                yield Finding("predictions", PROBLEM, text, name)


def _contradictions(trial: TrialHistory, parts: dict[int, Predictions], classes: int) -> list[str]:
    highest = max(max(p.labels.max(initial=0), p.predicted.max(initial=0)) for p in parts.values())
    if highest >= classes:
        return [f"there is a class {highest}, of {classes}"]
    folds = trial.finished_folds()
    wrong = [
        f"fold {fold} has accuracy {folds[fold].accuracy} in the journal, {part.right.mean()} by"
        " its predictions"
        for fold, part in parts.items()
        if not _is_close(folds[fold].accuracy, float(part.right.mean()))
    ]
    joined = Predictions.joined(list(parts.values()))
    known = trial.ended.confusion if trial.ended else []
    if known and known != confusion_matrix(joined, classes):
        wrong.append("the confusion matrix is another one")
    known_f1 = trial.score("macro_f1")
    if known_f1 is not None and not _is_close(known_f1, macro_f1(joined, classes)):
        wrong.append(f"macro_f1 is {known_f1}, by its predictions {macro_f1(joined, classes)}")
    return wrong


def _curves(name: str, history: History) -> Iterator[Finding]:
    lacking = [
        f"trial {number} fold {fold}"
        for number, trial in sorted(history.trials.items())
        for fold, one in sorted((trial.folds | trial.more_folds).items())
        if one.ended and one.ended.epochs and set(one.epochs) != set(range(1, one.ended.epochs + 1))
    ]
    if lacking:
        text = f"epochs are missing in the curves of {listed(lacking)}; their scores are kept"
        yield Finding("epochs", NOTICE, text, name)


def _exports(name: str, history: History) -> Iterator[Finding]:
    known = {export.model_sha256 for export in history.exports}
    tested = {opening.model_sha256 for opening in history.test_openings}
    for opening in history.test_openings:
        if opening.model_sha256 not in known:
            text = (
                f"the test set was opened for a model ({opening.model_sha256[:12]}) of whose export"
                " nothing is recorded; put back a copy of the journal, or export again"
            )
            yield Finding("exports", PROBLEM, text, name)
    for export in history.exports:
        if export.model_sha256 not in tested:
            text = (
                f"the model in {export.folder} was exported and no opening of the test set is"
                " recorded for it: the export broke off then, or the record is lost"
            )
            yield Finding("exports", NOTICE, text, name)
