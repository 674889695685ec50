"""Pictures of what varies together: a table's columns, or the pixels of images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import pieces
from search.data.description import Description, column_names
from search.data.figures_canvas import (
    GREY,
    INK,
    PAPER,
    RULE,
    SMALL,
    TEXT,
    TITLE,
    Canvas,
    Pixels,
    class_names,
    fitted,
    heat,
    plain,
)
from search.data.figures_images import shrunk
from tracking.plots.lettering import width

Matrix: TypeAlias = NDArray[np.float64]  # (n, n) of -1 to 1; NaN where a feature never changes
Rows: TypeAlias = Callable[[], Iterator[NDArray[Any]]]  # (some, features), a piece at a time

COLOURS, YELLOW = "RdBu_r", "#ffe600"
MARGIN, TOP = 20, 78
SIDE = 560  # pixels of a matrix
NAMED, WRITTEN, MOST_COLUMNS = 40, 12, SIDE
COARSE, FINE = 7, 14  # pixels along the longer side
NEVER_CHANGES = 1e-10  # of the mean's size; below it a deviation is rounding


def correlation(rows: Rows) -> Matrix:
    """Return the correlation of every two features.

    Args:
        rows: gives all samples anew each time it is called.
    """
    total, count = 0.0 * next(rows()).sum(axis=0, dtype=np.float64), 0
    for piece in rows():
        total, count = total + piece.sum(axis=0, dtype=np.float64), count + len(piece)
    mean, products = total / count, np.zeros((len(total), len(total)))
    for piece in rows():
        centred = piece - mean
        products += centred.T @ centred
    std = np.sqrt(np.diagonal(products) / count)
    std = np.where(std > NEVER_CHANGES * np.abs(mean), std, np.nan)
    matrix: Matrix = np.clip(products / count / np.outer(std, std), -1, 1)
    return matrix


def columns_png(description: Description) -> bytes:
    """Draw the correlation of a table's columns; of very many the first `MOST_COLUMNS`."""
    rows = description.dataset.train_samples
    shown = min(description.shape[0], MOST_COLUMNS)
    matrix = correlation(lambda: (piece[:, :shown] for _, piece in pieces(np.asarray(rows))))
    names = class_names(column_names(description.dataset.columns, description.shape[0])[:shown])
    title = f"{plain(description.dataset.title)}: correlation of the columns"
    if shown < description.shape[0]:
        title += f" (the first {shown:,} of {description.shape[0]:,})"
    return _matrix_png(matrix, names, title)


def pixels_png(description: Description) -> bytes:
    """Draw the correlation of pixels, of images shrunk to at most 14 x 14 grey pixels.

    On the left as a matrix of still fewer pixels, row by row of the image. On the right the same
    where it belongs: a small map for each of these pixels, at its place in the image.
    """
    images = description.dataset.train_images
    fine = correlation(lambda: _grey(images, FINE))
    coarse = correlation(lambda: _grey(images, COARSE))
    return _pixels_png(description, fine, coarse)


def _grey(images: NDArray[np.uint8], side: int) -> Iterator[NDArray[np.float32]]:
    for _, piece in pieces(images):
        small = shrunk(piece, side).mean(axis=-1)
        yield small.reshape(len(piece), -1)


def _matrix_png(matrix: Matrix, names: Sequence[str], title: str) -> bytes:
    count = len(matrix)
    cell = max(1, min(46, SIDE // count))
    letters = min(TEXT, max(cell - 1, 9))
    named = count <= NAMED
    shown = [fitted(name, letters, 170) for name in names] if named else []
    margin = int(max((width(name, letters) for name in shown), default=30)) + 12
    left, side = MARGIN + margin, cell * count
    high = TOP + max(side, 150) + (margin + 8 if named else 40)
    canvas = Canvas(max(left + side + 100, int(width(title, TITLE)) + 2 * MARGIN), high)
    canvas.write(title, MARGIN, 26, size=TITLE)
    canvas.tile(_coloured(matrix, cell), left, TOP)
    slant = 60 if cell > 1.4 * letters else 90
    for number, name in enumerate(shown):
        middle = (number + 0.5) * cell
        canvas.write(name, left - 8, TOP + middle, size=letters, align=1)
        below = TOP + side + 12
        canvas.write(name, left + middle, below, size=letters, align=1, rotation=slant)
    if not named:
        _number_axes(canvas, left, cell, count)
    if count <= WRITTEN:
        _write_values(canvas, matrix, left, cell)
    _draw_scale(canvas, left + side + 24, TOP)
    return canvas.png()


def _number_axes(canvas: Canvas, left: float, cell: int, count: int) -> None:
    step = next(step for step in (5, 10, 20, 50, 100) if step * cell >= 30)
    for number in range(0, count, step):
        middle = (number + 0.5) * cell
        text = str(number + 1)
        canvas.write(text, left - 8, TOP + middle, size=SMALL, align=1, colour=GREY)
        below = TOP + count * cell + 12
        canvas.write(text, left + middle, below, size=SMALL, align=0.5, colour=GREY)
    canvas.write("number of the column", left, TOP + count * cell + 28, size=SMALL, colour=GREY)


def _write_values(canvas: Canvas, matrix: Matrix, left: float, cell: int) -> None:
    for (row, column), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            x, y = left + (column + 0.5) * cell, TOP + (row + 0.5) * cell
            colour = PAPER if abs(value) > 0.7 else INK
            text = f"{value:.2f}".replace("-0.00", "0.00")
            canvas.write(text, x, y, size=SMALL, align=0.5, colour=colour)


def _draw_scale(canvas: Canvas, left: float, top: float) -> None:
    """Explain the colours: +1 above, -1 below, grey for what never changes."""
    values = np.linspace(1, 0, 120)[:, np.newaxis]
    canvas.tile(heat(values, COLOURS).repeat(14, axis=1), left, top)
    for text, y in (("+1", 4), ("0", 60), ("-1", 116)):
        canvas.write(text, left + 20, top + y, size=SMALL, colour=GREY)
    canvas.bar(left, top + 132, wide=14, high=14, colour="#e1e1e1")
    canvas.write("constant", left + 20, top + 139, size=SMALL, colour=GREY)


def _pixels_png(description: Description, fine: Matrix, coarse: Matrix) -> bytes:
    image = np.empty((1, *description.shape), np.uint8)
    rows, columns = shrunk(image, COARSE).shape[1:3]
    cell = SIDE // (rows * columns)
    side = cell * rows * columns
    left, second = MARGIN + 46, MARGIN + 46 + side + 60
    maps = _Maps(fine, shrunk(image, FINE).shape[1:3], (rows, columns))
    title = f"{plain(description.dataset.title)}: correlation of the pixels"
    explained = "each map: the yellow pixel against all others"
    across = max(columns * maps.step[1], int(width(explained, TEXT)) + 6)
    wide = max(second + across + 110, int(width(title, TITLE)) + 2 * MARGIN)
    canvas = Canvas(wide, TOP + max(side, rows * maps.step[0], 160) + MARGIN)
    canvas.write(title, MARGIN, 26, size=TITLE)
    canvas.write(f"{rows}x{columns} pixels, each against each", left, TOP - 20)
    canvas.tile(_coloured(coarse, cell), left, TOP)
    for row in range(rows):
        edge = row * columns * cell
        middle = TOP + edge + columns * cell / 2
        canvas.write(f"row {row + 1}", left - 6, middle, size=SMALL, align=1, colour=GREY)
        if row:
            canvas.bar(left, TOP + edge, wide=side, high=1, colour=PAPER)
            canvas.bar(left + edge, TOP, wide=1, high=side, colour=PAPER)
    canvas.write(explained, second, TOP - 20)
    maps.draw(canvas, second)
    _draw_scale(canvas, second + across + 14, TOP)
    return canvas.png()


@dataclass(frozen=True)
class _Maps:
    """Small maps of what varies with one pixel, laid out like the image.

    Attributes:
        matrix: correlation of all pixels of a map.
        size: (height, width) of a map, in pixels of the image.
        grid: (rows, columns) of maps.
    """

    matrix: Matrix
    size: Sequence[int]
    grid: tuple[int, int]

    @property
    def scale(self) -> int:
        """Side of a pixel of a map, in pixels of the picture."""
        return max(1, (SIDE // max(self.grid) - 6) // max(self.size))

    @property
    def step(self) -> tuple[int, int]:
        return self.size[0] * self.scale + 6, self.size[1] * self.scale + 6

    def draw(self, canvas: Canvas, left: float) -> None:
        (high, wide), scale = self.size, self.scale
        for row, column in np.ndindex(self.grid):
            y = int((row + 0.5) * high / self.grid[0])
            x = int((column + 0.5) * wide / self.grid[1])
            across, down = left + column * self.step[1], TOP + row * self.step[0]
            canvas.bar(
                across - 1, down - 1, wide=wide * scale + 2, high=high * scale + 2, colour=RULE
            )
            canvas.tile(
                _coloured(self.matrix[y * wide + x].reshape(high, wide), scale), across, down
            )
            corner = across + x * scale, down + y * scale
            canvas.bar(*corner, wide=scale, high=scale, colour=YELLOW)


def _coloured(values: NDArray[np.float64], cell: int) -> Pixels:
    """Return cells of `cell` pixels coloured by correlation."""
    return heat((values + 1) / 2, COLOURS).repeat(cell, axis=0).repeat(cell, axis=1)
