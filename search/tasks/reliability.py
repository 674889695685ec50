"""How far probabilities can be believed: reliability, expected calibration error, Brier score."""

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from search.tasks.base import (
    CLASSIFICATION,
    MULTI_LABEL,
    Array,
    Metric,
    Predictions,
    Scored,
    Task,
)
from search.tasks.classification import ClassPredictions
from search.tasks.multi_label import LabelPredictions
from tracking.records import Json

Numbers = NDArray[np.float64]

BINS, LEAST_IN_BIN = 15, 20
_NORMAL = 1.959963984540054  # 97.5 % of the normal distribution are below


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often what was given a probability came true, in bins of equally many decisions.

    The expected calibration error is the weighted mean over decisions of how far a bin's frequency
    is from its mean probability. Even a perfect model has one, the larger the fewer decisions there
    are: `error_by_chance`.

    Source: Naeini, Cooper & Hauskrecht 2015, "Obtaining well calibrated probabilities using
    Bayesian binning", AAAI, for the error; Nixon et al. 2019, "Measuring calibration in deep
    learning", CVPR workshops, for bins of equally many.

    Attributes:
        predicted: mean probability in each bin, `(bins,)`, ascending.
        observed: how often it came true, `(bins,)`.
        counts: decisions in each bin, `(bins,)`.
        mass: their weights, `(bins,)`; the counts where all count the same.
        low: lower end of the 95 % interval of `observed` (Wilson 1927).
        high: upper end.
        by_chance: in each bin, the standard error that `observed` has if `predicted` is true.
        what: whose probability it is, in words.
    """

    predicted: Numbers
    observed: Numbers
    counts: NDArray[np.int64]
    mass: Numbers
    low: Numbers
    high: Numbers
    by_chance: Numbers
    what: str

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1."""
        return float(np.average(np.abs(self.observed - self.predicted), weights=self.mass))

    @property
    def error_by_chance(self) -> float:
        """The expected calibration error that perfect probabilities have on as many decisions.

        In each bin the mean of the folded normal distribution, `sqrt(2 / pi)` standard errors.
        """
        return float(np.average(sqrt(2 / pi) * self.by_chance, weights=self.mass))

    def to_json(self) -> Json:
        """Return curve and errors."""
        curve = ("predicted", "observed", "low", "high")
        return {
            **{name: [round(float(v), 6) for v in getattr(self, name)] for name in curve},
            "counts": self.counts.tolist(),
            "error": self.error,
            "error_by_chance": self.error_by_chance,
            "what": self.what,
        }


def reliability(
    probabilities: Array,
    came_true: Array,
    weights: Array | None = None,
    *,
    bins: int = BINS,
    what: str = "the likeliest class",
) -> Reliability:
    """Return how often decisions came true, by the probability they were given.

    Bins are cut at quantiles of the probabilities, as scikit-learn's `calibration_curve` with
    `strategy="quantile"` does; equal probabilities stay together. With few samples there are fewer
    bins, so that each has about 20.

    Args:
        probabilities: `(n,)`.
        came_true: `(n,)`, bool or 0 and 1.
        weights: `(n,)`, by which they count; None if all count the same.
        bins: at most.
        what: whose probabilities these are, in words.

    Raises:
        ValueError: there is none.
    """
    shares = np.asarray(probabilities, np.float64)
    if not len(shares):
        raise ValueError("reliability needs at least one sample")
    count = max(1, min(bins, len(shares) // LEAST_IN_BIN))
    edges = np.percentile(shares, 100 * np.linspace(0, 1, count + 1))[1:-1]
    places = np.searchsorted(edges, shares)
    own = np.ones(len(shares)) if weights is None else np.asarray(weights, np.float64)
    mass, counts = (np.bincount(places, w, count) for w in (own, np.ones(len(shares))))
    kept = mass > 0

    def mean(values: Array) -> Numbers:
        return np.asarray(np.bincount(places, own * values, count)[kept] / mass[kept])

    predicted, observed = mean(shares), mean(np.asarray(came_true, np.float64))
    squares = np.bincount(places, own**2, count)[kept]
    effective = mass[kept] ** 2 / squares  # of equal weight (Kish 1965, Survey sampling)
    spread = np.sqrt(mean(shares * (1 - shares)) / effective)
    low, high = _wilson(observed, effective)
    numbers = counts[kept].astype(np.int64)
    weighed = mass[kept].astype(np.float64)
    return Reliability(predicted, observed, numbers, weighed, low, high, spread, what)


def _wilson(share: Numbers, samples: Numbers) -> tuple[Numbers, Numbers]:
    squared = _NORMAL**2 / samples
    centre = (share + squared / 2) / (1 + squared)
    spread = np.sqrt(share * (1 - share) / samples + squared / 4 / samples)
    reach = _NORMAL / (1 + squared) * spread
    return np.maximum(centre - reach, 0), np.minimum(centre + reach, 1)


def reliability_of(
    values: Array, targets: Array, task: Task, weights: Array | None = None
) -> Reliability:
    """Return the reliability of a model's probabilities.

    Of two classes it is that of the second's probability, of more that of the likeliest one's, of
    labels that of all of them together.

    Args:
        values: probabilities, `(n, units)`.
        targets: `(n, ...)`, in the form of the task.
        task: of classes or labels.
        weights: `(n,)`, by which samples count; None if all count the same.

    Raises:
        ValueError: the task has no probabilities.
    """
    if task.name == MULTI_LABEL:
        own = None if weights is None else np.repeat(weights, values.shape[1])
        return reliability(values.ravel(), targets.ravel(), own, what="each label")
    if task.name != CLASSIFICATION:
        raise ValueError(f"{task.name} has no probabilities")
    if values.shape[1] == 2:
        return reliability(values[:, 1], targets == 1, weights, what=_named(task, 1))
    likeliest = values.argmax(axis=1)
    confidence = values[np.arange(len(values)), likeliest]
    return reliability(confidence, likeliest == targets, weights)


def _named(task: Task, place: int) -> str:
    return f"class {task.names[place]}" if place < len(task.names) else f"class {place}"


def brier_score(values: Array, targets: Array, task: Task, weights: Array | None = None) -> float:
    """Return the mean squared error of probabilities, as scikit-learn's `brier_score_loss`.

    Of two classes and of labels it is that of one probability, 0 to 1; of more classes the sum over
    all of them, 0 to 2.

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability", Monthly
    Weather Review 78.

    Args:
        values: probabilities, `(n, units)`.
        targets: `(n, ...)`, in the form of the task.
        task: of classes or labels.
        weights: `(n,)`, by which samples count; None if all count the same.
    """
    found = np.asarray(values, np.float64)
    if task.name == MULTI_LABEL:
        each = ((found - targets) ** 2).mean(axis=1)
    else:
        # The sum of (p - y)^2 over classes, without an array of what is true.
        truth = found[np.arange(len(targets)), targets]
        each = (found**2).sum(axis=1) - 2 * truth + 1
        each = each / 2 if found.shape[1] == 2 else each
    return float(np.average(each, weights=weights))


@dataclass(frozen=True)
class Brier(Metric):
    """The Brier score, as a metric."""

    task: Task
    name = "brier"
    larger = False
    limits = (0.0, 2.0)
    meaning = "Brier score"

    def of(self, scored: Scored) -> float:
        """Return it."""
        return brier_score(scored.values, scored.targets, self.task, scored.weights)


def probabilities_in(predictions: Predictions) -> Array | None:
    """Return the probabilities in predictions, `(n, units)`; None where there are not all."""
    match predictions:
        case ClassPredictions():
            return predictions.probabilities
        case LabelPredictions():
            return predictions.probabilities
    return None


def scores_of_probabilities(
    predictions: Predictions, task: Task, weights: Array | None = None
) -> dict[str, float]:
    """Return `cv_ece` and `cv_brier` of out-of-fold predictions; empty without probabilities."""
    values = probabilities_in(predictions)
    if values is None or not len(values):
        return {}
    targets = predictions.targets
    return {
        "cv_ece": reliability_of(values, targets, task, weights).error,
        "cv_brier": brier_score(values, targets, task, weights),
    }
