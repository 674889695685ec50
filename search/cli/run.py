"""`run`: search a space, or continue a study, and what is printed when a session ends."""

import inspect
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo
from rich.markup import escape

from search.api import StudyResult, run_study
from search.cli.curve import Curve
from search.cli.live import Progress
from search.cli.output import (
    DEFAULT_HOME,
    AcceptChangedCode,
    AsJson,
    DataDir,
    Home,
    Notices,
    TrackingUri,
    console,
    notice,
    print_json,
    say,
)
from search.cli.tables import confirmation_lines, front_heading, trial_table
from search.study.settings import (
    WHAT,
    WHERE_KEPT,
    StudySettings,
    parse_overrides,
    read_config,
    told_of,
)
from search.tasks import CLASSIFICATION
from search.tracker import Tracker
from tracking.history import History, TrialHistory
from tracking.home import Home as HomeFolder
from tracking.provenance import trial_marks
from tracking.records import FoldEnded
from tracking.stages import compared_after, count_stages, retries, stages, stopping_point
from tracking.text import counted, shell

INTERRUPTED = 130
NO_TRIAL_SUCCEEDED = 1
SHOWN = 5  # best trials

# Options that are not settings of the study.
GROUPS = {
    "accept_changed_code": WHAT,
    "enqueue": WHAT,
    "data_dir": WHAT,
    "config": WHERE_KEPT,
    "tracking_uri": WHERE_KEPT,
    "home": WHERE_KEPT,
}

_ENDINGS = {
    "complete": "{done} of {trials} {are} done.",
    "exhausted": "The driver has nothing left to propose.",
    "timeout": "The time is up; the study can be continued.",
    "interrupted": "Interrupted; every finished fold is kept.",
    "failed": "Ten trials in a row failed, so the session ended.",
}


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with an option for each of the study's settings."""
    made = with_options(*StudySettings.model_fields)(command)
    signature = inspect.signature(made)
    parameters = [_grouped(p) if p.name in GROUPS else p for p in signature.parameters.values()]
    made.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return made


def with_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command an option for each of some settings of a study.

    The command receives them in its `**given`, None where an option is not used.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = [_option(name, StudySettings.model_fields[name]) for name in names]
        at = sum(p.kind is not p.KEYWORD_ONLY for p in own)
        made = signature.replace(parameters=[*own[:at], *options, *own[at:]])
        command.__signature__ = made  # type: ignore[attr-defined] # Typer reads it
        return command

    return decorate


def _grouped(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return an option shared with other commands, in its group of `run --help`."""
    kind, option = get_args(parameter.annotation)
    option = copy(option)
    option.rich_help_panel = GROUPS.get(parameter.name)
    return parameter.replace(annotation=Annotated[kind, option])


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    group, help_text = told_of(name)
    kind, flags, shown = _kind(field), [], None
    if name == "set":
        kind, shown = list[str], "P=V"
    elif kind in (int, float):
        kind, shown = str, f"<{kind.__name__}>"  # so that a fault is told as any other setting's
    elif kind is bool and field.default:
        flags = [f"--{name}/--no-{name}"]
    option = typer.Option(
        *(flags or [f"--{name.replace('_', '-')}"]),
        metavar=shown,
        help=help_text,
        rich_help_panel=group,
    )
    annotation = Annotated[kind | None, option]  # type: ignore[valid-type]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _kind(field: FieldInfo) -> Any:
    """Return the type that Typer reads a setting as; `StudySettings` does the rest."""
    parts = [*field.metadata, *_parts(field.annotation)]
    if any(isinstance(part, BeforeValidator) for part in parts):
        return str
    return next((kind for kind in (bool, int, float) if kind in parts), str)


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield an annotation and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


@_with_settings
def run(
    *,
    accept_changed_code: AcceptChangedCode = False,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file with these options; the command line takes precedence.",
        ),
    ] = None,
    data_dir: DataDir = None,
    enqueue: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|P=V,...",
            help="Evaluate these params first: P=V,... or a JSON file; repeatable.",
        ),
    ] = None,
    tracking_uri: TrackingUri = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
    **given: Any,
) -> None:
    """Search a space: every trial is cross-validated and logged to MLflow.

    The same command continues the study; `--trials` is the total. Ctrl-C keeps every
    finished fold.
    """
    asked = _asked(given, config)
    notify = Notices(quiet=json)
    result = run_study(
        home=home,
        tracking_uri=tracking_uri,
        data_dir=data_dir,
        notify=notify,
        display=Progress(quiet=json),
        accept_changed_code=accept_changed_code,
        enqueue=enqueue or (),
        **asked,
    )
    _conclude(result, Tracker(HomeFolder(home), tracking_uri), notify.texts, json)


def _asked(given: dict[str, Any], config: Path | None) -> dict[str, Any]:
    pairs = given.pop("set") or []
    asked = read_config(config) if config else {}
    asked |= {name: value for name, value in given.items() if value is not None}
    if pairs:
        asked["set"] = {**asked.get("set", {}), **parse_overrides(pairs)}
    return asked


def _conclude(result: StudyResult, tracker: Tracker, notices: list[str], as_json: bool) -> None:
    if as_json:
        print_json(outcome_document(result, tracker, notices))
    else:
        print_outcome(result, tracker)
    if result.reason == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if not result.history.completed():
        raise typer.Exit(NO_TRIAL_SUCCEEDED)


def outcome_document(result: StudyResult, tracker: Tracker, notices: list[str]) -> dict[str, Any]:
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
        "enqueued": [waiting.parameters for waiting in history.enqueued],
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
            _trial_document(history.trials[number], stage, history)
            for number, stage in stages(history).items()
        ],
    }


def trial_document(trial: TrialHistory, history: History) -> dict[str, Any]:
    """Return one trial as JSON."""
    return _trial_document(trial, stages(history)[trial.number], history)


def _trial_document(trial: TrialHistory, stage: str, history: History) -> dict[str, Any]:
    ended = trial.ended
    fold, epoch = stopping_point(trial)
    return {
        "trial": trial.number,
        "origin": trial.started.origin,
        "state": stage,
        "parameters": trial.started.parameters,
        "trained_with": trial.params,
        "retries": retries(trial),
        "marks": trial_marks(history, trial),
        "folds": _fold_values(trial.finished_folds(), history),
        "value": ended.value if ended else None,
        "scores": ended.scores if ended else {},
        "confirmed": _confirmed_document(trial, history),
        "compared_after": compared_after(trial) or None,
        "stopped_at": {"fold": fold, "epoch": epoch} if trial.state == "pruned" else None,
        "reason": ended.reason if ended else "",
        "train_seconds": ended.train_seconds if ended else None,
        "model_parameters": ended.model_parameters if ended else None,
    }


def _fold_values(folds: dict[int, FoldEnded], history: History) -> list[float | None]:
    """Return each fold's accuracy; without classes its part of the first objective."""
    is_of_classes = history.known_study().task == CLASSIFICATION
    name = "accuracy" if is_of_classes else history.objectives[0].fold
    return [fold.metric(name) for fold in folds.values()]


def _confirmed_document(trial: TrialHistory, history: History) -> dict[str, Any] | None:
    if trial.confirmed is None:
        return None
    return {
        "scores": trial.confirmed.scores,
        "repeats": trial.confirmed.repeats,
        "folds": _fold_values(trial.finished_confirmation_folds(), history),
        "reason": trial.confirmed.reason,
        "error": trial.confirmed.error,
    }


def print_outcome(result: StudyResult, tracker: Tracker) -> None:
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
    curve = Curve.of(history)
    if curve.is_worth_showing():
        console.print()
        console.print(curve)
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
    waiting = len(result.history.enqueued)
    if waiting:
        needed = len(result.history.trials) + waiting
        notice(
            f"{counted(waiting, 'enqueued trial')} still to be evaluated: `--trials` is the total,"
            f" {needed} would do"
        )
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
