"""The summary that `run` prints when a session ends."""

from typing import Any

from rich.markup import escape

from search.api import StudyResult
from search.cli.output import DEFAULT_HOME, console, notice, say
from search.cli.tables import confirmation_lines, front_heading, trial_table
from search.text import counted, shell
from search.tracker import Tracker
from tracking.history import History, TrialHistory
from tracking.provenance import trial_marks
from tracking.stages import compared_after, count_stages, retries, stages, stopping_point

SHOWN = 5

_ENDINGS = {
    "complete": "{done} of {trials} {are} done.",
    "exhausted": "The driver has nothing left to propose.",
    "timeout": "The time is up; the study can be continued.",
    "interrupted": "Interrupted; every finished fold is kept.",
    "failed": "Ten trials in a row failed, so the session ended.",
}


def document(result: StudyResult, tracker: Tracker, notices: list[str]) -> dict[str, Any]:
    """Return the outcome of `run` as one JSON document."""
    history = result.history
    best = history.best()
    views = {} if result.waiting else tracker.views(history)
    return {
        "study": result.name,
        "reason": result.reason,
        "dataset": history.known_study().dataset["name"],
        **study_document(history),
        "best": None if best is None else trial_document(best, history),
        "notices": notices,
        "records_not_in_mlflow": result.waiting,
        "mlflow": {"tracking_uri": tracker.shown_uri, "views": views},
    }


def study_document(history: History) -> dict[str, Any]:
    """Return objectives, execution plan, trials, the best one and the Pareto front as JSON."""
    best, has_front = history.best(), len(history.objectives) > 1
    return {
        "objectives": [
            {"name": objective.name, "direction": "maximize" if objective.larger else "minimize"}
            for objective in history.objectives
        ],
        "plan": history.sessions[-1].plan if history.sessions else {},
        "best_trial": None if best is None else best.number,
        "front": [trial.number for trial in history.front()] if has_front else [],
        "trials": [
            _trial_document(
                history.trials[number], stage, trial_marks(history, history.trials[number])
            )
            for number, stage in stages(history).items()
        ],
    }


def trial_document(trial: TrialHistory, history: History) -> dict[str, Any]:
    """Return one trial as JSON."""
    return _trial_document(trial, stages(history)[trial.number], trial_marks(history, trial))


def _trial_document(trial: TrialHistory, stage: str, marks: list[str]) -> dict[str, Any]:
    ended = trial.ended
    fold, epoch = stopping_point(trial)
    return {
        "trial": trial.number,
        "origin": trial.started.origin,
        "state": stage,
        "parameters": trial.started.parameters,
        "trained_with": trial.params,
        "retries": retries(trial),
        "marks": marks,
        "folds": [fold.accuracy for fold in trial.finished_folds().values()],
        "value": ended.value if ended else None,
        "scores": ended.scores if ended else {},
        "confirmed": _confirmed_document(trial),
        "compared_after": compared_after(trial) or None,
        "stopped_at": {"fold": fold, "epoch": epoch} if trial.state == "pruned" else None,
        "reason": ended.reason if ended else "",
        "train_seconds": ended.train_seconds if ended else None,
        "model_parameters": ended.model_parameters if ended else None,
    }


def _confirmed_document(trial: TrialHistory) -> dict[str, Any] | None:
    if trial.confirmed is None:
        return None
    return {
        "scores": trial.confirmed.scores,
        "repeats": trial.confirmed.repeats,
        "folds": [fold.accuracy for fold in trial.finished_confirmation_folds().values()],
        "reason": trial.confirmed.reason,
        "error": trial.confirmed.error,
    }


def show(result: StudyResult, tracker: Tracker) -> None:
    """Print the outcome of `run` for people."""
    history = result.history
    console.print()
    done = len(history.finished())
    console.print(
        _ENDINGS[result.reason].format(
            done=done, trials=counted(done, "trial"), are="is" if done == 1 else "are"
        )
    )
    if result.fallback:
        notice(result.fallback)
    if history.completed():
        _print_best(history)
    else:
        _print_failures(history)
    _print_next_steps(result, tracker)


def _print_best(history: History) -> None:
    counts = ", ".join(
        f"{count} {'unfinished' if stage == 'running' else stage}"
        for stage, count in count_stages(history).items()
    )
    console.print(f"\n[bold]Best trials[/] (of {len(history.trials)}: {counts})")
    console.print(trial_table(history, history.ranked()[:SHOWN]))
    if len(history.objectives) > 1:
        console.print(f"\n[bold]{front_heading(history)}[/]")
        console.print(trial_table(history, history.front()))
    for number, line in enumerate(confirmation_lines(history)):
        say(line if number else f"\n{line}")


def _print_failures(history: History) -> None:
    console.print("No trial is complete yet.")
    failed = [trial for trial in history.finished() if trial.state == "failed"]
    if failed and failed[-1].ended is not None:
        console.print(f"The last failure: {escape(failed[-1].ended.reason)}")


def _print_next_steps(result: StudyResult, tracker: Tracker) -> None:
    name, home = result.name, str(result.folder.root.parent.parent)
    place = () if home == str(DEFAULT_HOME) else ("--home", home)
    server = () if tracker.is_local else ("--tracking-uri", tracker.shown_uri)
    trials = result.history.sessions[-1].trials
    console.print()
    if result.waiting:
        notice(
            f"{counted(result.waiting, 'record')} still to reach MLflow at {tracker.shown_uri};"
            f" `{shell('sync', *place, *server)}` publishes them"
        )
    say(f"Show      {shell('show', name, *place)}")
    if result.reason == "complete":
        more = shell("run", "--study", name, "--trials", str(2 * trials), *place, *server)
        say(f"Continue  {more}")
    elif result.reason != "exhausted":
        say(f"Continue  {shell('run', '--study', name, '--trials', str(trials), *place, *server)}")
    if result.history.completed():
        say(f"Export    {shell('export', name, *place, *server)}")
    link = "" if result.waiting else tracker.views(result.history).get("best_trials_first", "")
    if tracker.is_local:
        say(f"Compare   {shell('ui', *place)}   and open")
    if link:
        say(f"          {link}")
