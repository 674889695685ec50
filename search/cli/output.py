"""How commands speak, and options that several of them share.

Results go to standard output, everything else to standard error.
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from spaces import short_text
from tracking.home import DEFAULT_HOME as DEFAULT_HOME  # of every command


class _Errors(Console):
    """Standard error; when whoever read it is gone, the work goes on unseen."""

    def on_broken_pipe(self) -> None:
        """Say no more; rich itself would end the process."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


console = Console(highlight=False)
errors = _Errors(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output; numbers that JSON lacks become null."""
    json.dump(_plain(document), sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def notice(text: str) -> None:
    """Tell the user something that does not stop the command."""
    errors.print(f"[yellow]Note:[/] {escape(text)}", soft_wrap=not errors.is_terminal)


class Notices:
    """Takes notices: prints each at once, or under `--json` only keeps them for the document.

    Attributes:
        texts: all of them.
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
    """Tell the user why the command ends."""
    errors.print(f"[red]Error:[/] {escape(text)}", soft_wrap=not errors.is_terminal)


class PlainTable(Table):
    """A table whose cells are shown as they are: brackets in a name are no markup.

    On a narrow terminal columns of text give way, in more lines; numbers, aligned to the right,
    stay whole.
    """

    def add_plain_row(self, *cells: str | Text) -> None:
        """Add a row; only a `Text` brings a style of its own."""
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
            overflow="fold",  # nothing is cut
        )
    return made


def say(text: str) -> None:
    """Print text as it is: no markup, and lines as long as they are."""
    console.print(Text(text), soft_wrap=True)


def percent(fraction: float | None) -> str:
    """Return a fraction as it is shown: four digits, or a dash for none."""
    return "-" if fraction is None else f"{fraction:.4f}"


def setting_texts(setting: dict[str, Any], names: list[str] | None = None) -> list[str]:
    """Return `name=value` pairs, of the given names only if any are given."""
    chosen = setting if names is None else {n: setting[n] for n in names if n in setting}
    return [f"{name}={short_text(value)}" for name, value in chosen.items()]


def setting_text(setting: dict[str, Any], names: list[str] | None = None) -> str:
    """Return the same in one line."""
    return "  ".join(setting_texts(setting, names))


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
