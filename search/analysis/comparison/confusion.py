"""Where two models err differently: the difference of their confusion matrices."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from search.data.figures_canvas import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PAPER,
    RULE,
    SMALL,
    TEXT,
    TITLE,
    Canvas,
    class_names,
    fitted,
    plain,
)
from tracking.plots.lettering import width

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
_TOP, _MARGIN, _GAP = 126, 24, 36
_HEADING, _LINE = 58, 44  # pixels that a list's heading and each of its entries take
_LONGEST_NAME, _LIST = 150, 330
_SMALLEST_NUMBER = 7.0  # pixels an em; smaller digits cannot be read and are left out
_LEAST_SCALE = 0.01  # a difference of one point is never drawn as strong as one of ten
_LISTED = 6


def difference_png(
    first: Confusion, second: Confusion, classes: Sequence[str], names: tuple[str, str]
) -> bytes:
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
    layout = _Layout.of(class_names(classes))
    lists = [differing_cells(first, second, diagonal=d, most=_LISTED) for d in (True, False)]
    lines = sum(max(1, len(found)) for found in lists)
    body = max(layout.side + layout.below + 34, 2 * _HEADING + lines * _LINE)
    canvas = Canvas(layout.wide, _TOP + body + _MARGIN)
    one, other = (plain(name) for name in names)
    strongest = float(np.abs(differences).max(initial=0))
    _draw_heading(canvas, one, other, layout)
    _draw_meaning(canvas, one, other, strongest, layout)
    scale = max(strongest, _LEAST_SCALE)
    _draw_cells(canvas, differences / scale, layout)
    _draw_numbers(canvas, differences, scale, layout)
    _draw_names(canvas, layout)
    _draw_lists(canvas, lists, (one, other), layout)
    return canvas.png()


@dataclass(frozen=True)
class _Layout:
    """Where parts go, pixels from the upper left corner.

    Attributes:
        names: of the classes, fit to be written.
        cell: side of a cell.
        every: 1, or only every second, fifth, ... row is named; `across` likewise of columns.
        flat: the columns' names fit side by side, else they are slanted.
        left: where the cells begin.
        below: room that the columns' names take.
    """

    names: list[str]
    cell: int
    every: int
    across: int
    flat: bool
    left: int
    below: int

    @classmethod
    def of(cls, names: list[str]) -> "_Layout":
        names = [fitted(name, TEXT, _LONGEST_NAME) for name in names]
        cell = int(np.clip(_SIDE / len(names), *_CELL))
        every, across = (_step(cell, room) for room in (15, 21))
        longest = max(width(name, TEXT) for name in names)
        flat = longest < cell * across * 0.92
        left, below = int(longest) + 54, 30 if flat else int(0.82 * longest) + 30
        return cls(names, cell, every, across, flat, left, below)

    @property
    def side(self) -> int:
        return self.cell * len(self.names)

    @property
    def list_left(self) -> int:
        return self.left + self.side + _GAP

    @property
    def wide(self) -> int:
        return self.list_left + _LIST + _MARGIN


def _step(cell: int, room: int) -> int:
    return next((step for step in (1, 2, 5, 10, 20) if step * cell >= room), 50)


def _draw_heading(canvas: Canvas, one: str, other: str, layout: _Layout) -> None:
    room = layout.wide - 2 * _MARGIN
    half = (room - width("Where  and  err differently", TITLE)) / 2
    names = [fitted(name, TITLE, half) for name in (one, other)]
    canvas.write(f"Where {names[0]} and {names[1]} err differently", _MARGIN, 30, size=TITLE)
    x = float(_MARGIN)
    for name, colour in ((one, BLUE), (other, ORANGE)):
        canvas.bar(x, 54, wide=14, high=14, colour=colour)
        text = f"{fitted(name, TEXT, room / 2 - 140)} does better here"
        canvas.write(text, x + 22, 61)
        x += 22 + width(text, TEXT) + 30


def _draw_meaning(canvas: Canvas, one: str, other: str, strongest: float, layout: _Layout) -> None:
    one, other = (fitted(name, SMALL, 90) for name in (one, other))
    sentences = (
        "better: more right on the diagonal, fewer confused beside it",
        f"numbers: share of the true class in points, {one} minus {other};"
        f" darkest: {100 * strongest:.1f}",
    )
    for line, sentence in enumerate(sentences):
        text = fitted(sentence, SMALL, layout.wide - 2 * _MARGIN)
        canvas.write(text, _MARGIN, 84 + 17 * line, size=SMALL, colour=GREY)


def _draw_cells(canvas: Canvas, strength: NDArray[np.float64], layout: _Layout) -> None:
    """Colour the cells; `strength` is -1 to 1, what is written over the largest difference."""
    better = np.where(np.eye(len(strength), dtype=bool), strength, -strength)
    ends = np.where((better > 0)[..., None], to_rgb(BLUE), to_rgb(ORANGE))
    blend = 1 - np.abs(better)[..., None] * (1 - ends)
    pixels = np.round(255 * blend).astype(np.uint8)
    pixels = pixels.repeat(layout.cell, axis=0).repeat(layout.cell, axis=1)
    side = layout.side
    canvas.tile(pixels, layout.left, _TOP)
    for at in range(0, side + 1, layout.cell if layout.cell >= 12 else side):
        canvas.bar(layout.left, _TOP + at, wide=side + 1, high=1, colour=RULE)
        canvas.bar(layout.left + at, _TOP, wide=1, high=side + 1, colour=RULE)


def _draw_numbers(
    canvas: Canvas, differences: NDArray[np.float64], scale: float, layout: _Layout
) -> None:
    points = np.round(100 * differences, 1)
    longest = max(width(f"{value:+.1f}", 1.0) for value in (points.min(), points.max()))
    size = min(14.0, 0.36 * layout.cell, 0.84 * layout.cell / longest)
    if size < _SMALLEST_NUMBER:
        return
    for row, column in np.argwhere(points != 0):
        dark = abs(differences[row, column]) > 0.6 * scale
        canvas.write(
            f"{points[row, column]:+.1f}",
            layout.left + (column + 0.5) * layout.cell,
            _TOP + (row + 0.5) * layout.cell,
            size=size,
            align=0.5,
            colour=PAPER if dark else INK,
        )


def _draw_names(canvas: Canvas, layout: _Layout) -> None:
    bottom = _TOP + layout.side
    for number in range(0, len(layout.names), layout.every):
        name, middle = layout.names[number], (number + 0.5) * layout.cell
        canvas.write(name, layout.left - 8, _TOP + middle, align=1)
    for number in range(0, len(layout.names), layout.across):
        name, middle = layout.names[number], (number + 0.5) * layout.cell
        if layout.flat:
            canvas.write(name, layout.left + middle, bottom + 16, align=0.5)
        else:
            canvas.write(name, layout.left + middle + 3, bottom + 12, align=1, rotation=55)
    canvas.write("true", 20, _TOP + layout.side / 2, align=0.5, colour=GREY, rotation=90)
    below = bottom + layout.below + 14
    canvas.write("predicted", layout.left + layout.side / 2, below, align=0.5, colour=GREY)


def _draw_lists(
    canvas: Canvas,
    lists: Sequence[Sequence[Cell]],
    names: tuple[str, str],
    layout: _Layout,
) -> None:
    left, y = layout.list_left, _TOP + 8
    one, other = (fitted(name, SMALL, 90) for name in names)
    explained = fitted(f"{one} against {other}, share of the true class", SMALL, _LIST)
    for heading, found in zip(("Right, by class", "Confused differently"), lists, strict=True):
        canvas.write(heading, left, y, size=TEXT + 1)
        canvas.write(explained, left, y + 20, size=SMALL, colour=GREY)
        y += _HEADING - 10
        for cell in found:
            _draw_listed(canvas, cell, layout, y)
            y += _LINE
        if not found:
            canvas.write("no difference", left, y, colour=GREY)
            y += _LINE
        y += 10


def _draw_listed(canvas: Canvas, cell: Cell, layout: _Layout, y: float) -> None:
    true, predicted = layout.names[cell.true], layout.names[cell.predicted]
    text = true if cell.true == cell.predicted else f"{true} taken for {predicted}"
    is_better = (cell.difference > 0) == (cell.true == cell.predicted)
    canvas.bar(layout.list_left, y - 6, wide=6, high=30, colour=BLUE if is_better else ORANGE)
    canvas.write(fitted(text, TEXT, _LIST - 16), layout.list_left + 14, y)
    numbers = f"{100 * cell.first:.1f} % against {100 * cell.second:.1f} %"
    canvas.write(numbers, layout.list_left + 14, y + 18, size=SMALL, colour=GREY)
