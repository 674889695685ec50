"""Curves of trials on each fold, where trials were pruned, and what that saved."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from plotly.graph_objects import Figure, Scatter

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

_CHOICES = 10
_PANELS = (("accuracy", ""), ("loss", "2"))


def curves(subject: Subject) -> Figure:
    """Draw the best trial's curves on each fold; other trials can be selected."""
    trials = [trial for trial in _shown(subject) if any(f.epochs for f in trial.folds.values())]
    if not trials:
        raise NothingToDraw("The journal holds no epochs of a complete trial.")
    figure = blank_figure(380)
    visible: list[int] = []  # for each trace the index of its trial
    for place, trial in enumerate(trials):
        for trace in _traces(trial):
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
    for metric, suffix in _PANELS:
        axes = {
            f"xaxis{suffix}": {"title": {"text": "epoch"}, "anchor": f"y{suffix}", "nticks": 8},
            f"yaxis{suffix}": {"title": {"text": metric}, "anchor": f"x{suffix}"},
        }
        figure.update_layout(axes)
    figure.update_xaxes(showgrid=False)
    legend_above(figure)
    set_panels(figure, 2, columns=2, height=370)
    return figure


def _shown(subject: Subject) -> list[TrialHistory]:
    """Return the best trial, the best baseline, and the next best trials."""
    first = [subject.best, *([subject.rival] if subject.rival else [])]
    others = [trial for trial in subject.history.completed() if trial not in first]
    return [*first, *others][:_CHOICES]


def _traces(trial: TrialHistory) -> list[Any]:
    folds = {n: _rows(fold.epochs) for n, fold in sorted(trial.folds.items()) if fold.epochs}
    traces: list[Any] = []
    for metric, suffix in _PANELS:
        panel: dict[str, Any] = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        panel["is_first"] = not suffix
        validation = f"val_{metric}"
        if len(folds) > 1:
            traces.append(_band(folds, validation, **panel))
            traces += [_fold(number, rows, validation, **panel) for number, rows in folds.items()]
        traces.append(_mean(folds, metric, ORANGE, "training", dash="dash", **panel))
        traces.append(_mean(folds, validation, BLUE, "validation", dash="solid", **panel))
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
    folds: Folds, metric: str, colour: str, name: str, *, dash: str, is_first: bool, **panel: Any
) -> Any:
    columns = _columns(folds, metric)
    of = ", mean of the folds" if len(folds) > 1 else ""
    return Scatter(
        x=list(columns),
        y=[round(fmean(values), 5) for values in columns.values()],
        mode="lines+markers",
        name=name + of,
        legendgroup=name,
        showlegend=is_first,
        line={"color": colour, "width": 2.5, "dash": dash},
        marker={"size": 5, "color": colour},
        hovertemplate=f"epoch %{{x}}: {name} %{{y:.4f}}<extra></extra>",
        **panel,
    )


def _fold(
    number: int,
    rows: Mapping[int, Mapping[str, float]],
    metric: str,
    *,
    is_first: bool,
    **panel: Any,
) -> Any:
    values = [row.get(metric, math.nan) for row in rows.values()]
    return Scatter(
        x=list(rows),
        y=[round(value, 5) if math.isfinite(value) else None for value in values],
        mode="lines",
        name="single folds",
        legendgroup="single folds",
        showlegend=is_first and number == 1,
        line={"color": GREY, "width": 1},
        hovertemplate=f"fold {number}, epoch %{{x}}: %{{y:.4f}}<extra></extra>",
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
    low = [round(mean - deviation, 5) for mean, deviation in ends]
    return low, [round(mean + deviation, 5) for mean, deviation in ends]


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
