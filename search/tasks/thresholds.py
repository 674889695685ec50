"""By which probability a class of two, or a label, is decided: 0.5, or what a metric likes best."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from search.errors import SettingsError
from search.tasks.base import Array, Metric, OutputMeaning, Scored, Task

FIXED, TUNED = "0.5", "tuned"  # values of the setting
CANDIDATES, OF_LABELS = 100, 25  # thresholds that are tried of a class, a label; at most, twice
MOST = 20_000  # decisions that they are tried on
_SAME = 1e-12  # of two values of a metric


class DecidingOutputs(OutputMeaning):
    """Outputs of which a threshold makes a class of two, or labels.

    Attributes:
        thresholds: tuned ones, in the unit of `margins`; empty for the neutral one.
    """

    thresholds: tuple[float, ...] = ()

    @property
    def neutral(self) -> float:
        """The threshold that is not tuned."""
        return 0.5

    @abstractmethod
    def margins(self, values: Array) -> Array:
        """Return what is compared with thresholds, float64 `(n, thresholds)`.

        Args:
            values: float `(n, units)`.
        """

    @abstractmethod
    def told(self, above: Array) -> Array:
        """Return values `(n, units)`, each 0 or 1, of what lies above its threshold, bool."""

    def decided(self, values: Array) -> Array:
        """Return values of which metrics of decisions see the tuned thresholds."""
        if not self.thresholds:
            return values
        return self.told(self.margins(values) > np.array(self.thresholds))

    def tuned(
        self, metric: Metric, values: Array, targets: Array, weights: Array | None = None
    ) -> Self:
        """Return the same outputs with the thresholds that make a metric best.

        Thresholds lie in the middle between values that occur. Of equally good ones the median is
        taken; labels are tuned in their order, and one on which the metric does not depend keeps
        the neutral threshold.

        Args:
            metric: of decisions.
            values: float `(n, units)`, of samples that no score is computed of.
            targets: `(n, ...)`.
            weights: `(n,)`, by which samples count; None if all count the same.

        Raises:
            ValueError: the metric is no number at any threshold.
        """
        rows = _some_rows(len(values), values.shape[1] if targets.ndim == 2 else 1)
        margins, targets = self.margins(values[rows]), targets[rows]
        weights = None if weights is None else weights[rows]
        most = CANDIDATES if targets.ndim == 1 else OF_LABELS
        above, found = margins > self.neutral, []
        for place in range(margins.shape[1]):
            is_true = (targets if targets.ndim == 1 else targets[:, place]) == 1
            tried = _candidates(margins[:, place], is_true, self.neutral, most)
            scores = []
            for threshold in tried:
                above[:, place] = margins[:, place] > threshold
                score = self._score(metric, above, targets, weights)
                scores.append(score if metric.larger else -score)
            chosen = _best(tried, scores, self.neutral)
            if chosen is None:
                raise ValueError(
                    f"a threshold must be tuned by a metric that is a number; {metric.name} of the"
                    f" training part is none at any of {len(tried)} thresholds"
                )
            above[:, place] = margins[:, place] > chosen
            found.append(chosen)
        return replace(self, thresholds=tuple(found))  # type: ignore[type-var] # all are dataclasses

    def _score(self, metric: Metric, above: Array, targets: Array, weights: Array | None) -> float:
        """Return a metric of decisions; of two classes, of how often each pair of them occurs."""
        if targets.ndim == 2 or not metric.takes_weights:
            return metric.of(Scored(self.told(above), targets, weights))
        counts = np.bincount(2 * targets + above[:, 0], weights, minlength=4)
        [occur] = np.nonzero(counts)
        pairs = self.told(occur[:, np.newaxis] % 2 == 1)
        return metric.of(Scored(pairs, occur // 2, counts[occur].astype(np.float64)))


def _some_rows(count: int, labels: int) -> Array:
    return np.linspace(0, count - 1, min(count, max(1, MOST // labels))).astype(np.int64)


def _candidates(margins: Array, is_true: Array, neutral: float, most: int) -> list[float]:
    """Return thresholds of which no two decide alike, in order, and the neutral one.

    Where there are too many, some of those just below what is true are among them: the best of most
    metrics is one, and what is true may be rare.
    """
    known = np.unique(margins)
    low, high = float(known[0]), float(known[-1])
    is_share = neutral == 0.5 and low >= 0 and high <= 1
    ends = (low / 2, (high + 1) / 2) if is_share else (low - 1, high + 1)
    between = (known[1:] + known[:-1]) / 2
    places = np.unique(np.searchsorted(known, margins[is_true]))
    below = between[places[places > 0] - 1]
    return sorted({*_some(between, most), *_some(below, most), *ends, neutral})


def _some(cuts: Array, most: int) -> list[float]:
    places = np.linspace(0, len(cuts) - 1, min(len(cuts), most)).round().astype(int)
    return [float(cut) for cut in cuts[places]]


def _best(tried: Sequence[float], scores: Sequence[float], neutral: float) -> float | None:
    known = [score for score in scores if math.isfinite(score)]
    if not known:
        return None
    best = max(known)
    if len(known) == len(scores) and best - min(known) <= _SAME:
        return neutral
    equal = [t for t, score in zip(tried, scores, strict=True) if score >= best - _SAME]
    return equal[(len(equal) - 1) // 2]


def check_threshold(setting: str, task: Task) -> None:
    """Check that a task has a threshold where one is to be tuned.

    Raises:
        SettingsError: it has none.
    """
    if setting != TUNED or task.has_threshold:
        return
    why = (
        "of several classes the most probable one is predicted, whatever its probability"
        if task.has_classes
        else "no class or label is decided by one number"
    )
    raise SettingsError(
        f"`--threshold tuned` is for two classes or for labels; got {task.name} of {task.size}:"
        f" {why}. Leave it out."
    )


def tuned_by(metrics: Sequence[Metric | None], task: Task) -> Metric:
    """Return the metric that thresholds are tuned by.

    Args:
        metrics: of the study's objectives, in their order; None for those that are no such metric.
        task: with a threshold; where no objective depends on it, its first own metric.
    """
    own = (task.metric(name) for name in task.scored)
    return next(metric for metric in _known([*metrics, *own]) if metric.is_of_decisions)


def _known(metrics: Sequence[Any]) -> Iterator[Metric]:
    return (metric for metric in metrics if metric is not None)
