"""Figures of parameters: importance, parallel coordinates, slices and contours."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from plotly.graph_objects import Bar, Contour, Figure, Heatmap, Parcoords, Scatter

from search.analysis.comparison.selection import Numbers
from search.analysis.measure import axis_format, objective_name, rounded, score_text
from search.analysis.report.importance import LEAST_COMPLETE, Importance, importances
from search.analysis.report.style import (
    BLUE,
    FILL_SCALE,
    GREY,
    GREY_BAND,
    INK,
    ORANGE,
    PAPER,
    RACE_SCALE,
    blank_figure,
    choose_among,
    legend_above,
    plain,
    set_panels,
)
from search.analysis.report.subject import NothingToDraw, Subject
from search.analysis.report.words import Axis
from tracking.history import TrialHistory
from tracking.objectives import Objective

_MOST_SLICES, _MOST_BARS = 12, 20
_UNUSED = (
    -0.12
)  # position of trials that do not use a parameter, below the low end of its axis at 0


def importance(subject: Subject) -> Figure:
    """Draw how much each parameter distinguishes the best trials from all."""
    if len(subject.axes) < 2:
        raise NothingToDraw("Trials differ in one parameter only; there is nothing to rank.")
    first, *others = subject.history.objectives
    found = {first: subject.importances}
    found |= {o: importances(subject.history, subject.axes, o) for o in others}
    found = {objective: entries for objective, entries in found.items() if entries}
    if first not in found:
        raise NothingToDraw(
            "There are too few trials to tell which parameters matter:"
            f" it takes {LEAST_COMPLETE} complete trials, and some that did worse."
        )
    figure = blank_figure(90 + 30 * min(_MOST_BARS, len(found[first])), barmode="stack")
    shown = {
        f"for {objective_name(objective)}": entries[:_MOST_BARS][::-1]
        for objective, entries in found.items()
    }
    choose_among(
        figure,
        {label: _bars(subject, entries) for label, entries in shown.items()},
        {label: {"yaxis": _named(entries)} for label, entries in shown.items()},
    )
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", title_text="share of importance")
    legend_above(figure)
    return figure


def _named(shown: Sequence[Importance]) -> dict[str, Any]:
    names = [plain(entry.name, 28) for entry in shown]
    return {"tickvals": list(range(len(shown))), "ticktext": names, "showgrid": False}


def _bars(subject: Subject, shown: Sequence[Importance]) -> list[Any]:
    """Return the bars of importances, pale as far as chance reaches, and where that ends."""
    when = {a.name: f" (only while {plain(a.when)})" if a.when else "" for a in subject.axes}
    places = list(range(len(shown)))
    texts = [
        f"{plain(e.name)}{when[e.name]}: {e.share:.0%} of all importance; by chance up to"
        f" {e.chance:.0%}"
        for e in shown
    ]
    parts = (
        ("explained by chance", GREY_BAND, [min(e.share, e.chance) for e in shown]),
        ("beyond chance", BLUE, [max(0.0, e.beyond) for e in shown]),
    )
    bars = [
        Bar(
            y=places,
            x=lengths,
            orientation="h",
            name=name,
            marker={"color": colour, "line": {"width": 0}},
            hovertext=texts,
            hoverinfo="text",
        )
        for name, colour, lengths in parts
    ]
    level = Scatter(
        y=places,
        x=[min(entry.chance, 1.0) for entry in shown],
        mode="markers",
        name="1 of 20 shuffled studies reaches this",
        marker={"symbol": "line-ns", "size": 14, "line": {"width": 1.5, "color": GREY}},
        hoverinfo="skip",
    )
    words = Scatter(
        y=places,
        x=[min(entry.share, 0.5) for entry in shown],
        mode="text",
        text=["" if entry.beyond > 0 else " may be chance" for entry in shown],
        textposition="middle right",
        textfont={"color": GREY, "size": 11},
        showlegend=False,
        hoverinfo="skip",
    )
    return [*bars, level, words]


def parallel_coordinates(subject: Subject) -> Figure:
    """Draw each trial as a line through its params to its score."""
    if len(subject.complete) < 2:
        raise NothingToDraw("It takes two complete trials to compare params.")
    trials = [*subject.pruned, *subject.complete]
    axes = subject.axes[:12]
    shares = _score_shares(subject, trials)
    figure = blank_figure(460, meta={"least_width": 96 * (len(axes) + 1) + 60})
    figure.add_trace(
        Parcoords(
            line={
                "color": [0.0 if share is None else 0.1 + 0.9 * share for share in shares],
                "colorscale": RACE_SCALE,
                "cmin": 0,
                "cmax": 1,
                "showscale": False,
            },
            dimensions=[
                *(_dimension(axis, trials) for axis in axes),
                _score_dimension(subject, trials),
                *(_objective_dimension(o, trials) for o in subject.history.objectives[1:]),
            ],
            labelangle=-12,
            labelside="top",
        )
    )
    figure.update_layout(margin={"l": 64, "r": 64, "t": 74, "b": 24})
    return figure


def slices(subject: Subject) -> Figure:
    """Draw the score against each parameter alone."""
    if len(subject.complete) < 2:
        raise NothingToDraw("It takes two complete trials to compare params.")
    axes = subject.axes[:_MOST_SLICES]
    figure = blank_figure(300)
    values = list(subject.compared.values.values())
    size = (max(values) - min(values)) or 0.02 * abs(values[0]) or 1.0
    low, high = min(values) - 0.1 * size, max(values) + 0.1 * size
    floor = low - 0.02 * size if subject.first.larger else high + 0.02 * size
    ends = [min(low, floor - 0.08 * size), max(high, floor + 0.08 * size * (floor > high))]
    told: set[str] = set()
    for number, axis in enumerate(axes):
        suffix = str(number + 1) if number else ""
        for trace in _slice_traces(subject, axis, floor):
            trace.update(xaxis=f"x{suffix}", yaxis=f"y{suffix}", showlegend=trace.name not in told)
            figure.add_trace(trace)
            told.add(trace.name)
        places, texts = axis.ticks()
        start, end = axis.ends
        pad = 0.06 * (end - start) if axis.is_number else 0.5
        title = {"text": plain(axis.name, 30), "font": {"size": 12}}
        shown = {"tickvals": places, "ticktext": [plain(text, 12) for text in texts]}
        figure.update_layout(
            {
                f"xaxis{suffix}": {
                    **shown,
                    "title": title,
                    "tickangle": -30 if len(axis.choices) > 4 else 0,
                    "range": [start - pad, end + pad],
                    "anchor": f"y{suffix}",
                },
                f"yaxis{suffix}": {
                    "range": ends,
                    "anchor": f"x{suffix}",
                    "nticks": 5,
                },
            }
        )
    legend_above(figure)
    set_panels(figure, len(axes), columns=3, height=250)
    return figure


def _slice_traces(subject: Subject, axis: Axis, floor: float) -> list[Any]:
    """Return the points of one parameter: pruned trials along the worse end, the others inside."""
    compared = subject.compared
    known = [subject.history.trials[number] for number in compared.values]
    used = [trial for trial in known if axis.name in trial.params]
    pruned = [trial for trial in subject.pruned if trial not in compared]
    stopped = [trial for trial in pruned if axis.name in trial.params]
    best = [trial for trial in used if trial is subject.best]
    others = [trial for trial in used if trial is not subject.best]
    styles: tuple[tuple[list[TrialHistory], str, dict[str, Any], str], ...] = (
        (stopped, "pruned", {"symbol": "line-ns", "size": 8, "line": {"width": 1.5}}, GREY),
        (others, compared.word, {"symbol": "circle", "size": 7, "opacity": 0.75}, BLUE),
        (best, "the best", {"symbol": "star", "size": 14, "line": {"width": 1}}, ORANGE),
    )
    traces = []
    for trials, name, marker, colour in (style for style in styles if style[0]):
        line = {**marker.get("line", {"width": 0}), "color": INK if name == "the best" else colour}
        traces.append(
            Scatter(
                x=[_jittered(axis, trial) for trial in trials],
                y=[compared.values.get(trial.number, floor) for trial in trials],
                mode="markers",
                name=name,
                legendgroup=name,
                marker={**marker, "color": colour, "line": line},
                hovertext=[subject.brief(trial, axis) for trial in trials],
                hoverinfo="text",
            )
        )
    return traces


def _jittered(axis: Axis, trial: TrialHistory) -> float:
    """Return a trial's position; trials of a choice are spread a little, always in the same way."""
    place = axis.position(trial.params[axis.name])
    return place if axis.is_number else place + 0.5 * ((trial.number * 0.618) % 1 - 0.5)


def _score_shares(subject: Subject, trials: list[TrialHistory]) -> list[float | None]:
    """Return each complete trial's rank as 0 (worst) to 1 (best), None for the others.

    Ranks, not values: otherwise one diverged trial would use up the range of colours.
    """
    order = sorted(subject.complete, key=lambda t: subject.first.oriented(subject.value(t)))
    place = {trial.number: n / max(1, len(order) - 1) for n, trial in enumerate(order)}
    return [place.get(trial.number) for trial in trials]


def _dimension(axis: Axis, trials: list[TrialHistory]) -> dict[str, Any]:
    shares = [
        axis.share(trial.params[axis.name]) if axis.name in trial.params else _UNUSED
        for trial in trials
    ]
    low, high = axis.ends
    places, texts = axis.ticks()
    ticks = [(place - low) / (high - low) if high > low else 0.5 for place in places]
    shown = [plain(text, 14) for text in texts]
    return _laid_out(plain(axis.name, 24), shares, ticks, shown, "not in use")


def _score_dimension(subject: Subject, trials: list[TrialHistory]) -> dict[str, Any]:
    values = [subject.value(trial) for trial in subject.complete]
    low, size = min(values), (max(values) - min(values)) or 1.0
    shares = [
        (subject.value(trial) - low) / size if trial.state == "complete" else _UNUSED
        for trial in trials
    ]
    places = [n / 4 for n in range(5)]
    texts = [score_text(subject.first, low + place * size) for place in places]
    return _laid_out(f"<b>{subject.name}</b>", shares, places, texts, "pruned")


def _objective_dimension(objective: Objective, trials: list[TrialHistory]) -> dict[str, Any]:
    known = [trial.score(objective.name) for trial in trials]
    values = [value for value in known if value is not None] or [0.0]
    low, size = min(values), (max(values) - min(values)) or 1.0
    shares = [_UNUSED if value is None else (value - low) / size for value in known]
    places = [n / 4 for n in range(5)]
    texts = [score_text(objective, low + place * size) for place in places]
    return _laid_out(objective_name(objective), shares, places, texts, "pruned")


def _laid_out(
    label: str, shares: list[float], ticks: list[float], texts: list[str], missing: str
) -> dict[str, Any]:
    """Return a dimension on 0..1 with a position below for trials without a value."""
    is_missing = _UNUSED in shares
    return {
        "label": label,
        "values": [round(share, 4) for share in shares],
        "range": [_UNUSED if is_missing else 0.0, 1.0],
        "tickvals": [*([_UNUSED] if is_missing else []), *(round(tick, 4) for tick in ticks)],
        "ticktext": [*([missing] if is_missing else []), *texts],
    }


_LEAST = 8  # trials with a score that use both parameters
_PAIRED = 4  # most important parameters, in pairs
_STEPS = 28
_WIDTHS = (0.08, 0.12, 0.18, 0.27, 0.4)  # of an axis; widths of the kernel to choose from
_FAR = 2.5  # kernel widths from the nearest trial, beyond which nothing is drawn


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
            " has so many."
        )
    figure = blank_figure(480)
    labelled = {f"{plain(a.name, 30)} and {plain(b.name, 30)}": (a, b) for a, b in pairs}
    choose_among(
        figure,
        {label: _traces(subject, *pair) for label, pair in labelled.items()},
        {
            label: {"xaxis": _layout(one), "yaxis": _layout(other)}
            for label, (one, other) in labelled.items()
        },
    )
    legend_above(figure)
    return figure


def _compared(subject: Subject) -> list[TrialHistory]:
    return [subject.history.trials[number] for number in subject.compared.values]


def _using(trials: Sequence[TrialHistory], one: Axis, other: Axis) -> list[TrialHistory]:
    return [t for t in trials if one.name in t.params and other.name in t.params]


def _traces(subject: Subject, one: Axis, other: Axis) -> list[Any]:
    trials, word = _using(_compared(subject), one, other), subject.compared.word
    pruned = [trial for trial in subject.pruned if trial not in subject.compared]
    stopped = _using(pruned, one, other)
    surface = _surface(subject, trials, one, other)
    return [
        surface,
        _points(subject, stopped, one, other, "pruned", {"symbol": "x-thin", "color": GREY}),
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
    points = np.array([[axis.share(t.params[axis.name]) for axis in (one, other)] for t in trials])
    values = np.array([subject.compared.values[trial.number] for trial in trials])
    numbers = np.array([one.is_number, other.is_number])
    across, up = _grid(one), _grid(other)
    where = np.array([[a, u] for u in up[0] for a in across[0]])
    height = smoothed(points, values, where, numbers).reshape(len(up[0]), len(across[0]))
    told = axis_format(subject.first, values)
    common = {
        "x": across[1],
        "y": up[1],
        "z": [[None if np.isnan(z) else rounded(float(z)) for z in row] for row in height],
        "colorscale": FILL_SCALE,
        "reversescale": not subject.first.larger,
        "colorbar": {"title": {"text": subject.compared.name, "side": "right"}, "thickness": 12},
        "hovertemplate": f"{subject.compared.name} about %{{z:{told}}}<extra></extra>",
        "showlegend": False,
    }
    if numbers.all():
        return Contour(**common, line={"width": 0.5}, contours={"coloring": "heatmap"})
    return Heatmap(**common)


def smoothed(points: Numbers, values: Numbers, where: Numbers, numbers: Any) -> Numbers:
    """Return the mean of the values near each position, by Gaussian weights; NaN far from all.

    The width is the one of `_WIDTHS` that predicts each value best from the others.
    Source: Nadaraya 1964 and Watson 1964, kernel regression.

    Args:
        points: `(n, 2)`, positions of known values, both axes 0 to 1.
        values: `(n,)`.
        where: `(m, 2)`, positions to fill in.
        numbers: for each axis whether it has distances; otherwise only equal positions count.
    """
    between = _distance(points, points, numbers)
    np.fill_diagonal(between, np.inf)
    width = min(_WIDTHS, key=lambda size: _miss(between, values, size))
    reach = _distance(where, points, numbers)
    near = reach.min(axis=1) <= (_FAR * width) ** 2
    weights = np.exp(-np.minimum(reach, 700 * width**2) / (2 * width**2))
    weights[np.isinf(reach)] = 0.0
    means = weights @ values / np.maximum(weights.sum(axis=1), 1e-300)
    filled: Numbers = np.where(near, means, np.nan)
    return filled


def _distance(places: Numbers, points: Numbers, numbers: Any) -> Numbers:
    """Return squared distances `(m, n)`; infinite where an axis without order differs."""
    apart = (places[:, None, :] - points[None, :, :]) ** 2
    apart = np.where(numbers, apart, np.where(apart > 1e-9, np.inf, 0.0))
    total: Numbers = apart.sum(axis=2)
    return total


def _miss(between: Numbers, values: Numbers, width: float) -> float:
    weights = np.exp(-between / (2 * width**2))
    sums = weights.sum(axis=1)
    estimates = np.where(sums > 1e-12, weights @ values / np.maximum(sums, 1e-300), values.mean())
    return float(np.mean((estimates - values) ** 2))


def _grid(axis: Axis) -> tuple[Numbers, list[float]]:
    """Return evenly spaced shares 0 to 1 of an axis, and their positions."""
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
    edge = GREY if name == "pruned" else PAPER
    return Scatter(
        x=[one.position(trial.params[one.name]) for trial in trials],
        y=[other.position(trial.params[other.name]) for trial in trials],
        mode="markers",
        name=name,
        marker={"size": 6, **marker, "line": {"width": 1, "color": edge}},
        hovertext=[subject.brief(trial, one, other) for trial in trials],
        hoverinfo="text",
    )


def _layout(axis: Axis) -> dict[str, Any]:
    """Return the complete Plotly layout of an axis, because it replaces that of another."""
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
