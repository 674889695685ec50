"""Probabilities that are as sure as they are right: temperature or isotonic, if it helps.

Both are fitted on out-of-fold predictions, after averaging where several models are averaged, and
kept only where nested log loss gets smaller: fitted on the other parts, measured on a part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.analysis.comparison.statistics import Difference, corrected_difference
from search.analysis.library import SMALLEST
from search.data.folds import Indices
from search.tasks import CLASSIFICATION, MULTI_LABEL, Task
from search.tasks.reliability import Reliability, brier_score, reliability_of
from tracking.records import Json

Numbers = NDArray[np.float64]
Array = NDArray[Any]
Knots = tuple[tuple[float, ...], tuple[float, ...]]  # probabilities before and after, ascending
Splits = Sequence[tuple[Indices, Indices]]

NONE, TEMPERATURE, ISOTONIC = "none", "temperature", "isotonic"
ENOUGH_FOR_ISOTONIC = 5_000  # samples; and for each class
ENOUGH_OF_A_CLASS = 500
MOST_KNOTS = 32
_COOLEST, _HOTTEST = 0.05, 20.0  # temperatures
_AT_THE_END = 1.01  # ratio to one of these
# Of an isotonic function, how much is the probability as it was. A function that is flat somewhere
# would put all samples there on one side of a threshold, and tie their order.
_KEPT = 1e-3
_LEAST_APART, _STEEPEST = 1e-5, 100.0  # corners, and how much it may rise between them


@dataclass(frozen=True)
class Calibration:
    """How probabilities are changed.

    Attributes:
        kind: `none`, `temperature` or `isotonic`.
        temperature: by which the logarithms of probabilities are divided; above 1 they get less
            sure. Of labels, one for all.
        knots: of isotonic, for each class or label the corners of a piecewise linear function; of
            two classes only for the second.
    """

    kind: str = NONE
    temperature: float = 1.0
    knots: tuple[Knots, ...] = ()

    def applied(self, values: Array, task: Task) -> Array:
        """Return calibrated probabilities, `(n, units)`, float64.

        Args:
            values: probabilities, `(n, units)`.
            task: of classes or labels; those of other tasks are returned as they are.
        """
        found = np.asarray(values, np.float64)
        if self.kind == TEMPERATURE:
            return _with_temperature(found, self.temperature, task)
        if self.kind == ISOTONIC:
            return _with_knots(found, self.knots, task)
        return found

    @property
    def is_extreme(self) -> bool:
        """Whether the temperature is one of the two that are the ends of what is tried."""
        return self.kind == TEMPERATURE and (
            self.temperature > _HOTTEST / _AT_THE_END or self.temperature < _COOLEST * _AT_THE_END
        )

    def threshold(self, before: float, label: int = 0) -> float:
        """Return the threshold that decides of calibrated probabilities as one did before.

        Args:
            before: of the probability of the second class, or of a label.
            label: its number; 0 for classes.
        """
        if self.kind == ISOTONIC:
            return float(np.interp(before, *self.knots[label]))
        if self.kind == TEMPERATURE:
            odds = log(max(before, SMALLEST)) - log(max(1 - before, SMALLEST))
            return 1 / (1 + exp(-odds / self.temperature))
        return before

    def to_json(self) -> Json:
        """Return what `from_json` reads."""
        found: Json = {"kind": self.kind, "temperature": self.temperature}
        if self.knots:
            found["knots"] = [[list(x), list(y)] for x, y in self.knots]
        return found

    @classmethod
    def from_json(cls, known: Json) -> "Calibration":
        """Return what `to_json` wrote."""
        knots = tuple(
            (tuple(map(float, x)), tuple(map(float, y))) for x, y in known.get("knots", ())
        )
        return cls(str(known["kind"]), float(known["temperature"]), knots)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What calibration was found, and what it does to probabilities that it was not fitted on.

    Attributes:
        calibration: fitted on all samples; of kind `none` where none helps.
        values: the out-of-fold probabilities, each part calibrated by what the others showed,
            `(n, units)`; as they were where none helps.
        loss_before: log loss in nats, mean over the parts.
        loss: nested log loss of what was chosen.
        difference: before less after, with its corrected 95 % interval; None where none was tried.
        before: reliability of the probabilities as they were.
        after: of `values`.
        brier_before: Brier score as they were.
        brier: of `values`.
    """

    calibration: Calibration
    values: Array
    loss_before: float
    loss: float
    difference: Difference | None
    before: Reliability
    after: Reliability
    brier_before: float
    brier: float


def calibrate(
    values: Array,
    targets: Array,
    task: Task,
    splits: Iterable[tuple[Indices, Indices]],
    weights: Array | None = None,
) -> Calibrated:
    """Find the calibration of out-of-fold probabilities.

    One that lowers the mean of nested log loss is kept, also where its interval includes 0: as
    temperature is a single number, it does little harm where it does no good.

    Args:
        values: probabilities, `(n, units)`.
        targets: `(n, ...)`, in the form of the task.
        task: of classes or labels.
        splits: for each part the rows to fit on and those to measure on; see `Library.splits`.
        weights: `(n,)`, by which samples count; None if all count the same.

    Raises:
        ValueError: the task has no probabilities.
    """
    if task.name not in (CLASSIFICATION, MULTI_LABEL):
        raise ValueError(f"{task.name} has no probabilities to calibrate")
    probabilities, parts = np.asarray(values, np.float64), list(splits)
    kinds = [TEMPERATURE]
    if _is_enough(targets, task):
        kinds.append(ISOTONIC)
    before = _losses_by_part(probabilities, targets, task, parts, weights)
    best, nested, after = NONE, probabilities, before
    for kind in kinds if parts else ():
        found = _nested(kind, probabilities, targets, task, parts, weights)
        own = _losses_by_part(found, targets, task, parts, weights)
        if np.mean(own) < np.mean(after):
            best, nested, after = kind, found, own
    share = [len(own) / len(others) for others, own in parts]
    whole = np.arange(len(targets))
    return Calibrated(
        fitted(best, probabilities, targets, task, weights),
        nested,
        float(np.mean(before)) if before else log_loss(probabilities, targets, task, weights),
        float(np.mean(after)) if after else log_loss(probabilities, targets, task, weights),
        corrected_difference(before, after, test_share=float(np.mean(share))) if parts else None,
        reliability_of(probabilities[whole], targets, task, weights),
        reliability_of(nested, targets, task, weights),
        brier_score(probabilities, targets, task, weights),
        brier_score(nested, targets, task, weights),
    )


def fitted(
    kind: str, values: Array, targets: Array, task: Task, weights: Array | None = None
) -> Calibration:
    """Return the calibration of a kind that makes log loss smallest on samples."""
    if kind == TEMPERATURE:
        return Calibration(TEMPERATURE, fit_temperature(values, targets, task, weights))
    if kind == ISOTONIC:
        return Calibration(ISOTONIC, 1.0, _fit_knots(values, targets, task, weights))
    return Calibration()


def fit_temperature(
    values: Array, targets: Array, task: Task, weights: Array | None = None
) -> float:
    """Return the temperature that makes log loss smallest, from 0.05 to 20.

    Log loss is convex in its inverse. Source: Guo et al. 2017, "On calibration of modern neural
    networks", ICML; on the logarithms of probabilities, as averages of models have no logits.

    Args:
        values: probabilities, `(n, units)`.
        targets: `(n, ...)`.
        task: of classes or labels.
        weights: `(n,)`; None if all count the same.
    """
    from scipy.optimize import minimize_scalar

    logs = np.log(np.maximum(np.asarray(values, np.float64), SMALLEST))
    if task.name == MULTI_LABEL:
        odds = logs - np.log(np.maximum(1 - np.asarray(values, np.float64), SMALLEST))
        signed = np.where(targets == 1, -odds, odds)

        def loss(scale: float) -> float:
            return float(np.average(np.logaddexp(0, scale * signed).mean(axis=1), weights=weights))
    else:
        rows = np.arange(len(targets))
        behind = logs - logs[rows, targets][:, np.newaxis]

        def loss(scale: float) -> float:
            return float(np.average(_log_sums(scale * behind), weights=weights))

    found = minimize_scalar(
        lambda power: loss(exp(power)),
        bounds=(-log(_HOTTEST), -log(_COOLEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(exp(-found.x))


def log_loss(values: Array, targets: Array, task: Task, weights: Array | None = None) -> float:
    """Return the mean log loss in nats; of labels the mean over them, too."""
    return float(np.average(log_losses(values, targets, task), weights=weights))


def log_losses(values: Array, targets: Array, task: Task) -> Numbers:
    """Return the log loss of each sample in nats, `(n,)`; of labels the mean over them."""
    found = np.asarray(values, np.float64)
    if task.name == MULTI_LABEL:
        truth = np.where(targets == 1, found, 1 - found)
        return np.asarray(-np.log(np.clip(truth, SMALLEST, 1)).mean(axis=1))
    truth = found[np.arange(len(targets)), targets]
    return np.asarray(-np.log(np.clip(truth, SMALLEST, 1)))


def _losses_by_part(
    values: Array, targets: Array, task: Task, parts: Splits, weights: Array | None
) -> list[float]:
    of_rows = log_losses(values, targets, task)
    own = np.ones(len(of_rows)) if weights is None else np.asarray(weights, np.float64)
    return [float(np.average(of_rows[rows], weights=own[rows])) for _, rows in parts]


def _nested(
    kind: str, values: Numbers, targets: Array, task: Task, parts: Splits, weights: Array | None
) -> Numbers:
    """Return values, each part calibrated by what was fitted on its others."""
    found = values.copy()
    for others, own in parts:
        counts = None if weights is None else weights[others]
        calibration = fitted(kind, values[others], targets[others], task, counts)
        found[own] = calibration.applied(values[own], task)
    return found


def _is_enough(targets: Array, task: Task) -> bool:
    """Return whether there are samples enough to fit a function for each class or label."""
    if len(targets) < ENOUGH_FOR_ISOTONIC:
        return False
    if task.name == MULTI_LABEL:
        counts = targets.sum(axis=0)
        return int(np.minimum(counts, len(targets) - counts).min()) >= ENOUGH_OF_A_CLASS
    return int(np.bincount(targets, minlength=task.units).min()) >= ENOUGH_OF_A_CLASS


def _with_temperature(values: Numbers, temperature: float, task: Task) -> Numbers:
    logs = np.log(np.maximum(values, SMALLEST)) / temperature
    if task.name == MULTI_LABEL:
        others = np.log(np.maximum(1 - values, SMALLEST)) / temperature
        return np.asarray(1 / (1 + np.exp(others - logs)))
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _with_knots(values: Numbers, knots: Sequence[Knots], task: Task) -> Numbers:
    if task.name == CLASSIFICATION and len(knots) == 1:
        second = np.interp(values[:, 1], *knots[0])
        return np.stack([1 - second, second], axis=1)
    found = np.stack([np.interp(values[:, n], *each) for n, each in enumerate(knots)], axis=1)
    return found if task.name == MULTI_LABEL else found / found.sum(axis=1, keepdims=True)


def _fit_knots(
    values: Array, targets: Array, task: Task, weights: Array | None
) -> tuple[Knots, ...]:
    """Return a function for each class against all others (Zadrozny & Elkan 2002), or label."""
    if task.name == MULTI_LABEL:
        truths = [targets[:, n] for n in range(values.shape[1])]
        return tuple(_isotonic(values[:, n], t, weights) for n, t in enumerate(truths))
    places = [1] if values.shape[1] == 2 else range(values.shape[1])
    return tuple(_isotonic(values[:, n], targets == n, weights) for n in places)


def _isotonic(shares: Array, came_true: Array, weights: Array | None) -> Knots:
    """Return the corners of scikit-learn's isotonic regression, thinned, and away from 0 and 1.

    From 0 to 1 it ascends everywhere, if little.
    """
    from sklearn.isotonic import IsotonicRegression

    found = IsotonicRegression(out_of_bounds="clip")
    found.fit(shares, np.asarray(came_true, np.float64), weights)
    least = 1 / (len(shares) + 2)  # no sample has shown that a probability is smaller
    x, y = found.X_thresholds_, np.clip(found.y_thresholds_, least, 1 - least)
    if len(x) > MOST_KNOTS:
        places = np.searchsorted(x, np.quantile(shares, np.linspace(0, 1, MOST_KNOTS)))
        kept = np.unique(np.clip(places, 0, len(x) - 1))
        x, y = x[kept], y[kept]
    inner = (x > 0) & (x < 1)
    x = np.concatenate([[0.0], x[inner], [1.0]])
    y = np.concatenate([y[:1], y[inner], y[-1:]])
    y = (1 - _KEPT) * y + _KEPT * x
    return _not_too_steep(x, y)


def _not_too_steep(x: Numbers, y: Numbers) -> Knots:
    """Return corners that float32 tells apart, without those behind which a function jumps.

    Runtimes differ in the last digits of a probability, which a jump would make larger.
    """
    x = x.astype(np.float32).astype(np.float64)
    kept, last = [0], len(x) - 1
    for place in range(1, last):
        if not _is_steep(x, y, kept[-1], place):
            kept.append(place)
    while len(kept) > 1 and _is_steep(x, y, kept[-1], last):
        kept.pop()
    kept.append(last)
    return tuple(map(float, x[kept])), tuple(map(float, y[kept]))


def _is_steep(x: Numbers, y: Numbers, left: int, right: int) -> bool:
    apart = x[right] - x[left]
    return bool(apart < _LEAST_APART or y[right] - y[left] > _STEEPEST * apart)


def _log_sums(values: Numbers) -> Numbers:
    most = values.max(axis=1)
    return np.asarray(most + np.log(np.exp(values - most[:, np.newaxis]).sum(axis=1)))
