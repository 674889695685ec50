"""Tables of trials: the columns that a study's objectives make, and their numbers as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from search.cli.listing import Column, Listing
from search.cli.output import counted, duration, percent, setting_texts
from tracking.history import History, TrialHistory
from tracking.objectives import Objective
from tracking.provenance import trial_marks
from tracking.records import TrialConfirmed
from tracking.stages import confirmed_spread, score_so_far, spread, stages, stopped_at

_HEADINGS = {
    "cv_accuracy": "accuracy",
    "cv_loss": "loss",
    "macro_f1": "macro F1",
    "model_parameters": "parameters",
    "latency_ms": "latency ms",
}
_COLOURS = {
    "complete": "green",
    "pruned": "dim",
    "failed": "red",
    "running": "yellow",
    "waiting": "cyan",
}


@dataclass(frozen=True)
class _Filled:
    column: Column
    cell: Callable[[TrialHistory], str | Text]


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
) -> Listing:
    """Return a table of trials, one a row with its setting.

    Args:
        history: the study's.
        trials: which ones, in the order of the rows.
        states: tell each trial's state, and where pruned ones stopped.
    """
    columns = _columns(history, trials, states)
    made = Listing([filled.column for filled in columns], "setting")
    for trial in trials:
        made.add_row([filled.cell(trial) for filled in columns], _setting_words(trial, history))
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
        f"confirmed on {counted(len(folds), 'further fold')}: {score_text(first, score)}"
        f"{_plus_minus(confirmed_spread(trial, first))}"
        f" (chosen: {score_text(first, trial.value)})"
    )


def confirmation_lines(history: History) -> list[str]:
    """Return a line for each trial that was confirmed, or was to be; the best first."""
    lines = [
        f"trial {trial.number} {confirmed_text(history, trial)}" for trial in history.confirmed()
    ]
    # A trial with a better value that is still to be confirmed is the best until then.
    if lines and history.best() is history.confirmed()[0]:
        lines[0] = f"Best: {lines[0]}"
    return lines + [
        f"trial {trial.number} could not be confirmed: {failure_text(trial.confirmed)}"
        for trial in history.completed()
        if trial.confirmed and trial.confirmed.error
    ]


def failure_text(confirmed: TrialConfirmed) -> str:
    """Return one line on why a confirmation failed, for records without a reason too."""
    lines = confirmed.error.strip().splitlines() or ["unknown"]
    is_traceback = lines[0].startswith("Traceback")
    return confirmed.reason or lines[-1 if is_traceback else 0]


def front_heading(history: History) -> str:
    """Return what the table of the trials that no other beats is called."""
    names = " and ".join(heading(objective).removesuffix(" ms") for objective in history.objectives)
    return f"Pareto front: trials that no other one equals or beats in both {names}"


def _plus_minus(deviation: float | None) -> str:
    return "" if deviation is None else f" ± {deviation:.4f}"


def _columns(history: History, trials: Sequence[TrialHistory], states: bool) -> list[_Filled]:
    first, *others = history.objectives
    stage = stages(history)
    columns = [_Filled(Column("trial"), lambda trial: str(trial.number))]
    if states:
        state = Column("state", is_number=False)
        columns.append(_Filled(state, lambda trial: state_text(stage[trial.number])))
    columns.append(_Filled(Column(heading(first)), lambda trial: _score_cell(trial, first)))
    if any(trial.confirmed_score(first.name) is not None for trial in trials):
        columns.append(
            _Filled(Column("confirmed"), lambda t: score_text(first, t.confirmed_score(first.name)))
        )
    columns.append(_Filled(Column("± folds", spare=2), lambda trial: _spread_cell(trial, first)))
    columns += [_other_column(objective) for objective in others]
    if states and any(stopped_at(trial) for trial in trials):
        # The last to be left out: the sentences on why trials stopped begin with it.
        stopped = Column("stopped", is_number=False, spare=3)
        columns.append(_Filled(stopped, lambda trial: stopped_at(trial) or "-"))
    columns.append(_Filled(Column("time", spare=1), _time_cell))
    return columns


def _other_column(objective: Objective) -> _Filled:
    return _Filled(
        Column(heading(objective)),
        lambda trial: score_text(objective, trial.score(objective.name)),
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


def _setting_words(trial: TrialHistory, history: History) -> list[str]:
    parameters: list[dict[str, Any]] = history.study.parameters if history.study else []
    searched = [p["name"] for p in parameters if p["searched"]]
    mark = "(other code or versions)" if trial_marks(history, trial) else ""
    words = [origin_text(trial).strip(), mark, *setting_texts(trial.started.parameters, searched)]
    return [word for word in words if word]
