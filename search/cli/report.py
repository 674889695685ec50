"""`report`: one HTML file on a study, or on several."""

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import DEFAULT_HOME, AsJson, DataDir, Home, TrackingUri


def report(
    study: Annotated[
        list[str], typer.Argument(metavar="STUDY...", help="Names, as `studies` lists them.")
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    overwrite: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
    data_dir: DataDir = None,
    tracking_uri: TrackingUri = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Write a report: one HTML file that opens without a network, also filed in MLflow.

    The best trial against the baselines, the search, the parameters, curves, what pruning saved,
    confusion, the most confidently wrong samples, time, and how to do it again. Several studies
    are compared first.
    """
    from search.analysis.report.writing import Written, write_report
    from search.cli.output import Notices, print_json, say
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    def tell(written: Written) -> None:
        if not json:
            what = "1 study" if len(written.studies) == 1 else f"{len(written.studies)} studies"
            say(f"Written: {out} ({written.size / 1e6:.1f} MB, {what})")
            say(f"Open it in a browser: {written.file.as_uri()}")

    folders = HomeFolder(home)
    notify = Notices(quiet=json)
    written = write_report(
        folders,
        study,
        target=out,
        overwrite=overwrite,
        data_dir=data_dir,
        tracker=Tracker(folders, tracking_uri),
        notify=notify,
        on_written=tell,
    )
    if json:
        print_json(
            {
                "file": str(written.file),
                "bytes": written.size,
                "studies": list(written.studies),
                "records_not_in_mlflow": written.waiting,
                "notices": notify.texts,
            }
        )
