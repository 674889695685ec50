"""`enqueue` and `import-trials`: params of one's own, or of another tool's trials, for a study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli import completing
from search.cli.output import (
    DEFAULT_HOME,
    AcceptChangedCode,
    AsJson,
    DataDir,
    Home,
    Notices,
    StudyName,
    notice,
    params_text,
    print_json,
    say,
)
from search.cli.run import with_options
from search.errors import SettingsError
from search.study.notation import parse_overrides
from search.study.settings import IDENTITY, StudySettings
from tracking.home import Home as HomeFolder
from tracking.text import counted, shell

if TYPE_CHECKING:
    from search.study.enqueuing import Entry
    from search.study.importing import Import
    from search.study.opening import OpenStudy

SHOWN = 20  # trials that are left out, and params that are enqueued


def enqueue(
    study: StudyName,
    params: Annotated[
        list[str],
        typer.Argument(metavar="P=V,...|FILE", help="Params: P=V,... or a JSON file; several."),
    ],
    accept_changed_code: AcceptChangedCode = False,
    data_dir: DataDir = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Have a study evaluate params of your own before it samples others.

    The study may be running: it takes them before its next trial. Params that are left out take
    their defaults. They count towards `--trials`.
    """
    from search.studies import known_study
    from search.study.enqueuing import Entry, read_params
    from search.study.opening import open_study

    known_study(HomeFolder(home), study)
    notify = Notices(quiet=json)
    opened = open_study(
        {"study": study},
        home=HomeFolder(home),
        data_dir=data_dir,
        notify=lambda _: None,  # what is to be said of the study, `run` has said
        accept_changed_code=accept_changed_code,
    )
    entries = [Entry(one) for one in read_params(params, opened.narrowed.space, "enqueue")]
    new = _send(opened, entries, notify)
    if json:
        print_json(_document(opened, new, notify))
        return
    _print_enqueued(opened, new, home, {})


@with_options(*IDENTITY)
def import_trials(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Folder of a KerasTuner project, or of Optuna a storage's URL or file.",
        ),
    ],
    *,
    study: Annotated[
        str,
        typer.Option(
            "--study",
            help="Study to bring them to; a new one needs --space.",
            autocompletion=completing.studies,
        ),
    ],
    source_study: Annotated[
        str, typer.Option(help="Name of the Optuna study, if the storage holds several.")
    ] = "",
    source_objective: Annotated[
        str, typer.Option(help="What the source's values are, if it does not say so.")
    ] = "",
    best: Annotated[
        int, typer.Option(min=0, help="Enqueue the best N, to be evaluated here.")
    ] = 10,
    told: Annotated[
        bool,
        typer.Option(
            "--told", help="Also tell the sampler the values of the others, measured elsewhere."
        ),
    ] = False,
    rename: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="Name of a parameter here; repeatable."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Parameter of the source to leave out; repeatable."),
    ] = None,
    accept_changed_code: AcceptChangedCode = False,
    data_dir: DataDir = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
    **given: Any,
) -> None:
    """Bring the trials of a KerasTuner project or an Optuna study to a study of your own.

    Their values are of another evaluation and are no scores here: the best of them are enqueued,
    and cross-validated by the next `run`, or by the one that is running.
    """
    from search.study.importing import plan_import, read_source
    from search.study.opening import open_study

    asked = {name: value for name, value in given.items() if value is not None}
    if asked.get("set"):
        asked["set"] = parse_overrides(asked["set"])
    renamed = _pairs(rename or [])
    found = read_source(source, study=source_study, objective=source_objective)
    notify = Notices(quiet=json)
    opened = open_study(
        {**asked, "study": study},
        home=HomeFolder(home),
        data_dir=data_dir,
        notify=notify,
        accept_changed_code=accept_changed_code,
    )
    planned = plan_import(
        found,
        opened.narrowed.space,
        best=best,
        told=_told_objective(opened) if told else None,
        rename=renamed,
        without=without or (),
    )
    new = _send(opened, planned.entries, notify)
    if json:
        document = _document(opened, new, notify)
        print_json(document | _import_document(planned))
        return
    _print_import(planned)
    _print_enqueued(opened, new, home, given)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not equals or not old.strip() or not new.strip():
            raise SettingsError(f"`--rename` takes OLD=NEW; got {text!r}")
        pairs[old.strip()] = new.strip()
    return pairs


def _told_objective(opened: "OpenStudy") -> Any:
    """Return the objective of whose values elsewhere the study's driver can be told.

    Raises:
        SettingsError: the driver does not learn from them.
    """
    from search.study.drivers.catalog import LEARNING
    from tracking.objectives import objectives_of

    objectives = objectives_of(opened.start)
    sampler = str(opened.settings.sampler)
    if sampler not in LEARNING:
        raise SettingsError(
            "`--told` needs a sampler that is known to learn from values of other searches:"
            f" {', '.join(sorted(LEARNING))}; got `--sampler {sampler}`. Leave `--told` out: the"
            " best params are evaluated here."
        )
    if len(objectives) > 1:
        raise SettingsError(
            f"`--told` is for studies with one objective; this one has {len(objectives)}"
        )
    return objectives[0]


def _send(opened: "OpenStudy", entries: "Sequence[Entry]", notify: Notices) -> "list[Entry]":
    from search.study.enqueuing import send

    new, known = send(
        entries,
        opened.folder,
        opened.reader.history,
        opened.narrowed.space,
        baselines=opened.narrowed.baselines if opened.settings.baselines else {},
    )
    for text in known:
        notify(text)
    return new


def _print_import(planned: "Import") -> None:
    source = planned.source
    better = "larger" if source.larger else "smaller"
    named = source.objective or "its objective"
    say(
        f"{source.kind} {source.name}: {counted(len(source.trials), 'trial')};"
        f" {named}, {better} is better, under another evaluation than here"
    )
    unfinished = ", ".join(f"{count} {state}" for state, count in planned.unfinished.items())
    if unfinished:
        say(f"Not complete: {unfinished}")
    for note, names in planned.notes.items():
        all_of_them = len(names) == len(planned.translations) - len(planned.left_out)
        say(f"{'All trials' if all_of_them else _named(names)}: {note}")
    for one in planned.left_out[:SHOWN]:
        say(f"Trial {one.trial.name} is left out: {one.why}")
    if len(planned.left_out) > SHOWN:
        say(f"{len(planned.left_out) - SHOWN} more are left out; --json lists them")


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"Trial{'s' if len(names) > 1 else ''} {shown}{more}"


def _print_enqueued(
    opened: "OpenStudy", new: "Sequence[Entry]", home: Path, given: Mapping[str, Any]
) -> None:
    from tracking.lock import holder

    name = opened.reader.history.study
    study = str(opened.settings.study) if name is None else name.study
    waiting = [entry for entry in new if not entry.objective]
    told = len(new) - len(waiting)
    if not new:
        say(f"Nothing is new to study {study}.")
        return
    say(f"{counted(len(waiting), 'trial')} enqueued in study {study}:")
    searched = [parameter.name for parameter in opened.narrowed.space.searched()]
    for entry in waiting[:SHOWN]:
        say(f"  {params_text(entry.parameters, searched)}")
    if len(waiting) > SHOWN:
        say(f"  and {len(waiting) - SHOWN} more")
    if told:
        say(f"The sampler is told of {counted(told, 'trial')} more, measured elsewhere.")
    needed = _needed_trials(opened)
    is_more = needed > opened.settings.trials
    if holder(opened.folder.lock) is not None:
        say("The process that runs the study takes them before its next trial.")
        if is_more:
            say(
                f"It stops at {opened.settings.trials} trials: what is left waits for a `run` with"
                f" --trials {needed}."
            )
        return
    place = () if str(home) == str(DEFAULT_HOME) else ("--home", str(home))
    options = _options(given) if opened.is_new else []
    if is_more:
        options += ["--trials", str(needed)]
    say(f"Evaluate  {shell('run', '--study', study, *options, *place)}")
    if opened.is_new:
        notice("the study has not begun; begin it with these options, or they may not fit")


def _needed_trials(opened: "OpenStudy") -> int:
    """Return the least `--trials` with which all that is enqueued is evaluated."""
    from search.study.enqueuing import requests_in

    history, settings = opened.reader.history, opened.settings
    begun = {trial.started.origin for trial in history.trials.values()}
    baselines = opened.narrowed.baselines if settings.baselines else {}
    ahead = sum(f"baseline:{name}" not in begun for name in baselines)
    entries = [entry for _, request in requests_in(opened.folder) for entry in request.entries]
    waiting = len(history.enqueued) + sum(not entry.objective for entry in entries)
    return len(history.trials) + ahead + waiting


def _options(given: Mapping[str, Any]) -> list[str]:
    """Return the options of a new study's `run` that were given."""
    options: list[str] = []
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if value is None or value is False:
            default = StudySettings.model_fields[name].default
            options += [f"--no-{name}"] if value is False and default is True else []
        elif value is True:
            options.append(option)
        else:
            listed = value if isinstance(value, list) else [value]
            options += [part for one in listed for part in (option, str(one))]
    return options


def _document(opened: "OpenStudy", new: "Sequence[Entry]", notify: Notices) -> dict[str, Any]:
    return {
        "study": str(opened.settings.study),
        "enqueued": [entry.parameters for entry in new if not entry.objective],
        "told": [
            {"parameters": entry.parameters, "objective": entry.objective, "value": entry.value}
            for entry in new
            if entry.objective
        ],
        "notices": notify.texts,
    }


def _import_document(planned: "Import") -> dict[str, Any]:
    source = planned.source
    return {
        "source": {
            "kind": source.kind,
            "name": source.name,
            "objective": source.objective,
            "direction": "maximize" if source.larger else "minimize",
            "trials": len(source.trials),
            "not_complete": planned.unfinished,
        },
        "left_out": {one.trial.name: one.why for one in planned.left_out},
        "notes": planned.notes,
    }
