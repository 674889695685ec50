"""The commands gathered, and what happens when one of them fails."""

import signal
import sys
from types import FrameType

import typer

from search.cli import analysis as compare
from search.cli import analysis as report
from search.cli import datasets, doctor, export, show, spaces
from search.cli import export as evaluate
from search.cli import export as predict
from search.cli import live as watch
from search.cli import mlflow as sync
from search.cli import mlflow as ui
from search.cli import (
    run as run_command,
)
from search.cli import show as studies
from search.cli.output import failure
from search.errors import FoldwiseError
from tracking.journal_lines import JournalError

INTERRUPTED = 130

app = typer.Typer(
    name="search",
    help="Search hyperparameters of Keras models; every trial cross-validated and in MLflow.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command("run")(run_command.run)
app.command("studies")(studies.studies)
app.command("show")(show.show)
app.command("watch")(watch.watch)
app.command("compare")(compare.compare)
app.command("export")(export.export)
app.command("report")(report.report)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("spaces")(spaces.spaces)
app.command("datasets")(datasets.datasets)
app.command("ui")(ui.ui)
app.command("sync")(sync.sync)
app.command("doctor")(doctor.doctor)


def run() -> None:
    """Run the command in `sys.argv` and exit.

    Exit codes: 0 done, 1 no trial succeeded, 2 wrong usage or settings, 3 data missing or
    unusable, 130 interrupted.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C, unless `nohup` said otherwise
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        app()
    except FoldwiseError as error:
        failure(str(error))
        sys.exit(error.exit_code)
    except JournalError as error:  # damaged, or a full disk; what it held is kept
        failure(str(error))
        sys.exit(FoldwiseError.exit_code)
    except OSError as error:  # a full disk, a folder that vanished: the journal stays readable
        failure(f"{error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(FoldwiseError.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
