"""Where two models err differently: the difference of their confusion matrices."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tracking.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    SMALL,
    TEXT,
    TITLE,
    Matrix,
    bars,
    class_names,
    fitted,
    page,
    plain,
    png,
    room_below,
    text_width,
    write,
)

Confusion = Sequence[Sequence[int]]  # rows true, columns predicted


@dataclass(frozen=True)
class Cell:
    """One cell of two confusion matrices.

    Attributes:
        true: number of the true class.
        predicted: number of the predicted one; of the diagonal, the same.
        first: share of the true class's samples that the first model puts there, 0 to 1.
        second: likewise for the second.
        samples: how many samples the true class has, in the first model's matrix.
    """

    true: int
    predicted: int
    first: float
    second: float
    samples: int

    @property
    def difference(self) -> float:
        """First minus second."""
        return self.first - self.second


def shares(confusion: Confusion) -> NDArray[np.float64]:
    """Return counts as shares of their row; NaN in the row of a class without samples."""
    counts = np.asarray(confusion, dtype=np.float64).reshape(len(confusion), len(confusion))
    sums = counts.sum(axis=1, keepdims=True)
    return np.where(sums > 0, counts / np.maximum(sums, 1), np.nan)


def share_differences(first: Confusion, second: Confusion) -> NDArray[np.float64]:
    """Return the shares of `first` minus those of `second`, `(n_classes, n_classes)`.

    Raises:
        ValueError: the matrices differ in size.
    """
    if len(first) != len(second):
        raise ValueError(f"both must have as many classes; got {len(first)} and {len(second)}")
    return shares(first) - shares(second)


def differing_cells(
    first: Confusion, second: Confusion, *, diagonal: bool, most: int = 5
) -> tuple[Cell, ...]:
    """Return the cells whose shares differ most, those first that differ more.

    Args:
        first: confusion matrix of the first model.
        second: of the second.
        diagonal: whether the cells of right predictions are looked at, one a class, else those of
            wrong ones, one a pair of classes.
        most: how many at most; cells that do not differ are never among them.

    Raises:
        ValueError: the matrices differ in size.
    """
    differences = np.nan_to_num(share_differences(first, second))
    wanted = np.eye(len(differences), dtype=bool) == diagonal
    sizes = np.where(wanted, np.abs(differences), 0.0).round(12)  # ties by number, not rounding
    order = np.argsort(-sizes, axis=None, kind="stable")[:most]
    places = np.column_stack(np.unravel_index(order, sizes.shape))
    one, other = shares(first), shares(second)
    return tuple(
        Cell(int(t), int(p), float(one[t, p]), float(other[t, p]), int(sum(first[t])))
        for t, p in places
        if sizes[t, p] > 0
    )


_SIDE, _CELL = 620, (4, 120)  # pixels: what the cells aim at together; least and most of one
_TOP, _GAP = 126, 36
_HEADING, _LINE = 58, 44  # pixels that a list's heading and each of its entries take
_LONGEST_NAME, _LIST = 150, 330
_LEAST_SCALE = 0.01  # a difference of one point is never drawn as strong as one of ten
_LISTED = 6


def difference_figure(
    first: Confusion, second: Confusion, classes: Sequence[str], names: tuple[str, str]
) -> Figure:
    """Draw the difference of two confusion matrices in shares of the true class.

    A cell's colour says which model does better there: more right on the diagonal, fewer confused
    beside it. The number is the difference of the shares, first minus second, percent points.

    Args:
        first: rows true, columns predicted, `(n_classes, n_classes)`.
        second: likewise.
        classes: the classes' names.
        names: what the two models are called.
    """
    differences = np.nan_to_num(share_differences(first, second))
    lists = [differing_cells(first, second, diagonal=d, most=_LISTED) for d in (True, False)]
    shown = [fitted(name, TEXT, _LONGEST_NAME) for name in class_names(classes)]
    cell = int(np.clip(_SIDE / len(shown), *_CELL))
    side, left = cell * len(shown), 54 + max(text_width(name, TEXT) for name in shown)
    wide = left + side + _GAP + _LIST
    figure, drawn = page(wide, _TOP + side)
    matrix = Matrix(figure, shown, (left, 0), cell)
    models = plain(names[0]), plain(names[1])
    strongest = float(np.abs(differences).max(initial=0))
    _write_heading(drawn, models, wide)
    _write_meaning(drawn, models, strongest, wide)
    _fill(matrix, differences, max(strongest, _LEAST_SCALE))
    matrix.name()
    matrix.name_axes(left - 10, room_below(shown, cell) + 14, "true", "predicted")
    _write_lists(drawn, lists, models, (shown, left + side + _GAP))
    return figure


def difference_png(
    first: Confusion, second: Confusion, classes: Sequence[str], names: tuple[str, str]
) -> bytes:
    """Return `difference_figure` as a picture."""
    return png(difference_figure(first, second, classes, names))


def _write_heading(drawn: Axes, models: tuple[str, str], wide: float) -> None:
    half = (wide - text_width("Where  and  err differently", TITLE)) / 2
    one, other = (fitted(name, TITLE, half) for name in models)
    write(drawn, 0, 30, f"Where {one} and {other} err differently", size=TITLE)
    x = 0.0
    for name, colour in zip(models, (BLUE, ORANGE), strict=True):
        bars(drawn, x, 54, wide=14, high=14, colour=colour)
        text = f"{fitted(name, TEXT, wide / 2 - 180)} does better here"
        write(drawn, x + 22, 61, text)
        x += 22 + text_width(text, TEXT) + 30


def _write_meaning(drawn: Axes, models: tuple[str, str], strongest: float, wide: float) -> None:
    one, other = (fitted(name, SMALL, 90) for name in models)
    sentences = (
        "better: more right on the diagonal, fewer confused beside it",
        f"numbers: share of the true class in points, {one} minus {other};"
        f" darkest: {100 * strongest:.1f}",
    )
    for line, sentence in enumerate(sentences):
        text = fitted(sentence, SMALL, wide)
        write(drawn, 0, 84 + 17 * line, text, size=SMALL, colour=GREY)


def _fill(matrix: Matrix, differences: NDArray[np.float64], scale: float) -> None:
    """Colour the cells and write the differences; `scale` is what the darkest would be."""
    strength = differences / scale
    better = np.where(np.eye(len(strength), dtype=bool), strength, -strength)
    ends = np.where((better > 0)[..., None], to_rgb(BLUE), to_rgb(ORANGE))
    matrix.colour(1 - np.abs(better)[..., None] * (1 - ends))
    points = np.round(100 * differences, 1)
    texts = [f"{value:+.1f}" for value in points[points != 0]]
    matrix.number(points != 0, texts, np.abs(strength) > 0.6, 14)


def _write_lists(
    drawn: Axes,
    lists: Sequence[Sequence[Cell]],
    models: tuple[str, str],
    place: tuple[Sequence[str], float],
) -> None:
    """Write what differs most.

    Args:
        drawn: the page.
        lists: cells of right predictions, and of wrong ones.
        models: their names.
        place: the classes' names, and where lines begin.
    """
    names, left = place
    y = _TOP + 8.0
    one, other = (fitted(name, SMALL, 90) for name in models)
    explained = fitted(f"{one} against {other}, share of the true class", SMALL, _LIST)
    for heading, found in zip(("Right, by class", "Confused differently"), lists, strict=True):
        write(drawn, left, y, heading, size=TEXT + 1)
        write(drawn, left, y + 20, explained, size=SMALL, colour=GREY)
        y += _HEADING - 10
        for cell in found:
            _write_listed(drawn, cell, names, (left, y))
            y += _LINE
        if not found:
            write(drawn, left, y, "no difference", colour=GREY)
            y += _LINE
        y += 10


def _write_listed(
    drawn: Axes, cell: Cell, names: Sequence[str], place: tuple[float, float]
) -> None:
    left, y = place
    true, predicted = names[cell.true], names[cell.predicted]
    text, room = true, _LIST - 16.0
    if cell.true != cell.predicted:
        half = (room - text_width(" taken for ", TEXT)) / 2
        text = f"{fitted(true, TEXT, half)} taken for {fitted(predicted, TEXT, half)}"
    is_better = (cell.difference > 0) == (cell.true == cell.predicted)
    bars(drawn, left, y - 6, wide=6, high=30, colour=BLUE if is_better else ORANGE)
    write(drawn, left + 14, y, fitted(text, TEXT, room))
    numbers = f"{100 * cell.first:.1f} % against {100 * cell.second:.1f} %"
    write(drawn, left + 14, y + 18, numbers, size=SMALL, colour=GREY)
