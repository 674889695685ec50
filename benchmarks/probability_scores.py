"""Scores of probabilities and intervals in NumPy, SciPy and scikit-learn alone.

What the product says of its own models takes no part here.
"""

from typing import Any

import numpy as np
from scipy import stats
from sklearn import metrics

BINS, LEVEL, SMALLEST, DRAWS = 15, 0.9, 1e-7, 1000


def losses(targets: Any, values: Any) -> Any:
    """Return what each sample loses, `(n,)`: of classes the log loss, of numbers the squared error.

    Args:
        targets: `(n,)`, indices of classes, or numbers.
        values: `(n, classes)`, probabilities; or `(n,)`, numbers.
    """
    if values.ndim == 1:
        return (values - targets) ** 2
    return -np.log(np.clip(values[np.arange(len(targets)), targets], SMALLEST, 1))


def class_scores(targets: Any, values: Any) -> dict[str, float]:
    """Return the scores of probabilities, `(n, classes)`."""
    chosen, surest = values.argmax(axis=1), values.max(axis=1)
    right = chosen == targets
    true = np.eye(values.shape[1])[targets]
    by_chance = errors_by_chance(surest)
    sizes, has_true = _own_sets(targets, values)
    return {
        "log_loss": float(
            metrics.log_loss(targets, _shares(values), labels=range(values.shape[1]))
        ),
        "accuracy": float(metrics.accuracy_score(targets, chosen)),
        "brier": float(((values - true) ** 2).sum(axis=1).mean()),
        "ece": calibration_error(surest, right),
        "ece_by_chance": float(by_chance.mean()),
        "ece_by_chance_95": float(np.quantile(by_chance, 0.95)),
        "confidence": float(surest.mean()),
        "own_coverage": float(has_true.mean()),
        "own_set_size": float(sizes.mean()),
    }


def number_scores(targets: Any, values: Any) -> dict[str, float]:
    """Return the scores of predicted numbers, `(n,)`."""
    return {
        "rmse": float(metrics.root_mean_squared_error(targets, values)),
        "mae": float(metrics.mean_absolute_error(targets, values)),
        "spread": float(np.std(targets)),
    }


def set_scores(targets: Any, sets: Any) -> dict[str, float]:
    """Return coverage and mean size of sets of classes, bool `(n, classes)`."""
    return {
        "coverage": float(sets[np.arange(len(targets)), targets].mean()),
        "set_size": float(sets.sum(axis=1).mean()),
        "empty": float((~sets.any(axis=1)).mean()),
    }


def interval_scores(targets: Any, low: Any, high: Any) -> dict[str, float]:
    """Return coverage and mean width of intervals, `(n,)` each end."""
    return {
        "coverage": float(((low <= targets) & (targets <= high)).mean()),
        "width": float(np.mean(high - low)),
    }


def calibration_error(sure: Any, right: Any) -> float:
    """Return the expected calibration error in bins of equally many samples.

    Source: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015; equal-mass bins as in Nixon et al., "Measuring calibration in deep
    learning", CVPR workshops 2019.

    Args:
        sure: `(n,)`, the probability of the class that was chosen.
        right: bool `(n,)`, whether that is the true one.
    """
    order = np.argsort(sure, kind="stable")
    gaps = np.asarray(right, dtype=float)[order] - sure[order]
    return float(sum(abs(part.sum()) for part in np.array_split(gaps, BINS)) / len(sure))


def errors_by_chance(sure: Any) -> Any:
    """Return the calibration errors, `(draws,)`, that perfect probabilities show on as few samples.

    The choice of each sample is right as often as its probability says.
    """
    random = np.random.default_rng(0)
    order = np.sort(sure, kind="stable")
    draws = [calibration_error(order, random.random(len(order)) < order) for _ in range(DRAWS)]
    return np.array(draws)


def mean_interval(values: Any) -> tuple[float, float, float]:
    """Return the mean of values and its 95 % interval (Student's); no interval for one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def _own_sets(targets: Any, values: Any) -> tuple[Any, Any]:
    """Return sizes, and whether the true class is in, of sets whose probabilities come to 0.9."""
    order = np.argsort(-values, axis=1)
    reached = np.cumsum(np.take_along_axis(values, order, axis=1), axis=1)
    sizes = np.minimum((reached < LEVEL).sum(axis=1) + 1, values.shape[1])
    place = (order == targets[:, None]).argmax(axis=1)
    return sizes, place < sizes


def _shares(values: Any) -> Any:
    clipped = np.clip(values.astype(np.float64), SMALLEST, 1)
    return clipped / clipped.sum(axis=1, keepdims=True)
