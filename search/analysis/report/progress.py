"""Figures of the search: history of trials, Pareto front, and time."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from plotly.graph_objects import Bar, Figure, Scatter

from search.analysis.measure import axis_format, objective_name, score_text
from search.analysis.report.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PINK,
    YELLOW,
    blank_figure,
    hover,
    legend_above,
    plain,
    set_panels,
    whole_numbers,
)
from search.analysis.report.subject import NothingToDraw, Subject
from search.analysis.report.words import time_text, trial_name
from tracking.history import History, TrialHistory
from tracking.stages import confirmed_spread, score_so_far, spread, stopped_at
from tracking.text import counted, listed

_MOST_BARS = 80  # trials that show their spread; with more, it would hide the points
_FAR = 10  # times as far from the best as the middle trial is, a complete one is off the axis
_BELOW = 0.6  # of the complete trials' range, added below it for pruned trials


def optimisation_history(subject: Subject) -> Figure:
    """Draw each trial's value by its number, and the best value so far."""
    if not subject.complete:
        raise NothingToDraw("No trial is complete yet.")
    figure = blank_figure(430)
    focus = _focus(subject, _stopped_scores(subject).values())
    if _stopped_scores(subject):
        figure.add_trace(_stopped(subject))
    sampled = [t for t in subject.complete if not t.started.is_baseline]
    baselines = [t for t in subject.complete if t.started.is_baseline]
    figure.add_trace(_best_so_far(subject, BLUE, "best so far"))
    figure.add_trace(_points(subject, sampled, "complete", BLUE, "circle"))
    if baselines:
        figure.add_trace(_points(subject, baselines, "baselines", ORANGE, "diamond"))
        _mark_baseline(figure, subject)
    if subject.history.confirmed():
        figure.add_trace(_confirmed(subject))
    figure.add_traces(_beyond(subject, focus, {number: number for number in _scored(subject)}))
    legend_above(figure)
    figure.update_xaxes(_by_trial(max(subject.history.trials)))
    figure.update_yaxes(title_text=subject.axis_title, range=focus)
    return figure


def left_out(subject: Subject) -> str:
    """Return sentences on the trials that the history shows at its edge, or not at all."""
    scores, told = _scored(subject), []
    low, high = _focus(subject, _stopped_scores(subject).values())
    far = [value for value in scores.values() if not low <= value <= high]
    if far:
        farthest = min(far, key=subject.first.oriented)
        told.append(
            f" {counted(len(far), 'trial')} {'is' if len(far) == 1 else 'are'} beyond the axis, the"
            f" farthest at {score_text(subject.first, farthest)}: triangles at its"
            f" {'lower' if farthest < low else 'upper'} end."
        )
    others = [trial for number, trial in subject.history.trials.items() if number not in scores]
    states = Counter(str(trial.state.shown) for trial in others)
    if states:
        counts = listed(f"{count:,} {state}" for state, count in sorted(states.items()))
        told.append(f" Not drawn, for want of a score: {counts}.")
    return "".join(told)


def front(subject: Subject) -> Figure:
    """Draw two objectives against each other, with the Pareto front."""
    objectives = subject.history.objectives
    if len(objectives) < 2:
        raise NothingToDraw("The study has one objective, so there is no trade-off to show.")
    first, second = objectives[:2]
    chosen = subject.history.front()
    if not chosen:
        raise NothingToDraw("No trial has values of both objectives yet.")
    figure = blank_figure(430)
    known = [t for t in subject.complete if t.score(second.name) is not None]
    others = [trial for trial in known if trial not in chosen]
    ordered = sorted(chosen, key=lambda trial: trial.score(second.name) or 0.0)
    for trials, name, style in (
        (others, "other trials", {"mode": "markers", "marker": {"color": GREY, "size": 7}}),
        (
            ordered,
            "Pareto front",
            {
                "mode": "lines+markers",
                "line": {"color": BLUE, "shape": "hv", "width": 2},
                "marker": {"color": BLUE, "size": 10},
            },
        ),
    ):
        figure.add_trace(
            Scatter(
                x=[trial.score(second.name) for trial in trials],
                y=[trial.score(first.name) for trial in trials],
                name=name,
                hovertext=[_both(subject, trial) for trial in trials],
                hoverinfo="text",
                **style,
            )
        )
    figure.update_xaxes(title_text=objective_name(second))
    figure.update_yaxes(title_text=subject.axis_title)
    legend_above(figure)
    return figure


def histories(several: list[History]) -> Figure:
    """Draw the best value so far of several studies in one figure."""
    figure = blank_figure(400)
    colours = [BLUE, ORANGE, GREEN, PINK, YELLOW, INK, GREY]
    for number, history in enumerate(several):
        subject = Subject(history)
        name = plain(history.known_study().study, 40)
        trace = _best_so_far(subject, colours[number % len(colours)], name)
        trace.update(mode="lines+markers", marker_symbol=number % 8, marker_size=6)
        figure.add_trace(trace)
    last = max(max(history.trials, default=0) for history in several)
    figure.update_xaxes(_by_trial(last))
    figure.update_yaxes(title_text=f"best {Subject(several[0]).axis_title} so far")
    legend_above(figure)
    return figure


def _by_trial(last: int) -> dict[str, Any]:
    """Return an axis of trials' numbers, with room for the marks of the first and the last."""
    room = 0.5 + 0.015 * last
    return {
        "title": {"text": "trial"},
        "range": [-room, last + room],
        "showgrid": False,
        "zeroline": False,
        **whole_numbers(last),
    }


def _best_so_far(subject: Subject, colour: str, name: str) -> Any:
    first = subject.first
    better = max if first.larger else min
    numbers = [trial.number for trial in subject.complete]
    values = list(accumulate((subject.value(t) for t in subject.complete), better))
    told = axis_format(first, values)
    last = max(subject.history.trials)
    if numbers and numbers[-1] < last:
        numbers, values = [*numbers, last], [*values, values[-1]]
    return Scatter(
        x=numbers,
        y=values,
        mode="lines",
        name=name,
        line={"color": colour, "width": 2, "shape": "hv"},
        hovertemplate=f"{name}: %{{y:{told}}}<extra></extra>".replace("%%", "%"),
    )


def _points(
    subject: Subject, trials: list[TrialHistory], name: str, colour: str, symbol: str
) -> Any:
    spreads = [spread(trial, subject.first) or 0.0 for trial in trials]
    bars = {"type": "data", "array": spreads, "color": colour, "thickness": 1, "width": 3}
    best = subject.best.number
    return Scatter(
        x=[trial.number for trial in trials],
        y=[subject.value(trial) for trial in trials],
        error_y=bars if any(spreads) and len(subject.complete) <= _MOST_BARS else None,
        mode="markers",
        name=name,
        marker={
            "color": colour,
            "symbol": symbol,
            "size": [12 if trial.number == best else 8 for trial in trials],
            "line": {"color": INK, "width": [2 if t.number == best else 0 for t in trials]},
        },
        hovertext=[subject.label(trial) for trial in trials],
        hoverinfo="text",
    )


def _scored(subject: Subject) -> dict[int, float]:
    """Return the scores of complete trials, and of pruned ones when they were pruned."""
    return {t.number: subject.value(t) for t in subject.complete} | _stopped_scores(subject)


def _stopped_scores(subject: Subject) -> dict[int, float]:
    """Return the finite scores of pruned trials when they were pruned, by number."""
    seen = {trial.number: score_so_far(trial, subject.first) for trial in subject.pruned}
    return {n: score for n, score in seen.items() if score is not None and math.isfinite(score)}


def _stopped(subject: Subject) -> Any:
    trials, scores = subject.history.trials, _stopped_scores(subject)
    known = [(trials[number], score) for number, score in scores.items()]
    return Scatter(
        x=[trial.number for trial, _ in known],
        y=[score for _, score in known],
        mode="markers",
        name="pruned (score then)",
        marker={
            "color": GREY,
            "symbol": "x-thin",
            "size": 7,
            "line": {"color": GREY, "width": 1.5},
        },
        hovertext=[
            subject.label(
                trial,
                f"{score_text(subject.first, score)} when pruned after {stopped_at(trial)}",
            )
            for trial, score in known
        ],
        hoverinfo="text",
    )


def _confirmed(subject: Subject) -> Any:
    trials = subject.history.confirmed()
    scores = [trial.confirmed_score(subject.first.name) for trial in trials]
    spreads = [confirmed_spread(trial, subject.first) or 0.0 for trial in trials]
    return Scatter(
        x=[trial.number for trial in trials],
        y=scores,
        error_y={"type": "data", "array": spreads, "color": GREEN, "thickness": 1, "width": 3},
        mode="markers",
        name="on confirmation folds",
        marker={"color": GREEN, "symbol": "star", "size": 12},
        hovertext=[
            subject.label(trial, f"on confirmation folds {score_text(subject.first, score)}")
            for trial, score in zip(trials, scores, strict=True)
        ],
        hoverinfo="text",
    )


def _mark_baseline(figure: Figure, subject: Subject) -> None:
    best = subject.baselines[0]
    figure.add_hline(
        y=subject.value(best),
        line={"color": ORANGE, "dash": "dot", "width": 1.5},
        annotation={
            "text": f"best baseline: {plain(trial_name(best), 40)}",
            "font": {"color": ORANGE, "size": 11},
        },
        annotation_position="bottom right",
    )


def _focus(subject: Subject, stopped: Iterable[float] = ()) -> list[float]:
    """Return the range of the value axis: the complete trials, and pruned ones nearby.

    A complete trial far below the better half is left out, because a diverged one would press all
    others into a line.

    Args:
        subject: the study.
        stopped: scores of pruned trials.
    """
    values = sorted(
        (subject.value(trial) for trial in subject.complete), key=subject.first.oriented
    )
    best, middle = values[-1], values[len(values) // 2]
    near = [value for value in values if abs(best - value) <= _FAR * abs(best - middle)]
    low, high = (min(near), max(near)) if best != middle else (min(values), max(values))
    size = (high - low) or abs(high) * 0.02 or 1.0
    bars = [spread(t, subject.first) or 0.0 for t in subject.complete if subject.value(t) in near]
    margin = 0.08 * size + (max(bars, default=0.0) if len(bars) <= _MOST_BARS else 0.0)
    room = _BELOW * size + margin
    known = list(stopped)
    lowest = max(low - room, min([low - margin, *known]) - 0.04 * size)
    highest = min(high + room, max([high + margin, *known]) + 0.04 * size)
    return [lowest, highest]


def _beyond(subject: Subject, focus: list[float], places: Mapping[int, float]) -> list[Any]:
    """Return marks at the ends of the value axis for the trials beyond them, counted by name.

    Args:
        subject: the study.
        focus: lowest and highest value of the axis.
        places: of trials on the other axis, by number.
    """
    low, high = focus
    trials = subject.history.trials
    scores = {number: value for number, value in _scored(subject).items() if number in places}
    marks = []
    for word, y, symbol, far in (
        (
            "below",
            low + 0.02 * (high - low),
            "triangle-down",
            [n for n in scores if scores[n] < low],
        ),
        (
            "above",
            high - 0.02 * (high - low),
            "triangle-up",
            [n for n in scores if scores[n] > high],
        ),
    ):
        if far:
            told = [f"beyond the axis, at {score_text(subject.first, scores[n])}" for n in far]
            marks.append(
                Scatter(
                    x=[places[number] for number in far],
                    y=[y] * len(far),
                    mode="markers",
                    name=f"{counted(len(far), 'trial')} {word} the axis",
                    marker={"color": PINK, "symbol": symbol, "size": 9},
                    hovertext=[
                        subject.label(trials[number], line)
                        for number, line in zip(far, told, strict=True)
                    ],
                    hoverinfo="text",
                )
            )
    return marks


def _both(subject: Subject, trial: TrialHistory) -> str:
    second = subject.history.objectives[1]
    second_text = f"{objective_name(second)} {score_text(second, trial.score(second.name))}"
    return subject.label(trial, second_text)


_STATES = (("complete", BLUE), ("pruned", GREY), ("failed", PINK))


@dataclass(frozen=True)
class Cost:
    """What a study cost so far.

    Attributes:
        training: seconds of training of all finished trials and confirmations.
        epochs: epochs trained by finished trials and confirmations, over all folds.
        sessions: how many times `run` was called.
    """

    training: float
    epochs: int
    sessions: int


def cost(history: History) -> Cost:
    """Return what the study cost so far."""
    ended = [trial.ended for trial in history.finished() if trial.ended]
    confirmation_folds = [
        fold.seconds
        for trial in history.trials.values()
        for fold in trial.finished_confirmation_folds().values()
    ]
    epochs = [
        len(fold.epochs)
        for trial in history.trials.values()
        for fold in trial.confirmation_folds.values()
        if fold.ended
    ]
    return Cost(
        sum(end.train_seconds for end in ended) + sum(confirmation_folds),
        sum(end.epochs_trained for end in ended) + sum(epochs),
        len(history.sessions),
    )


def time(subject: Subject) -> Figure:
    """Draw each trial's training time, and scores against it."""
    finished = [t for t in subject.history.finished() if _seconds(t) > 0]
    if not finished:
        raise NothingToDraw("No trial has a training time yet.")
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
    last = max(trial.number for trial in finished)
    figure.update_layout(
        xaxis={"anchor": "y", **_by_trial(last)},
        yaxis={"title": {"text": f"training time ({name})"}, "anchor": "x"},
        xaxis2={"title": {"text": f"training time ({name})"}, "anchor": "y2"},
        yaxis2={
            "title": {"text": subject.axis_title},
            "anchor": "x2",
            "range": _focus(subject) if subject.complete else None,
        },
        bargap=0.1,
    )
    legend_above(figure)
    set_panels(figure, 2 if subject.complete else 1, columns=2, height=350)
    return figure


def _add_scores(figure: Figure, subject: Subject, unit: float) -> None:
    sizes = [trial.ended.model_parameters if trial.ended else 0 for trial in subject.complete]
    largest = max(sizes, default=0) or 1
    for is_baseline, name, colour in (
        (False, "score (size: parameters)", BLUE),
        (True, "baselines", ORANGE),
    ):
        trials = [t for t in subject.complete if t.started.is_baseline is is_baseline]
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
    if subject.complete:
        places = {t.number: round(_seconds(t) / unit, 3) for t in subject.complete}
        for mark in _beyond(subject, _focus(subject), places):
            figure.add_trace(mark.update(xaxis="x2", yaxis="y2"))


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
