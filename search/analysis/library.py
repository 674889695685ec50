"""What trials predicted out of fold, side by side: the library that ensembles choose from.

Caruana et al. call the models that an ensemble may take its library.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.folds import Folds, Indices
from search.data.splits import STRATIFIED, Split
from search.errors import DataError, SettingsError
from search.tasks import (
    Metric,
    MultiOutput,
    Predictions,
    Scored,
    SeveralPredictions,
    Task,
    task_of_study,
)
from search.tasks.classification import SCORES, ClassPredictions
from search.tasks.metrics import objective_of
from search.tasks.multi_label import LabelPredictions
from search.tasks.regression import NumberPredictions
from search.tasks.reliability import probabilities_in
from tracking.history import History, TrialHistory
from tracking.home import StudyFolder

MOST_CANDIDATES = 200  # trials, those with the least loss; the others are read and left out
LEAST_PARTS, PARTS, MOST_PARTS = 3, 5, 10
SMALLEST = 1e-7  # probability; losses and logarithms are as Keras computes them
_ROUNDING = 1e-3

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Library:
    """Out-of-fold predictions of complete trials, in the same order of the same samples.

    Attributes:
        task: what is predicted.
        trials: those with usable predictions, in order of their loss, the least first; at most 200.
        samples: indices of the training samples, `(n,)`; rows of all arrays are these.
        parts: `(n,)`, numbers from 0 of the parts of nested cross-validation: the study's folds,
            or with fewer than three of them five parts of the rows.
        targets: `(n, ...)`.
        columns: float32 `(trials, n, columns)`: of what is true the probability, or of a number how
            far off it is, in units of its spread. Their mean over trials is that of the mean of
            the trials' predictions.
        are_shares: bool `(columns,)`, which columns are probabilities.
        importance: float64 `(columns,)`, by which columns count in the loss; they sum to 1.
        weights: `(n,)`, by which samples count; None if all count the same.
        groups: `(n,)`, samples with the same number belong together; None if all are alone.
        folder: the study's files, for all probabilities of a trial.
        folds: how many folds are read: of repeated ones the first that validate every sample.
        objective: the study's first metric, and whether larger is better; None where predictions do
            not tell it.
        ranked: the study's complete trials, the best by its objective first.
        missing: a sentence for each trial that is left out.
    """

    task: Task
    trials: tuple[TrialHistory, ...]
    samples: Indices
    parts: Indices
    targets: NDArray[Any]
    columns: Floats
    are_shares: NDArray[np.bool_]
    importance: NDArray[np.float64]
    weights: NDArray[Any] | None = None
    groups: Indices | None = None
    folder: StudyFolder | None = None
    folds: int = 0
    objective: tuple[Metric, bool] | None = None
    ranked: tuple[TrialHistory, ...] = field(default=(), repr=False)
    missing: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def read(
        cls,
        history: History,
        folder: StudyFolder,
        *,
        only: Sequence[TrialHistory] = (),
        weights: NDArray[Any] | None = None,
        most: int = MOST_CANDIDATES,
    ) -> "Library":
        """Read the predictions of a study's complete trials.

        Args:
            history: of the study.
            folder: its files.
            only: trials to read; without any all complete ones.
            weights: of all training samples; None if all count the same.
            most: trials that are kept in memory, 4 bytes a sample and column each.

        Raises:
            DataError: no trial has usable predictions.
        """
        reader = _Reader(history, folder, weights)
        trials = only or history.completed()
        kept: list[tuple[float, TrialHistory, Floats]] = []
        for trial, columns in reader.read(trials):
            kept.append((reader.loss(columns), trial, columns))
            if len(kept) > most:
                kept.remove(max(kept, key=lambda each: each[0]))
        if not kept:
            why = reader.missing[0] if reader.missing else "No trial has seen all folds"
            raise DataError(f"study {history.known_study().study} has no predictions to use: {why}")
        kept.sort(key=lambda each: each[0])
        return cls(
            reader.task,
            tuple(trial for _, trial, _ in kept),
            reader.samples,
            parts_of(reader.fold_of, reader.ids),
            reader.targets,
            np.stack([columns for *_, columns in kept]),
            *reader.kinds,
            reader.weights,
            reader.groups,
            folder,
            reader.shown,
            _objective(history, reader.task),
            tuple(history.ranked()),
            tuple(reader.missing),
        )

    def __len__(self) -> int:
        """Return the number of trials."""
        return len(self.trials)

    @cached_property
    def ids(self) -> Indices:
        """What may be on one side of a cut only: groups, else samples; `(n,)`."""
        return self.samples if self.groups is None else self.groups

    def splits(self) -> Iterator[tuple[Indices, Indices]]:
        """Yield for each part the rows to choose on and those to score on, which share nothing."""
        return splits_of(self.parts, self.ids, self.weights)

    def values(self, trial: TrialHistory) -> NDArray[Any]:
        """Return what a trial predicted, `(n, units)`: all probabilities, or the numbers.

        Raises:
            DataError: its files have not all of them, as those of earlier versions.
        """
        if self.folder is None:
            raise DataError("a library without files has no predictions of single trials")
        found = joined_predictions(trial, self.folder, self.task, self.folds)
        values = values_in(found)
        if values is None and isinstance(found, ClassPredictions) and self.task.units == 2:
            values = _of_two(found)
        if values is None:
            raise DataError(
                f"the predictions of trial {trial.number} lack the probabilities of some"
                " classes: an earlier version wrote them, or there are more than 256 classes"
            )
        return values

    def mean_values(self, members: Sequence[tuple[TrialHistory, float]]) -> NDArray[Any]:
        """Return the weighted mean of what trials predicted, `(n, units)`."""
        total = sum(weight for _, weight in members)
        found: NDArray[Any] | None = None
        for trial, weight in members:
            part = self.values(trial) * (weight / total)
            found = part if found is None else found + part
        if found is None:
            raise ValueError("a mean needs at least one trial")
        return found

    def losses_of(self, values: NDArray[Any], rows: Indices) -> NDArray[np.float64]:
        """Return the loss of each of some rows of what was predicted, `(n, units)`."""
        # Of all rows, so that errors of numbers have one unit, whichever rows are asked for.
        found = self.task.predicted(values, self.targets)
        columns, shares, importance = _columns_of(found, self.task)
        return np.asarray(losses(columns[rows], shares).astype(np.float64) @ importance)

    def weights_of(self, rows: Indices) -> NDArray[Any] | None:
        """Return the weights of some rows; None if all count the same."""
        return None if self.weights is None else self.weights[rows]

    @cached_property
    def leader(self) -> int:
        """The place of the trial that is best by the study's objective."""
        ranked = {trial.number: place for place, trial in enumerate(self.ranked)}
        return min(range(len(self)), key=lambda n: ranked.get(self.trials[n].number, len(ranked)))

    def objective_of(self, values: NDArray[Any], rows: Indices) -> float:
        """Return the study's objective on some rows, such that larger is better; NaN without."""
        if self.objective is None:
            return math.nan
        metric, larger = self.objective
        try:
            found = metric.of(Scored(values[rows], self.targets[rows], self.weights_of(rows)))
        except ValueError:
            return math.nan
        return found if larger else -found


class _Reader:
    """Reads trial after trial; the first says which samples all have."""

    def __init__(self, history: History, folder: StudyFolder, weights: NDArray[Any] | None) -> None:
        study = history.known_study()
        self.task = task_of_study(study)
        self.missing: list[str] = []
        self._folder = folder
        folds = Folds.load(folder.folds, digest=study.folds_digest or None)
        repeats = Split.parse(study.settings.get("split") or STRATIFIED).repeats
        self.shown = max(1, study.folds // repeats)  # the first folds that validate every sample
        validation = folds.validation[: self.shown]
        self.samples: Indices = np.concatenate(validation)
        self.fold_of = np.repeat(np.arange(len(validation)), [*map(len, validation)])
        self.groups = None if folds.groups is None else np.asarray(folds.groups)[self.samples]
        self.ids = self.samples if self.groups is None else self.groups
        self.weights = None if weights is None else np.asarray(weights)[self.samples]
        self.targets: NDArray[Any] = np.empty(0)
        self.kinds: tuple[NDArray[np.bool_], NDArray[np.float64]] = (np.empty(0, bool), np.empty(0))

    def read(self, trials: Sequence[TrialHistory]) -> Iterator[tuple[TrialHistory, Floats]]:
        for trial in trials:
            try:
                yield trial, self._columns(trial)
            except DataError as error:
                self.missing.append(f"trial {trial.number} is left out: {error}.")

    def loss(self, columns: Floats) -> float:
        return loss_of(columns, self.weights, *self.kinds)

    def _columns(self, trial: TrialHistory) -> Floats:
        if any(fold.outputs == SCORES for fold in trial.finished_folds().values()):
            raise DataError("its outputs are scores, not probabilities, which have no mean")
        found = joined_predictions(trial, self._folder, self.task, self.shown)
        if len(found.targets) != len(self.samples):
            raise DataError("its predictions are not of all samples of the folds")
        if not len(self.targets):
            self.targets = found.targets
        if not np.array_equal(self.targets, found.targets):
            raise DataError("its predictions are not of the same samples as those of other trials")
        columns, *self.kinds = _columns_of(found, self.task)  # type: ignore[assignment]
        if not np.isfinite(columns).all():
            raise DataError("its predictions are not all finite")
        shares = columns[:, self.kinds[0]]
        if ((shares < -_ROUNDING) | (shares > 1 + _ROUNDING)).any():
            raise DataError("some of its outputs are scores, not probabilities")
        return columns


def joined_predictions(
    trial: TrialHistory, folder: StudyFolder, task: Task, folds: int
) -> Predictions:
    """Return a trial's predictions of the first folds, one after another.

    Raises:
        DataError: a file is missing or damaged.
    """
    kind = task.predictions
    numbers = [number for number in trial.finished_folds() if number <= folds]
    return kind.joined([kind.load(folder.predictions(trial.number, n)) for n in sorted(numbers)])


def values_in(predictions: Predictions) -> NDArray[Any] | None:
    """Return what predictions say, `(n, units)`; None where not all probabilities are known."""
    match predictions:
        case NumberPredictions():
            return predictions.predicted
        case SeveralPredictions():
            return predictions.values
    return probabilities_in(predictions)


def _of_two(found: ClassPredictions) -> Floats:
    """Return both probabilities of files that have that of the true class alone."""
    values = np.empty((len(found.labels), 2), np.float32)
    rows = np.arange(len(values))
    values[rows, found.labels], values[rows, 1 - found.labels] = found.truth, 1 - found.truth
    return values


def _objective(history: History, task: Task) -> tuple[Metric, bool] | None:
    try:
        first, metric = objective_of(history.objectives[0].name, task)
    except SettingsError:  # a function of the user's
        return None
    return None if metric is None else (metric, first.larger)


def _columns_of(
    found: Predictions, task: Task
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.float64]]:
    """Return columns `(n, columns)`, which of them are probabilities, and how much they count.

    The unit of a number is the spread of these predictions' targets.
    """
    if isinstance(found, SeveralPredictions) and isinstance(task, MultiOutput):
        own = task.by_output(found)
        parts = [(_columns_of(own[part.name], part.task), part.weight) for part in task.parts]
        total = sum(weight for _, weight in parts)
        counts = [importance * weight / total for (_, _, importance), weight in parts]
        return (
            np.concatenate([columns for (columns, _, _), _ in parts], axis=1),
            np.concatenate([shares for (_, shares, _), _ in parts]),
            np.concatenate(counts),
        )
    match found:
        case ClassPredictions():
            columns, is_share = found.truth[:, np.newaxis], True
        case LabelPredictions():
            is_share = True
            columns = np.where(found.labels == 1, found.probabilities, 1 - found.probabilities)
        case NumberPredictions():
            is_share = False
            spread = found.actual.std(axis=0)
            columns = (found.predicted - found.actual) / np.where(spread > 0, spread, 1)
        case _:
            raise DataError(f"predictions of {task.name} cannot be averaged")
    width = columns.shape[1]
    return columns.astype(np.float32), np.full(width, is_share), np.full(width, 1 / width)


def losses(columns: Floats, are_shares: NDArray[np.bool_]) -> Floats:
    """Return the loss of each column: log loss in nats, or the squared error; the same shape."""
    if are_shares.all():
        return -np.log(np.maximum(columns, np.float32(SMALLEST)))
    if not are_shares.any():
        return np.square(columns)
    found = np.square(columns)
    found[..., are_shares] = losses(columns[..., are_shares], are_shares[are_shares])
    return found


def loss_of(
    columns: Floats,
    weights: NDArray[Any] | None,
    are_shares: NDArray[np.bool_],
    importance: NDArray[np.float64],
) -> float:
    """Return the mean loss of columns `(n, columns)`."""
    of_rows = losses(columns, are_shares).astype(np.float64) @ importance
    return float(np.average(of_rows, weights=weights))


def splits_of(
    parts: Indices, ids: Indices, weights: NDArray[Any] | None = None
) -> Iterator[tuple[Indices, Indices]]:
    """Yield for each part the rows without its ids, and its own.

    None that lacks either, or where all rows of either have no weight.
    """
    counts = np.ones(len(parts), bool) if weights is None else np.asarray(weights) > 0
    for part in range(int(parts.max()) + 1):
        own = parts == part
        others = ~own & ~np.isin(ids, ids[own])
        if (own & counts).any() and (others & counts).any():
            yield np.flatnonzero(others), np.flatnonzero(own)


def parts_of(fold_of: Indices, ids: Indices) -> Indices:
    """Return the parts of nested cross-validation: folds, or with few of them, parts of the ids."""
    folds = int(fold_of.max()) + 1
    if folds >= LEAST_PARTS:
        return fold_of % MOST_PARTS
    numbers = np.unique(ids, return_inverse=True)[1].reshape(-1)
    order = np.random.default_rng(0).permutation(int(numbers.max()) + 1)
    return np.asarray(order[numbers] % PARTS, np.int64)
