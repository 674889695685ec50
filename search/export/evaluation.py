"""The test set, opened once for a final model, and whether that model becomes the champion."""

import json
import time
from dataclasses import dataclass

import numpy as np

from search.analysis.comparison.statistics import over_folds, wilson
from search.data import Dataset
from search.data.folds import share_of
from search.data.inputs import columns_of
from search.errors import DataError
from search.export.card import model_card
from search.export.folder import Code, ModelFolder
from search.export.predict import class_values, open_model
from search.tasks.classification import (
    SCORES,
    ClassPredictions,
    classification_report,
    confusion_matrix,
    cross_entropy,
    macro_f1,
)
from tracking.history import History, TrialHistory
from tracking.home import CARD, METRICS
from tracking.objectives import DEFAULT, OBJECTIVES, Objective
from tracking.records import ModelExported, TestSetOpened


def open_test_set(
    folder: ModelFolder, dataset: Dataset, trial: TrialHistory, *, by: str, code: Code | None = None
) -> TestSetOpened:
    """Score an exported model on the dataset's test set.

    Args:
        folder: the model.
        dataset: whose test set is opened.
        trial: the trial whose setting the model has.
        by: the command that opens it.
        code: registers the model's own classes, as `ModelFolder.load` takes it.

    Raises:
        DataError: the model is damaged, or is not for this dataset.
    """
    labels = folder.labels()
    if labels.classes != dataset.classes:
        raise DataError(f"{folder.path} knows other classes than dataset {dataset.name}")
    if labels.kind == "table" and labels.columns != columns_of(dataset):
        raise DataError(f"{folder.path} knows other columns than dataset {dataset.name}")
    model = open_model(folder, labels, code)
    samples, truth = dataset.open_test()
    inputs = labels.encoder.encode(samples)
    values = class_values(model, inputs, labels)
    true_classes = np.asarray(truth)
    predictions = ClassPredictions.of(values, true_classes)
    return TestSetOpened(
        at=time.time(),
        trial=trial.number,
        by=by,
        model_sha256=folder.model_sha256(),
        accuracy=float((values.argmax(axis=1) == true_classes).mean()),
        loss=None if labels.outputs == SCORES else cross_entropy(values, true_classes),
        macro_f1=macro_f1(predictions, len(labels.classes)),
        confusion=confusion_matrix(predictions, len(labels.classes)),
        report=classification_report(predictions, labels.classes),
    )


def write_results(folder: ModelFolder, history: History) -> None:
    """Write the folder's `metrics.json` and `MODEL_CARD.md` from what the study knows now."""
    export = next(e for e in reversed(history.exports) if e.model_sha256 == folder.model_sha256())
    trial = history.trials[export.trial]
    ended = trial.ended
    folds = [fold.accuracy for fold in trial.finished_folds().values()]
    openings = [o for o in history.test_openings if o.model_sha256 == export.model_sha256]
    test = None
    if openings:
        last = openings[-1]
        interval = wilson(last.accuracy, sum(map(sum, last.confusion)))
        test = {
            "accuracy": last.accuracy,
            "accuracy_interval": interval,
            "loss": last.loss,
            "macro_f1": last.macro_f1,
        }
    metrics = {
        "model_sha256": export.model_sha256,
        "study": history.study.study if history.study else "",
        "space": history.known_study().space,
        "trial": export.trial,
        "parameters": trial.params,
        "objectives": [objective.name for objective in history.objectives],
        "cross_validation": {
            **(ended.scores if ended else {}),
            "folds": folds,
            "cv_accuracy_interval": over_folds(folds, test_share=share_of(history.known_study())),
        },
        "confirmed": trial.confirmed.scores if trial.confirmed else None,
        "test": test,
        "test_set_openings": len(history.test_openings),
        "model_parameters": export.model_parameters,
        "train_seconds": export.train_seconds,
        "models": export.models,
        "formats": export.formats,
        "alias": export.alias,
        "alias_reason": export.alias_reason,
    }
    folder.write(METRICS, json.dumps(metrics, indent=2) + "\n")
    folder.write(CARD, model_card(history, export, openings[-1] if openings else None))


CHAMPION, CHALLENGER = "champion", "challenger"

# By objective: what a difference is called (positive is good), its unit, how many of it make 1.
_WORDS = {
    "cv_accuracy": ("accuracy", " points", 100),
    "macro_f1": ("macro F1", " points", 100),
    "cv_loss": ("loss lower by", "", 1),
}


@dataclass(frozen=True)
class Decision:
    """What an exported model is called, and why.

    Attributes:
        alias: `champion` or `challenger`.
        reason: one sentence.
    """

    alias: str
    reason: str


def present_champion(history: History) -> ModelExported | None:
    """Return the last export that became champion, None where there is none."""
    champions = (e for e in reversed(history.exports) if e.alias == CHAMPION)
    return next(champions, None)


def decide(history: History, trial: TrialHistory, *, force: bool) -> Decision:
    """Decide what the model of a trial is called once it is exported.

    It becomes champion unless its setting is significantly worse than the present champion's: by
    the corrected resampled t-test, on the study's first objective (accuracy where folds have no
    part in that). It goes by the folds that confirmed both, else by the study's own, and takes into
    account that each was chosen from all trials of the study.

    Args:
        history: the study's.
        trial: whose setting is exported.
        force: make it champion whatever the test says.
    """
    present = present_champion(history)
    if present is None:
        return Decision(CHAMPION, "It is the first model exported from this study.")
    if present.trial == trial.number:
        reason = f"The champion before it has the params of the same trial, {trial.number}."
        return Decision(CHAMPION, reason)
    verdict = _compared(history, trial, history.trials[present.trial])
    if force and verdict.alias != CHAMPION:
        told = verdict.reason.removesuffix(".")
        return Decision(CHAMPION, f"{told}; it was made champion with `--force`.")
    return verdict


def _compared(history: History, trial: TrialHistory, rival: TrialHistory) -> Decision:
    from search.analysis.comparison.evidence import (
        Evidence,
        are_confirmed_alike,
        paired_difference,
        rivals_of,
    )

    goal = history.objectives[0] if history.objectives[0].fold else OBJECTIVES[DEFAULT]
    ours, theirs = (
        Evidence(history, each, rivals_of(history, each, baselines=True)) for each in (trial, rival)
    )
    confirmed = are_confirmed_alike([ours, theirs])
    found = paired_difference(ours, theirs, goal, confirmed=confirmed)
    if found is None:
        return Decision(
            CHAMPION, f"It has no fold in common with the champion, trial {rival.number}."
        )
    versus = f"than the champion, trial {rival.number}"
    if found.low is None or found.high is None:
        return Decision(
            CHAMPION,
            f"With one fold it cannot be told whether it is worse {versus}"
            f" ({_told(goal, found.mean)}).",
        )
    interval = (
        f"{_told(goal, found.mean)}, 95 % interval {_number(goal, found.low)} to"
        f" {_number(goal, found.high)}, over {found.folds} {'confirmation ' * confirmed}folds"
    )
    if found.high < 0:
        return Decision(CHALLENGER, f"It is worse {versus} ({interval}).")
    if found.low > 0:
        return Decision(CHAMPION, f"It is better {versus} ({interval}).")
    return Decision(CHAMPION, f"It is not significantly worse {versus} ({interval}).")


def _told(goal: Objective, difference: float) -> str:
    name, unit, _ = _WORDS[goal.name]
    return f"{name} {_number(goal, difference)}{unit}"


def _number(goal: Objective, difference: float) -> str:
    _, _, parts = _WORDS[goal.name]
    return f"{parts * difference:+.{4 if parts == 1 else 2}f}"
