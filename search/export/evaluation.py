"""The test set, opened once for a final model, and whether that model becomes the champion."""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.data import Dataset
from search.data.encoders import ImageEncoder
from search.data.inputs import columns_of
from search.errors import DataError, SettingsError
from search.export.card import model_card
from search.export.folder import Code, ModelFolder
from search.export.labels import Labels
from search.export.loading import open_model, predicted_values
from search.export.raw import raw_samples
from search.export.scores import (
    main_objective,
    on_test_set,
    over_folds,
    scores_of,
    shown,
    task_in,
)
from search.tasks import CLASSIFICATION, MULTI_LABEL, Metric, Scored
from search.tasks.classification import cross_entropy
from search.tasks.reliability import Brier, reliability_of
from tracking.history import History, TrialHistory
from tracking.home import CARD, METRICS, RELIABILITY
from tracking.objectives import Objective
from tracking.records import ModelExported, TestSetOpened
from tracking.text import Notify

COVERAGE = 0.9  # of sets and intervals that the test set is asked about
_PART_BYTES = 1 << 29  # of raw images that are predicted at a time


def open_test_set(
    folder: ModelFolder,
    dataset: Dataset,
    trial: TrialHistory,
    *,
    by: str,
    metrics: Sequence[Metric],
    notify: Notify,
    code: Code | None = None,
) -> TestSetOpened:
    """Score an exported model on the dataset's test set.

    Args:
        folder: the model.
        dataset: whose test set is opened; its samples count by their weights, where it has any.
        trial: the trial whose setting the model has.
        by: the command that opens it.
        metrics: that are computed.
        notify: takes a notice for a metric that these samples do not allow.
        code: registers the model's own classes, as `ModelFolder.load` takes it.

    Raises:
        DataError: the model is damaged, or is not for this dataset.
    """
    labels = folder.labels()
    _check_for(labels, dataset, folder)
    model = open_model(folder, labels, code)
    samples, truth = dataset.open_test()
    weights = dataset.test_weights()
    targets, task = np.asarray(truth), labels.task
    values = _values(model, samples, labels)
    predictions = task.predicted(values, targets, labels.outputs)
    if fault := predictions.fault():
        raise DataError(f"{folder.path} cannot be scored: {fault}")
    sure, decided = labels.outputs.are_probabilities, labels.outputs.decided(values)
    scored = Scored(values, targets, weights, sure, decided)
    sure_metrics = [Brier(task)] if sure and task.name in (CLASSIFICATION, MULTI_LABEL) else []
    scores, intervals = scores_of(scored, (*metrics, *sure_metrics), notify)
    belief = _belief(scored, labels, scores)
    return TestSetOpened(
        at=time.time(),
        trial=trial.number,
        by=by,
        model_sha256=folder.model_sha256(),
        confusion=task.confusion(predictions),
        report=task.report(predictions, weights),
        scores=scores,
        intervals=intervals,
        samples=len(targets),
        **belief,
        **(_of_classes(scored, scores) if task.name == CLASSIFICATION else {}),
    )


def _values(model: Any, samples: Any, labels: Labels) -> Any:
    """Return a model's values for a dataset's samples; raw images are gone through in parts."""
    encoder = labels.encoder
    if not isinstance(encoder, ImageEncoder):
        return predicted_values(model, raw_samples(samples, labels), labels)
    step = max(1, _PART_BYTES // (4 * math.prod(encoder.native_shape)))
    parts = [samples[start : start + step] for start in range(0, len(samples), step)]
    found = [predicted_values(model, raw_samples(each, labels), labels) for each in parts]
    return np.concatenate(found)


def _check_for(labels: Labels, dataset: Dataset, folder: ModelFolder) -> None:
    if labels.task != dataset.task:
        known = "classes" if labels.task.name == dataset.task.name == CLASSIFICATION else "targets"
        raise DataError(f"{folder.path} knows other {known} than dataset {dataset.name}")
    for part, data in _parts(labels, dataset, folder):
        if part.kind == "table" and part.columns != columns_of(data):
            raise DataError(f"{folder.path} knows other columns than dataset {dataset.name}")


def _parts(
    labels: Labels, dataset: Dataset, folder: ModelFolder
) -> Iterator[tuple[Labels, Dataset]]:
    """Yield a model's labels and a dataset, or those of each of several inputs."""
    if {each.name for each in labels.inputs} != {each.name for each in dataset.inputs}:
        raise DataError(f"{folder.path} knows other inputs than dataset {dataset.name}")
    if not labels.inputs:
        yield labels, dataset
    for each in labels.inputs:
        yield labels.part(each.name), dataset.input(each.name)


def check_test_set(dataset: Dataset, study: str) -> None:
    """Check that a dataset has a test part that a model can be scored on.

    Raises:
        SettingsError: there is none.
        DataError: none of its samples counts.
    """
    if not dataset.has_test:
        raise SettingsError(
            f"study {study!r} has no test part to score its model on: its data were passed with"
            " test=False. Begin another study that has one: pass `test`, or leave it out to hold a"
            " fifth out"
        )
    weights = dataset.test_weights()
    if weights is not None and not (weights > 0).any():
        raise DataError(f"the weights of {dataset.name}'s test samples are 0, so that none counts")


def _belief(scored: Scored, labels: Labels, scores: dict[str, float]) -> dict[str, Any]:
    """Return how far a model can be believed, in the fields of `TestSetOpened`.

    The calibration error joins the scores. It gets no interval: of samples drawn anew it is larger.
    """
    found: dict[str, Any] = {}
    task = labels.task
    if scored.are_probabilities and task.name in (CLASSIFICATION, MULTI_LABEL):
        curve = reliability_of(scored.values, scored.targets, task, scored.weights)
        found["reliability"] = curve.to_json()
        scores["ece"] = curve.error
    if labels.conformal is not None and labels.conformal.most >= COVERAGE:
        found["coverage"] = labels.conformal.tested(
            scored.values, scored.targets, COVERAGE, scored.weights
        )
    return found


def _of_classes(scored: Scored, scores: Mapping[str, float]) -> dict[str, Any]:
    """Return what `TestSetOpened` has in fields of their own."""
    loss = None
    if scored.are_probabilities:
        loss = cross_entropy(scored.values, scored.targets, scored.weights)
    return {"accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"], "loss": loss}


def write_results(folder: ModelFolder, history: History) -> None:
    """Write the folder's `metrics.json`, `MODEL_CARD.md` and picture from what is known now."""
    export = next(e for e in reversed(history.exports) if e.model_sha256 == folder.model_sha256())
    trial, study = history.trials[export.trial], history.known_study()
    openings = [o for o in history.test_openings if o.model_sha256 == export.model_sha256]
    metrics = {
        "model_sha256": export.model_sha256,
        "study": study.study,
        "task": study.task,
        "space": study.space,
        "trial": export.trial,
        "parameters": trial.params,
        "objectives": [objective.name for objective in history.objectives],
        "cross_validation": _cross_validation(history, trial),
        "confirmed": trial.confirmed.scores if trial.confirmed else None,
        "test": _test(openings[-1], history) if openings else None,
        "test_set_openings": len(history.test_openings),
        "model_parameters": export.model_parameters,
        "train_seconds": export.train_seconds,
        "models": export.models,
        "members": export.members,
        "samples": export.samples,
        "epochs": export.epochs,
        "calibration": export.calibration,
        "formats": export.formats,
        "alias": export.alias,
        "alias_reason": export.alias_reason,
    }
    folder.write(METRICS, json.dumps(metrics, indent=2) + "\n")
    folder.write(CARD, model_card(history, export, openings[-1] if openings else None))
    if openings and openings[-1].reliability:
        from tracking.plots.probabilities import test_reliability_png  # Matplotlib

        folder.write(RELIABILITY, test_reliability_png(openings[-1], study.study))


def _cross_validation(history: History, trial: TrialHistory) -> dict[str, Any]:
    """Return scores, and of each metric its folds and interval; `folds` has the task's main one."""
    found = {each.metric: each for each in over_folds(history, trial)}
    main = found.get(task_in(history.known_study()).scored[0])
    return {
        **(trial.ended.scores if trial.ended else {}),
        "folds": main.folds if main else (),
        "by_fold": {name: each.folds for name, each in found.items()},
        **{f"cv_{name}_interval": each.interval for name, each in found.items()},
    }


def _test(test: TestSetOpened, history: History) -> dict[str, Any]:
    scores = on_test_set(test, history)
    found: dict[str, Any] = {each.metric: each.value for each in scores}
    found |= {"reliability": test.reliability} if test.reliability else {}
    found |= {"coverage": test.coverage} if test.coverage else {}
    if test.accuracy is not None:
        found["loss"] = test.loss  # None where outputs are scores
    return found | {f"{each.metric}_interval": each.interval for each in scores if each.interval}


CHAMPION, CHALLENGER = "champion", "challenger"

# By metric: what a difference is called; those in points are fractions.
_POINTS = {"accuracy": "accuracy", "macro_f1": "macro F1", "exact_match": "exact match"}


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
    the corrected resampled t-test, on the study's first objective that folds have a part in. It
    goes by the folds that confirmed both, else by the study's own, and takes into account that each
    was chosen from all trials of the study.

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

    goal = main_objective(history)
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
    """Return a difference in words; a positive one is good."""
    if goal.fold in _POINTS:
        return f"{_POINTS[goal.fold]} {_number(goal, difference)} points"
    lower = "" if goal.larger else " lower by"
    return f"{goal.fold}{lower} {_number(goal, difference)}"


def _number(goal: Objective, difference: float) -> str:
    if goal.fold in _POINTS:
        return f"{100 * difference:+.2f}"
    return f"{'+' if difference >= 0 else ''}{shown(difference)}"
