"""Three or more models ranked fold by fold: Friedman's test and Nemenyi's critical difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

FEWEST_MODELS = 3


@dataclass(frozen=True)
class Ranking:
    """Models ranked on each fold.

    Attributes:
        ranks: each model's mean rank over the folds, 1 for the best; equal scores share ranks.
        statistic: Friedman's chi-squared, corrected for ties.
        p: of no difference among the models.
        critical_difference: mean ranks nearer to each other than that cannot be told apart.
        groups: numbers of models that cannot be told apart, best first, from two on; a model
            may be in several.
        folds: how many.
    """

    ranks: tuple[float, ...]
    statistic: float
    p: float
    critical_difference: float
    groups: tuple[tuple[int, ...], ...]
    folds: int


def rank(scores: Sequence[Sequence[float]], *, level: float = 0.95, choices: int = 1) -> Ranking:
    """Return Friedman's test and Nemenyi's critical difference.

    Source: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets", Journal
    of Machine Learning Research 7, section 3.2; the correction for ties as in Conover 1999,
    "Practical nonparametric statistics".

    Args:
        scores: of each model a score for each fold, larger is better; `(n_models, n_folds)`.
        level: 1 minus the chance to claim a difference where there is none.
        choices: from how many sets of models these were chosen by the same scores; p is raised,
            and the critical difference widened, for their number (Bonferroni).

    Raises:
        ValueError: fewer than three models or two folds, or not as many scores of each.
    """
    table = np.round(np.asarray(scores, dtype=np.float64), 12)  # equal but for rounding: ties
    if table.ndim != 2 or table.shape[0] < FEWEST_MODELS or table.shape[1] < 2:
        raise ValueError(f"ranks need three models and two folds; got {table.shape}")
    by_fold = stats.rankdata(-table, axis=0)
    ranks = tuple(float(mean) for mean in by_fold.mean(axis=1))
    statistic = friedman(by_fold)
    far = critical_difference(*table.shape, level=1 - (1 - level) / choices)
    return Ranking(
        ranks=ranks,
        statistic=statistic,
        p=min(1.0, choices * float(special.chdtrc(len(ranks) - 1, statistic))),
        critical_difference=far,
        groups=together(ranks, far),
        folds=table.shape[1],
    )


def friedman(ranks: NDArray[np.float64]) -> float:
    """Return Friedman's chi-squared of ranks `(n_models, n_folds)`; 0 where all are equal."""
    models, folds = ranks.shape
    spread = ((ranks - (models + 1) / 2) ** 2).sum()
    if spread == 0:
        return 0.0
    excess = ((ranks.sum(axis=1) - folds * (models + 1) / 2) ** 2).sum()
    return float((models - 1) * excess / spread)


@lru_cache(maxsize=64)
def critical_difference(models: int, folds: int, *, level: float = 0.95) -> float:
    """Return the least difference of two mean ranks that can be claimed, after Nemenyi."""
    q = float(stats.studentized_range.ppf(level, models, np.inf)) / sqrt(2)
    return q * sqrt(models * (models + 1) / (6 * folds))


def together(ranks: Sequence[float], far: float) -> tuple[tuple[int, ...], ...]:
    """Return the largest groups of models whose mean ranks lie within `far` of each other."""
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    groups: list[tuple[int, ...]] = []
    for start, first in enumerate(order):
        near = tuple(n for n in order[start:] if ranks[n] - ranks[first] < far)
        if len(near) > 1 and not (groups and set(near) <= set(groups[-1])):
            groups.append(near)
    return tuple(groups)
