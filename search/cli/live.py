"""The display of a running study: live on a terminal, plain lines elsewhere.

`watch` follows a running study from another terminal.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from search.cli.output import DEFAULT_HOME, Home, StudyName, duration, errors, params_text
from search.cli.status import Board, Place
from search.cli.tables import chosen_text, confirmed_text, failure_text, heading, score_text
from search.data.splits import STRATIFIED
from search.study.opening import OpenStudy
from search.study.session import OnRecord
from search.study.settings import StudySettings
from tracking.history import TrialHistory
from tracking.records import (
    AttemptFailed,
    FoldEnded,
    Record,
    SessionStarted,
    TrialConfirmed,
    TrialEnded,
    TrialReopened,
)
from tracking.stages import fold_scores, score_so_far, stopping_point
from tracking.text import counted

if TYPE_CHECKING:
    from search.studies import StudyReader
    from tracking.history import History

_PLACES = 4  # trials displayed at once


class Display(Protocol):
    """Shows records as they come."""

    def observe(self, record: Record) -> None:
        """Show the next record."""


@contextmanager
def make_display(opened: OpenStudy, *, quiet: bool = False) -> Iterator[OnRecord]:
    """Yield a display for records that suits standard error: live, lines, or nothing."""
    if quiet:
        yield lambda _: None
        return
    settings = opened.settings
    _announce(opened)
    board = Board(
        opened.reader.history,
        opened.start,
        trials=settings.trials,
        confirm=settings.confirm,
        baselines=len(opened.narrowed.baselines) if settings.baselines else 0,
    )
    with display_of(board) as display:
        yield display.observe


@contextmanager
def display_of(board: Board) -> Iterator[Display]:
    """Yield the display of a board: live on a terminal, else a line whenever something ends."""
    if not errors.is_terminal:
        yield PlainLines(board)
        return
    with LiveDisplay(board) as display:
        yield display


class PlainLines:
    """One line when a fold or a trial ends; for logs and pipes."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def observe(self, record: Record) -> None:
        """Print a line for the end of a fold or a trial."""
        self._board.take(record)
        if isinstance(record, FoldEnded):
            errors.print(_fold_line(self._board, record), soft_wrap=True)
        for line in _lines(self._board, record):
            errors.print(line, soft_wrap=True)


class LiveDisplay:
    """A few current lines at the bottom of the terminal; finished trials scroll above."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._live = Live(
            get_renderable=self._render, console=errors, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> "LiveDisplay":
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def observe(self, record: Record) -> None:
        """Show a record; print a line when a trial ends."""
        self._board.take(record)
        for line in _lines(self._board, record):
            errors.print(line)

    def _render(self) -> Table:
        board = self._board
        grid = Table.grid(padding=(0, 1))
        for _ in range(3):
            grid.add_column(overflow="fold")  # values are never truncated
        done = len(board.history.finished())
        left = board.seconds_left()
        grid.add_row(
            "trials",
            ProgressBar(total=board.total, completed=done, width=24),
            f"{done}/{board.total}"
            f"  pruned {board.count('pruned')}"
            + (f"  waiting {board.waiting}" if board.waiting else "")
            + (f"  failed {board.count('failed')}" if board.count("failed") else "")
            + f"  left {'about ' + duration(left) if left is not None else '?'}",
        )
        self._add_places(grid)
        best, first = board.history.best(), board.objectives[0]
        if best is not None:
            confirmed = best.confirmed_score(first.name)
            score = best.value if confirmed is None else confirmed
            text = params_text(best.started.parameters, board.searched)
            shown = escape(f"trial {best.number}  {text}")
            grid.add_row("best", score_text(first, score), shown)
        return grid

    def _add_places(self, grid: Table) -> None:
        board, places = self._board, self._board.places
        for number, place in enumerate(places[:_PLACES]):
            bar = ProgressBar(total=1, completed=_share(board, place), width=24)
            grid.add_row("" if number else "now", bar, _place_text(board, place))
        if len(places) > _PLACES:
            grid.add_row("", "", f"and {len(places) - _PLACES} more")
        if not places:
            idle = "choosing the next trial" if board.has_begun else "starting TensorFlow"
            grid.add_row("now", ProgressBar(total=1, completed=0, width=24), idle)


def _share(board: Board, place: Place) -> float:
    """Return a line on how far a trial's current fold is."""
    in_fold = place.epoch / place.epochs if place.epochs else 0.0
    if board.is_confirming(place.fold):
        confirmation_folds = board.confirmation_folds
        return (place.fold - confirmation_folds.start + in_fold) / len(confirmation_folds)
    return (place.fold - 1 + in_fold) / board.folds


def _place_text(board: Board, place: Place) -> str:
    epoch = f"epoch {place.epoch}/{place.epochs}"
    if board.is_confirming(place.fold):
        folds = board.confirmation_folds
        fold = f"fold {place.fold} of {folds.start}..{folds.stop - 1}"
        return f"confirming trial {place.trial}  {fold}  {epoch}"
    return f"trial {place.trial}  fold {place.fold}/{board.folds}  {epoch}"


def _fold_line(board: Board, ended: FoldEnded) -> str:
    first = board.objectives[0]
    value = next(iter(fold_scores([ended], first)), None)
    is_confirmation = board.is_confirming(ended.fold)
    last = board.confirmation_folds.stop - 1 if is_confirmation else board.folds
    what = "confirmation fold" if is_confirmation else "fold"
    return (
        f"trial {ended.trial}  {what} {ended.fold}/{last}"
        f"  {heading(first)} {score_text(first, value)}  ({duration(ended.seconds)})"
    )


def _lines(board: Board, record: Record) -> list[str]:
    """Return lines for the plan and for trials that now wait, broke off, ended or are confirmed."""
    lines = [_waiting_line(board, trial) for trial in board.newly_waiting]
    if isinstance(record, SessionStarted) and record.plan.get("told"):
        lines.append(f"plan     {escape(record.plan['told'])}")
    if isinstance(record, AttemptFailed):
        lines.append(f"{_head(record.trial)} [yellow]broke off[/]  {escape(record.reason)}")
    if isinstance(record, TrialReopened):
        lines.append(f"{_head(record.trial)} had failed and is tried once more")
    if isinstance(record, TrialEnded):
        lines.append(trial_line(board, record))
    if isinstance(record, TrialConfirmed):
        lines.append(_confirmed_line(board, record))
    return lines


def trial_line(board: Board, ended: TrialEnded) -> str:
    """Return one line on how a trial ended."""
    trial = board.history.trials[ended.trial]
    params = escape(params_text(trial.started.parameters, board.searched))
    head, first = _head(ended.trial), board.objectives[0]
    if ended.state == "failed":
        return f"{head} [red]failed[/]  {escape(ended.reason)}"
    if ended.state == "pruned":
        score = score_text(first, score_so_far(trial, first))
        return f"{head} [dim]pruned[/]  {score}  {_stop(board, trial)}  {params}"
    others = "".join(
        f"  {heading(objective)} {score_text(objective, trial.score(objective.name))}"
        for objective in board.objectives[1:]
    )
    return f"{head} {chosen_text(board.history, trial)}{others}{_star(board, trial)}  {params}"


def _stop(board: Board, trial: TrialHistory) -> str:
    fold, epoch = stopping_point(trial)
    done = len(trial.finished_folds())
    return (
        f"in fold {fold} after epoch {epoch}"
        if fold > done
        else f"after {done}/{board.folds} folds"
    )


def _star(board: Board, trial: TrialHistory) -> str:
    if len(board.objectives) > 1:
        return "  [green]on the front[/]" if trial in board.history.front() else ""
    return "  [green]best so far[/]" if board.history.completed()[0] is trial else ""


def _waiting_line(board: Board, trial: TrialHistory) -> str:
    first, done = board.objectives[0], len(trial.finished_folds())
    score = score_text(first, score_so_far(trial, first))
    return f"{_head(trial.number)} {score}  after {counted(done, 'fold')}, waits for the others"


def _confirmed_line(board: Board, record: TrialConfirmed) -> str:
    trial = board.history.trials[record.trial]
    if record.error:
        return f"{_head(record.trial)} [red]not confirmed[/]  {escape(failure_text(record))}"
    return f"{_head(record.trial)} {escape(confirmed_text(board.history, trial))}"


def _head(trial: int) -> str:
    return f"trial {trial:<3}"


def _announce(opened: OpenStudy) -> None:
    settings, history = opened.settings, opened.start
    verb = "New study" if opened.is_new else "Continuing"
    errors.print(
        f"[bold]{verb} {escape(str(settings.study))}[/]: space {escape(settings.space)},"
        f" {history.dataset['samples']:,} training samples of {opened.dataset.title},"
        f" {counted(history.folds, 'fold')}{_split(settings)},"
        f" {counted(opened.narrowed.space['epochs'].describe(), 'epoch')},"
        f" seed {settings.seed},"
        f" {history.proposer}",
        soft_wrap=not errors.is_terminal,
    )


def _split(settings: StudySettings) -> str:
    """Return how the folds are cut, where it is not the usual way."""
    return "" if settings.split in (None, STRATIFIED) else f" ({settings.split})"


_PAUSE = 0.5  # seconds between two reads of the journal


def watch(study: StudyName, home: Home = DEFAULT_HOME) -> None:
    """Follow a running study from another terminal. Ctrl-C leaves the study running.

    Trials that have already ended are counted; those that end from now on are listed. `watch`
    ends with the session.
    """
    with suppress(KeyboardInterrupt):  # the user has seen enough
        _watch(study, home)


def _watch(study: str, home: Path) -> None:
    from search.cli.output import say
    from search.studies import known_reader
    from tracking.home import Home as HomeFolder
    from tracking.lock import holder
    from tracking.text import shell

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
    say(f"Show      {shell('show', study, *place)}")


def print_idle(history: "History", home: Path) -> None:
    """Print that no process runs a study, and how to continue it."""
    from search.cli.output import say
    from tracking.text import shell

    study = history.known_study().study
    place = () if home == DEFAULT_HOME else ("--home", str(home))
    say(f"{study} is not running: {_scoreboard(history)}.")
    say(f"Continue  {shell('run', '--study', study, '--trials', _trials(history), *place)}")


def _follow(reader: "StudyReader") -> bool:
    """Show records as they arrive; return whether the session ended in good order."""
    import time

    from search.cli.status import Board
    from tracking.lock import holder
    from tracking.records import SessionEnded

    history = reader.history
    session = history.sessions[-1] if history.sessions else None
    baselines = sum(t.started.is_baseline for t in history.trials.values())
    board = Board(
        history,
        history.known_study(),
        trials=session.trials if session else len(history.trials),
        confirm=session.confirm if session else 0,
        baselines=baselines,
    )
    with display_of(board) as display:
        while True:
            is_run = holder(reader.folder.lock) is not None  # before the last read
            for record in reader.news():
                display.observe(record)
                if isinstance(record, SessionEnded):
                    return True
            if not is_run:
                return False
            time.sleep(_PAUSE)


def _scoreboard(history: "History") -> str:
    from search.cli.tables import heading, score_text

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
