"""`export`, `evaluate`, `predict`: train a model on all data, test it, and use it."""

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
    to: Annotated[
        Path | None, typer.Option(help="Folder to write. [default: exports/STUDY]")
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
    ensemble: Annotated[
        bool,
        typer.Option(help="Average the models of the folds instead of training one on all."),
    ] = False,
    force: Annotated[
        bool, typer.Option(help="Make it the champion even if it is worse than the current one.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing model.")] = False,
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
    notify = Notices(quiet=asked.json)
    target = to or Path("exports") / folder.root.name

    def on_epoch(fold: int, number: int, metrics: dict[str, float]) -> None:
        if not asked.json:
            shown = "".join(f"  {name} {value:.4f}" for name, value in metrics.items())
            errors.print(f"{f'fold {fold}  ' if fold else ''}epoch {number}{shown}")

    result = export_study(
        folders,
        asked.study,
        ExportRequest(
            target, trial, overwrite, formats, ensemble, force, asked.accept_changed_code
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
    from search.cli.output import duration, percent, say
    from search.cli.tables import chosen_text, confirmed_text, heading
    from tracking.text import shell

    test, exported = result.test, result.export
    trained = f"{result.samples:,} training samples in {duration(exported.train_seconds)}"
    how = f"{exported.models} models, one a fold, on" if exported.models > 1 else "trained on all"
    say(f"\nTrial {test.trial} of {study}, {how} {trained}")
    chosen, first = history.trials[test.trial], history.objectives[0]
    say(f"{heading(first)} over its folds: {chosen_text(history, chosen)}")
    if confirmed_text(history, chosen):
        say(confirmed_text(history, chosen))
    say(f"test accuracy  {percent(test.accuracy)}{_interval(test.accuracy, test.confusion)}")
    say(f"test loss      {percent(test.loss)}")
    say(f"test macro F1  {percent(test.macro_f1)}")
    say(f"The test set of this study has been opened {_times(result.openings)}.\n")
    _print_formats(exported.formats)
    say(f"\nWritten to {target}, with labels.json, metrics.json and MODEL_CARD.md")
    say(f"In MLflow it is the {exported.alias}. {exported.alias_reason}")
    # A model with custom layers finds their code through the home that exported it.
    has_own = any(each.get("own") for each in exported.formats)
    place = ("--home", str(home)) if has_own and home != DEFAULT_HOME else ()
    say(f"Use it: {shell('predict', str(target), _EXAMPLES[result.kind], *place)}")


def _print_formats(formats: list[dict[str, Any]]) -> None:
    from search.cli.output import console, table

    made = table("format", "file", "size", "difference", right=("size", "difference"))
    for each in formats:
        made.add_plain_row(
            each["format"], each["file"], _size(each["bytes"]), f"{each['difference']:.1e}"
        )
    console.print(made)


def _interval(accuracy: float, confusion: list[list[int]]) -> str:
    from search.analysis.comparison.statistics import wilson

    low, high = wilson(accuracy, sum(map(sum, confusion)))
    return f"  (95 % interval {low:.4f} to {high:.4f})"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"


_EXAMPLES = {
    "image": "image.png",
    "text": "a text",
    "table": "rows.csv",
    "sequence": "sequences.npz",
}


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
    from search.cli.output import console, percent, table

    test = result.test
    console.print(f"test accuracy  {percent(test.accuracy)}")
    console.print(f"test loss      {percent(test.loss)}")
    console.print(f"test macro F1  {percent(test.macro_f1)}\n")
    made = table(
        "class",
        "precision",
        "recall",
        "F1",
        "samples",
        right=("precision", "recall", "F1", "samples"),
    )
    for name in result.classes:
        row = test.report[name]
        made.add_plain_row(
            name,
            percent(row["precision"]),
            percent(row["recall"]),
            percent(row["f1-score"]),
            f"{row['support']:.0f}",
        )
    console.print(made)
    count = result.openings
    console.print(
        f"\n[dim]The test set of this study has been opened"
        f" {'once' if count == 1 else f'{count} times'}; do not choose between trials by it.[/]"
    )


def predict(
    model: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that `export` wrote.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Picture files; texts, or files with one text a line; files with rows; or .npz or"
            " .npy files with sequences.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Number of most probable classes to list.")] = 1,
    invert: Annotated[bool, typer.Option(help="Invert the brightness of pictures first.")] = False,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="The space whose code a model with custom layers needs; this runs that code."
            " [default: the space of the study in --home that exported the model]",
        ),
    ] = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Predict the classes of pictures, texts, rows or sequences, with probabilities."""
    from search.cli.output import console, notice, print_json, table
    from search.export.predict import predict_samples

    def tell(text: str) -> None:
        notice(_printable(text))

    found = predict_samples(
        model, inputs, top=top, invert=invert, space=space, home=home, notify=tell
    )
    if not invert:
        _mention_inverted([item.sample for item in found if item.inverted])
    if json:
        print_json([_predictions(item) for item in found])
        return
    heading = _heading(found)
    made = table("input", "class", heading, right=(heading,))
    for item in found:
        for rank, (name, value) in enumerate(item.classes):
            sample = _printable(item.sample) if rank == 0 else ""
            made.add_plain_row(sample, _printable(name), f"{value:.4f}")
    console.print(made)


def _heading(found: list[Any]) -> str:
    return "score" if any(item.is_scored for item in found) else "probability"


def _printable(text: str) -> str:
    """Return text of unknown origin without control characters."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _mention_inverted(names: list[str]) -> None:
    from search.cli.output import notice

    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        notice(
            f"{names[0]}{more}: the background is as bright as the training images' is dark, or"
            " the reverse; `--invert` swaps them"
        )


def _predictions(item: Any) -> dict[str, Any]:
    name, value = item.classes[0]
    return {
        "input": item.sample,
        "class": name,
        _heading([item]): value,
        "classes": dict(item.classes),
        "looks_inverted": item.inverted,
    }
