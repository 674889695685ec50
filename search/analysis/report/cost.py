"""What the search cost in time, and what each trial's time bought."""

import math
from dataclasses import dataclass

from plotly.graph_objects import Bar, Figure, Scatter

from search.analysis.report.style import (
    BLUE,
    GREY,
    ORANGE,
    PINK,
    blank_figure,
    hover,
    legend_above,
    plain,
    set_panels,
)
from search.analysis.report.subject import NothingToDraw, Subject
from search.analysis.report.words import time_text, trial_name
from tracking.history import History, TrialHistory

_STATES = (("complete", BLUE), ("pruned", GREY), ("failed", PINK))


@dataclass(frozen=True)
class Cost:
    """What a study cost so far.

    Attributes:
        training: seconds of training, all finished trials and confirmations together.
        epochs: trained by finished trials and confirmations, folds together.
        sessions: how many times `run` was called.
    """

    training: float
    epochs: int
    sessions: int


def cost(history: History) -> Cost:
    """Return what the study cost so far."""
    ended = [trial.ended for trial in history.finished() if trial.ended]
    further = [
        fold.seconds
        for trial in history.trials.values()
        for fold in trial.finished_more_folds().values()
    ]
    epochs = [
        len(fold.epochs)
        for trial in history.trials.values()
        for fold in trial.more_folds.values()
        if fold.ended
    ]
    return Cost(
        sum(end.train_seconds for end in ended) + sum(further),
        sum(end.epochs_trained for end in ended) + sum(epochs),
        len(history.sessions),
    )


def time(subject: Subject) -> Figure:
    """Draw each trial's training time, and scores against it."""
    finished = [t for t in subject.history.finished() if _seconds(t) > 0]
    if not finished:
        raise NothingToDraw("No trial has told how long it trained.")
    figure = blank_figure(360)
    unit, name = _unit(max(map(_seconds, finished)))
    for state, colour in _STATES:
        trials = [trial for trial in finished if trial.state == state]
        if trials:
            figure.add_trace(
                Bar(
                    x=[trial.number for trial in trials],
                    y=[round(_seconds(trial) / unit, 3) for trial in trials],
                    name=state,
                    marker={"color": colour, "line": {"width": 0}},
                    width=0.9,
                    hovertext=[_told(trial) for trial in trials],
                    hoverinfo="text",
                )
            )
    _add_scores(figure, subject, unit)
    figure.update_layout(
        xaxis={"title": {"text": "trial"}, "anchor": "y", "showgrid": False},
        yaxis={"title": {"text": f"training time ({name})"}, "anchor": "x"},
        xaxis2={"title": {"text": f"training time ({name})"}, "anchor": "y2"},
        yaxis2={"title": {"text": subject.name}, "anchor": "x2"},
        bargap=0.1,
    )
    legend_above(figure)
    set_panels(figure, 2 if subject.complete else 1, columns=2, height=350)
    return figure


def _add_scores(figure: Figure, subject: Subject, unit: float) -> None:
    sizes = [trial.ended.model_parameters if trial.ended else 0 for trial in subject.complete]
    largest = max(sizes, default=0) or 1
    for origin, name, colour in (
        ("sampled", "score (size: parameters)", BLUE),
        ("baseline", "baselines", ORANGE),
    ):
        trials = [t for t in subject.complete if t.started.origin.startswith(origin)]
        if not trials:
            continue
        figure.add_trace(
            Scatter(
                x=[round(_seconds(trial) / unit, 3) for trial in trials],
                y=[subject.value(trial) for trial in trials],
                xaxis="x2",
                yaxis="y2",
                mode="markers",
                name=name,
                marker={
                    "color": colour,
                    "opacity": 0.75,
                    "size": [
                        7 + 13 * math.sqrt((t.ended.model_parameters if t.ended else 0) / largest)
                        for t in trials
                    ],
                },
                hovertext=[subject.label(trial, *_spent(trial)) for trial in trials],
                hoverinfo="text",
            )
        )


def _seconds(trial: TrialHistory) -> float:
    return trial.ended.train_seconds if trial.ended else 0.0


def _told(trial: TrialHistory) -> str:
    return hover(f"<b>{plain(trial_name(trial))}</b>, {trial.state}", *_spent(trial))


def _spent(trial: TrialHistory) -> list[str]:
    """Return lines on a trial's time and size."""
    if trial.ended is None:
        return []
    size = trial.ended.model_parameters
    spent = f"{time_text(trial.ended.train_seconds)}, {trial.ended.epochs_trained} epochs"
    return [spent, f"{size:,} parameters"] if size else [spent]


def _unit(longest: float) -> tuple[float, str]:
    for seconds, name in ((3600.0, "hours"), (60.0, "minutes")):
        if longest >= 2 * seconds:
            return seconds, name
    return 1.0, "seconds"
