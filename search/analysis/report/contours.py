"""The score over two parameters together."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plotly.graph_objects import Contour, Figure, Heatmap, Scatter

from search.analysis.report.style import (
    FILL_SCALE,
    GREY,
    INK,
    PAPER,
    blank_figure,
    choose_among,
    legend_above,
    plain,
)
from search.analysis.report.subject import NothingToDraw, Subject
from search.analysis.report.words import Axis
from tracking.history import TrialHistory

Array = NDArray[np.float64]

_LEAST = 8  # trials with a score that use both parameters
_PAIRED = 4  # parameters, the most important ones, each with each other
_STEPS = 28
_WIDTHS = (0.08, 0.12, 0.18, 0.27, 0.4)  # of an axis; how far a trial is taken to speak for
_FAR = 2.5  # widths from the nearest trial, beyond which nothing is drawn


def contours(subject: Subject) -> Figure:
    """Draw the smoothed score over each pair of the most important parameters."""
    if len(subject.axes) < 2:
        raise NothingToDraw("Trials differ in one parameter only; a contour needs two.")
    pairs = [
        (one, other)
        for one, other in combinations(subject.axes[:_PAIRED], 2)
        if len(_using(_compared(subject), one, other)) >= _LEAST
    ]
    if not pairs:
        raise NothingToDraw(
            f"A contour needs {_LEAST} trials that have a score and use both parameters; no pair"
            " has them."
        )
    figure = blank_figure(480)
    for pair in pairs:
        for trace in _traces(subject, *pair):
            figure.add_trace(trace.update(visible=pair == pairs[0]))
    entries = {}
    for number, (one, other) in enumerate(pairs):
        visible = [n // 3 == number for n in range(3 * len(pairs))]
        label = f"{plain(one.name, 30)} and {plain(other.name, 30)}"
        entries[label] = [{"visible": visible}, {"xaxis": _layout(one), "yaxis": _layout(other)}]
    figure.update_layout(xaxis=_layout(pairs[0][0]), yaxis=_layout(pairs[0][1]))
    legend_above(figure)
    choose_among(figure, entries)
    return figure


def _compared(subject: Subject) -> list[TrialHistory]:
    return [subject.history.trials[number] for number in subject.compared.values]


def _using(trials: Sequence[TrialHistory], one: Axis, other: Axis) -> list[TrialHistory]:
    return [t for t in trials if one.name in t.setting and other.name in t.setting]


def _traces(subject: Subject, one: Axis, other: Axis) -> list[Any]:
    trials, word = _using(_compared(subject), one, other), subject.compared.word
    pruned = [trial for trial in subject.pruned if trial not in subject.compared]
    stopped = _using(pruned, one, other)
    surface = _surface(subject, trials, one, other)
    return [
        surface,
        _points(subject, stopped, one, other, "stopped early", {"symbol": "x-thin", "color": GREY}),
        _points(
            subject,
            trials,
            one,
            other,
            word,
            {"symbol": "circle", "color": INK, "size": 7 if len(trials) < 100 else 4},
        ),
    ]


def _surface(subject: Subject, trials: list[TrialHistory], one: Axis, other: Axis) -> Any:
    points = np.array([[axis.share(t.setting[axis.name]) for axis in (one, other)] for t in trials])
    values = np.array([subject.compared.values[trial.number] for trial in trials])
    numbers = np.array([one.is_number, other.is_number])
    across, up = _grid(one), _grid(other)
    where = np.array([[a, u] for u in up[0] for a in across[0]])
    height = smoothed(points, values, where, numbers).reshape(len(up[0]), len(across[0]))
    common = {
        "x": across[1],
        "y": up[1],
        "z": [[None if np.isnan(z) else round(float(z), 5) for z in row] for row in height],
        "colorscale": FILL_SCALE,
        "reversescale": not subject.first.larger,
        "colorbar": {"title": {"text": subject.compared.name, "side": "right"}, "thickness": 12},
        "hovertemplate": f"{subject.compared.name} about %{{z:.4f}}<extra></extra>",
        "showlegend": False,
    }
    if numbers.all():
        return Contour(**common, line={"width": 0.5}, contours={"coloring": "heatmap"})
    return Heatmap(**common)


def smoothed(points: Array, values: Array, where: Array, numbers: Any) -> Array:
    """Return the mean of the values near each place, by Gaussian weights; NaN far from all.

    The weights' width is the one of `_WIDTHS` that foretells each value best from the others.
    Source: Nadaraya 1964 and Watson 1964, kernel regression.

    Args:
        points: `(n, 2)`, where values are known, both axes 0 to 1.
        values: `(n,)`.
        where: `(m, 2)`, places to fill in.
        numbers: of each axis whether it has distances; on one that has none only equal places
            count.
    """
    between = _distance(points, points, numbers)
    np.fill_diagonal(between, np.inf)
    width = min(_WIDTHS, key=lambda size: _miss(between, values, size))
    reach = _distance(where, points, numbers)
    near = reach.min(axis=1) <= (_FAR * width) ** 2
    weights = np.exp(-np.minimum(reach, 700 * width**2) / (2 * width**2))
    weights[np.isinf(reach)] = 0.0
    means = weights @ values / np.maximum(weights.sum(axis=1), 1e-300)
    filled: Array = np.where(near, means, np.nan)
    return filled


def _distance(places: Array, points: Array, numbers: Any) -> Array:
    """Return squared distances `(m, n)`; infinite where places differ on an axis without order."""
    apart = (places[:, None, :] - points[None, :, :]) ** 2
    apart = np.where(numbers, apart, np.where(apart > 1e-9, np.inf, 0.0))
    total: Array = apart.sum(axis=2)
    return total


def _miss(between: Array, values: Array, width: float) -> float:
    weights = np.exp(-between / (2 * width**2))
    sums = weights.sum(axis=1)
    told = np.where(sums > 1e-12, weights @ values / np.maximum(sums, 1e-300), values.mean())
    return float(np.mean((told - values) ** 2))


def _grid(axis: Axis) -> tuple[Array, list[float]]:
    """Return shares 0 to 1 along an axis, and the positions they stand for."""
    low, high = axis.ends
    steps = len(axis.choices) or _STEPS
    shares = np.linspace(0.0, 1.0, steps) if steps > 1 else np.array([0.5])
    return shares, [round(low + float(share) * (high - low), 6) for share in shares]


def _points(
    subject: Subject,
    trials: list[TrialHistory],
    one: Axis,
    other: Axis,
    name: str,
    marker: dict[str, Any],
) -> Any:
    edge = GREY if name == "stopped early" else PAPER
    return Scatter(
        x=[one.position(trial.setting[one.name]) for trial in trials],
        y=[other.position(trial.setting[other.name]) for trial in trials],
        mode="markers",
        name=name,
        marker={"size": 6, **marker, "line": {"width": 1, "color": edge}},
        hovertext=[subject.brief(trial, one, other) for trial in trials],
        hoverinfo="text",
    )


def _layout(axis: Axis) -> dict[str, Any]:
    """Return Plotly's layout of an axis, complete, as it replaces another one's."""
    places, texts = axis.ticks()
    low, high = axis.ends
    pad = 0.03 * (high - low) if axis.is_number else 0.5
    return {
        "title": {"text": plain(axis.name, 40)},
        "tickvals": places,
        "ticktext": [plain(text, 16) for text in texts],
        "range": [low - pad, high + pad],
        "showgrid": False,
        "zeroline": False,
    }
