"""What `run` says when a session is over."""

from typing import Any

from rich.markup import escape

from search.cli.options import DEFAULT_HOME
from search.cli.output import (
    console,
    duration,
    notice,
    percent,
    say,
    setting_text,
    shell,
    table,
)
from search.opening import Opened
from search.session import SessionResult
from search.tracker import Tracker
from tracking.history import History, TrialHistory

SHOWN = 5

_ENDINGS = {
    "complete": "{trials} of {trials} trials are done.",
    "exhausted": "The driver has no setting left to try.",
    "timeout": "The time is up; the study can be continued.",
    "interrupted": "Interrupted; every finished fold is kept.",
    "failed": "Ten trials in a row failed; the study was ended.",
}


def document(
    opened: Opened, result: SessionResult, tracker: Tracker, notices: list[str]
) -> dict[str, Any]:
    """Return the outcome of `run` as one JSON document."""
    history = result.history
    best = history.best()
    views = {} if result.waiting else tracker.views(history)
    return {
        "study": opened.settings.study,
        "reason": result.reason,
        "dataset": opened.start.dataset["name"],
        "trials": [trial_document(trial) for trial in history.trials.values()],
        "best": None if best is None else trial_document(best),
        "notices": notices,
        "records_not_in_mlflow": result.waiting,
        "mlflow": {"tracking_uri": tracker.shown_uri, "views": views},
    }


def trial_document(trial: TrialHistory) -> dict[str, Any]:
    """Return one trial as JSON."""
    ended = trial.ended
    return {
        "trial": trial.number,
        "origin": trial.started.origin,
        "state": trial.state,
        "parameters": trial.started.parameters,
        "folds": [fold.accuracy for fold in trial.finished_folds().values()],
        "scores": ended.scores if ended else {},
        "reason": ended.reason if ended else "",
        "train_seconds": ended.train_seconds if ended else None,
        "model_parameters": ended.model_parameters if ended else None,
    }


def show(opened: Opened, result: SessionResult, tracker: Tracker) -> None:
    """Print the outcome of `run` for people."""
    history, name = result.history, str(opened.settings.study)
    console.print()
    console.print(_ENDINGS[result.reason].format(trials=len(history.finished())))
    if opened.fallback:
        notice(opened.fallback)
    if history.completed():
        _print_best(history)
    else:
        _print_failures(history)
    _print_next_steps(name, opened, result, tracker)


def best_table(history: History, shown: int) -> Any:
    """Return a table of the best trials: score, spread and searched parameters."""
    searched = (
        [p["name"] for p in history.study.parameters if p["searched"]] if history.study else []
    )
    made = table(
        "trial",
        "accuracy",
        "± folds",
        "time",
        "setting",
        right=("trial", "accuracy", "± folds", "time"),
    )
    for trial in history.completed()[:shown]:
        if trial.ended is None:
            continue
        scores = trial.ended.scores
        made.add_plain_row(
            str(trial.number),
            percent(scores["cv_accuracy"]),
            percent(scores["cv_accuracy_std"]),
            duration(trial.ended.train_seconds),
            origin_text(trial) + setting_text(trial.started.parameters, searched),
        )
    return made


def origin_text(trial: TrialHistory) -> str:
    """Return a baseline's name in brackets, nothing for a sampled trial."""
    kind, _, name = trial.started.origin.partition(":")
    return f"[{name}] " if kind == "baseline" else ""


def _print_best(history: History) -> None:
    states = [trial.state for trial in history.trials.values()]
    counts = ", ".join(
        f"{states.count(state)} {'unfinished' if state == 'running' else state}"
        for state in ("complete", "pruned", "failed", "running")
        if state in states
    )
    console.print(f"\n[bold]Best trials[/] (of {len(states)}: {counts})")
    console.print(best_table(history, SHOWN))


def _print_failures(history: History) -> None:
    console.print("No trial is complete yet.")
    failed = [trial for trial in history.finished() if trial.state == "failed"]
    if failed and failed[-1].ended is not None:
        console.print(f"The last failure: {escape(failed[-1].ended.reason)}")


def _print_next_steps(name: str, opened: Opened, result: SessionResult, tracker: Tracker) -> None:
    home = str(opened.folder.root.parent.parent)
    place = () if home == str(DEFAULT_HOME) else ("--home", home)
    server = () if tracker.is_local else ("--tracking-uri", tracker.shown_uri)
    trials = opened.settings.trials
    console.print()
    if result.waiting:
        notice(
            f"{result.waiting} records have not reached MLflow at {tracker.shown_uri};"
            f" `{shell('sync', *place, *server)}` brings them there"
        )
    say(f"Look      {shell('show', name, *place)}")
    if result.reason == "complete":
        more = shell("run", "--study", name, "--trials", str(2 * trials), *place, *server)
        say(f"Go on     {more}")
    elif result.reason != "exhausted":
        say(f"Continue  {shell('run', '--study', name, '--trials', str(trials), *place, *server)}")
    if result.history.completed():
        say(f"Use       {shell('export', name, *place, *server)}")
    link = "" if result.waiting else tracker.views(result.history).get("best_trials_first", "")
    if tracker.is_local:
        say(f"Compare   {shell('ui', *place)}   and open")
    if link:
        say(f"          {link}")
