"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path, typer.Option("--home", help="Folder that keeps studies, datasets and MLflow's store.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="SEARCH_DATA_DIR", help="Folder with datasets of your own."),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        help="MLflow server instead of the database in the home folder.",
    ),
]
AcceptChangedCode = Annotated[
    bool,
    typer.Option(
        "--accept-changed-code",
        help="Go on although the space's code is not the one used before; this is recorded.",
    ),
]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name, as `studies` lists it.")]

DEFAULT_HOME = Path("mlruns")
