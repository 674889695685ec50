"""What is seen while a study runs: a live display on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol

from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from search.cli.output import duration, errors, percent, setting_text
from search.opening import Opened
from tracking.history import History, TrialHistory
from tracking.records import (
    EpochEnded,
    FoldEnded,
    FoldStarted,
    Record,
    TrialEnded,
    TrialStarted,
)


class Display(Protocol):
    """Shows records as they come."""

    def observe(self, record: Record) -> None:
        """Take in the next record."""


class Silence:
    """Shows nothing."""

    def observe(self, record: Record) -> None:
        """Do nothing."""


@contextmanager
def make_display(opened: Opened, *, quiet: bool) -> Iterator[Display]:
    """Yield the display that fits where standard error goes."""
    if quiet:
        yield Silence()
        return
    _announce(opened)
    board = Board(opened)
    if not errors.is_terminal:
        yield PlainLines(board)
        return
    with LiveDisplay(board) as display:
        yield display


class Board:
    """What the displays know: the study's history and where training stands."""

    def __init__(self, opened: Opened) -> None:
        from search.opening import study_history

        self.history: History = study_history(opened.folder)
        self.total = opened.settings.trials
        self.folds = opened.settings.folds
        self.searched = [p.name for p in opened.narrowed.space.searched()]
        self.trial: TrialHistory | None = None
        self.fold = 0
        self.epoch = 0
        self.epochs = 0
        self._began = 0.0
        self._folds_before = self._folds_done()

    def take(self, record: Record) -> None:
        """Take in a record."""
        self.history.add(record)
        if isinstance(record, TrialStarted | FoldEnded | EpochEnded):
            self.trial = self.history.trials[record.trial]
            self.epochs = int(self.trial.started.parameters["epochs"])
        if isinstance(record, TrialStarted):
            self.fold, self.epoch = 1, 0
        if isinstance(record, FoldStarted) and not self._began:
            self._began = time.monotonic()  # importing TensorFlow is not part of the estimate
        if isinstance(record, EpochEnded):
            self.fold, self.epoch = record.fold, record.epoch

    def count(self, state: str) -> int:
        """Return the number of trials in a state."""
        return sum(trial.state == state for trial in self.history.trials.values())

    def seconds_left(self) -> float | None:
        """Return the estimated time to the last trial, None before the first fold is over."""
        done = self._folds_done() - self._folds_before
        if done < 1:
            return None
        fold_seconds = (time.monotonic() - self._began) / done
        finished = self.history.finished()
        per_trial = (
            sum(len(t.finished_folds()) for t in finished) / len(finished)
            if finished
            else self.folds
        )
        ahead = (self.total - len(finished)) * per_trial
        if self.trial is not None and self.trial.ended is None:
            ahead -= len(self.trial.finished_folds())
        return max(0.0, ahead) * fold_seconds

    def _folds_done(self) -> int:
        return sum(len(trial.finished_folds()) for trial in self.history.trials.values())


class PlainLines:
    """One line when a fold or a trial ends; for logs and pipes."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def observe(self, record: Record) -> None:
        """Print a line for the end of a fold or a trial."""
        self._board.take(record)
        match record:
            case FoldEnded():
                errors.print(
                    f"trial {record.trial}  fold {record.fold}/{self._board.folds}"
                    f"  accuracy {percent(record.accuracy)}  ({duration(record.seconds)})",
                    soft_wrap=True,
                )
            case TrialEnded():
                errors.print(trial_line(self._board, record), soft_wrap=True)


class LiveDisplay:
    """A few lines at the bottom of the terminal that stay current; ended trials scroll above."""

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
        """Take in a record; print a line for a trial's end."""
        self._board.take(record)
        if isinstance(record, TrialEnded):
            errors.print(trial_line(self._board, record))

    def _render(self) -> Table:
        board = self._board
        grid = Table.grid(padding=(0, 1))
        done = len(board.history.finished())
        left = board.seconds_left()
        grid.add_row(
            "trials",
            ProgressBar(total=board.total, completed=done, width=24),
            f"{done}/{board.total}"
            f"  pruned {board.count('pruned')}"
            + (f"  failed {board.count('failed')}" if board.count("failed") else "")
            + f"  left {'about ' + duration(left) if left is not None else '?'}",
        )
        grid.add_row("now", ProgressBar(total=1, completed=self._share(), width=24), self._now())
        best = board.history.best()
        if best is not None:
            text = setting_text(best.started.parameters, board.searched)
            grid.add_row("best", percent(best.value), escape(f"trial {best.number}  {text}"))
        return grid

    def _share(self) -> float:
        board = self._board
        if board.trial is None or board.trial.ended is not None or not board.epochs:
            return 0.0
        return ((board.fold - 1) + board.epoch / board.epochs) / board.folds

    def _now(self) -> str:
        board = self._board
        if board.trial is None:
            return "starting TensorFlow"
        if board.trial.ended is not None:
            return "choosing the next setting"
        return (
            f"trial {board.trial.number}  fold {board.fold}/{board.folds}"
            f"  epoch {board.epoch}/{board.epochs}"
        )


def trial_line(board: Board, ended: TrialEnded) -> str:
    """Return one line on how a trial ended."""
    trial = board.history.trials[ended.trial]
    setting = escape(setting_text(trial.started.parameters, board.searched))
    head = f"trial {ended.trial:<3}"
    if ended.state == "failed":
        return f"{head} [red]failed[/]  {escape(ended.reason)}"
    if ended.state == "pruned":
        share = f"{len(trial.finished_folds())}/{board.folds} folds"
        return f"{head} [dim]pruned[/]  {percent(ended.value)}  after {share}  {setting}"
    best = board.history.best()
    star = "  [green]best so far[/]" if best is not None and best.number == ended.trial else ""
    spread = ended.scores["cv_accuracy_std"]
    return f"{head} {percent(ended.value)} ± {percent(spread)}{star}  {setting}"


def _announce(opened: Opened) -> None:
    settings, history = opened.settings, opened.start
    verb = "New study" if opened.is_new else "Continuing"
    errors.print(
        f"[bold]{verb} {escape(str(settings.study))}[/]: space {escape(settings.space)},"
        f" {history.dataset['samples']:,} training samples of {opened.dataset.title},"
        f" {settings.folds} fold(s), {opened.narrowed.space['epochs'].describe()} epochs,"
        f" seed {settings.seed},"
        f" {settings.driver}/{settings.sampler}",
        soft_wrap=not errors.is_terminal,
    )
