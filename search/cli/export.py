"""`export`: train the best setting on everything and write the model."""

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import DEFAULT_HOME, AsJson, DataDir, Home, StudyName, TrackingUri


def export(
    study: StudyName,
    to: Annotated[
        Path | None, typer.Option(help="Folder to write. [default: exports/STUDY]")
    ] = None,
    trial: Annotated[
        int | None, typer.Option(help="Export this trial's setting. [default: the best]")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a model that is there.")] = False,
    data_dir: DataDir = None,
    tracking_uri: TrackingUri = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Train the best setting on all training data, score it on the test set, and write it.

    The folder gets the model, its labels, its scores and a model card. The model is registered in
    MLflow under the study's name as `champion`. Each opening of the test set is recorded.
    """
    from search.cli.columns import chosen_text, confirmed_text, heading
    from search.cli.output import Notices, duration, errors, percent, print_json, say, shell
    from search.final import export_study
    from search.studies import known_study
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    folders = HomeFolder(home)
    folder, history = known_study(folders, study)
    notify = Notices(quiet=json)
    target = to or Path("exports") / folder.root.name

    def on_epoch(number: int, metrics: dict[str, float]) -> None:
        if not json:
            shown = "".join(f"  {name} {value:.4f}" for name, value in metrics.items())
            errors.print(f"epoch {number}{shown}")

    result = export_study(
        folders,
        study,
        target=target,
        number=trial,
        overwrite=overwrite,
        data_dir=data_dir,
        tracker=Tracker(folders, tracking_uri),
        on_epoch=on_epoch,
        notify=notify,
    )
    test = result.test
    if json:
        print_json(
            {
                "folder": result.export.folder,
                "export": result.export.to_json(),
                "test": test.to_json(),
                "test_set_openings": result.openings,
                "records_not_in_mlflow": result.waiting,
                "notices": notify.texts,
            }
        )
        return
    trained = f"{result.samples:,} training samples in {duration(result.export.train_seconds)}"
    say(f"\nTrial {test.trial} of {study}, trained on all {trained}")
    chosen, first = history.trials[test.trial], history.objectives[0]
    say(f"{heading(first)} over its folds: {chosen_text(history, chosen)}")
    if confirmed_text(history, chosen):
        say(confirmed_text(history, chosen))
    say(f"test accuracy  {percent(test.accuracy)}")
    say(f"test loss      {percent(test.loss)}")
    say(f"test macro F1  {percent(test.macro_f1)}")
    say(f"The test set of this study has been opened {_times(result.openings)}.")
    say(f"Written to {target}: model.keras, labels.json, metrics.json, MODEL_CARD.md")
    say(f"Use it: {shell('predict', str(target), _EXAMPLES[result.kind])}")


_EXAMPLES = {"image": "image.png", "text": "a text", "table": "rows.csv"}


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
