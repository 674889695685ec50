"""What a trial's folds come to: its scores and report, another attempt at one, or its failure."""

import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.folds import Folds, confirmation_numbers
from search.errors import DataError
from search.tasks import Predictions, Task, task_of_study
from search.tasks.classification import ClassPredictions, macro_f1
from search.tasks.reliability import scores_of_probabilities
from spaces import Params
from tracking.history import History, TrialHistory
from tracking.home import StudyFolder
from tracking.objectives import score_name
from tracking.records import (
    AttemptFailed,
    FoldEnded,
    Json,
    TrialConfirmed,
    TrialEnded,
    TrialReopened,
)
from tracking.states import TrialState

LOSSES = 3  # attempts that one fold of a trial may cost before it is given up
_NOT_ITS_OWN = ("lost", "machine")  # causes that another attempt may not meet


@dataclass(frozen=True)
class OutOfFold:
    """What the models of a study's folds predicted on the parts they were not trained on.

    Attributes:
        folder: the study's.
        folds: the study's.
        targets: of all training samples, `(n, ...)` in the form of the task.
        task: what is predicted.
        weights: of all training samples, `(n,)`; None if all count the same.
    """

    folder: StudyFolder
    folds: Folds
    targets: NDArray[Any]
    task: Task
    weights: NDArray[Any] | None = None

    def of(self, ended: FoldEnded) -> Predictions:
        """Read a fold's predictions.

        Raises:
            DataError: they are missing, damaged, or of other samples than the fold's.
        """
        path = self.folder.root / ended.predictions
        return self.task.predictions.load(path, targets=self.targets[self._samples(ended)])

    def joined(self, folds: Iterable[FoldEnded]) -> "Joined":
        """Return the predictions of folds, one after another.

        Raises:
            DataError: as of `of`.
        """
        known = list(folds)
        weights = self.weights
        if weights is not None:
            weights = np.concatenate([weights[self._samples(ended)] for ended in known])
        parts = [self.of(ended) for ended in known]
        return Joined(self.task, self.task.predictions.joined(parts), weights)

    def _samples(self, ended: FoldEnded) -> NDArray[np.int64]:
        folds, place = self.folds, ended.fold - 1
        if place >= len(folds):
            folds, place = self._confirmation_folds, place - len(folds)
        return folds.validation[place]

    def fault(self, ended: FoldEnded) -> str:
        """Return why a fold's predictions cannot be used; empty where they can."""
        try:
            self.of(ended)
        except DataError as error:
            return str(error)
        return ""

    @cached_property
    def _confirmation_folds(self) -> Folds:
        return Folds.load(self.folder.confirmation_folds)


@dataclass(frozen=True)
class Joined:
    """Predictions of several folds.

    Attributes:
        weights: of their samples, `(n,)`; None if all count the same.
    """

    task: Task
    predictions: Predictions
    weights: NDArray[Any] | None

    @property
    def report(self) -> Json:
        """What is told of them, as `TrialEnded.report`."""
        return self.task.report(self.predictions, self.weights)

    @property
    def confusion(self) -> list[list[int]]:
        """How often each class was taken for which."""
        return self.task.confusion(self.predictions)

    @property
    def scores(self) -> dict[str, float]:
        """What is scored over all of them at once.

        Of classes `macro_f1`; of probabilities `cv_ece`, the expected calibration error, and
        `cv_brier`.
        """
        sure = scores_of_probabilities(self.predictions, self.task, self.weights)
        if not isinstance(self.predictions, ClassPredictions):
            return sure
        return {"macro_f1": macro_f1(self.predictions, self.task.units, self.weights), **sure}


@dataclass(frozen=True)
class Ending:
    """How a trial ends.

    Attributes:
        state: `complete`, `pruned` or `failed`.
        reason: why, of a trial that is not complete.
        error: the traceback of one that failed.
        compared_folds: see `TrialEnded`.
    """

    state: str
    reason: str = ""
    error: str = ""
    compared_folds: int = 0


@dataclass(frozen=True)
class Spent:
    """What went into folds of a trial that did not come to their end.

    Attributes:
        seconds: of training.
        epochs: that were trained.
    """

    seconds: float = 0.0
    epochs: int = 0


@dataclass(frozen=True)
class TrialEnds:
    """Makes the records that end trials and their confirmations.

    Attributes:
        history: the study's.
        out_of_fold: reads predictions; None where none are kept, as in a replay of recorded
            scores: macro-F1 is then the folds' mean, and there is no confusion matrix.
    """

    history: History
    out_of_fold: OutOfFold | None = None

    def faults(self, trial: TrialHistory, numbers: Iterable[int]) -> dict[int, str]:
        """Return what of a trial's finished folds cannot be used, and why, by number."""
        folds = {**trial.finished_folds(), **trial.finished_confirmation_folds()}
        if self.out_of_fold is None:
            return {}
        found = {n: self._untold(folds[n]) for n in numbers if n in folds}
        found |= {n: self.out_of_fold.fault(folds[n]) for n in numbers if not found.get(n, "-")}
        return {number: fault for number, fault in found.items() if fault}

    def _untold(self, ended: FoldEnded) -> str:
        """Return which objective a fold should have told and has not."""
        names = (o.fold for o in self.history.objectives if o.fold)
        name = next((name for name in names if ended.metric(name) is None), "")
        return f"the journal does not tell its {name}" if name else ""

    def missing(self, trial: TrialHistory) -> str:
        """Return which objective none of a trial's folds has told of; empty if none is missing.

        Folds of earlier versions did not: they left it to the end of their trial.
        """
        if self.out_of_fold is None:
            return ""
        known = self._measured(trial)
        return next((o.name for o in self.history.objectives if known.get(o.name, 0) is None), "")

    def ended(
        self,
        trial: TrialHistory,
        ending: Ending,
        *,
        spent: Spent | None = None,
        model: Json | None = None,
    ) -> TrialEnded:
        """Return a trial's outcome, with the scores its finished folds allow.

        Args:
            trial: the trial.
            ending: how it ends.
            spent: what went into folds that have not ended.
            model: what is known of it from a fold that broke off; see `AttemptFailed`.
        """
        model = trial.model or model or {}
        spent = spent or Spent()
        last = ending.compared_folds
        folds = {n: f for n, f in trial.finished_folds().items() if n <= (last or n)}
        joined = self._joined(folds)
        scores = self._scores(trial, folds, joined) if ending.state == "complete" else {}
        trained = trial.finished_folds().values()
        return TrialEnded(
            at=time.time(),
            trial=trial.number,
            state=ending.state,
            value=self._value(ending.state, folds, scores),
            reason=ending.reason,
            scores=scores,
            train_seconds=sum(fold.seconds for fold in trained) + spent.seconds,
            epochs_trained=sum(fold.epochs for fold in trained) + spent.epochs,
            model_parameters=model.get("parameters", 0),
            confusion=joined.confusion if joined else [],
            report=joined.report if joined else {},
            summary=model.get("summary", ""),
            device=trial.device,
            error=ending.error,
            compared_folds=ending.compared_folds,
        )

    def confirmed(
        self, trial: TrialHistory, repeats: int, *, reason: str = "", error: str = ""
    ) -> TrialConfirmed:
        """Return the end of a trial's confirmation; where it failed, with reason and traceback."""
        wanted = confirmation_numbers(self.history.known_study().folds, repeats)
        folds = {n: f for n, f in trial.finished_confirmation_folds().items() if n in wanted}
        scores = {} if error else self._means(folds)
        return TrialConfirmed(
            at=time.time(),
            trial=trial.number,
            repeats=repeats,
            scores=scores,
            reason=reason,
            error=error,
        )

    def _joined(self, folds: Mapping[int, FoldEnded]) -> Joined | None:
        """Return all predictions; None without any, or where some cannot be used."""
        if self.out_of_fold is None or not folds:
            return None
        try:
            return self.out_of_fold.joined(folds.values())
        except DataError:
            return None

    def _scores(
        self, trial: TrialHistory, folds: Mapping[int, FoldEnded], joined: Joined | None
    ) -> dict[str, float]:
        if joined is None and self.out_of_fold is not None:
            raise DataError(f"predictions of trial {trial.number} went missing while it ended")
        latency = self._measured(trial).get("latency_ms")
        measured = {} if latency is None else {"latency_ms": latency}
        means, found = self._means(folds), joined.scores if joined else {}
        # A metric of the user's may be called as one of these is.
        own = {name: found[name] for name in found if name not in means or name == "macro_f1"}
        return means | own | measured

    def _means(self, folds: Mapping[int, FoldEnded]) -> dict[str, float]:
        """Return means over folds of all that each of them tells, and the spread of what counts."""
        objectives = [each for each in self.history.objectives if each.fold]
        task = self.history.known_study().task
        main = score_name(task_of_study(self.history.known_study()).scored[0], task)
        shown = [main, *(objective.name for objective in objectives)]
        names = {score_name(name, task): name for name in _told_by_all(folds)}
        names |= {objective.name: objective.fold for objective in objectives}
        scores = {}
        for score, name in names.items():
            values = _values(folds, name)
            scores[score] = statistics.fmean(values)
            if score in shown:
                scores[f"{score}_std"] = statistics.stdev(values) if len(values) > 1 else 0.0
        return scores

    def _measured(self, trial: TrialHistory) -> dict[str, float | None]:
        """Return what is measured of a trial's model rather than of its predictions."""
        latencies = (fold.latency_ms for fold in trial.finished_folds().values())
        latency = next((known for known in latencies if known is not None), None)
        return {"latency_ms": latency, "model_parameters": trial.model.get("parameters")}

    def _value(
        self, state: str, folds: Mapping[int, FoldEnded], scores: Mapping[str, float]
    ) -> float | None:
        objective = self.history.objectives[0]
        if state == "complete":
            return scores[objective.name]
        values = _values(folds, objective.fold)
        return statistics.fmean(values) if values and state == "pruned" else None


def _told_by_all(folds: Mapping[int, FoldEnded]) -> list[str]:
    """Return the metrics that every fold has, of classes the accuracy first."""
    own = ("accuracy", "loss", "macro_f1")
    first, *others = folds.values()
    names = dict.fromkeys([*own, *first.metrics])
    return [n for n in names if all(fold.metric(n) is not None for fold in (first, *others))]


def _values(folds: Mapping[int, FoldEnded], name: str) -> list[float]:
    found = (fold.metric(name) for fold in folds.values())
    return [value for value in found if value is not None]


def is_worth_repeating(trial: TrialHistory, failure: AttemptFailed, params: Params) -> bool:
    """Say whether to train a fold once more: with half the batch size, or with another worker.

    Args:
        trial: whose fold it is; it knows of the failure.
        failure: why the fold broke off.
        params: what it was trained with.
    """
    if failure.cause == "memory":
        return trial.params != params
    if failure.cause in _NOT_ITS_OWN:
        return sum(_is_of_same_fold(trial, known, failure) for known in trial.failures) < LOSSES
    return False


def why_given_up(failure: AttemptFailed) -> str:
    """Return why a trial failed whose fold is not trained once more, and what can be done."""
    if failure.cause != "machine":
        return failure.reason
    return f"{failure.reason} ({LOSSES} times); `run --retry-failed` tries the trial once more"


def to_retry(history: History) -> list[TrialReopened]:
    """Return the records with which all failed trials are tried once more."""
    failed = [trial for trial in history.finished() if trial.state is TrialState.FAILED]
    return [TrialReopened(at=time.time(), trial=trial.number) for trial in failed]


def _is_of_same_fold(trial: TrialHistory, known: AttemptFailed, failure: AttemptFailed) -> bool:
    is_same = known.fold == failure.fold if known.fold else known.at > trial.last_fold_at()
    return known.cause in _NOT_ITS_OWN and is_same and known.at > trial.retried_at
