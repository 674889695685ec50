"""`watch`: follow a running study from another terminal."""

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from search.cli.live import display_of
from search.cli.output import DEFAULT_HOME, Home, StudyName, say
from search.cli.status import Board
from search.cli.tables import heading, score_text
from search.studies import known_reader
from search.study.budget import Confirmation
from tracking.home import Home as HomeFolder
from tracking.lock import holder
from tracking.records import SessionEnded
from tracking.text import counted, shell

if TYPE_CHECKING:
    from search.studies import StudyReader
    from tracking.history import History

_PAUSE = 0.5  # seconds between two reads of the journal


def watch(study: StudyName, home: Home = DEFAULT_HOME) -> None:
    """Follow a running study from another terminal. Ctrl-C leaves the study running.

    Trials that have already ended are counted; those that end from now on are listed. `watch`
    ends with the session.
    """
    with suppress(KeyboardInterrupt):  # the user has seen enough
        _watch(study, home)


def _watch(study: str, home: Path) -> None:
    reader = known_reader(HomeFolder(home), study)
    history = reader.history
    place = () if home == DEFAULT_HOME else ("--home", str(home))
    runs = holder(reader.folder.lock)
    if runs is None:
        print_idle(history, home)
        say(f"Show      {shell('show', study, *place)}")
        return
    say(f"{study} is run by {runs}: {_scoreboard(history)}. Ctrl-C ends only this display.")
    if not _follow(reader):
        say(f"{study} is no longer running; its session broke off: {_scoreboard(history)}.")
        return
    end = history.last_end
    say(f"The session has ended ({end.reason if end else ''}): {_scoreboard(history)}.")
    if end is not None and end.told:
        say(end.told)
    say(f"Show      {shell('show', study, *place)}")


def print_idle(history: "History", home: Path) -> None:
    """Print that no process runs a study, and how to continue it."""
    study = history.known_study().study
    place = () if home == DEFAULT_HOME else ("--home", str(home))
    say(f"{study} is not running: {_scoreboard(history)}.")
    say(f"Continue  {shell('run', '--study', study, '--trials', _trials(history), *place)}")


def _follow(reader: "StudyReader") -> bool:
    """Show records as they arrive; return whether the session ended in good order."""
    history = reader.history
    session = history.sessions[-1] if history.sessions else None
    is_under_way = history.last_end is None  # else the next one is being planned
    baselines = sum(t.started.is_baseline for t in history.trials.values())
    board = Board(
        history,
        history.known_study(),
        trials=session.trials if session else len(history.trials),
        confirm=Confirmation.of(session) if session else Confirmation(),
        baselines=baselines,
    )
    if session is not None and is_under_way:
        board.join(session)
    with display_of(board) as display:
        while True:
            is_run = holder(reader.folder.lock) is not None  # before the last read
            for record in reader.news():
                display(record)
                if isinstance(record, SessionEnded):
                    return True
            if not is_run:
                return False
            time.sleep(_PAUSE)


def _scoreboard(history: "History") -> str:
    trials = history.sessions[-1].trials if history.sessions else len(history.trials)
    done = f"{len(history.finished())} of {counted(trials, 'trial')} done"
    best, first = history.best(), history.objectives[0]
    if best is None:
        return done
    return f"{done}, best {heading(first)} {score_text(first, best.value)} (trial {best.number})"


def _trials(history: "History") -> str:
    """Return the total to suggest: the last session's, or twice as many once they are done."""
    wanted = history.sessions[-1].trials if history.sessions else 20
    return str(wanted if len(history.finished()) < wanted else 2 * wanted)
