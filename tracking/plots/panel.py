"""One panel of line charts: axes, grid and lines, drawn straight onto a figure.

Matplotlib's `Axes` takes 40 ms a panel in setting up and laying out its ticks, more than all else
a trial costs; this draws the same in 5 ms with the few things a learning curve needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

import numpy as np
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

from tracking.plots.lettering import Label, lettering, width

Points = NDArray[np.float64]  # (n, 2): x and y; a y that is NaN is a gap

_GRID, _FRAME, _GREY, _INK = "#e4e4e4", "#333333", "#666666", "#1a1a1a"


@dataclass(frozen=True)
class Line:
    """A line of the chart.

    Attributes:
        width: points.
        dashed: drawn dashed, else solid.
        opacity: 0 to 1.
        dots: mark every point.
    """

    points: Points
    colour: str
    width: float
    dashed: bool = False
    opacity: float = 1.0
    dots: bool = False


@dataclass(frozen=True)
class Panel:
    """A rectangle of a figure, in pixels from its lower left corner."""

    left: float
    bottom: float
    width: float
    height: float

    def draw(self, figure: Figure, lines: Sequence[Line], title: str) -> None:
        """Draw `lines` over whole-numbered x from 1, the y axis fitted to the finite values."""
        everything = np.concatenate([np.zeros((0, 2)), *(line.points for line in lines)])
        low, high = _limits(everything[np.isfinite(everything[:, 1])])
        self._draw_frame(figure, low, high, title)
        for line in lines:
            pixels = self._pixels(line.points, low, high)
            _draw_line(figure, line, pixels)

    def _pixels(self, points: Points, low: Points, high: Points) -> Points:
        size = np.array([self.width, self.height])
        pixels: Points = (points - low) / (high - low) * size + (self.left, self.bottom)
        return pixels

    def _draw_frame(self, figure: Figure, low: Points, high: Points, title: str) -> None:
        right, top = self.left + self.width, self.bottom + self.height
        labels = [Label("epoch", self.left + self.width / 2, self.bottom - 38, 13)]
        grid: list[Points] = []
        for value, text in _ticks(low[0], high[0], 7, whole=True):
            x, _ = self._pixels(np.array([value, low[1]]), low, high)
            labels.append(Label(text, x, self.bottom - 18, 13))
            grid.append(np.array([(x, self.bottom), (x, top)]))
        for value, text in _ticks(low[1], high[1], 5, whole=False):
            _, y = self._pixels(np.array([low[0], value]), low, high)
            labels.append(Label(text, self.left - 10, y, 13, align=1))
            grid.append(np.array([(self.left, y), (right, y)]))
        frame = np.array([(self.left, top), (self.left, self.bottom), (right, self.bottom)])
        heading = [Label(title, self.left, top + 14, 14, align=0)]
        _stroke(figure, grid, _GRID, 0.6)
        _stroke(figure, [frame], _FRAME, 0.8)
        write(figure, labels, _GREY)
        write(figure, heading, _INK)


def write(figure: Figure, labels: Sequence[Label], colour: str) -> None:
    """Put `labels` onto the figure in one colour."""
    if labels:
        figure.add_artist(PathPatch(lettering(labels), fc=colour, lw=0, transform=None), clip=False)


def draw_key(figure: Figure, entries: Sequence[tuple[Line, str]], right: float, y: float) -> None:
    """Explain line styles in one row that ends at `right`, pixels."""
    for line, text in reversed(entries):
        right -= width(text, 13)
        write(figure, [Label(text, right, y, 13, align=0)], _INK)
        sample = np.array([(right - 38.0, y), (right - 8.0, y)])
        _draw_line(figure, line, sample)
        right -= 62


def _limits(points: Points) -> tuple[Points, Points]:
    """Return the lower left and upper right corner, in data units; never of zero extent."""
    if not len(points):
        return np.array([0.5, 0.0]), np.array([1.5, 1.0])
    low, high = points.min(axis=0), points.max(axis=0)
    pad = np.array([0.03, 0.06]) * (high - low)
    # A single epoch or a constant value still needs a scale around it.
    pad = np.where(high > low, pad, (0.5, max(abs(high[1]) * 0.05, 0.01)))
    return low - pad, high + pad


def _ticks(low: float, high: float, most: int, *, whole: bool) -> list[tuple[float, str]]:
    values = MaxNLocator(most, integer=whole, min_n_ticks=1, steps=[1, 2, 5, 10]).tick_values(
        low, high
    )
    step = values[1] - values[0] if len(values) > 1 else 1.0
    places = 0 if whole else max(0, -floor(log10(step) + 1e-9))
    inside = [value for value in values if low <= value <= high]
    return [(float(value), f"{value:.{places}f}") for value in inside]


def _draw_line(figure: Figure, line: Line, pixels: Points) -> None:
    dashes = (0, (3.0, 1.6)) if line.dashed else "solid"
    _stroke(figure, [pixels], line.colour, line.width, line.opacity, dashes)
    if line.dots:  # a single epoch has no line to show
        _dot(figure, pixels[np.isfinite(pixels[:, 1])], line)


def _dot(figure: Figure, pixels: Points, line: Line) -> None:
    sizes = np.full(len(pixels), 2.6 * line.width)
    dots = EllipseCollection(
        sizes,
        sizes,
        np.zeros(len(pixels)),
        units="points",
        facecolors=line.colour,
        offsets=pixels,
        offset_transform=IdentityTransform(),
        zorder=3,  # above the grid, which a line collection draws later than ellipses
    )
    figure.add_artist(dots, clip=False)


def _stroke(
    figure: Figure,
    segments: Sequence[Points],
    colour: str,
    width: float,
    opacity: float = 1.0,
    dashes: str | tuple[int, tuple[float, float]] = "solid",
) -> None:
    lines = LineCollection(
        segments,
        colors=colour,
        linewidths=width,
        alpha=opacity,
        linestyles=[dashes],
        transform=None,
    )
    figure.add_artist(lines, clip=False)
