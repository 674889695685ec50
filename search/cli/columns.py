"""Tables of trials: the columns that a study's objectives make, and their numbers as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from search.cli.output import PlainTable, console, duration, percent, setting_text, table
from tracking.history import History, TrialHistory
from tracking.objectives import Objective
from tracking.stages import confirmed_spread, score_so_far, spread, stages, stopped_at

_HEADINGS = {
    "cv_accuracy": "accuracy",
    "cv_loss": "loss",
    "macro_f1": "macro F1",
    "model_parameters": "parameters",
    "latency_ms": "latency ms",
}
_NARROW = 100  # characters
_COLOURS = {
    "complete": "green",
    "pruned": "dim",
    "failed": "red",
    "running": "yellow",
    "waiting": "cyan",
}


@dataclass(frozen=True)
class _Column:
    heading: str
    cell: Callable[[TrialHistory], str | Text]
    is_number: bool = True


def heading(objective: Objective) -> str:
    """Return what an objective is called above its numbers."""
    return _HEADINGS.get(objective.name, objective.name)


def score_text(objective: Objective, value: float | None) -> str:
    """Return an objective's value as it is shown; a dash for none."""
    if value is None:
        return "-"
    if objective.name == "model_parameters":
        return f"{value:,.0f}"
    return f"{value:.2f}" if objective.name == "latency_ms" else percent(value)


def trial_table(
    history: History, trials: Sequence[TrialHistory], *, states: bool = False
) -> PlainTable:
    """Return a table of trials, one a row.

    Args:
        history: the study's.
        trials: which ones, in the order of the rows.
        states: tell each trial's state, and where pruned ones stopped.
    """
    columns = _columns(history, trials, states)
    numbers = tuple(column.heading for column in columns if column.is_number)
    made = table(*(column.heading for column in columns), right=numbers)
    for trial in trials:
        made.add_plain_row(*(column.cell(trial) for column in columns))
    return made


def state_text(stage: str) -> Text:
    """Return a state in its colour."""
    return Text(stage, style=_COLOURS[stage])


def origin_text(trial: TrialHistory) -> str:
    """Return a baseline's name in brackets, nothing for a sampled trial."""
    kind, _, name = trial.started.origin.partition(":")
    return f"[{name}] " if kind == "baseline" else ""


def chosen_text(history: History, trial: TrialHistory) -> str:
    """Return a complete trial's first objective with its spread over the folds."""
    first = history.objectives[0]
    value = score_text(first, trial.value)
    return f"{value}{_plus_minus(spread(trial, first))}"


def confirmed_text(history: History, trial: TrialHistory) -> str:
    """Return one phrase on the folds a trial was confirmed on; nothing where there are none."""
    first = history.objectives[0]
    score = trial.confirmed_score(first.name)
    if score is None:
        return ""
    folds = trial.finished_more_folds()
    return (
        f"confirmed on {len(folds)} further folds: {score_text(first, score)}"
        f"{_plus_minus(confirmed_spread(trial, first))}"
        f" (chosen: {score_text(first, trial.value)})"
    )


def confirmation_lines(history: History) -> list[str]:
    """Return a line for each trial that was confirmed, or was to be; the best first."""
    lines = [
        f"trial {trial.number} {confirmed_text(history, trial)}" for trial in history.confirmed()
    ]
    if lines:
        lines[0] = f"Best: {lines[0]}"
    failed = [trial for trial in history.completed() if trial.confirmed and trial.confirmed.error]
    return lines + [
        f"trial {trial.number} could not be confirmed: {last_line(trial.confirmed.error)}"
        for trial in failed
        if trial.confirmed
    ]


def last_line(error: str) -> str:
    """Return the line of a traceback that says what happened."""
    return (error.strip().splitlines() or ["unknown"])[-1]


def front_heading(history: History) -> str:
    """Return what the table of the trials that no other beats is called."""
    names = " and ".join(heading(objective).removesuffix(" ms") for objective in history.objectives)
    return f"Pareto front: trials that no other one equals or beats in both {names}"


def _plus_minus(deviation: float | None) -> str:
    return "" if deviation is None else f" ± {deviation:.4f}"


def _columns(history: History, trials: Sequence[TrialHistory], states: bool) -> list[_Column]:
    first, *others = history.objectives
    stage = stages(history)
    columns = [_Column("trial", lambda trial: str(trial.number))]
    if states:
        columns.append(_Column("state", lambda t: state_text(stage[t.number]), is_number=False))
    columns.append(_Column(heading(first), lambda trial: _score_cell(trial, first)))
    confirmed = any(trial.confirmed_score(first.name) is not None for trial in trials)
    if confirmed:
        columns.append(
            _Column("confirmed", lambda t: score_text(first, t.confirmed_score(first.name)))
        )
    columns.append(_Column("± folds", lambda trial: _spread_cell(trial, first)))
    columns += [_other_column(objective) for objective in others]
    stopped = states and any(stopped_at(trial) for trial in trials)
    is_tight = confirmed and stopped and console.width < _NARROW  # settings need the room
    if stopped:
        gap = ",\n" if is_tight else ", "
        columns.append(
            _Column("stopped", lambda t: stopped_at(t).replace(", ", gap) or "-", is_number=False)
        )
    if not is_tight:
        columns.append(_Column("time", _time_cell))
    columns.append(_Column("setting", lambda t: _setting_cell(t, history), is_number=False))
    return columns


def _other_column(objective: Objective) -> _Column:
    return _Column(
        heading(objective), lambda trial: score_text(objective, trial.score(objective.name))
    )


def _score_cell(trial: TrialHistory, first: Objective) -> Text:
    if trial.state in ("complete", "failed"):
        return Text(score_text(first, trial.value))
    return Text(score_text(first, score_so_far(trial, first)), style="dim")


def _spread_cell(trial: TrialHistory, first: Objective) -> str:
    if trial.state != "complete":
        return "-"
    return percent(spread(trial, first))


def _time_cell(trial: TrialHistory) -> str:
    return duration(trial.ended.train_seconds) if trial.ended else "-"


def _setting_cell(trial: TrialHistory, history: History) -> str:
    parameters: list[dict[str, Any]] = history.study.parameters if history.study else []
    searched = [p["name"] for p in parameters if p["searched"]]
    return origin_text(trial) + setting_text(trial.started.parameters, searched)
