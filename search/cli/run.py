"""`run`: search a space, or continue a study."""

import inspect
from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from search.cli.output import DEFAULT_HOME, AcceptChangedCode, AsJson, DataDir, Home, TrackingUri
from search.study.settings import (
    WHAT,
    WHERE_KEPT,
    StudySettings,
    parse_overrides,
    read_config,
    told_of,
)

if TYPE_CHECKING:
    from search.api import StudyResult
    from search.tracker import Tracker

INTERRUPTED = 130
NO_TRIAL_SUCCEEDED = 1

# Options that are not settings of the study.
GROUPS = {
    "accept_changed_code": WHAT,
    "data_dir": WHAT,
    "config": WHERE_KEPT,
    "tracking_uri": WHERE_KEPT,
    "home": WHERE_KEPT,
}


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with an option for each of the study's settings."""
    signature = inspect.signature(command)
    own = [_grouped(p) for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [_option(name, field) for name, field in StudySettings.model_fields.items()]
    made = signature.replace(parameters=[*options, *own])
    command.__signature__ = made  # type: ignore[attr-defined] # Typer reads it
    return command


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
    from search.api import run_study
    from search.cli.live import make_display
    from search.cli.output import Notices
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    notify = Notices(quiet=json)
    result = run_study(
        home=home,
        tracking_uri=tracking_uri,
        data_dir=data_dir,
        notify=notify,
        display=partial(make_display, quiet=json),
        accept_changed_code=accept_changed_code,
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


def _conclude(result: "StudyResult", tracker: "Tracker", notices: list[str], as_json: bool) -> None:
    from search.cli import summary
    from search.cli.output import print_json

    if as_json:
        print_json(summary.document(result, tracker, notices))
    else:
        summary.show(result, tracker)
    if result.reason == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if not result.history.completed():
        raise typer.Exit(NO_TRIAL_SUCCEEDED)
