"""The Typer application, and what happens when a command fails."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Annotated

import typer

from search.cli import (
    analysis,
    datasets,
    doctor,
    enqueue,
    export,
    mlflow,
    predict,
    show,
    spaces,
)
from search.cli import run as run_command
from search.cli import watch as watch_command
from search.cli.output import failure
from search.errors import FoldwiseError
from tracking.journal_lines import JournalError
from tracking.text import shell

INTERRUPTED = 130
ENDING_SECONDS = 20.0  # a scheduler that asks a process to end kills it after 30

_TO_END = (signal.SIGTERM, signal.SIGHUP)  # both as Ctrl-C, unless `nohup` said otherwise

app = typer.Typer(
    name="search",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"Foldwise {version('foldwise')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Search hyperparameters of Keras models; every trial cross-validated and in MLflow."""
    del version


app.command("run")(run_command.run)
app.command("enqueue")(enqueue.enqueue)
app.command("import-trials")(enqueue.import_trials)
app.command("studies")(show.studies)
app.command("show")(show.show)
app.command("watch")(watch_command.watch)
app.command("compare")(analysis.compare)
app.command("export")(export.export)
app.command("report")(analysis.report)
app.command("evaluate")(export.evaluate)
app.command("predict")(predict.predict)
app.command("spaces")(spaces.spaces)
app.command("datasets")(datasets.datasets)
app.command("ui")(mlflow.ui)
app.command("sync")(mlflow.sync)
app.command("doctor")(doctor.doctor)


def run() -> None:
    """Run the command in `sys.argv` and exit.

    Exit codes: 0 done, 1 no trial succeeded, 2 wrong usage or settings, 3 data missing or
    unusable, 130 interrupted.
    """
    _end_on_signals()
    try:
        app()
    except FoldwiseError as error:
        failure(str(error))
        sys.exit(error.exit_code)
    except JournalError as error:  # damaged, or the disk is full; its records are safe
        failure(str(error))
        sys.exit(FoldwiseError.exit_code)
    except OSError as error:  # a full disk, a deleted folder: the journal stays readable
        failure(f"{error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(FoldwiseError.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _end_on_signals() -> None:
    """Let signals end the command in good order, once, and in time."""
    signals = _Signals()
    for number in (signal.SIGINT, *_TO_END):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signals)
    # The handler above waits until Python has its turn; the clock must not.
    told, telling = os.pipe()
    os.set_blocking(telling, False)
    signal.set_wakeup_fd(telling, warn_on_full_buffer=False)
    threading.Thread(target=_leave_in_time, args=(told,), daemon=True).start()


class _Signals:
    """Interrupts the command as Ctrl-C does; what comes while it ends changes nothing.

    But for another Ctrl-C: whoever presses it does not want to wait.
    """

    def __init__(self) -> None:
        self._is_ending = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        was_ending, self._is_ending = self._is_ending, True
        if number in _TO_END:
            for each in _TO_END:  # to the very end, where Python has no handlers any more
                signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT or not was_ending:
            raise KeyboardInterrupt


def _leave_in_time(told: int) -> None:
    """Wait for a signal to end, and leave if the command takes too long about it."""
    while os.read(told, 1)[0] not in _TO_END:
        pass
    time.sleep(ENDING_SECONDS)
    import psutil  # a command that needs it has imported it

    os.write(
        2,
        f"\nEnded without good order, as ending took more than {ENDING_SECONDS:g} s. What the"
        f" journal holds is kept: the same command goes on, `{shell('sync')}` brings the"
        " rest to MLflow.\n".encode(),
    )
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os._exit(INTERRUPTED)
