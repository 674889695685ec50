"""Sets of classes and intervals of numbers that hold the truth as often as wanted.

Cross-conformal prediction: how unusual each training sample looked to the model of the fold that
did not see it (its score) says how unusual a new sample may look. A set holds all classes that are
no more unusual than the chosen fraction of the training samples.

Sources: Vovk 2015, "Cross-conformal predictors", Annals of Mathematics and Artificial Intelligence
74; Barber et al. 2021, "Predictive inference with the jackknife+", Annals of Statistics 49 (CV+).

What holds: with scores of samples that are exchangeable with new ones and models that did not see
them, sets hold the truth with at least the wanted probability, on average over samples (not for
each class by itself). Here new samples meet one model, trained on all samples, where CV+ would ask
all folds' models. That model has seen more and is as good or better, so coverage is seldom lower,
but no theorem says so where a model changes much by a few samples more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.errors import SettingsError
from search.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION, Task
from tracking.records import Json

Numbers = NDArray[np.float64]
Array = NDArray[Any]

MOST_KEPT = 1_000  # scores of each column
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Conformal:
    """The scores of training samples, from which sets for new ones are made.

    Scores: of classes 1 less the probability of the true one (Sadinle, Lei & Wasserman 2019, "Least
    ambiguous set-valued classifiers with bounded error levels"), which gives the smallest sets; of
    labels the same for each label; of numbers the absolute error of each.

    Attributes:
        task: `classification`, `multi-label` or `regression`.
        scores: for each column, ascending: one for classes, else one a label or number.
        levels: for each score the fraction of the samples, and of the new one, that score no more.
            That is `k / (n + 1)` for the k-th of n, with equal weights.
        samples: how many of equal weight, each independent, tell as much.
    """

    task: str
    scores: tuple[tuple[float, ...], ...]
    levels: tuple[tuple[float, ...], ...]
    samples: int

    def check(self, task: str, columns: int) -> None:
        """Check that it is for a task with so many columns.

        Raises:
            ValueError: it is not, or its numbers are not in order.
        """
        both = list(zip(self.scores, self.levels, strict=True))
        if self.task != task or len(both) != columns:
            raise ValueError(f"the scores of sets must be those of {columns} columns of {task}")
        for scores, levels in both:
            if len(scores) != len(levels) or not scores:
                raise ValueError("there must be a level for each score of sets")
            for numbers in (scores, levels):
                if not np.isfinite(numbers).all() or (np.diff(numbers) < 0).any():
                    raise ValueError("scores of sets and their levels must ascend")

    @property
    def most(self) -> float:
        """The largest coverage that so many samples can promise."""
        return min(levels[-1] for levels in self.levels)

    def limits(self, coverage: float) -> Numbers:
        """Return the largest score that a set may hold, for each column.

        Args:
            coverage: fraction of new samples whose set is to hold the truth, above 0 and below 1.

        Raises:
            SettingsError: there are too few samples for it.
        """
        if not 0 < coverage < 1:
            raise SettingsError(f"`--coverage` must be above 0 and below 1; got {coverage:g}")
        if coverage > self.most + _ROUNDING:
            raise SettingsError(
                f"`--coverage` must be at most {_rounded_down(self.most)} where {self.samples:,}"
                f" independent samples tell how often sets hold the truth; got {coverage:g}. A set"
                " that holds more often would hold every answer"
            )
        pairs = zip(self.scores, self.levels, strict=True)
        places = [(s, int(np.searchsorted(at, coverage - _ROUNDING))) for s, at in pairs]
        return np.array([scores[min(place, len(scores) - 1)] for scores, place in places])

    def sets(self, values: Array, coverage: float) -> NDArray[np.bool_]:
        """Return which classes each set holds, `(n, classes)`; of labels `(n, labels, 2)`.

        A set may be empty: the sample looks less like any class than most training samples looked
        like theirs. Of labels, the last axis is whether the set holds `no` and `yes`.

        Args:
            values: probabilities of a model, `(n, units)`.
            coverage: fraction of new samples whose set is to hold the truth.

        Raises:
            SettingsError: there are too few samples for it.
        """
        limits = self.limits(coverage)
        found = np.asarray(values, np.float64)
        if self.task == MULTI_LABEL:
            both = np.stack([found, 1 - found], axis=-1)  # scores of no and of yes
            return np.asarray(both <= limits[:, np.newaxis] + _ROUNDING)
        return np.asarray(1 - found <= limits[0] + _ROUNDING)

    def intervals(self, values: Array, coverage: float) -> Numbers:
        """Return the ends of each number's interval, `(n, numbers, 2)`.

        Each number's interval holds by itself, not all of them at once.

        Args:
            values: predicted numbers, `(n, numbers)`.
            coverage: fraction of new samples whose interval is to hold the truth.

        Raises:
            SettingsError: there are too few samples for it.
        """
        reach = self.limits(coverage)
        found = np.asarray(values, np.float64)
        return np.stack([found - reach, found + reach], axis=-1)

    def tested(
        self, values: Array, targets: Array, coverage: float, weights: Array | None = None
    ) -> Json:
        """Return how often sets or intervals held the truth of other samples, and how large.

        Args:
            values: probabilities or numbers, `(n, units)`.
            targets: `(n, ...)`, in the form of the task.
            coverage: that is wanted.
            weights: `(n,)`, by which samples count; None if all count the same.

        Returns:
            `wanted`, `found` (of labels and numbers the mean over them), `size` (mean number of
            classes, of labels left undecided, or for each number half the width of intervals),
            `task`.
        """
        limits = self.limits(coverage)
        if self.task == REGRESSION:
            off = np.abs(np.asarray(targets, np.float64).reshape(values.shape) - values)
            hits, size = off <= limits + _ROUNDING, limits.tolist()
        else:
            sets = self.sets(values, coverage)
            if self.task == MULTI_LABEL:
                rows, columns = np.indices(values.shape)
                hits = sets[rows, columns, np.asarray(targets, np.int64)]
                sizes = (sets.sum(axis=-1) != 1).sum(axis=1)
            else:
                hits, sizes = held(sets, targets)[:, np.newaxis], sets.sum(axis=1)
            size = float(np.average(sizes, weights=weights))
        found = float(np.average(hits.mean(axis=1), weights=weights))
        return {"wanted": coverage, "found": found, "size": size, "task": self.task}

    def to_json(self) -> Json:
        """Return what `from_json` reads: at most 2,000 numbers a column."""
        return {
            "task": self.task,
            "samples": self.samples,
            "scores": [[float(f"{score:.7g}") for score in each] for each in self.scores],
            "levels": [[float(f"{level:.9g}") for level in each] for each in self.levels],
        }

    @classmethod
    def from_json(cls, known: Json) -> "Conformal":
        """Return what `to_json` wrote."""
        scores, levels = (
            tuple(tuple(map(float, each)) for each in known[name]) for name in ("scores", "levels")
        )
        return cls(str(known["task"]), scores, levels, int(known["samples"]))


def conformal(
    values: Array,
    targets: Array,
    task: Task,
    *,
    weights: Array | None = None,
    groups: Array | None = None,
) -> Conformal:
    """Return the scores of out-of-fold predictions.

    With groups, samples of one are not independent, and a new sample is of a new group. Then a
    whole group's mean weight is added for the new one, so that sets get larger; coverage holds on
    average over groups drawn at random. With weights a sample counts as often as they say: coverage
    is that of the population they stand for. With folds cut by time it holds only as far as the
    future is like the past.

    Args:
        values: probabilities or numbers, `(n, units)`, as the exported model gives them.
        targets: `(n, ...)`, in the form of the task.
        task: of classes, labels or numbers.
        weights: `(n,)`; None if all count the same.
        groups: `(n,)`, samples with the same number belong together, or are one that was predicted
            several times; None if all are alone.

    Raises:
        ValueError: the task is another.
    """
    return conformal_of(scores_of(values, targets, task), task.name, weights=weights, groups=groups)


def conformal_of(
    columns: Numbers, task: str, *, weights: Array | None = None, groups: Array | None = None
) -> Conformal:
    """Return what `conformal` does, of scores that are known, `(n, columns)`."""
    own = np.ones(len(columns)) if weights is None else np.asarray(weights, np.float64)
    counts = (
        own
        if groups is None
        else np.bincount(np.unique(groups, return_inverse=True)[1].ravel(), own)
    )
    effective = float(counts.sum() ** 2 / (counts**2).sum())  # Kish 1965, Survey sampling
    added = own.sum() / effective  # the new sample's share
    pairs = [_levels(column, own, added) for column in columns.T]
    scores, levels = zip(*pairs, strict=True)
    return Conformal(task, scores, levels, int(effective + _ROUNDING))


def scores_of(values: Array, targets: Array, task: Task) -> Numbers:
    """Return how unusual the truth of each sample looks, `(n, columns)`."""
    found = np.asarray(values, np.float64)
    if task.name == CLASSIFICATION:
        return 1 - found[np.arange(len(targets)), targets][:, np.newaxis]
    if task.name == MULTI_LABEL:
        return np.where(np.asarray(targets) == 1, 1 - found, found)
    if task.name == REGRESSION:
        return np.abs(np.asarray(targets, np.float64).reshape(found.shape) - found)
    raise ValueError(f"{task.name} has no sets or intervals")


def _levels(
    scores: Numbers, weights: Numbers, added: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return scores and their levels; of many, some that are no smaller than any left out.

    Left out are the smaller ones of each run, so that a level is never promised too early.
    """
    order = np.argsort(scores, kind="stable")
    ascending = scores[order]
    levels = np.cumsum(weights[order]) / (weights.sum() + added)
    count = len(order)
    kept = np.arange(count)
    if count > MOST_KEPT:
        kept = np.unique(np.ceil(np.linspace(0, count - 1, MOST_KEPT)).astype(np.int64))
    return tuple(ascending[kept].tolist()), tuple(levels[kept].tolist())


def held(sets: NDArray[np.bool_], targets: Array) -> NDArray[np.bool_]:
    """Return for each sample whether its set holds the true class, `(n,)`."""
    rows: Sequence[int] | Array = np.arange(len(targets))
    return np.asarray(sets[rows, targets])


def _rounded_down(coverage: float) -> str:
    digits = 2 if coverage < 0.99 else 4
    return f"{int(coverage * 10**digits) / 10**digits:g}"
