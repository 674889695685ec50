"""`evaluate`: score an exported model on the test set."""

from typing import TYPE_CHECKING

from search.cli.options import (
    DEFAULT_HOME,
    AcceptChangedCode,
    AsJson,
    DataDir,
    Home,
    StudyName,
    TrackingUri,
)

if TYPE_CHECKING:
    from search.export.final import Evaluated


def evaluate(
    study: StudyName,
    accept_changed_code: AcceptChangedCode = False,
    data_dir: DataDir = None,
    tracking_uri: TrackingUri = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Score the study's exported model on the test set, and record that it was opened."""
    from search.cli.output import Notices, print_json
    from search.export.final import evaluate_study
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    folders = HomeFolder(home)
    notify = Notices(quiet=json)
    result = evaluate_study(
        folders,
        study,
        data_dir=data_dir,
        tracker=Tracker(folders, tracking_uri),
        notify=notify,
        accept_changed_code=accept_changed_code,
    )
    if json:
        print_json(
            {**result.test.to_json(), "test_set_openings": result.openings, "notices": notify.texts}
        )
    else:
        _print(result)


def _print(result: "Evaluated") -> None:
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
        f" {'once' if count == 1 else f'{count} times'}; choose no setting by it.[/]"
    )
