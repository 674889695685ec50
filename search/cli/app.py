"""The Typer application, and what happens when a command fails."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Annotated

import typer

from search.cli import (
    analysis,
    completing,
    datasets,
    doctor,
    enqueue,
    export,
    mlflow,
    predict,
    show,
    spaces,
    studies,
)
from search.cli import run as run_command
from search.cli import watch as watch_command
from search.cli.help import Command, Group
from search.cli.output import failure
from search.errors import FoldwiseError
from tracking.journal_lines import JournalError
from tracking.text import shell

INTERRUPTED = 130
ENDING_SECONDS = 20.0  # a scheduler that asks a process to end kills it after 30

_TO_END = (signal.SIGTERM, signal.SIGHUP)  # both as Ctrl-C, unless `nohup` said otherwise

app = typer.Typer(
    name="search",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
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


# Commands by what they are for, as `--help` lists them, each with examples.
SEARCH, RESULTS, MODELS = "Search", "Look at results", "Use the best model"
DATA, STUDIES = "Spaces and data", "Look after studies"


def _add(name: str, panel: str, command: Callable[..., None], *examples: str) -> None:
    lines = "\n".join(f"foldwise {example}" for example in examples)
    app.command(name, cls=Command, rich_help_panel=panel, epilog=lines)(command)


_add(
    "run",
    SEARCH,
    run_command.run,
    "run -s lenet  # LeNet's space on Fashion-MNIST, 20 trials",
    "run -s mlp -d csv:train.csv -n 50 -k 5 -e 20  # your own table",
    "run -s lenet -p dropout=0.2 -p batch_size=32,64  # fix one parameter, list values of another",
    "run --study lenet-fashion_mnist -n 40  # continue to 40 trials in all",
)
_add("watch", SEARCH, watch_command.watch, "watch lenet-fashion_mnist")
_add(
    "stop",
    SEARCH,
    studies.stop,
    "stop lenet-fashion_mnist  # once the folds in training have ended",
    "stop lenet-fashion_mnist --now  # at the next epoch's end",
)
_add(
    "enqueue",
    SEARCH,
    enqueue.enqueue,
    "enqueue lenet-fashion_mnist conv_1_filters=48,dropout=0.3",
)
_add(
    "import-trials",
    SEARCH,
    enqueue.import_trials,
    "import-trials sqlite:///optuna.db --study lenet-fashion_mnist --best 5",
)
_add("studies", RESULTS, studies.studies, "studies", "studies --json")
_add(
    "show",
    RESULTS,
    show.show,
    "show lenet-fashion_mnist",
    "show lenet-fashion_mnist --trial 2  # everything about one trial",
)
_add(
    "trials",
    RESULTS,
    show.trials,
    "trials lenet-fashion_mnist --csv > trials.csv",
    "trials lenet-fashion_mnist -o trials.csv",
)
_add(
    "compare",
    RESULTS,
    analysis.compare,
    "compare lenet-fashion_mnist  # its best trial and its baselines",
    "compare lenet-fashion_mnist --trials 0,3 -o comparison",
    "compare lenet-fashion_mnist cnn-fashion_mnist",
)
_add("report", RESULTS, analysis.report, "report lenet-fashion_mnist -o report.html")
_add("ui", RESULTS, mlflow.ui, "ui", "ui --port 5001")
_add(
    "export",
    MODELS,
    export.export,
    "export lenet-fashion_mnist -o model",
    "export lenet-fashion_mnist -o model --format keras,onnx --refits 5",
)
_add("evaluate", MODELS, export.evaluate, "evaluate lenet-fashion_mnist")
_add("predict", MODELS, predict.predict, "predict model shoe.png bag.jpg")
_add("spaces", DATA, spaces.spaces, "spaces", "spaces lenet")
_add(
    "datasets",
    DATA,
    datasets.datasets,
    "datasets",
    "datasets csv:train.csv -o pictures  # counts, balance, duplicates, pictures",
)
_add("rename", STUDIES, studies.rename, "rename lenet-fashion_mnist clothes")
_add("delete", STUDIES, studies.delete, "delete lenet-fashion_mnist")
_add("sync", STUDIES, mlflow.sync, "sync", "sync --tracking-uri http://127.0.0.1:5000")
_add("doctor", STUDIES, doctor.doctor, "doctor", "doctor --repair")


def run() -> None:
    """Run the command in `sys.argv` and exit.

    Exit codes: 0 done or ended by `stop`, 1 no trial succeeded, 2 wrong usage or settings, 3 data
    missing or unusable, 130 interrupted.
    """
    _end_on_signals()
    completing.join_options()
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
            _ignore_to_the_very_end(_TO_END)
        if number == signal.SIGINT or not was_ending:
            raise KeyboardInterrupt


def _ignore_to_the_very_end(numbers: tuple[int, ...]) -> None:
    """Ignore signals even where Python has no handlers any more.

    One that comes in just that moment is ignored, too, but Python would print a traceback.
    """
    sys.unraisablehook = _print_all_but_races
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def _print_all_but_races(error: "sys.UnraisableHookArgs") -> None:
    if isinstance(error.exc_value, OSError) and "race condition" in str(error.exc_value):
        return
    sys.__unraisablehook__(error)


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
