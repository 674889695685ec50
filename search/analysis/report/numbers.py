"""How far predicted numbers are off: against what is true, as residuals, and by size."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from plotly.graph_objects import Bar, Box, Figure, Heatmap, Scatter

from search.analysis.measure import number_texts, rounded
from search.analysis.report.style import (
    BLUE,
    BLUE_BAND,
    FILL_SCALE,
    INK,
    ORANGE,
    blank_figure,
    choose_among,
    legend_above,
    plain,
)
from search.analysis.report.subject import NothingToDraw, Subject
from search.tasks import REGRESSION
from tracking.history import TrialHistory
from tracking.objectives import number_text
from tracking.records import Json

_SIDE = 470  # pixels of a square figure
# The palest colour of a fill is for nothing; a single sample must be seen.
_SEEN = [[n / (len(FILL_SCALE) - 2), colour] for n, (_, colour) in enumerate(FILL_SCALE[1:])]
_FIELDS = {"range", "density", "residuals", "by_size", "rmse", "mae", "r2", "bias", "samples"}


def described(subject: Subject, trial: TrialHistory) -> dict[str, Json]:
    """Return what the journal holds of a trial's predictions, by the number's name."""
    return _numbers(subject, trial.ended.report if trial.ended else {})


def _numbers(subject: Subject, report: Json) -> dict[str, Json]:
    if subject.task.name != REGRESSION:
        return {}
    found = report.get("numbers") or {}
    return {name: one for name, one in found.items() if one.keys() >= _FIELDS}


def predicted_actual(subject: Subject) -> Figure:
    """Draw how many samples of an actual value are predicted as what, as a map of counts."""
    entries = _entries(subject)
    figure = blank_figure(_SIDE)
    square = {"showgrid": False, "constrain": "domain"}
    across = {**square, "title": {"text": "actual {name}"}}
    up = {**square, "title": {"text": "predicted {name}"}, "scaleanchor": "x"}
    _choose(figure, entries, _predicted_actual, across, up)
    legend_above(figure)
    return figure


def _predicted_actual(found: Json) -> list[Any]:
    diagonal = Scatter(
        x=found["range"],
        y=found["range"],
        mode="lines",
        name="right predictions",
        line={"color": ORANGE, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        showlegend=True,
    )
    return [_density(found), diagonal]


def _density(found: Json) -> Heatmap:
    low, high = found["range"]
    cells = found["density"]
    side = max(40, 1 + max((max(row, place) for row, place, _ in cells), default=0))
    counts = np.zeros((side, side), np.int64)
    for row, place, count in cells:
        counts[place, row] = count
    edges = np.linspace(low, high, side + 1)
    middles = [rounded(float(value)) for value in (edges[1:] + edges[:-1]) / 2]
    between = [" to ".join(number_texts(pair)) for pair in pairwise(edges)]
    texts = [
        [
            f"actual {between[row]}<br>predicted {between[place]}<br>{counts[place, row]:,} samples"
            if counts[place, row]
            else ""
            for row in range(side)
        ]
        for place in range(side)
    ]
    # Half of the colours are for a quarter of the largest count: most cells hold few samples.
    shown = np.sqrt(counts / max(1, counts.max()))
    return Heatmap(
        x=middles,
        y=middles,
        z=[[rounded(float(z)) if z else None for z in row] for row in shown],
        zmin=0,
        zmax=1,
        colorscale=_SEEN,
        showscale=False,
        hovertext=texts,
        hoverinfo="text",
        name="samples",
    )


def residuals(subject: Subject) -> Figure:
    """Draw how many predictions are off by how much, and their mean."""
    entries = _entries(subject)
    figure = blank_figure(360)
    across = {"title": {"text": "predicted minus actual {name}"}, "zeroline": False}
    up = {"title": {"text": "samples"}, "rangemode": "tozero"}
    _choose(figure, entries, _residuals, across, up)
    figure.update_layout(bargap=0.04)
    legend_above(figure)
    return figure


def _residuals(found: Json) -> list[Any]:
    histogram = found["residuals"]
    counts = histogram["counts"]
    edges = np.linspace(histogram["from"], histogram["to"], len(counts) + 1)
    between = [" to ".join(number_texts(pair)) for pair in pairwise(edges)]
    top = max(counts, default=0)
    bars = Bar(
        x=[rounded(float(value)) for value in (edges[1:] + edges[:-1]) / 2],
        y=counts,
        width=float(edges[1] - edges[0]) * 0.96,
        name="samples",
        marker={"color": BLUE, "line": {"width": 0}},
        hovertext=[
            f"{text}: {count:,} samples" for text, count in zip(between, counts, strict=True)
        ],
        hoverinfo="text",
        showlegend=False,
    )
    lines = [
        Scatter(
            x=[place, place],
            y=[0, top],
            mode="lines",
            name=name,
            line={"color": colour, "width": 2, "dash": dash},
            hoverinfo="skip",
        )
        for place, name, colour, dash in (
            (0.0, "no error", INK, "dot"),
            (found["bias"], f"mean {number_text(found['bias'])}", ORANGE, "solid"),
        )
    ]
    return [bars, *lines]


def errors_by_size(subject: Subject) -> Figure:
    """Draw the errors of samples in the order of their actual value, in tenths."""
    entries = _entries(subject)
    figure = blank_figure(400)
    across = {"title": {"text": "actual {name}, up to"}, "type": "category", "tickangle": -35}
    up = {"title": {"text": "predicted minus actual"}, "zeroline": False}
    _choose(figure, entries, _by_size, across, up)
    figure.add_hline(y=0, line={"color": INK, "width": 1, "dash": "dot"})
    legend_above(figure)
    return figure


def _by_size(found: Json) -> list[Any]:
    parts = found["by_size"]
    ends = number_texts([part["to"] for part in parts])
    names = [f"{end}{chr(0x200B) * ends[:n].count(end)}" for n, end in enumerate(ends)]
    texts = [
        f"actual {' to '.join(number_texts((part['from'], part['to'])))}:"
        f" {part['samples']:,} samples<br>mean error {number_text(part['bias'])}, mean absolute"
        f" error {number_text(part['mae'])}"
        for part in parts
    ]
    quantiles = list(zip(*(part["quantiles"] for part in parts), strict=True))
    low, first, median, third, high = ([rounded(v) for v in row] for row in quantiles)
    box = Box(
        x=names,
        lowerfence=low,
        q1=first,
        median=median,
        q3=third,
        upperfence=high,
        name="errors",
        fillcolor=BLUE_BAND,
        line={"color": BLUE, "width": 1.5},
        hoverinfo="skip",
    )
    means = Scatter(
        x=names,
        y=[rounded(part["bias"]) for part in parts],
        mode="markers",
        name="mean error",
        marker={"color": ORANGE, "size": 9, "symbol": "diamond"},
        hovertext=texts,
        hoverinfo="text",
    )
    return [box, means]


def _entries(subject: Subject) -> dict[str, Json]:
    """Return what can be drawn, by its label: each number of the best, the baseline, the test set.

    Raises:
        NothingToDraw: the study does not predict numbers, or the journal says nothing of them.
    """
    if subject.task.name != REGRESSION:
        raise NothingToDraw(f"The task is {subject.task.name}; no numbers are predicted.")
    found = {
        f"{plain(name, 40)}: {label}" if len(subject.names) > 1 else label: {**one, "name": name}
        for label, record in subject.described.items()
        for name, one in _numbers(subject, record.report).items()
    }
    if not found:
        raise NothingToDraw("The journal holds no predictions of the best trial.")
    return found


def _choose(
    figure: Figure,
    entries: dict[str, Json],
    draw: Callable[[Json], list[Any]],
    across: dict[str, Any],
    up: dict[str, Any],
) -> None:
    """Draw the entries, of which the reader chooses one.

    Args:
        figure: to draw on.
        entries: what to draw, by label.
        draw: returns the traces of an entry.
        across: the x axis; `{name}` in its title is the number's name.
        up: the y axis, likewise.
    """
    layouts = {
        label: {"xaxis": _titled(across, found), "yaxis": _titled(up, found)}
        for label, found in entries.items()
    }
    choose_among(figure, {label: draw(found) for label, found in entries.items()}, layouts)


def _titled(axis: dict[str, Any], found: Json) -> dict[str, Any]:
    title = axis["title"]["text"].replace("{name}", plain(found["name"], 30))
    return {**axis, "title": {"text": title}}
