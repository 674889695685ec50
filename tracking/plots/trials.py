"""Pictures of a trial: its confusion matrix and its curves, as PNG.

They are drawn in a background thread beside the training, so only Matplotlib's objects are used
(pyplot keeps global state) and the time they take counts; `benchmarks/` measures it.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from tracking.history import TrialHistory
from tracking.plots.lettering import Label, drawable, width
from tracking.plots.panel import Line, Panel, Points, draw_key, write

Curve: TypeAlias = Sequence[Mapping[str, float]]  # one entry an epoch, from epoch 1

_DPI = 100
_INK, _PAPER, _GREY = "#1a1a1a", "#ffffff", "#666666"
# Two colours of the Okabe-Ito palette, told apart by colour-blind readers, and by dashes.
_VALIDATION, _TRAINING = "#0072B2", "#D55E00"
_MATRIX_PIXELS, _CELL = 600, (7, 110)
_SMALLEST_COUNT = 6.5  # pixels; smaller digits cannot be read and are left out


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
    layout = _Layout.of([_short_name(name, number) for number, name in enumerate(classes)])
    figure = _figure(
        max(layout.left + layout.side + 30, int(width(title, 16)) + 40),
        layout.bottom + layout.side + 60,
    )
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure.add_artist(_Cells(share, layout), clip=False)
    dark = share > 0.55
    write(figure, _count_labels(counts, ~dark, layout), _INK)
    write(figure, _count_labels(counts, dark, layout), _PAPER)
    write(figure, _name_labels(layout), _INK)
    write(figure, [Label(title, 20, layout.bottom + layout.side + 32, 16, align=0)], _INK)
    write(figure, _axis_labels(layout), _GREY)
    return _png(figure)


def curves_png(trial: TrialHistory, title: str) -> bytes:
    """Draw a trial's loss and accuracy by epoch: every fold thin, their mean bold.

    Training is dashed, validation solid. A fold that was cut short ends where it was cut; epochs
    whose value is not finite leave a gap.
    """
    folds = [
        [fold.epochs[epoch].metrics for epoch in sorted(fold.epochs)]
        for _, fold in sorted(trial.folds.items())
    ]
    return _draw_curves(folds, trial.mean_curves(), title)


def training_curves_png(curves: Curve, title: str) -> bytes:
    """Draw one training's loss and accuracy by epoch."""
    return _draw_curves([], curves, title)


def thumbnail(png: bytes) -> bytes:
    """Return a picture at half its width and height."""
    with Image.open(io.BytesIO(png)) as image:
        return _encode(image.convert("RGB").reduce(2))


def _short_name(name: str, number: int, longest: int = 18) -> str:
    if not name or not drawable(name):
        return f"class {number}"
    # Long names mostly differ at their ends, so the middle goes.
    return name if len(name) <= longest else f"{name[: longest - 8]}…{name[-7:]}"


@dataclass(frozen=True)
class _Layout:
    """Where a confusion matrix's parts go, pixels from the lower left corner.

    Attributes:
        names: of the classes, short enough.
        cell: side of a cell.
        flat: the columns' names fit side by side, else they are slanted.
        every: 1, or only every second, fifth or tenth class is named.
        left: margin left of the cells.
        bottom: margin below them.
    """

    names: Sequence[str]
    cell: int
    flat: bool
    every: int
    left: int
    bottom: int

    @classmethod
    def of(cls, names: Sequence[str]) -> "_Layout":
        cell = int(np.clip(_MATRIX_PIXELS / len(names), *_CELL))
        every = next((step for step in (1, 2, 5) if step * cell >= 14), 10)
        longest = max(width(name, 13) for name in names)
        flat = longest < cell * every * 0.9
        left = int(longest) + 50
        return cls(names, cell, flat, every, left=left, bottom=64 if flat else left)

    @property
    def side(self) -> int:
        return self.cell * len(self.names)

    def centre(self, row: int, column: int) -> tuple[float, float]:
        x = self.left + (column + 0.5) * self.cell
        return x, self.bottom + self.side - (row + 0.5) * self.cell


class _Cells(Artist):
    """Coloured cells, copied pixel by pixel: Matplotlib's own images resample, for 30 ms."""

    def __init__(self, share: NDArray[np.float64], layout: _Layout) -> None:
        super().__init__()
        colours = colormaps["Blues"](share, bytes=True)
        pixels = colours.repeat(layout.cell, axis=0).repeat(layout.cell, axis=1)
        if layout.cell >= 12:  # a hairline between cells
            pixels[:: layout.cell, :] = pixels[:, :: layout.cell] = 255
        self._pixels = np.ascontiguousarray(pixels[::-1])  # the renderer counts from the bottom
        self._corner = (layout.left, layout.bottom)

    def draw(self, renderer: RendererBase) -> None:
        renderer.draw_image(renderer.new_gc(), *self._corner, self._pixels)


def _count_labels(
    counts: NDArray[np.int64], where: NDArray[np.bool_], layout: _Layout
) -> list[Label]:
    """Return a label for every count above zero; an empty cell says zero by itself."""
    longest = width(str(counts.max(initial=0)), 1.0)
    size = min(15.0, 0.4 * layout.cell, 0.84 * layout.cell / max(longest, 1e-9))
    if size < _SMALLEST_COUNT:
        return []
    cells = np.argwhere(where & (counts > 0))
    return [Label(str(counts[r, c]), *layout.centre(r, c), size) for r, c in cells]


def _name_labels(layout: _Layout) -> list[Label]:
    labels = []
    for number in range(0, len(layout.names), layout.every):
        name, (x, y) = layout.names[number], layout.centre(number, number)
        labels.append(Label(name, layout.left - 8, y, 13, align=1))
        below = layout.bottom - 14
        flat = Label(name, x, below, 13)
        labels.append(flat if layout.flat else replace(flat, align=1, rotation=55))
    return labels


def _axis_labels(layout: _Layout) -> list[Label]:
    top = layout.bottom + layout.side
    return [
        Label("predicted", layout.left + layout.side / 2, 16, 13),
        Label("true", 18, layout.bottom + layout.side / 2, 13, rotation=90),
        Label("colour: share of the true class", layout.left, top + 10, 11, align=0),
    ]


def _draw_curves(folds: Sequence[Curve], mean: Curve, title: str) -> bytes:
    figure = _figure(960, 400)
    for column, metric in enumerate(("loss", "accuracy")):
        panel = Panel(left=66 + 480 * column, bottom=62, width=400, height=252)
        panel.draw(figure, _lines(folds, mean, metric), metric)
    validated = any("val_loss" in row for row in mean)
    draw_key(figure, _key(len(folds), validated=validated), right=945, y=378)
    write(figure, [Label(title, 20, 378, 16, align=0)], _INK)
    return _png(figure)


def _lines(folds: Sequence[Curve], mean: Curve, metric: str) -> list[Line]:
    styles = ((metric, _TRAINING, True), (f"val_{metric}", _VALIDATION, False))
    single = [
        Line(_points(fold, name), colour, 0.8, dashed=dashed, opacity=0.45)
        for name, colour, dashed in styles
        for fold in folds
    ]
    bold = [
        Line(_points(mean, name), colour, 2.2, dashed=dashed, dots=len(mean) <= 25)
        for name, colour, dashed in styles
    ]
    return single + bold


def _points(curve: Curve, name: str) -> Points:
    """Return `(n_epochs, 2)`: epoch and value; a value that is not finite becomes a gap."""
    rows = [(epoch, row[name]) for epoch, row in enumerate(curve, start=1) if name in row]
    points = np.array(rows, dtype=np.float64).reshape(-1, 2)
    points[~np.isfinite(points[:, 1]), 1] = np.nan
    return points


def _key(folds: int, *, validated: bool) -> list[tuple[Line, str]]:
    nothing, of = np.zeros((0, 2)), ", mean of the folds" if folds > 1 else ""
    entries = [(Line(nothing, _TRAINING, 2.2, dashed=True), f"training{of}")]
    if validated:
        entries.insert(0, (Line(nothing, _VALIDATION, 2.2), f"validation{of}"))
    if folds > 1:
        entries.append((Line(nothing, _GREY, 0.8), "single folds"))
    return entries


def _figure(wide: int, high: int) -> Figure:
    figure = Figure(figsize=(wide / _DPI, high / _DPI), dpi=_DPI, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    return _encode(Image.frombuffer("RGBA", canvas.get_width_height(), pixels).convert("RGB"))


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
