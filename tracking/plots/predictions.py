"""Pictures of out-of-fold predictions of numbers and of labels, as PNG."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tracking.objectives import number_text
from tracking.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    SMALL,
    TEXT,
    TITLE,
    Matrix,
    blank,
    class_names,
    fitted,
    panel,
    plain,
    png,
    show_axes,
    write,
)
from tracking.records import Json

MOST_NUMBERS, MOST_LABELS = 6, 24
_WIDE, _ROW = 1230, 420  # pixels; of the picture, and of one number's row in it
_SIDE, _BELOW = 280, 74  # of a square panel, and what is below it in its row
_MATRICES = 4  # labels' matrices a row
_CELL = 62


def numbers_png(numbers: Mapping[str, Json], title: str) -> bytes:
    """Draw, for each number, predicted against actual values, residuals and errors by size.

    Args:
        numbers: what is told of each, as `TrialEnded.report` has it.
        title: one line.
    """
    shown = list(numbers.items())[:MOST_NUMBERS]
    high = 44 + _ROW * len(shown)
    figure = blank(_WIDE, high)
    _write_title(figure, title, len(numbers) - len(shown), "numbers")
    for row, (name, told) in enumerate(shown):
        _draw_number(figure, _ROW * (len(shown) - 1 - row), plain(name), told)
    return png(figure)


def labels_png(confusion: Mapping[str, Sequence[Sequence[int]]], title: str) -> bytes:
    """Draw a confusion matrix for each label: counts written, colour by share of the true state.

    Args:
        confusion: `[[true negatives, false positives], [false negatives, true positives]]` by name.
        title: one line.
    """
    shown = list(confusion.items())[:MOST_LABELS]
    names = class_names([name for name, _ in shown])
    columns = min(_MATRICES, len(shown))
    wide, high = 2 * _CELL + 108, 2 * _CELL + 92
    rows = ceil(len(shown) / columns)
    figure = blank(max(wide * columns + 20, 560), high * rows + 74)
    _write_title(figure, title, len(confusion) - len(shown), "labels")
    for place, (name, (_, counts)) in enumerate(zip(names, shown, strict=True)):
        row, column = divmod(place, columns)
        corner = 84 + wide * column, 82 + high * (rows - 1 - row)
        _draw_label(figure, corner, name, np.asarray(counts, np.int64))
    _write_at(figure, 20, 14, "colour: share of the samples with, or without, the label", SMALL)
    return png(figure)


def _write_title(figure: Figure, title: str, more: int, what: str) -> None:
    wide, high = _size(figure)
    text = f"{plain(title)} (and {more} more {what})" if more > 0 else plain(title)
    place = 20 / wide, 1 - 24 / high
    write(figure, *place, fitted(text, TITLE, wide - 40), size=TITLE)


def _draw_label(figure: Figure, corner: tuple[float, float], name: str, counts: Any) -> None:
    matrix = Matrix(figure, ["no", "yes"], corner, _CELL)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    matrix.colour(colormaps["Blues"](share)[..., :3])
    texts = [f"{count:,}" for count in counts.ravel()]
    matrix.number(np.ones_like(counts, bool), texts, share > 0.55, 15)
    matrix.name(SMALL)
    matrix.name_axes(44, 37, "true", "predicted")
    heading = fitted(name, TEXT, 2 * _CELL + 60)
    write(matrix.axes, 1, -16 / _CELL, heading, align="center")


def _draw_number(figure: Figure, bottom: float, name: str, told: Json) -> None:
    scores = (f"{label} {number_text(told[key])}" for key, label in _SCORES.items())
    heading = f"{fitted(name, TEXT, 400)}:  {',  '.join(scores)},  {told['samples']:,} samples"
    _write_at(figure, 20, bottom + _ROW - 14, heading)
    level = bottom + _BELOW
    _draw_density(panel(figure, (96, level, _SIDE, _SIDE)), told)
    _draw_residuals(panel(figure, (478, level, _SIDE, _SIDE)), told["residuals"])
    _draw_by_size(panel(figure, (870, level, _SIDE + 50, _SIDE)), told["by_size"])


_SCORES = {"rmse": "RMSE", "mae": "MAE", "r2": "R²", "bias": "bias"}


def _draw_density(axes: Axes, told: Json) -> None:
    """Draw how many samples there are of each pair of actual and predicted value."""
    low, high = told["range"]
    cells = np.array(told["density"], np.int64).reshape(-1, 3)
    side = 1 + max(39, int(cells[:, :2].max(initial=0)))
    counts = np.zeros((side, side))
    counts[cells[:, 1], cells[:, 0]] = cells[:, 2]  # a row of the picture is a predicted value
    shade = np.log1p(counts) / np.log1p(max(counts.max(), 1))
    colours = colormaps["Blues"](np.where(counts > 0, 0.25 + 0.75 * shade, 0))[..., :3]
    colours[counts == 0] = 1
    edges = np.linspace(low, high, side + 1)
    _show(axes, (low, high), (low, high))
    axes.pcolormesh(edges, edges, colours, shading="flat", linewidth=0, zorder=1)
    axes.plot([low, high], [low, high], color=ORANGE, linewidth=1.2, zorder=3)
    _name(axes, "actual", "predicted", "predicted against actual; line: no error")


def _draw_residuals(axes: Axes, told: Json) -> None:
    """Draw how often errors of each size came."""
    counts = np.asarray(told["counts"])
    edges = np.linspace(told["from"], told["to"], len(counts) + 1)
    most = max(abs(edges[0]), abs(edges[-1])) or 1.0
    _show(axes, (-most, most), (0, 1.06 * max(counts.max(initial=0), 1)))
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=BLUE, alpha=0.75, linewidth=0)
    axes.axvline(0, color=ORANGE, linewidth=1.2)
    _name(axes, "predicted less actual", "samples", "errors (residuals)")


def _draw_by_size(axes: Axes, groups: Sequence[Json]) -> None:
    """Draw the spread of the errors for samples of like actual value, a tenth of them each."""
    quantiles = np.array([group["quantiles"] for group in groups])
    low, high = min(quantiles.min(), 0.0), max(quantiles.max(), 0.0)
    pad = 0.05 * (high - low) or 1.0
    _show(axes, (0, len(groups)), (low - pad, high + pad))
    places = np.arange(len(groups))
    for first, last, shade in ((0, 4, 0.25), (1, 3, 0.6)):
        height = quantiles[:, last] - quantiles[:, first]
        bars = axes.bar(places + 0.07, height, 0.86, quantiles[:, first], align="edge")
        for bar in bars:
            bar.set(color=BLUE, alpha=shade, linewidth=0)
    axes.hlines(quantiles[:, 2], places + 0.07, places + 0.93, color="#1a1a1a", linewidth=1.8)
    axes.axhline(0, color=ORANGE, linewidth=1.2)
    borders = [groups[0]["from"], *(group["to"] for group in groups)] if groups else []
    ticks = range(0, len(borders), 2)
    axes.set_xticks(list(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _short(borders[round(at)])))
    told = "errors by actual value; bars: 5 to 95 and 25 to 75 %, line: median"
    _name(axes, "actual, in groups of equally many samples", "predicted less actual", told)


def _show(axes: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    show_axes(axes)
    for axis, (low, high) in ((axes.xaxis, x), (axes.yaxis, y)):
        if high - low > 1e-2 * max(abs(low), abs(high)):  # else ticks would read alike
            axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.set(xlim=x, ylim=y)


def _name(axes: Axes, x: str, y: str, above: str) -> None:
    options: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    box = axes.get_window_extent()
    write(axes, 0.5, -44 / box.height, x, colour=GREY, align="center", **options)
    beside = write(axes, -62 / box.width, 0.5, y, colour=GREY, align="center", **options)
    beside.set_rotation(90)
    write(axes, 0.5, 1 + 14 / box.height, above, size=SMALL, align="center", **options)


def _short(value: float) -> str:
    """Return a number for a narrow place: `126k`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scaled = value / (1e3 if unit == "k" else size)
            return f"{scaled:.3g}{unit}"
    return f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.2g}"


def _write_at(figure: Figure, x: float, y: float, text: str, size: float = TEXT) -> None:
    wide, high = _size(figure)
    write(figure, x / wide, y / high, text, size=size, colour=GREY if size == SMALL else "#1a1a1a")


def _size(figure: Figure) -> tuple[float, float]:
    wide, high = figure.get_size_inches() * figure.dpi
    return float(wide), float(high)
