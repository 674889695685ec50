"""Curves of trials on each fold, where trials were pruned, and what that saved."""

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
    GREY_BAND,
    ORANGE,
    blank_figure,
    choose_among,
    legend_above,
    plain,
    set_panels,
)
from search.analysis.report.subject import NothingToDraw, Subject
from search.analysis.report.words import trial_name, trial_score_text
from tracking.history import History, TrialHistory
from tracking.objectives import OBJECTIVES, Objective
from tracking.text import joined

_CHOICES = 10
_LOSS = OBJECTIVES["cv_loss"]


def curves(subject: Subject) -> Figure:
    """Draw the best trial's curves on each fold; other trials can be selected."""
    trials = [trial for trial in _shown(subject) if any(f.epochs for f in trial.folds.values())]
    if not trials:
        raise NothingToDraw("The journal holds no epochs of a complete trial.")
    figure = blank_figure(380)
    panels = _panels(subject)
    visible: list[int] = []  # for each trace the index of its trial
    for place, trial in enumerate(trials):
        for trace in _traces(trial, panels):
            figure.add_trace(trace.update(visible=place == 0))
            visible.append(place)
    choose_among(
        figure,
        {
            f"{plain(trial_name(trial), 40)}: {trial_score_text(subject.first, trial)}": [
                {"visible": [place == mine for place in visible]},
                {},
            ]
            for mine, trial in enumerate(trials)
        },
    )
    for panel in panels:
        suffix, title = panel.suffix, metric_name(panel.metric.fold)
        axes = {
            f"xaxis{suffix}": {"title": {"text": "epoch"}, "anchor": f"y{suffix}", "nticks": 8},
            f"yaxis{suffix}": {"title": {"text": title}, "anchor": f"x{suffix}"},
        }
        figure.update_layout(axes)
    figure.update_xaxes(showgrid=False)
    legend_above(figure)
    set_panels(figure, len(panels), columns=2, height=370)
    return figure


def curves_caption(subject: Subject) -> str:
    """Return what the curves show and what to look for."""
    names = joined([metric_name(panel.metric.fold) for panel in _panels(subject)])
    return (
        f"{names[:1].upper()}{names[1:]} by epoch: single folds thin, their mean bold, the standard"
        " deviation shaded. Look for validation curves that get worse while training improves"
        " (overfitting), and for folds that differ from the others."
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


@dataclass(frozen=True)
class Saving:
    """What pruning saved.

    Attributes:
        stopped: number of pruned trials.
        epochs: epochs that were not trained, over all folds; an upper bound with early stopping.
        of: epochs that all finished trials would have trained without pruning.
        seconds: estimated time of the saved epochs, at each trial's own speed.
    """

    stopped: int
    epochs: int
    of: int
    seconds: float


def saving(history: History) -> Saving:
    """Return what pruning saved so far."""
    done = [trial for trial in history.finished() if trial.state in ("complete", "pruned")]
    stopped = [trial for trial in done if trial.state == "pruned"]
    epochs = seconds = 0.0
    for trial in stopped:
        missing = full_epochs(trial, history) - trained_epochs(trial)
        epochs += missing
        spent = trial.ended.train_seconds if trial.ended else 0.0
        seconds += missing * spent / max(1, trained_epochs(trial))
    whole = sum(full_epochs(trial, history) for trial in done)
    return Saving(len(stopped), int(epochs), whole, seconds)


def trained_epochs(trial: TrialHistory) -> int:
    """Return how many epochs a finished trial was trained, over all folds."""
    return trial.ended.epochs_trained if trial.ended else 0


def full_epochs(trial: TrialHistory, history: History) -> int:
    """Return how many epochs a trial would have been trained for without pruning."""
    if trial.state != "pruned":
        return trained_epochs(trial)
    study = history.known_study()
    epochs = trial.params.get("epochs") or study.settings.get("epochs") or 0
    return max(trained_epochs(trial), study.folds * int(epochs))


def pruning(subject: Subject) -> Figure:
    """Draw how many trials were trained for how many epochs, with and without pruning."""
    history = subject.history
    if not subject.pruned:
        raise NothingToDraw("No trial was pruned.")
    trials = [t for t in history.finished() if t.state in ("complete", "pruned")]
    with_it = sorted(trained_epochs(trial) for trial in trials)
    without = sorted(full_epochs(trial, history) for trial in trials)
    figure = blank_figure(380)
    for lengths, name, colour, band in (
        (without, "without pruning", GREY, GREY_BAND),
        (with_it, "trained", BLUE, BLUE_BAND),
    ):
        at, left = _survivors(lengths)
        figure.add_trace(
            Scatter(
                x=at,
                y=left,
                mode="lines",
                name=name,
                line={"color": colour, "width": 2, "shape": "hv"},
                fill="tozeroy",
                fillcolor=band,
                hovertemplate=f"%{{y}} trials {name}<br>beyond %{{x}} epochs<extra></extra>",
            )
        )
    _mark_folds(figure, subject, max(without))
    figure.update_xaxes(title_text="epochs trained, over all folds", range=[0, 1.02 * max(without)])
    figure.update_yaxes(title_text="trials", rangemode="tozero")
    legend_above(figure)
    return figure


def _survivors(lengths: list[int]) -> tuple[list[int], list[int]]:
    """Return a step function: how many trials were trained for more than so many epochs."""
    at, left = [0], [len(lengths)]
    for length in sorted(set(lengths)):
        at.append(length)
        left.append(sum(other > length for other in lengths))
    return at, left


def _mark_folds(figure: Figure, subject: Subject, longest: int) -> None:
    """Mark the ends of folds if all trials have the same number of epochs."""
    study = subject.history.known_study()
    lengths = {trial.params.get("epochs") for trial in subject.history.trials.values()}
    if len(lengths) != 1 or longest != study.folds * int(next(iter(lengths)) or 0):
        return
    for fold in range(1, study.folds + 1):
        end = longest * fold // study.folds
        figure.add_vline(x=end, line={"color": GREY, "dash": "dot", "width": 1})
        figure.add_annotation(
            x=end - longest / study.folds / 2,
            y=1,
            yref="paper",
            yanchor="top",
            text=f"fold {fold}",
            showarrow=False,
            font={"size": 11, "color": GREY},
        )
