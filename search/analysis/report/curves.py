"""Curves of trials by epoch: of one on each fold, and of many laid over each other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from plotly.graph_objects import Figure, Scatter

from search.analysis.measure import axis_format, metric_name, rounded
from search.analysis.report.style import (
    BLUE,
    BLUE_BAND,
    GREY,
    ORANGE,
    blank_figure,
    choose_among,
    legend_above,
    plain,
    set_panels,
    trial_line,
    whole_numbers,
)
from search.analysis.report.subject import NothingToDraw, Subject
from search.analysis.report.words import trial_name, trial_score_text
from tracking.history import TrialHistory
from tracking.objectives import OBJECTIVES, Objective
from tracking.stages import score_so_far
from tracking.text import joined

_CHOICES = 10  # trials whose folds can be seen, and whose curves are laid over each other at first
_LOSS = OBJECTIVES["cv_loss"]


def curves(subject: Subject) -> Figure:
    """Draw the best trial's curves on each fold; other trials can be selected."""
    trials = [trial for trial in _shown(subject) if any(f.epochs for f in trial.folds.values())]
    if not trials:
        raise NothingToDraw("The journal holds no epochs of a complete trial.")
    figure = blank_figure(380)
    panels = _panels(subject)
    traces = {
        f"{plain(trial_name(trial), 40)}: {trial_score_text(subject.first, trial)}": _traces(
            trial, panels
        )
        for trial in trials
    }
    choose_among(figure, traces)
    _lay(figure, panels)
    legend_above(figure)
    return figure


def _lay(figure: Figure, panels: Sequence["_Panel"]) -> None:
    """Name the axes of panels with the epochs of the figure's traces."""
    last = max(max(trace.x, default=1) for trace in figure.data)
    for panel in panels:
        suffix, title = panel.suffix, metric_name(panel.metric.fold)
        axes = {
            f"xaxis{suffix}": {
                "title": {"text": "epoch"},
                "anchor": f"y{suffix}",
                **whole_numbers(last),
            },
            f"yaxis{suffix}": {"title": {"text": title}, "anchor": f"x{suffix}"},
        }
        figure.update_layout(axes)
    figure.update_xaxes(showgrid=False)
    set_panels(figure, len(panels), columns=2, height=370)


def curves_caption(subject: Subject) -> str:
    """Return what the curves show and what to look for."""
    names = joined([metric_name(panel.metric.fold) for panel in _panels(subject)])
    return (
        f"{names[:1].upper()}{names[1:]} by epoch: single folds thin, their mean bold, the standard"
        " deviation shaded. Look for validation curves that get worse while training improves"
        " (overfitting), and for folds that differ from the others."
    )


def trial_curves(subject: Subject) -> Figure:
    """Draw the validation curves of all trials over each other; the best are shown at first.

    `layout.meta.ticked` has the numbers of those, and each trace its trial's as `legendgroup`.
    """
    panels, folds = _panels(subject), _same_folds(subject)
    trials = [trial for _, trial in sorted(subject.history.trials.items())]
    chosen = _ticked(subject)
    figure = blank_figure(380, meta={"ticked": sorted(chosen)})
    for trial in trials:
        rows = {n: _rows(fold.epochs) for n, fold in trial.folds.items() if folds in (None, n)}
        for panel in panels:
            values = _columns(rows, f"val_{panel.metric.fold}")
            if values:
                trace = _overlaid(trial, values, panel, folds)
                figure.add_trace(trace.update(visible=trial.number in chosen or "legendonly"))
    if not figure.data:
        raise NothingToDraw("The journal holds no epochs with validation scores.")
    _lay(figure, panels)
    return figure


def trial_curves_caption(subject: Subject) -> str:
    """Return what the curves of all trials are of."""
    of = (
        "means over the folds"
        if _same_folds(subject) is None
        else "on fold 1, which all trials saw"
    )
    return (
        f"Validation scores by epoch, {of}. Tick trials in the table below to lay their curves over"
        " each other; colours are those of MLflow's charts. Look for trials that were still"
        " improving when they ended, and for pruned ones that began like the best."
    )


def _same_folds(subject: Subject) -> int | None:
    """Return None if all trials with epochs have the same folds, else the first fold's number."""
    seen = {tuple(sorted(t.folds)) for t in subject.history.trials.values() if t.folds}
    return None if len(seen) == 1 else 1


def _ticked(subject: Subject) -> set[int]:
    """Return the trials whose curves are shown at first: the best, then others by their score."""
    first, shown = subject.first, _shown(subject)
    numbers = dict.fromkeys(trial.number for trial in shown)
    scores = {n: score_so_far(trial, first) for n, trial in subject.history.trials.items()}
    known = {n: s for n, s in scores.items() if s is not None and math.isfinite(s)}
    numbers |= dict.fromkeys(sorted(known, key=lambda n: -first.oriented(known[n])))
    return set(list(numbers)[:_CHOICES])


def _overlaid(
    trial: TrialHistory, values: Mapping[int, Sequence[float]], panel: "_Panel", fold: int | None
) -> Any:
    of = "" if fold is None else f", fold {fold}"
    return Scatter(
        x=list(values),
        y=[float(f"{fmean(column):.4g}") for column in values.values()],
        mode="lines+markers",
        name=plain(trial_name(trial), 40),
        legendgroup=str(trial.number),
        showlegend=not panel.suffix,
        line=trial_line(trial.number),
        marker={"size": 4},
        hovertemplate=f"%{{fullData.name}}{of}, epoch %{{x}}: %{{y:.4~g}}<extra></extra>",
        xaxis=f"x{panel.suffix}",
        yaxis=f"y{panel.suffix}",
    )


@dataclass(frozen=True)
class _Panel:
    """One of the plots beside each other.

    Attributes:
        metric: what it draws.
        suffix: of its axes in Plotly's layout.
        told: the format of values in hover texts.
    """

    metric: Objective
    suffix: str
    told: str


def _panels(subject: Subject) -> list[_Panel]:
    """Return the panels: the objective, or the task's first metric that epochs have, and loss."""
    trials = _shown(subject)
    folds = [fold for trial in trials for fold in trial.folds.values()]
    rows = [row.metrics for fold in folds for row in fold.epochs.values()]
    wanted = [o for o in (subject.first, *subject.others) if o.fold and o.fold != _LOSS.fold]
    known = [o for o in wanted if any(f"val_{o.fold}" in row for row in rows)][:1]
    return [
        _Panel(metric, "2" if number else "", axis_format(metric, values))
        for number, metric in enumerate([*known, _LOSS])
        for values in [[row.get(f"val_{metric.fold}", 0.0) for row in rows]]
    ]


def _shown(subject: Subject) -> list[TrialHistory]:
    """Return the best trial, the best baseline, and the next best trials."""
    first = [subject.best, *([subject.rival] if subject.rival else [])]
    others = [trial for trial in subject.history.completed() if trial not in first]
    return [*first, *others][:_CHOICES]


def _traces(trial: TrialHistory, panels: Sequence[_Panel]) -> list[Any]:
    folds = {n: _rows(fold.epochs) for n, fold in sorted(trial.folds.items()) if fold.epochs}
    traces: list[Any] = []
    for panel in panels:
        metric, suffix = panel.metric.fold, panel.suffix
        axes: dict[str, Any] = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        axes["is_first"] = not suffix
        told, validation = panel.told, f"val_{metric}"
        if len(folds) > 1:
            traces.append(_band(folds, validation, **axes))
            traces += [
                _fold(number, rows, validation, told, **axes) for number, rows in folds.items()
            ]
        training = _mean(folds, metric, ORANGE, "training", told=told, dash="dash", **axes)
        has_legend = any(t.legendgroup == "training" and t.showlegend for t in traces)
        traces.append(training.update(showlegend=bool(training.x) and not has_legend))
        traces.append(_mean(folds, validation, BLUE, "validation", told=told, dash="solid", **axes))
    return traces


def _rows(epochs: Mapping[int, Any]) -> dict[int, Mapping[str, float]]:
    return {epoch: epochs[epoch].metrics for epoch in sorted(epochs)}


Folds = Mapping[int, Mapping[int, Mapping[str, float]]]


def _columns(folds: Folds, metric: str) -> dict[int, list[float]]:
    """Return the finite values of all folds for each epoch."""
    found: dict[int, list[float]] = {}
    for rows in folds.values():
        for epoch, row in rows.items():
            if metric in row and math.isfinite(row[metric]):
                found.setdefault(epoch, []).append(row[metric])
    return dict(sorted(found.items()))


def _mean(
    folds: Folds,
    metric: str,
    colour: str,
    name: str,
    *,
    told: str,
    dash: str,
    is_first: bool,
    **panel: Any,
) -> Any:
    columns = _columns(folds, metric)
    of = ", mean of the folds" if len(folds) > 1 else ""
    return Scatter(
        x=list(columns),
        y=[rounded(fmean(values)) for values in columns.values()],
        mode="lines+markers",
        name=name + of,
        legendgroup=name,
        showlegend=is_first,
        line={"color": colour, "width": 2.5, "dash": dash},
        marker={"size": 5, "color": colour},
        hovertemplate=f"epoch %{{x}}: {name} %{{y:{told}}}<extra></extra>",
        **panel,
    )


def _fold(
    number: int,
    rows: Mapping[int, Mapping[str, float]],
    metric: str,
    told: str,
    *,
    is_first: bool,
    **panel: Any,
) -> Any:
    values = [row.get(metric, math.nan) for row in rows.values()]
    return Scatter(
        x=list(rows),
        y=[rounded(value) if math.isfinite(value) else None for value in values],
        mode="lines",
        name="single folds",
        legendgroup="single folds",
        showlegend=is_first and number == 1,
        line={"color": GREY, "width": 1},
        hovertemplate=f"fold {number}, epoch %{{x}}: %{{y:{told}}}<extra></extra>",
        **panel,
    )


def _band(folds: Folds, metric: str, *, is_first: bool, **panel: Any) -> Any:
    columns = {epoch: v for epoch, v in _columns(folds, metric).items() if len(v) > 1}
    epochs, (low, high) = list(columns), _edges(columns.values())
    return Scatter(
        x=epochs + epochs[::-1],
        y=high + low[::-1],
        fill="toself",
        fillcolor=BLUE_BAND,
        line={"width": 0},
        mode="lines",
        name="± standard deviation",
        legendgroup="band",
        showlegend=is_first,
        hoverinfo="skip",
        **panel,
    )


def _edges(columns: Any) -> tuple[list[float], list[float]]:
    ends: Sequence[tuple[float, float]] = [(fmean(v), stdev(v)) for v in columns]
    low = [rounded(mean - deviation) for mean, deviation in ends]
    return low, [rounded(mean + deviation) for mean, deviation in ends]
