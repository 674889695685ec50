"""`watch`: follow a running study from another terminal."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from search.cli.options import DEFAULT_HOME, Home, StudyName

if TYPE_CHECKING:
    from search.studies import StudyReader
    from tracking.history import History

_PAUSE = 0.5  # seconds between two looks at the journal


def watch(study: StudyName, home: Home = DEFAULT_HOME) -> None:
    """Follow a running study: what `run` shows, from another terminal. Ctrl-C leaves it running.

    Trials that are over already are counted; those that end from now on are listed. It ends with
    the session.
    """
    with suppress(KeyboardInterrupt):  # whoever watches has seen enough
        _watch(study, home)


def _watch(study: str, home: Path) -> None:
    from search.cli.output import say, shell
    from search.studies import known_reader
    from tracking.home import Home as HomeFolder
    from tracking.lock import holder

    reader = known_reader(HomeFolder(home), study)
    history = reader.history
    place = () if home == DEFAULT_HOME else ("--home", str(home))
    runs = holder(reader.folder.lock)
    if runs is None:
        say(f"{study} is not running: {_standing(history)}.")
        say(f"Look      {shell('show', study, *place)}")
        say(f"Continue  {shell('run', '--study', study, '--trials', _trials(history), *place)}")
        return
    say(f"{study} is run by {runs}: {_standing(history)}. Ctrl-C ends watching alone.")
    if not _follow(reader):
        say(f"{study} is not run any more, and its session has no end: {_standing(history)}.")
        return
    end = history.last_end
    say(f"The session has ended ({end.reason if end else ''}): {_standing(history)}.")
    say(f"Look      {shell('show', study, *place)}")


def _follow(reader: "StudyReader") -> bool:
    """Show records as they come; return whether the session came to an end of its own."""
    import time

    from search.cli.board import Board
    from search.cli.progress import display_of
    from tracking.lock import holder
    from tracking.records import SessionEnded

    history = reader.history
    session = history.sessions[-1] if history.sessions else None
    baselines = sum(t.started.origin != "sampled" for t in history.trials.values())
    board = Board(
        history,
        history.known_study(),
        trials=session.trials if session else len(history.trials),
        confirm=session.confirm if session else 0,
        baselines=baselines,
    )
    with display_of(board) as display:
        while True:
            is_run = holder(reader.folder.lock) is not None  # before the last look
            for record in reader.news():
                display.observe(record)
                if isinstance(record, SessionEnded):
                    return True
            if not is_run:
                return False
            time.sleep(_PAUSE)


def _standing(history: "History") -> str:
    from search.cli.columns import heading, score_text
    from search.cli.output import counted

    trials = history.sessions[-1].trials if history.sessions else len(history.trials)
    done = f"{len(history.finished())} of {counted(trials, 'trial')} done"
    best, first = history.best(), history.objectives[0]
    if best is None:
        return done
    return f"{done}, best {heading(first)} {score_text(first, best.value)} (trial {best.number})"


def _trials(history: "History") -> str:
    """Return the total to go for: that of the last session, or twice as many once they are done."""
    wanted = history.sessions[-1].trials if history.sessions else 20
    return str(wanted if len(history.finished()) < wanted else 2 * wanted)
