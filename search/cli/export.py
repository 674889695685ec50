"""`export` and `evaluate`: train a model on all data, write it and test it."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.output import (
    DEFAULT_HOME,
    AcceptChangedCode,
    AsJson,
    DataDir,
    Home,
    StudyName,
    TrackingUri,
)

if TYPE_CHECKING:
    from search.export.final import Evaluated, Exported
    from tracking.history import History
    from tracking.records import TestSetOpened


@dataclass(frozen=True)
class Asked:
    """The argument and the options that `export` and `evaluate` share."""

    study: StudyName
    accept_changed_code: AcceptChangedCode = False
    data_dir: DataDir = None
    tracking_uri: TrackingUri = None
    home: Home = DEFAULT_HOME
    json: AsJson = False


def _of_a_study(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with an option for each field of `Asked`; it takes them as one."""
    study, *shared = signature(Asked).parameters.values()
    _, *own = signature(command).parameters.values()

    def called(**given: Any) -> None:
        asked = Asked(**{each.name: given.pop(each.name) for each in (study, *shared)})
        command(asked, **given)

    made = signature(command).replace(parameters=[study, *own, *shared])
    called.__signature__ = made  # type: ignore[attr-defined] # Typer reads it
    called.__doc__ = command.__doc__
    return called


@_of_a_study
def export(
    asked: Asked,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write. [default: exports/STUDY]")
    ] = None,
    trial: Annotated[
        int | None, typer.Option(help="Export the model of this trial. [default: the best]")
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAMES",
            help="keras, saved_model, tflite, onnx; separate several by commas."
            " [default: keras; for texts and tables keras,saved_model]",
        ),
    ] = None,
    refits: Annotated[
        int,
        typer.Option(
            metavar="N", help="Train so many seeds of the model and average their values."
        ),
    ] = 1,
    ensemble: Annotated[
        str,
        typer.Option(
            metavar="none|auto|N",
            help="Average the models of several trials: auto where they are better together beyond"
            " doubt, or N trials.",
        ),
    ] = "auto",
    calibrate: Annotated[
        bool | None,
        typer.Option(
            "--calibrate/--no-calibrate",
            help="Build a calibration of probabilities into the model, also where that takes"
            " trainings without a part of the samples; or none. [default: where predictions out of"
            " fold get better by it]",
            show_default=False,
        ),
    ] = None,
    searched_samples: Annotated[
        bool,
        typer.Option(
            "--searched-samples",
            help="Train on the samples that the search used. [default: on all training samples]",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option(help="Make it the champion even if it is worse than the current one.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing model.")] = False,
    to_optuna: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Train nothing: write all trials to an Optuna storage, such as sqlite:///trials.db,"
            " for optuna.load_study and optuna-dashboard. Again: bring them up to date.",
        ),
    ] = None,
) -> None:
    """Train the best trial's model on all training data, score it on the test set, write it.

    The folder gets the model in each format, its labels, its scores and a model card; each format
    is loaded again and compared with the Keras model. The model is registered in MLflow under the
    study's name, and gets the alias `champion` unless it is worse than the current one. Each
    time the test set is opened, this is recorded.
    """
    from search.cli.output import Notices, errors, print_json
    from search.export.final import ExportRequest, export_study
    from search.studies import known_study
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    folders = HomeFolder(asked.home)
    folder, history = known_study(folders, asked.study)
    if to_optuna is not None:
        of_models = {
            "--out": out,
            "--trial": trial,
            "--format": formats,
            "--ensemble": ensemble != "auto" and ensemble,
            "--calibrate": calibrate,
            "--no-calibrate": calibrate is False,
            "--refits": refits != 1 and refits,
            "--searched-samples": searched_samples,
            "--force": force,
            "--overwrite": overwrite,
        }
        _refuse_beside_optuna(
            [name for name, value in of_models.items() if value not in (None, False)]
        )
        _export_to_optuna(history, to_optuna, as_json=asked.json)
        return
    notify = Notices(quiet=asked.json)
    target = out or Path("exports") / folder.root.name

    def on_epoch(model: int, number: int, metrics: dict[str, float]) -> None:
        if not asked.json:
            shown = "".join(f"  {name} {value:.4f}" for name, value in metrics.items())
            errors.print(f"{f'model {model}  ' if model else ''}epoch {number}{shown}")

    result = export_study(
        folders,
        asked.study,
        ExportRequest(
            target,
            trial,
            overwrite,
            formats,
            ensemble,
            force,
            asked.accept_changed_code,
            refits=refits,
            searched_samples=searched_samples,
            calibrate=calibrate,
        ),
        data_dir=asked.data_dir,
        tracker=Tracker(folders, asked.tracking_uri),
        on_epoch=on_epoch,
        notify=notify,
    )
    if asked.json:
        print_json(_exported(result) | {"notices": notify.texts})
    else:
        _print_model(result, history, asked.study, target, asked.home)


def _refuse_beside_optuna(given: list[str]) -> None:
    from search.errors import SettingsError
    from tracking.text import joined

    if given:
        raise SettingsError(
            "`--to-optuna` writes all trials and trains no model; leave out"
            f" {joined(f'`{name}`' for name in given)}"
        )


def _export_to_optuna(history: "History", address: str, *, as_json: bool) -> None:
    from search.cli.output import notice, print_json, say
    from search.errors import SettingsError
    from search.export.optuna import lasts, to_optuna
    from tracking.text import counted

    if not lasts(address):
        raise SettingsError(
            f"`--to-optuna {address}` must name a database that lasts; that one is gone with this"
            " command. Name a file, as in sqlite:///trials.db"
        )
    made = to_optuna(history, address)
    name, count = made.study.study_name, sum(made.states.values())
    if as_json:
        print_json(
            {
                "storage": made.storage,
                "study": name,
                "trials": made.states,
                "was_there": made.is_update,
            }
        )
        return
    # In the words of this program; Optuna's are COMPLETE, PRUNED, FAIL and RUNNING.
    words = {"fail": "failed", "running": "not over"}
    each = ", ".join(f"{n} {words.get(state, state)}" for state, n in made.states.items())
    done = "brought up to date" if made.is_update else "written"
    say(
        f"Study {name} {done} in {made.storage}: {counted(count, 'trial')}"
        + (f" ({each})" if each else "")
    )
    if made.states.get("running"):
        notice(
            "trials that are not over are running ones there; the same command brings them up to"
            " date"
        )
    say(f"Python      optuna.load_study(study_name={name!r}, storage={made.storage!r})")
    command = shlex.join(["optuna-dashboard", made.storage])
    say(f"Dashboard   {command}   (pip install optuna-dashboard)")


def _exported(result: "Exported") -> dict[str, Any]:
    return {
        "folder": result.export.folder,
        "export": result.export.to_json(),
        "test": result.test.to_json(),
        "test_set_openings": result.openings,
        "records_not_in_mlflow": result.waiting,
    }


def _print_model(
    result: "Exported", history: "History", study: str, target: Path, home: Path
) -> None:
    from search.cli.output import duration, say
    from search.cli.tables import chosen_text, confirmed_text, heading
    from search.environment import example_input
    from search.export.scores import covered
    from tracking.text import shell

    test, exported = result.test, result.export
    trained = f"{result.samples:,} training samples in {duration(exported.train_seconds)}"
    how = f"average of {exported.averages}, trained on" if exported.averages else "trained on"
    say(f"\nTrial {test.trial} of {study}, {how} {trained}")
    chosen, first = history.trials[test.trial], history.objectives[0]
    say(f"{heading(first)} over its folds: {chosen_text(history, chosen)}")
    if confirmed_text(history, chosen):
        say(confirmed_text(history, chosen))
    if history.decision is not None and history.decision.best == chosen.number:
        say(history.decision.text)
    _say_scores(test, history)
    if test.coverage:
        say(covered(test.coverage))
    say(f"The test set of this study has been opened {_times(result.openings)}.\n")
    _print_formats(exported.formats)
    say(f"\nWritten to {target}, with labels.json, metrics.json and MODEL_CARD.md")
    say(f"In MLflow it is the {exported.alias}. {exported.alias_reason}")
    # A model with custom layers finds their code through the home that exported it.
    has_own = any(each.get("own") for each in exported.formats)
    place = ("--home", str(home)) if has_own and home != DEFAULT_HOME else ()
    say(f"Use it: {shell('predict', str(target), example_input(result.kind), *place)}")


def _print_formats(formats: list[dict[str, Any]]) -> None:
    from search.cli.output import console, table

    made = table("format", "file", "size", "difference", right=("size", "difference"))
    for each in formats:
        made.add_plain_row(
            each["format"], each["file"], _size(each["bytes"]), f"{each['difference']:.1e}"
        )
    console.print(made)


def _say_scores(test: "TestSetOpened", history: "History") -> None:
    """Print each score on the test set with its interval, one a line."""
    from search.cli.output import say
    from search.export.scores import metric_name, on_test_set, shown

    scores = on_test_set(test, history)
    width = max((len(metric_name(each.metric)) for each in scores), default=0)
    for each in scores:
        more = ""
        if each.interval is not None:
            low, high = map(shown, each.interval)
            more = f"  (95 % interval {low} to {high})"
        say(f"test {metric_name(each.metric):<{width}}  {shown(each.value)}{more}")


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


@_of_a_study
def evaluate(asked: Asked) -> None:
    """Score the study's exported model on the test set, and record that it was opened."""
    from search.cli.output import Notices, print_json
    from search.export.final import evaluate_study
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    folders = HomeFolder(asked.home)
    notify = Notices(quiet=asked.json)
    result = evaluate_study(
        folders,
        asked.study,
        data_dir=asked.data_dir,
        tracker=Tracker(folders, asked.tracking_uri),
        notify=notify,
        accept_changed_code=asked.accept_changed_code,
    )
    if asked.json:
        print_json(
            {**result.test.to_json(), "test_set_openings": result.openings, "notices": notify.texts}
        )
    else:
        _print_scores(result)


def _print_scores(result: "Evaluated") -> None:
    from search.cli.output import console
    from search.cli.predictions import print_report

    study = result.history.known_study()
    _say_scores(result.test, result.history)
    for output in study.outputs(result.test.report):
        console.print(f"\nOutput {output.name}" if output.name else "", markup=False)
        print_report(output)
    console.print(
        f"\n[dim]The test set of this study has been opened {_times(result.openings)}; do not"
        " choose between trials by it.[/]"
    )
