"""What a trial's folds come to: its scores and report, another attempt at one, or its failure."""

import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.data.folds import CONFIRMATIONS, Folds
from search.errors import DataError
from search.tasks.classification import (
    ClassPredictions,
    classification_report,
    confusion_matrix,
    macro_f1,
)
from spaces import Params
from tracking.history import History, TrialHistory
from tracking.home import StudyFolder
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
        labels: true classes of all training samples, int64 `(n,)`.
        classes: names, by class number.
    """

    folder: StudyFolder
    folds: Folds
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def of(self, ended: FoldEnded) -> ClassPredictions:
        """Read a fold's predictions.

        Raises:
            DataError: they are missing, damaged, or of other samples than the fold's.
        """
        folds, place = self.folds, ended.fold - 1
        if place >= len(folds):
            folds, place = self._confirmation_folds, place - len(folds)
        labels = self.labels[folds.validation[place]]
        return ClassPredictions.load(self.folder.root / ended.predictions, targets=labels)

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
        found = {n: self.out_of_fold.fault(folds[n]) for n in numbers if n in folds}
        return {number: fault for number, fault in found.items() if fault}

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
        joined, classes = self._joined(folds), self._classes
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
            confusion=confusion_matrix(joined, len(classes)) if joined else [],
            report=classification_report(joined, classes) if joined else {},
            summary=model.get("summary", ""),
            device=trial.device,
            error=ending.error,
            compared_folds=ending.compared_folds,
        )

    def confirmed(
        self, trial: TrialHistory, *, reason: str = "", error: str = ""
    ) -> TrialConfirmed:
        """Return the end of a trial's confirmation; where it failed, with reason and traceback."""
        folds = trial.finished_confirmation_folds()
        scores = _means(folds) | {"macro_f1": _mean(folds, "macro_f1")} if not error else {}
        return TrialConfirmed(
            at=time.time(),
            trial=trial.number,
            repeats=CONFIRMATIONS,
            scores=scores,
            reason=reason,
            error=error,
        )

    @property
    def _classes(self) -> tuple[str, ...]:
        return () if self.out_of_fold is None else self.out_of_fold.classes

    def _joined(self, folds: Mapping[int, FoldEnded]) -> ClassPredictions | None:
        """Return all predictions; None without any, or where some cannot be used."""
        if self.out_of_fold is None or not folds:
            return None
        try:
            return ClassPredictions.joined([self.out_of_fold.of(ended) for ended in folds.values()])
        except DataError:
            return None

    def _scores(
        self, trial: TrialHistory, folds: Mapping[int, FoldEnded], joined: ClassPredictions | None
    ) -> dict[str, float]:
        if joined is None and self.out_of_fold is not None:
            raise DataError(f"predictions of trial {trial.number} went missing while it ended")
        f1 = macro_f1(joined, len(self._classes)) if joined else _mean(folds, "macro_f1")
        latency = self._measured(trial).get("latency_ms")
        measured = {} if latency is None else {"latency_ms": latency}
        return _means(folds) | {"macro_f1": f1} | measured

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
        return _mean(folds, objective.fold) if folds and state == "pruned" else None


def _means(folds: Mapping[int, FoldEnded]) -> dict[str, float]:
    """Return the means over folds, and the spread of their accuracies."""
    accuracies = [fold.accuracy for fold in folds.values()]
    return {
        "cv_accuracy": statistics.fmean(accuracies),
        "cv_accuracy_std": statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        "cv_loss": _mean(folds, "loss"),
    }


def _mean(folds: Mapping[int, FoldEnded], name: str) -> float:
    return statistics.fmean(float(getattr(fold, name)) for fold in folds.values())


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
