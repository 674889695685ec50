"""Three or more models ranked fold by fold: Friedman's test and Nemenyi's critical difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import special, stats

from search.analysis.comparison.statistics import scale_of
from tracking.plots.style import (
    BLUE,
    GREY,
    INK,
    SMALL,
    TITLE,
    bars,
    fitted,
    page,
    plain,
    png,
    text_width,
    write,
)

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
    given = np.asarray(scores, dtype=np.float64)
    table = np.round(given / scale_of(given), 12)  # equal but for rounding: ties
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


_WIDE, _LEFT, _RIGHT = 900, 250, 650  # pixels: of the picture; where the axis begins and ends
_AXIS, _STEP, _BAR = 132, 26, 12
_NAME = 178  # pixels for a model's name


def critical_difference_png(ranking: Ranking, names: Sequence[str]) -> bytes:
    """Return `critical_difference_figure` as a picture."""
    return png(critical_difference_figure(ranking, names))


def critical_difference_figure(ranking: Ranking, names: Sequence[str]) -> Figure:
    """Draw models by their mean rank; a thick bar joins those that cannot be told apart.

    Args:
        ranking: of three models or more.
        names: what they are called, in the order of the ranks.
    """
    order = sorted(range(len(names)), key=ranking.ranks.__getitem__)
    half = (len(order) + 1) // 2
    top = _AXIS + 22 + _BAR * len(ranking.groups)
    figure, drawn = page(_WIDE, top + _STEP * half)
    write(drawn, 0, 30, "Mean rank over the folds, 1 is best", size=TITLE)
    explained = f"{ranking.folds} folds; a thick bar joins those that cannot be told apart"
    write(drawn, 0, 54, f"{explained} (Nemenyi)", size=SMALL, colour=GREY)
    axis = _Axis(len(names))
    _draw_axis(drawn, axis, ranking.critical_difference)
    for place, number in enumerate(order):
        is_left = place < half
        row = place if is_left else len(order) - 1 - place
        y = top + 14 + _STEP * row
        x = axis.x(ranking.ranks[number])
        end = _LEFT - 12 if is_left else _RIGHT + 12
        bars(drawn, x, _AXIS, wide=1, high=y - _AXIS + 1, colour=INK)
        bars(drawn, min(x, end), y, wide=abs(end - x), high=1, colour=INK)
        name, mean = fitted(plain(names[number]), 13, _NAME), f"{ranking.ranks[number]:.2f}"
        if is_left:
            write(drawn, end - 6, y, f"{name}  {mean}", align="right")
        else:
            write(drawn, end + 6, y, f"{mean}  {name}")
    for level, group in enumerate(ranking.groups):
        left, right = axis.x(ranking.ranks[group[0]]) - 5, axis.x(ranking.ranks[group[-1]]) + 5
        bars(drawn, left, _AXIS + 12 + _BAR * level, wide=right - left, high=5, colour=BLUE)
    return figure


class _Axis:
    """Ranks 1 to `models` from left to right."""

    def __init__(self, models: int) -> None:
        self.models = models

    def x(self, rank: float) -> float:
        return _LEFT + (rank - 1) / (self.models - 1) * (_RIGHT - _LEFT)


def _draw_axis(drawn: Axes, axis: _Axis, far: float) -> None:
    bars(drawn, _LEFT, _AXIS, wide=_RIGHT - _LEFT + 1, high=2, colour=INK)
    for rank in range(1, axis.models + 1):
        bars(drawn, axis.x(rank), _AXIS - 7, wide=1, high=8, colour=INK)
        write(drawn, axis.x(rank), _AXIS - 18, str(rank), align="center")
    # Drawn to scale, cut at the axis's end where nothing can be told apart by ranks.
    length = min(far / (axis.models - 1), 1.0) * (_RIGHT - _LEFT)
    text = f"critical difference {far:.2f}"
    bars(drawn, _LEFT, 88, wide=length, high=2, colour=GREY)
    for x in (_LEFT, _LEFT + length):
        bars(drawn, x, 84, wide=1, high=10, colour=GREY)
    if far > axis.models - 1:
        text += ": more than ranks can differ, so these folds are too few"
    room = _LEFT + length + 12
    fits = room + text_width(text, SMALL) < _WIDE - 12
    write(drawn, room if fits else _LEFT, 89 if fits else 76, text, size=SMALL, colour=GREY)
