"""A critical-difference diagram: models on an axis of mean ranks, those alike joined, PNG.

Source of the form: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets",
figure 1; here the best is on the left.
"""

from collections.abc import Sequence

from search.analysis.comparison.ranks import Ranking
from search.data.figures_canvas import (
    BLUE,
    GREY,
    INK,
    SMALL,
    TITLE,
    Canvas,
    fitted,
    plain,
)
from tracking.plots.lettering import width

_WIDE, _LEFT, _RIGHT = 900, 250, 650  # pixels: of the picture; where the axis begins and ends
_AXIS, _STEP, _BAR = 132, 26, 12
_NAME = 178  # pixels for a model's name


def critical_difference_png(ranking: Ranking, names: Sequence[str]) -> bytes:
    """Draw models by their mean rank; a thick bar joins those that cannot be told apart.

    Args:
        ranking: of three models or more.
        names: what they are called, in the order of the ranks.
    """
    order = sorted(range(len(names)), key=ranking.ranks.__getitem__)
    half = (len(order) + 1) // 2
    top = _AXIS + 22 + _BAR * len(ranking.groups)
    canvas = Canvas(_WIDE, top + _STEP * half + 30)
    canvas.write("Mean rank over the folds, 1 is best", 24, 30, size=TITLE)
    explained = f"{ranking.folds} folds; a thick bar joins those that cannot be told apart"
    canvas.write(f"{explained} (Nemenyi)", 24, 54, size=SMALL, colour=GREY)
    axis = _Axis(len(names))
    _draw_axis(canvas, axis, ranking.critical_difference)
    for place, number in enumerate(order):
        is_left = place < half
        row = place if is_left else len(order) - 1 - place
        y = top + 14 + _STEP * row
        x = axis.x(ranking.ranks[number])
        end = _LEFT - 12 if is_left else _RIGHT + 12
        canvas.bar(x, _AXIS, wide=1, high=y - _AXIS + 1, colour=INK)
        canvas.bar(min(x, end), y, wide=abs(end - x), high=1, colour=INK)
        name = fitted(plain(names[number]), 13, _NAME)
        text = f"{name}  {ranking.ranks[number]:.2f}" if is_left else ""
        text = text or f"{ranking.ranks[number]:.2f}  {name}"
        canvas.write(text, end - 6 if is_left else end + 6, y, align=1 if is_left else 0)
    for level, group in enumerate(ranking.groups):
        ends = axis.x(ranking.ranks[group[0]]) - 5, axis.x(ranking.ranks[group[-1]]) + 5
        y = _AXIS + 12 + _BAR * level
        canvas.bar(ends[0], y, wide=ends[1] - ends[0], high=5, colour=BLUE)
    return canvas.png()


class _Axis:
    """Ranks 1 to `models` from left to right."""

    def __init__(self, models: int) -> None:
        self.models = models

    def x(self, rank: float) -> float:
        return _LEFT + (rank - 1) / (self.models - 1) * (_RIGHT - _LEFT)


def _draw_axis(canvas: Canvas, axis: _Axis, far: float) -> None:
    canvas.bar(_LEFT, _AXIS, wide=_RIGHT - _LEFT + 1, high=2, colour=INK)
    for rank in range(1, axis.models + 1):
        canvas.bar(axis.x(rank), _AXIS - 7, wide=1, high=8, colour=INK)
        canvas.write(str(rank), axis.x(rank), _AXIS - 18, align=0.5)
    # Drawn to scale, cut at the axis's end where nothing can be told apart by ranks.
    length = min(far / (axis.models - 1), 1.0) * (_RIGHT - _LEFT)
    text = f"critical difference {far:.2f}"
    canvas.bar(_LEFT, 88, wide=length, high=2, colour=GREY)
    for x in (_LEFT, _LEFT + length):
        canvas.bar(x, 84, wide=1, high=10, colour=GREY)
    if far > axis.models - 1:
        text += ": more than ranks can differ, so these folds are too few"
    room = _LEFT + length + 12
    fits = room + width(text, SMALL) < _WIDE - 12
    canvas.write(text, room if fits else _LEFT, 89 if fits else 76, size=SMALL, colour=GREY)
