"""What a running study shows: live on a terminal, in one place in a notebook, lines elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.cli.curve import sparkline
from search.cli.notebook import NotebookDisplay
from search.cli.output import duration, errors, params_texts, table
from search.cli.status import Board, Place
from search.cli.tables import (
    GAP,
    chosen_text,
    confirmed_text,
    failure_text,
    filled,
    heading,
    score_text,
)
from search.data.splits import STRATIFIED
from search.study.learning import learned_text
from search.study.opening import OpenStudy
from search.study.settings import StudySettings
from tracking.history import TrialHistory
from tracking.records import (
    AttemptFailed,
    FoldEnded,
    FoldStarted,
    Record,
    SessionStarted,
    TrialConfirmed,
    TrialEnded,
    TrialReopened,
)
from tracking.stages import fold_scores, score_so_far, stopping_point
from tracking.text import counted

HEARTBEAT = 30.0  # seconds after which a line is printed where nothing else was
_REFRESH = 0.25  # seconds
_PLACES = 8  # trials displayed at once
_BESIDE = 8  # lines of the live display beside those
_BAR = 8, 24  # columns of a bar: least, most
_INDENT = 10  # columns of what follows a trial's number
_READING = "reading the data"


class Display(AbstractContextManager["Display"]):
    """Shows a study's records as they come, and what goes on between them."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __call__(self, record: Record) -> None:
        """Show the next record, which the history already has."""

    def stage(self, text: str) -> None:
        """Show what is done while nothing is trained."""
        self._board.doing = text

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Show nothing more."""


class Progress:
    """What `run` shows, and `search.progress` from Python.

    A call with an opened study yields its display. `opening()` lasts while the data are read.
    All of it goes to standard error.
    """

    def __init__(self) -> None:
        self._notebook: NotebookDisplay | None = None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Show that the data are read."""
        if errors.is_jupyter:
            self._notebook = NotebookDisplay(_READING)
            try:
                yield
            except BaseException:
                self._notebook.clear()
                raise
        elif errors.is_terminal:
            with Region(Text(_READING, style="yellow")):
                yield
        else:
            errors.print(_READING)
            yield

    @contextmanager
    def __call__(self, opened: OpenStudy) -> Iterator[Callable[[Record], None]]:
        """Yield the display of an opened study."""
        board = Board.of(opened)
        if errors.is_jupyter:
            notebook = self._notebook or NotebookDisplay(_READING)
            self._notebook = None
            with notebook.showing(board, announcement(opened)) as display:
                yield display
            return
        errors.print(announcement(opened), soft_wrap=not errors.is_terminal)
        with display_of(board) as display:
            yield display


progress = Progress()
"""Shows what `run` shows, for `display` of `run_study`; in a notebook in one place."""


def display_of(board: Board) -> Display:
    """Return the display of a board: live on a terminal, else lines."""
    return LiveDisplay(board) if errors.is_terminal else PlainLines(board)


class PlainLines(Display):
    """A line for each stage, and when a fold or a trial ends; for logs and pipes.

    Args:
        board: the study's.
        every: seconds after which a line says how far the trials are where nothing else was said.
        now: tells the time in seconds.
    """

    def __init__(
        self,
        board: Board,
        *,
        every: float = HEARTBEAT,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(board)
        self._every, self._now = every, now
        self._said_at = now()
        self._is_over = threading.Event()
        self._trains = False

    def __enter__(self) -> Self:
        """Begin to look at the time."""
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Say nothing more."""
        self._is_over.set()

    def __call__(self, record: Record) -> None:
        """Print lines for a record, if it is worth any."""
        board = self._board
        board.take(record)
        if isinstance(record, FoldStarted) and not self._trains:
            self._trains = True
            self._say("training")
        if isinstance(record, FoldEnded):
            self._say(escape(_fold_line(board, record)))
        for line in _lines(board, record):
            self._say(GAP.join([line.text, *map(escape, line.words)]))

    def stage(self, text: str) -> None:
        """Print it."""
        super().stage(text)
        self._say(escape(text))

    def beat(self) -> None:
        """Print how far the trials are, if nothing was printed for long enough."""
        if self._now() - self._said_at >= self._every:
            self._say(f"now       {escape(_heartbeat(self._board))}")

    def _say(self, markup: str) -> None:
        self._said_at = self._now()
        errors.print(markup, soft_wrap=True)

    def _look(self) -> None:
        while not self._is_over.wait(min(1.0, self._every)):
            self.beat()


class Region(AbstractContextManager["Region"]):
    """Lines at the bottom of the terminal, drawn anew four times a second.

    Args:
        lines: what is drawn, each time as it is then.
    """

    def __init__(self, lines: RenderableType) -> None:
        self._live = Live(lines, console=errors, auto_refresh=False, transient=True)
        self._is_over = threading.Event()
        self._clock = threading.Thread(target=self._refresh, daemon=True)

    def __enter__(self) -> Self:
        """Begin to draw."""
        with errors.turn:
            self._live.start()
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was drawn; lines above it stay."""
        self._is_over.set()
        self._clock.join()
        with errors.turn:
            self._live.stop()

    def _refresh(self) -> None:
        while not self._is_over.wait(_REFRESH):
            with errors.turn:
                self._live.refresh()


class LiveDisplay(Display):
    """A few current lines at the bottom of the terminal; finished trials scroll above."""

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self._region = Region(Screen(board))

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._region.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was drawn."""
        self._region.__exit__()

    def __call__(self, record: Record) -> None:
        """Show a record; print a line when a trial ends."""
        self._board.take(record)
        for line in _lines(self._board, record):
            errors.print(line)


@dataclass(frozen=True)
class Screen:
    """The current lines of a live display, as wide as the terminal."""

    board: Board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield counts and times, a row for each fold in training, and the best trial."""
        board, width = self.board, options.max_width
        yield self._counts(width)
        yield Text(board.times())
        yield from self._places(console.height)
        yield from self._best(width)

    def _counts(self, width: int) -> RenderableType:
        board = self.board
        text = GAP.join(board.counts())
        least, most = _BAR
        room = min(most, width - len(text) - len(GAP))
        if room < least:
            return Text(text)
        grid = Table.grid(padding=(0, len(GAP), 0, 0))
        done = len(board.history.finished())
        grid.add_row(ProgressBar(total=max(1, board.total), completed=done, width=room), Text(text))
        return grid

    def _places(self, height: int) -> Iterator[RenderableType]:
        board, places = self.board, self.board.places
        if not places:
            yield Text(f"now    {board.idle}", style="yellow")
            return
        shown = places[: max(1, min(_PLACES, height - _BESIDE))]
        first = heading(board.objectives[0])
        rows = table("trial", "fold", "epoch", first, "", right=("trial", "fold", "epoch", first))
        for place in shown:
            rows.add_plain_row(*self._row(place))
        yield rows
        if len(places) > len(shown):
            yield Text(f"and {len(places) - len(shown)} more")

    def _row(self, place: Place) -> tuple[str | Text, ...]:
        board, first = self.board, self.board.objectives[0]
        score = score_text(first, place.scores[-1] if place.scores else None)
        beside = sparkline(place.scores) if place.fold else board.starting
        return (
            str(place.trial),
            board.fold_text(place.fold),
            f"{place.epoch}/{place.epochs}" if place.fold else "-",
            score,
            Text(beside, style="cyan" if place.fold else "yellow"),
        )

    def _best(self, width: int) -> Iterator[Text]:
        found = self.board.best()
        if found is not None:
            text, words = found
            yield Text(text, style="green")
            for line in filled(words, width - 2):
                yield Text(f"  {line}")


def _heartbeat(board: Board) -> str:
    first = board.objectives[0]
    parts = [
        f"trial {place.trial}  fold {board.fold_text(place.fold)}"
        f"  epoch {place.epoch}/{place.epochs}"
        + (f"  {heading(first)} {score_text(first, place.scores[-1])}" if place.scores else "")
        if place.fold
        else f"trial {place.trial}  {board.starting}"
        for place in board.places
    ]
    more = [f"and {len(parts) - _PLACES} more"] if len(parts) > _PLACES else []
    best = board.best()
    said = [", ".join([*parts[:_PLACES], *more]) or board.idle, GAP.join(board.counts())]
    return "; ".join([*said, *([best[0]] if best else []), board.times()])


@dataclass(frozen=True)
class Line:
    """A printed line: how something went, then words such as params.

    Attributes:
        text: with markup.
        words: not broken where they fit; on a terminal they go on below the text.
    """

    text: str
    words: tuple[str, ...] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield it in lines as wide as the terminal, the later ones indented."""
        text, width = Text.from_markup(self.text), options.max_width
        parts = text.wrap(console, width)
        *whole, last = list(parts) or [Text()]
        yield from whole
        words = list(self.words)
        while words and last.cell_len + len(GAP) + len(words[0]) <= width:
            last.append(GAP + words.pop(0))
        yield last
        for line in filled(words, max(20, width - _INDENT)):
            yield Text(" " * _INDENT + line)


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


def _lines(board: Board, record: Record) -> list[Line]:
    """Return lines for what a record means: a plan, an estimate, how a trial fares."""
    lines = [_waiting_line(board, trial) for trial in board.newly_waiting]
    if isinstance(record, SessionStarted) and record.plan.get("told"):
        lines.append(Line(f"plan      {escape(record.plan['told'])}"))
    if isinstance(record, SessionStarted) and record.confirmation.get("told"):
        lines.append(Line(f"confirm   {escape(record.confirmation['told'])}"))
    if isinstance(record, SessionStarted) and board.history.known_study().learned:
        lines.append(Line(f"learned   {escape(learned_text(board.history.known_study()))}"))
    if isinstance(record, AttemptFailed):
        lines.append(Line(f"{_head(record.trial)} [yellow]broke off[/]  {escape(record.reason)}"))
    if isinstance(record, TrialReopened):
        lines.append(Line(f"{_head(record.trial)} had failed and is tried once more"))
    if isinstance(record, TrialEnded):
        lines.append(trial_line(board, record))
    if isinstance(record, TrialConfirmed):
        lines.append(_confirmed_line(board, record))
    estimate = board.estimate()
    return [*lines, Line(f"time      {escape(estimate)}")] if estimate else lines


def trial_line(board: Board, ended: TrialEnded) -> Line:
    """Return a line on how a trial ended."""
    trial = board.history.trials[ended.trial]
    params = tuple(params_texts(trial.started.parameters, board.searched))
    head, first = _head(ended.trial), board.objectives[0]
    if ended.state == "failed":
        return Line(f"{head} [red]failed[/]  {escape(ended.reason)}")
    if ended.state == "pruned":
        score = score_text(first, score_so_far(trial, first))
        return Line(f"{head} [dim]pruned[/]  {score}  {_stop(board, trial)}", params)
    others = "".join(
        f"  {heading(objective)} {score_text(objective, trial.score(objective.name))}"
        for objective in board.objectives[1:]
    )
    chosen = escape(chosen_text(board.history, trial) + others)
    return Line(f"{head} {chosen}{_star(board, trial)}", params)


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


def _waiting_line(board: Board, trial: TrialHistory) -> Line:
    first, done = board.objectives[0], len(trial.finished_folds())
    score = score_text(first, score_so_far(trial, first))
    fold, epoch = trial.position()
    after = f"after {counted(done, 'fold')}" if done else f"in fold {fold} after epoch {epoch}"
    return Line(f"{_head(trial.number)} {score}  {after}, waits for the others")


def _confirmed_line(board: Board, record: TrialConfirmed) -> Line:
    trial = board.history.trials[record.trial]
    if record.error:
        reason = escape(failure_text(record))
        return Line(f"{_head(record.trial)} [red]not confirmed[/]  {reason}")
    return Line(f"{_head(record.trial)} {escape(confirmed_text(board.history, trial))}")


def _head(trial: int) -> str:
    return f"trial {trial:<3}"


def announcement(opened: OpenStudy) -> str:
    """Return what is searched and how, as one line with markup."""
    settings, history = opened.settings, opened.start
    verb = "New study" if opened.is_new else "Continuing"
    return (
        f"[bold]{verb} {escape(str(settings.study))}[/]: space {escape(settings.space)},"
        f" {history.dataset['samples']:,} training samples of {escape(opened.dataset.title)},"
        f" {counted(history.folds, 'fold')}{_split(settings)},"
        f" {counted(opened.narrowed.space['epochs'].describe(), 'epoch')},"
        f" seed {settings.seed},"
        f" {history.proposer}"
    )


def _split(settings: StudySettings) -> str:
    """Return how the folds are cut, where it is not the usual way."""
    return "" if settings.split in (None, STRATIFIED) else f" ({settings.split})"
