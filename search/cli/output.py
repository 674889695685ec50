"""How commands print, and options that several of them share.

Results go to standard output, everything else to standard error.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from search.cli import completing
from spaces import short_text
from tracking.home import DEFAULT_HOME as DEFAULT_HOME  # of every command


class _Errors(Console):
    """Standard error; when its reader is gone, the command goes on without output.

    Attributes:
        turn: held while something is written. Rich's live display moves the cursor up by as many
            lines as it drew last, which must not change before the next ones are written.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.turn = threading.RLock()

    def print(self, *objects: Any, **options: Any) -> None:
        """Print when nobody else does."""
        with self.turn:
            super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Print nothing from now on; Rich itself would end the process."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


console = Console(highlight=False)
errors = _Errors(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output; NaN and infinities become null."""
    json.dump(_plain(document), sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def notice(text: str) -> None:
    """Print a note for the user; the command goes on."""
    errors.print(f"[yellow]Note:[/] {escape(text)}", soft_wrap=not errors.is_terminal)


class Notices:
    """Takes notices: prints each at once, or under `--json` only collects them.

    Attributes:
        texts: all notices so far.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.texts: list[str] = []
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        """Take one notice."""
        self.texts.append(text)
        if not self._quiet:
            notice(text)


def failure(text: str) -> None:
    """Print the error that ends the command."""
    errors.print(f"[red]Error:[/] {escape(text)}", soft_wrap=not errors.is_terminal)


class PlainTable(Table):
    """A table that prints its cells literally: brackets in a name are no markup.

    On a narrow terminal columns of text wrap; right-aligned columns of numbers do not.
    """

    def add_plain_row(self, *cells: str | Text) -> None:
        """Add a row; only a `Text` has a style of its own."""
        texts = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        for column, text in zip(self.columns, texts, strict=True):
            if column.justify == "right":
                column.min_width = max(column.min_width or 0, text.cell_len)
        self.add_row(*texts)


def table(*columns: str, right: tuple[str, ...] = (), title: str | None = None) -> PlainTable:
    """Return an empty table; columns named in `right` are aligned to the right."""
    made = PlainTable(
        title=title, title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    for column in columns:
        made.add_column(
            escape(column),
            justify="right" if column in right else "left",
            min_width=cell_len(column) if column in right else None,
            overflow="fold",  # never truncate
        )
    return made


def say(text: str) -> None:
    """Print text literally: without markup, without wrapping."""
    console.print(Text(text), soft_wrap=True)


def percent(fraction: float | None) -> str:
    """Return a fraction with four digits, or a dash for None."""
    return "-" if fraction is None else f"{fraction:.4f}"


def params_texts(params: dict[str, Any], names: list[str] | None = None) -> list[str]:
    """Return `name=value` pairs: of all params, or of the given names."""
    chosen = params if names is None else {n: params[n] for n in names if n in params}
    return [f"{name}={short_text(value)}" for name, value in chosen.items()]


def params_text(params: dict[str, Any], names: list[str] | None = None) -> str:
    """Return the same in one line."""
    return "  ".join(params_texts(params, names))


def duration(seconds: float) -> str:
    """Return seconds as `42s`, `3m 20s` or `2h 05m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def _plain(document: Any) -> Any:
    match document:
        case dict():
            return {str(key): _plain(value) for key, value in document.items()}
        case list() | tuple():
            return [_plain(value) for value in document]
        case float() if document != document or document in (float("inf"), float("-inf")):
            return None
        case _:
            return document


Home = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar="FOLDWISE_HOME",
        help="Folder for studies, datasets and MLflow's store.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document and nothing else on standard output."),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar=["FOLDWISE_DATA_DIR", "SEARCH_DATA_DIR"],
        help="Folder with your own datasets.",
    ),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        envvar=["FOLDWISE_TRACKING_URI", "MLFLOW_TRACKING_URI"],
        help="MLflow server instead of the database in the home folder.",
    ),
]
AcceptChangedCode = Annotated[
    bool,
    typer.Option(
        "--accept-changed-code",
        help="Continue although the space's code has changed; this is recorded.",
    ),
]
StudyName = Annotated[
    str,
    typer.Argument(
        metavar="STUDY", help="Name, as `studies` lists it.", autocompletion=completing.studies
    ),
]
StudyNames = Annotated[
    list[str],
    typer.Argument(
        metavar="STUDY...",
        help="Names, as `studies` lists them.",
        autocompletion=completing.studies,
    ),
]
