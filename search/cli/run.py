"""`run`: search a space, or continue a study, and what is printed when a session ends."""

import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo
from rich.markup import escape

from search.api import StudyResult, run_study
from search.cli import completing
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
from search.cli.tables import best_lines, front_heading, trial_table
from search.errors import FoldwiseError, SettingsError, near_matches
from search.study.config import CONFIG, check_runs_no_code, read_config
from search.study.notation import parse_overrides
from search.study.settings import WHAT, WHERE_KEPT, StudySettings, told_of
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
    "no_config": WHERE_KEPT,
    "tensorboard": WHERE_KEPT,
    "tracking_uri": WHERE_KEPT,
    "home": WHERE_KEPT,
}
# Letters for what is typed most: space, dataset, number of trials, k-fold, epochs, a parameter.
SHORT = {
    "space": "-s",
    "dataset": "-d",
    "trials": "-n",
    "folds": "-k",
    "epochs": "-e",
    "set": "-p",
}
VARIABLE = "FOLDWISE_"  # and an option's name: the environment variable that gives it
_OTHER_VARIABLES = ("FOLDWISE_NODE_CACHE", "FOLDWISE_WORKER")
# Of those that every command reads, nothing is said.
_ELSEWHERE = ("home", "data_dir", "tracking_uri")

_ENDINGS = {
    "complete": "{done} of {trials} {are} done.",
    "exhausted": "The driver has nothing left to propose.",
    "timeout": "The time is up; the study can be continued.",
    "interrupted": "Interrupted; every finished fold is kept.",
    "stopped": "Stopped, as asked; every finished fold is kept.",
    "enough": "{told}",
    "failed": "Ten trials in a row failed, so the session ended.",
}


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with an option for each of the study's settings.

    Each of its options can be given by an environment variable, too.
    """
    made = with_options(*StudySettings.model_fields)(command)
    signature = inspect.signature(made)
    first, *options = signature.parameters.values()
    parameters = [first, *map(_of_run, options)]
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


def _of_run(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return an option in its group of `run --help`, and with its environment variable."""
    kind, option = get_args(parameter.annotation)
    option = copy(option)
    option.rich_help_panel = GROUPS.get(parameter.name, option.rich_help_panel)
    if option.envvar is None:
        option.envvar = f"{VARIABLE}{parameter.name.upper()}"
        option.show_envvar = False  # the help says it once for all
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
        *([SHORT[name]] if name in SHORT else []),
        *(flags or [f"--{name.replace('_', '-')}"]),
        metavar=shown,
        help=help_text,
        rich_help_panel=group,
        autocompletion=completing.of_setting(name, field.annotation),
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
    context: typer.Context,
    *,
    accept_changed_code: AcceptChangedCode = False,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file with these options. [default: foldwise.yaml, if it is here]"),
    ] = None,
    no_config: Annotated[
        bool, typer.Option("--no-config", help="Leave out the foldwise.yaml that is here.")
    ] = False,
    data_dir: DataDir = None,
    enqueue: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|P=V,...",
            help="Evaluate these params first: P=V,... or a JSON file; repeatable.",
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write TensorBoard logs of every fold here; not remembered."
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

    Every option can also be given in the environment, as `FOLDWISE_TRIALS=50`, or, those of the
    study, in a file. The command line goes first, then the environment, the file, and what the
    study began with; what makes it another study is refused, wherever it is given.
    """
    if config is not None and no_config:
        raise SettingsError(f"give one of `--config {config}` and `--no-config`, not both")
    notify = Notices(quiet=False)  # with `--json`, too: standard error is a long session's log
    asked = Asked.of(given, context, config, reads=not no_config)
    for text in asked.notices():
        notify(text)
    try:
        result = run_study(
            home=home,
            tracking_uri=tracking_uri,
            data_dir=data_dir,
            notify=notify,
            display=Progress(),
            accept_changed_code=accept_changed_code,
            enqueue=enqueue or (),
            tensorboard=tensorboard,
            **asked.settings,
        )
    except FoldwiseError as error:
        error.args = (asked.with_origins(str(error)),)
        raise
    _conclude(result, Tracker(HomeFolder(home), tracking_uri), notify.texts, json)


@dataclass(frozen=True)
class Asked:
    """The settings that `run` was given.

    Attributes:
        settings: by name.
        origins: by option, where it was given, if not on the command line.
        found: the file that was read without being named, with what it gives; None without.
        unknown: a sentence on each environment variable that is none.
    """

    settings: dict[str, Any]
    origins: dict[str, str]
    found: Path | None
    unknown: list[str]

    @classmethod
    def of(
        cls, given: dict[str, Any], context: typer.Context, config: Path | None, *, reads: bool
    ) -> "Asked":
        """Gather command line, environment and file, in this order of precedence.

        Args:
            given: the options of the settings; None where one is not given.
            context: knows which of them the environment gave.
            config: the file that was named; None for that which lies here.
            reads: whether that is read.

        Raises:
            SettingsError: the file cannot be read, or chooses code to run without being named.
        """
        found = CONFIG if config is None and reads and CONFIG.is_file() else None
        file = config or found
        pairs = given.pop("set") or []
        own = {name: value for name, value in given.items() if value is not None}
        in_file = read_config(file) if file else {}
        if found:
            left = {name: value for name, value in in_file.items() if name not in own}
            check_runs_no_code(left, found)
        settings = in_file | own
        if pairs:
            settings["set"] = {**in_file.get("set", {}), **parse_overrides(pairs)}
        origins = {name: str(file) for name in in_file if name not in own}
        if pairs:
            origins.pop("set", None)
        variables = {one.name: one.envvar for one in context.command.params}
        for name, variable in variables.items():
            source = context.get_parameter_source(str(name))
            if source is not None and source.name == "ENVIRONMENT" and name not in _ELSEWHERE:
                origins[str(name)] = str(variable)
        return cls(settings, origins, found, _unknown_variables(variables.values()))

    def notices(self) -> list[str]:
        """Return what to say of settings that nobody typed."""
        in_file = [name for name, place in self.origins.items() if place == str(self.found)]
        variables = [place for place in self.origins.values() if place.startswith(VARIABLE)]
        said = list(self.unknown)
        if in_file:
            said.append(f"{self.found} gives {', '.join(in_file)}; `--no-config` leaves it out")
        if variables:
            said.append(f"the environment gives {', '.join(variables)}")
        return said

    def with_origins(self, message: str) -> str:
        """Return an error's message with the origin of each option in it that nobody typed."""
        named = [name for name in self.origins if f"`--{name.replace('_', '-')}" in message]
        lines = [f"`--{n.replace('_', '-')}` is given by {self.origins[n]}." for n in named]
        return "\n".join([message, *lines])


def _unknown_variables(known: Iterable[Any]) -> list[str]:
    names = {*_OTHER_VARIABLES}
    for one in known:
        names.update([one] if isinstance(one, str) else one or ())
    options = [name.removeprefix(VARIABLE).lower() for name in names if name.startswith(VARIABLE)]
    return [
        f"the environment's {name} is no option of `run`;"
        f" {near_matches(name.removeprefix(VARIABLE).lower(), options)}"
        for name in sorted(os.environ)
        if name.startswith(VARIABLE) and name not in names
    ]


def _conclude(result: StudyResult, tracker: Tracker, notices: list[str], as_json: bool) -> None:
    if as_json:
        print_json(outcome_document(result, tracker, notices))
    else:
        print_outcome(result, tracker)
    if result.reason == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if not result.history.completed() and result.reason != "stopped":
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
        "told": history.last_end.told if history.last_end else "",
        "verdict": history.decision.text if history.decision else "",
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
        "proposed_by": trial.started.proposed_by or None,
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
            done=done,
            trials=counted(done, "trial"),
            are="is" if done == 1 else "are",
            told=history.last_end.told if history.last_end else "",
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
    for number, line in enumerate(best_lines(history)):
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
    if result.reason == "enough":
        say(f"Continue  {shell('run', '--study', name, '--stop', 'none', *place, *server)}")
    elif result.reason == "complete":
        more = shell("run", "--study", name, "--trials", str(2 * trials), *place, *server)
        say(f"Continue  {more}")
    elif result.reason != "exhausted":
        say(f"Continue  {shell('run', '--study', name, '--trials', str(trials), *place, *server)}")
    if result.history.completed():
        say(f"Report    {shell('report', name, *place)}")
        say(f"Export    {shell('export', name, *place, *server)}")
    link = "" if result.waiting else tracker.views(result.history).get("best_trials_first", "")
    if tracker.is_local:
        say(f"Compare   {shell('ui', *place)}   and open")
    if link:
        say(f"          {link}")
    if link and tracker.is_local:
        say(f"          without foldwise: {tracker.command}")
