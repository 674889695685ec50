"""`doctor`: check a home and its studies, and say what to do about problems."""

from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.output import DEFAULT_HOME, AsJson, Home, TrackingUri
from tracking.text import counted

if TYPE_CHECKING:
    from search.doctor import Finding

_LEVEL_WIDTH = len("problem")


def doctor(
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="STUDY", help="Studies to check; all unless given."),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Remove damaged records, keeping a copy, and publish to MLflow what it lacks.",
        ),
    ] = False,
    home: Home = DEFAULT_HOME,
    tracking_uri: TrackingUri = None,
    json: AsJson = False,
) -> None:
    """Check the home, its studies and MLflow; say what is wrong and what to do about it."""
    from search.cli.output import Notices, print_json
    from search.doctor import PROBLEM, Place, examine_home
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    folders = HomeFolder(home)
    tracker = Tracker(folders, tracking_uri)
    notify = Notices(quiet=json)
    found = list(examine_home(Place(folders, tracker), studies or (), repair=repair, notify=notify))
    problems = sum(finding.level == PROBLEM for finding in found)
    if json:
        document = {"home": str(home), "tracking_uri": tracker.shown_uri, "problems": problems}
        rows = [{"study": f.study, **_row(f)} for f in found]
        print_json({**document, "findings": rows, "notices": notify.texts})
    else:
        _print(found, problems)
    if problems:
        raise typer.Exit(1)


def _row(finding: "Finding") -> dict[str, str]:
    return {
        "check": finding.check,
        "level": finding.level,
        "text": finding.text,
        "command": finding.command,
    }


def _print(found: list["Finding"], problems: int) -> None:
    from itertools import groupby

    from search.cli.output import console, say
    from search.doctor import NOTICE

    for study, findings in groupby(found, key=lambda finding: finding.study):
        say(f"Study {study}" if study else "Home")
        _print_group(list(findings))
    notices = sum(finding.level == NOTICE for finding in found)
    console.print(
        f"{counted(problems, 'problem') if problems else 'No problem'},"
        f" {counted(notices, 'notice') if notices else 'no notice'}"
    )


def _print_group(findings: list["Finding"]) -> None:
    """Print a paragraph for each problem or notice, then one for all that is fine."""
    from search.cli.output import say
    from search.doctor import OK

    sound = [finding.text for finding in findings if finding.level == OK]
    for finding in findings:
        if finding.level != OK:
            _print_paragraph(finding.level, finding.text + (":" if finding.command else ""))
            if finding.command:
                say(" " * (_LEVEL_WIDTH + 4) + finding.command)  # whole, so that it can be copied
    if sound:
        _print_paragraph(OK, "; ".join(sound))


def _print_paragraph(level: str, text: str) -> None:
    from rich.text import Text

    from search.cli.output import console, table
    from search.doctor import NOTICE, OK, PROBLEM

    styles = {OK: "green", NOTICE: "yellow", PROBLEM: "bold red"}
    made = table("", "")
    made.show_header = False
    made.columns[0].min_width = _LEVEL_WIDTH
    made.add_plain_row(Text(level, style=styles[level]), text)
    console.print(made)
