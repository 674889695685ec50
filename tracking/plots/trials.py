"""Pictures of a trial: its confusion matrix and its curves, as PNG.

They are drawn in a background thread beside the training, so the time they take counts
(`benchmarks/pictures.py`): figures are prepared once, and a picture is new data in their artists.
"""

import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import Literal, TypeAlias

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from tracking.history import TrialHistory
from tracking.plots.style import (
    DPI,
    GREY,
    INK,
    SMALL,
    TEXT,
    TITLE,
    TRAINING,
    VALIDATION,
    Matrix,
    blank,
    class_names,
    fitted,
    font,
    panel,
    plain,
    room_below,
    show_axes,
    text_width,
    write,
)

Curve: TypeAlias = Sequence[Mapping[str, float]]  # one entry an epoch, from epoch 1
Points: TypeAlias = NDArray[np.float64]  # (n, 2): epoch and value; a value that is NaN is a gap

_MATRIX_PIXELS, _CELL = 600, (7, 150)
_LONGEST_NAME = 150  # pixels
_MOST_DOTS = 25  # epochs
_LARGEST = 1e300  # the difference of two larger values may be infinite
_drawing = Lock()  # prepared figures are shared by all threads


def confusion_matrix_png(
    confusion: Sequence[Sequence[int]], classes: Sequence[str], title: str
) -> bytes:
    """Draw a confusion matrix: counts written, colour by share of the true class.

    Args:
        confusion: `(n_classes, n_classes)`, rows true, columns predicted; 2 to 100 classes.
        classes: the classes' names, in the order of the rows.
        title: one line.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    with _drawing:
        return _ConfusionMatrix.of(tuple(class_names(classes))).draw(counts, title)


def curves_png(trial: TrialHistory, title: str, metric: str = "accuracy") -> bytes:
    """Draw a trial's loss and a metric by epoch: every fold thin, their mean bold.

    Training is dashed, validation solid. A fold that was cut short ends where it was cut; epochs
    whose value is not finite leave a gap.

    Args:
        trial: whose curves.
        title: one line.
        metric: beside the loss, as epochs have it; `val_` before it is its validation.
    """
    folds = [
        [fold.epochs[epoch].metrics for epoch in sorted(fold.epochs)]
        for _, fold in sorted(trial.folds.items())
    ]
    return _draw_curves(folds, trial.mean_curves(), title, metric)


def training_curves_png(curves: Curve, title: str) -> bytes:
    """Draw one training's loss, and its accuracy where it has one, by epoch."""
    has_accuracy = any("accuracy" in row for row in curves)
    return _draw_curves([], curves, title, "accuracy" if has_accuracy else "")


def thumbnail(png: bytes) -> bytes:
    """Return a picture at half its width and height."""
    with Image.open(io.BytesIO(png)) as image:
        return _encode(image.convert("RGB").reduce(2))


class _ConfusionMatrix:
    """The figure of all confusion matrices of the same classes."""

    def __init__(self, names: Sequence[str]) -> None:
        names = [fitted(name, TEXT, _LONGEST_NAME) for name in names]
        cell = int(np.clip(_MATRIX_PIXELS / len(names), *_CELL))
        side, beside = cell * len(names), max(text_width(name, TEXT) for name in names)
        left, bottom = beside + 54, room_below(names, cell) + 34
        self._wide = max(left + side + 30, 480)
        self._figure = blank(self._wide, bottom + side + 64)
        self._matrix = Matrix(self._figure, names, (left, bottom), cell)
        self._matrix.name()
        self._matrix.name_axes(left - 18, bottom - 16, "true", "predicted")
        above = -14 / cell
        write(
            self._matrix.axes, 0, above, "colour: share of the true class", size=SMALL, colour=GREY
        )
        self._title = _title(self._figure)
        self._prepared = _Prepared(self._figure, (*self._matrix.changing, self._title))

    @classmethod
    @lru_cache(maxsize=2)
    def of(cls, names: tuple[str, ...]) -> "_ConfusionMatrix":
        """Return the figure for these names, one made before if there is one."""
        return cls(names)

    def draw(self, counts: NDArray[np.int64], title: str) -> bytes:
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        self._matrix.colour(colormaps["Blues"](share)[..., :3])
        filled = counts > 0  # an empty cell says zero by itself
        self._matrix.number(filled, [str(n) for n in counts[filled]], share > 0.55, 15)
        self._title.set_text(fitted(plain(title), TITLE, self._wide - 40))
        return self._prepared.png()


def _draw_curves(folds: Sequence[Curve], mean: Curve, title: str, metric: str) -> bytes:
    validated = any("val_loss" in row for row in mean)
    with _drawing:
        return _Curves.of(validated, len(folds) > 1, metric).draw(folds, mean, title)


class _Curves:
    """The figure of all trials' curves.

    Args:
        validated: the key explains validation, too.
        folds: it explains single folds and their mean, too.
        metric: that is drawn beside the loss; empty for the loss alone.
    """

    WIDE, HIGH = 960, 400

    def __init__(self, validated: bool, folds: bool, metric: str) -> None:
        self._figure = blank(self.WIDE, self.HIGH)
        names = ["loss", metric] if metric else ["loss"]
        wide = 400 if metric else 880
        self._panels = {
            name: _CurvePanel(self._figure, (66 + 480 * column, wide), name)
            for column, name in enumerate(names)
        }
        self._title = _title(self._figure)
        self._explain(validated, folds)
        axes = [drawn.axes for drawn in self._panels.values()]
        self._prepared = _Prepared(self._figure, (*axes, self._title))

    @classmethod
    @lru_cache(maxsize=4)
    def of(cls, validated: bool, folds: bool, metric: str) -> "_Curves":
        """Return the figure with that key, one made before if there is one."""
        return cls(validated, folds, metric)

    def draw(self, folds: Sequence[Curve], mean: Curve, title: str) -> bytes:
        for drawn in self._panels.values():
            drawn.show(folds, mean)
        self._title.set_text(fitted(plain(title), TITLE, self.WIDE - 40))
        return self._prepared.png()

    def _explain(self, validated: bool, folds: bool) -> None:
        of = ", mean of the folds" if folds else ""
        lines = [_mean_line(TRAINING, dashed=True, label=f"training{of}")]
        if validated:
            lines.insert(0, _mean_line(VALIDATION, dashed=False, label=f"validation{of}"))
        if folds:
            lines.append(_line(GREY, 0.8, dashed=False, label="single folds"))
        key = self._figure.legend(
            handles=lines,
            loc="center right",
            bbox_to_anchor=(0.985, 1 - 54 / self.HIGH),
            ncols=len(lines),
            frameon=False,
            prop=font(TEXT),
            labelcolor=INK,
            handlelength=2.4,
            columnspacing=1.8,
            borderaxespad=0,
            borderpad=0,
        )
        for text in key.get_texts():
            text.set_usetex(False)


class _CurvePanel:
    """Axes for one metric: lines of single folds and of their mean, of training and validation.

    Args:
        figure: to draw on.
        across: left end and width, pixels.
        metric: as epochs have it.
    """

    def __init__(self, figure: Figure, across: tuple[float, float], metric: str) -> None:
        left, wide = across
        self.axes = panel(figure, (left, 62, wide, 234))
        show_axes(self.axes)
        middle = (left + wide / 2) / _Curves.WIDE
        write(figure, middle, 313 / _Curves.HIGH, plain(metric), align="center")
        write(figure, middle, 23 / _Curves.HIGH, "epoch", colour=GREY, align="center")
        self._lines = []
        for name, colour, dashed in (
            (metric, TRAINING, True),
            (f"val_{metric}", VALIDATION, False),
        ):
            single = LineCollection(
                [], colors=colour, linewidths=0.8, linestyles=_dashes(dashed), alpha=0.45, zorder=2
            )
            self.axes.add_collection(single, autolim=False)
            mean = self.axes.add_line(_mean_line(colour, dashed=dashed))
            self._lines.append((name, single, mean))

    def show(self, folds: Sequence[Curve], mean: Curve) -> None:
        drawn = []
        for name, singles, line in self._lines:
            curves = [_points(fold, name) for fold in folds]
            middle = _points(mean, name)
            singles.set_segments(curves)
            line.set_data(*middle.T)
            line.set_marker("o" if len(mean) <= _MOST_DOTS else "")  # one epoch is no line
            drawn += [*curves, middle]
        points = np.concatenate(drawn)
        low, high = _limits(points[np.isfinite(points[:, 1])])
        self.axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))


def _mean_line(colour: str, *, dashed: bool, label: str = "") -> Line2D:
    return _line(colour, 2.2, dashed=dashed, label=label)


def _line(colour: str, width: float, *, dashed: bool, label: str) -> Line2D:
    return Line2D(
        [],
        [],
        color=colour,
        linewidth=width,
        linestyle=_dashes(dashed),
        solid_capstyle="butt",
        dash_capstyle="butt",
        solid_joinstyle="round",
        dash_joinstyle="round",
        marker="",
        markersize=5.5,
        markeredgewidth=0,
        markerfacecolor=colour,
        markeredgecolor=colour,
        label=label,
        zorder=3,
    )


def _dashes(dashed: bool) -> tuple[float, Sequence[float]] | Literal["solid"]:
    return (0, (3.0, 1.6)) if dashed else "solid"


def _points(curve: Curve, name: str) -> Points:
    """Return `(n_epochs, 2)`: epoch and value; where no number can be drawn is a gap."""
    rows = [(epoch, row[name]) for epoch, row in enumerate(curve, start=1) if name in row]
    points = np.array(rows, dtype=np.float64).reshape(-1, 2)
    points[~(np.abs(points[:, 1]) < _LARGEST), 1] = np.nan
    return points


def _limits(points: Points) -> tuple[Points, Points]:
    """Return the lower left and upper right corner, in data units; never of zero extent."""
    if not len(points):
        return np.array([0.5, 0.0]), np.array([1.5, 1.0])
    low, high = points.min(axis=0), points.max(axis=0)
    pad = np.array([0.03, 0.06]) * (high - low)
    # A single epoch or a constant value still needs a scale around it.
    pad = np.where(high > low, pad, (0.5, max(abs(high[1]) * 0.05, 0.01)))
    return low - pad, high + pad


def _title(figure: Figure) -> Text:
    wide, high = figure.get_size_inches() * DPI
    return write(figure, 20 / wide, 1 - 24 / high, "", size=TITLE)


class _Prepared:
    """A figure most of which stays the same from picture to picture.

    What stays (names, keys) is drawn once, the rest anew over it: "blitting" in Matplotlib's words.

    Args:
        figure: of which nothing is drawn yet.
        changing: artists that other pictures show otherwise.
    """

    def __init__(self, figure: Figure, changing: Sequence[Artist]) -> None:
        self._changing = changing
        for artist in changing:
            artist.set_animated(True)  # left out by `draw`
        self._canvas = FigureCanvasAgg(figure)
        self._canvas.draw()  # type: ignore[no-untyped-call]
        self._ground = self._canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]

    def png(self) -> bytes:
        """Return the figure as it is now."""
        self._canvas.restore_region(self._ground)  # type: ignore[no-untyped-call]
        renderer = self._canvas.get_renderer()  # type: ignore[no-untyped-call]
        for artist in self._changing:
            artist.draw(renderer)
        pixels = self._canvas.buffer_rgba()  # type: ignore[no-untyped-call]
        size = self._canvas.get_width_height()
        return _encode(Image.frombuffer("RGBA", size, pixels).convert("RGB"))


def _encode(image: Image.Image) -> bytes:
    """Return PNG with a palette: a third of the size at no visible loss."""
    small = image.quantize(128, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette = small.getpalette() or []
    paper = 3 * int(np.asarray(small)[0, 0])
    palette[paper : paper + 3] = (255, 255, 255)  # the palette's white comes out a little blue
    small.putpalette(palette)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
