"""The display of a running study in a notebook: one output that is updated in place."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from rich.text import Text

from search.cli.curve import sparkline
from search.cli.status import Board, Place
from search.cli.tables import GAP, filled, heading, score_text
from tracking.html import progress
from tracking.records import Record, SessionEnded

_LEAST = 0.5  # seconds between two updates that records bring
_TICK = 1.0  # seconds after which the time has moved on
_PLACES = 16  # trials displayed at once

_ENDINGS = {
    "complete": "done",
    "enough": "done: more trials would gain too little",
    "exhausted": "done: the driver has nothing left to propose",
    "timeout": "the time is up",
    "interrupted": "interrupted; every finished fold is kept",
    "stopped": "stopped, as asked; every finished fold is kept",
    "failed": "ended: ten trials in a row failed",
}
# Of a cell and of a heading; colours are the page's own, so that they suit light and dark ones.
_CELL = "padding:2px 16px 2px 0;text-align:left;white-space:nowrap"


class NotebookDisplay:
    """One output of a notebook's cell. It is there as soon as the object is.

    Args:
        doing: what is done first.
    """

    def __init__(self, doing: str) -> None:
        from IPython.display import display

        show: Any = display
        self._handle = show(_Page(_line(doing), doing), display_id=True)
        self._lock = threading.Lock()  # the clock's thread draws as well
        self._drawn_at = 0.0
        self._board: Board | None = None
        self._head = self._log = self._ending = ""

    def clear(self) -> None:
        """Empty the output."""
        self._handle.update(_Page("", ""))

    @contextmanager
    def showing(self, board: Board, announcement: str) -> Iterator["NotebookDisplay"]:
        """Show a study; at the end of the context what it has come to stays.

        Args:
            board: the study's.
            announcement: what is searched and how, with Rich's markup.
        """
        self._board, self._head = board, Text.from_markup(announcement).plain
        over = threading.Event()
        clock = threading.Thread(target=self._tick, args=(over,), daemon=True)
        self._draw()
        clock.start()
        try:
            yield self
        finally:
            over.set()
            clock.join()
            board.doing = self._ending or "ended by an error"
            self._draw()

    def __call__(self, record: Record) -> None:
        """Show the next record, which the history already has."""
        if self._board is None:
            return
        self._board.take(record)
        self._log = self._board.estimate() or self._log
        if isinstance(record, SessionEnded):
            self._ending = _ENDINGS.get(record.reason, record.reason)
        if time.monotonic() - self._drawn_at >= _LEAST:
            self._draw()

    def stage(self, text: str) -> None:
        """Show what is done while nothing is trained."""
        if self._board is not None:
            self._board.doing = text
            self._draw()

    def _tick(self, over: threading.Event) -> None:
        while not over.wait(_TICK):
            self._draw()

    def _draw(self) -> None:
        board = self._board
        if board is None:
            return
        with self._lock:
            self._handle.update(_Page(_html(board, self._head, self._log), _plain(board)))
            self._drawn_at = time.monotonic()


class _Page:
    """What a frontend shows: HTML, or where it cannot, one line of text."""

    def __init__(self, html: str, text: str) -> None:
        self._html, self._text = html, text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


def _plain(board: Board) -> str:
    best = board.best()
    where = [*board.counts(), *([best[0]] if best else []), board.idle, board.times()]
    return ", ".join(where)


def _html(board: Board, head: str, estimate: str) -> str:
    done = len(board.history.finished())
    share = 100 * done / max(1, board.total)
    bar = (
        '<div style="max-width:460px;height:6px;border-radius:3px;background:#8884">'
        f'<div style="width:{min(100.0, share):.1f}%;height:6px;border-radius:3px;'
        'background:#2a78d6"></div></div>'
    )
    parts = [
        _line(head, weight="bold"),
        bar,
        _line(" · ".join([*board.counts(), board.times()]).replace(GAP, " · ")),
        _rows(board) if board.places else _line(board.idle, opacity=".75"),
        _best(board),
    ]
    if estimate and board.places:
        parts.append(_line(f"time in all: {estimate}", opacity=".75"))
    parts.append(progress(board.history))
    return f'<div style="line-height:1.5">{"".join(parts)}</div>'


def _line(text: str, *, weight: str = "normal", opacity: str = "1") -> str:
    return f'<div style="font-weight:{weight};opacity:{opacity}">{escape(text)}</div>'


def _rows(board: Board) -> str:
    first = board.objectives[0]
    names = ("trial", "fold", "epoch", f"validation {heading(first)}", "")
    head = "".join(_cell(name, "th") for name in names)
    places = board.places
    rows = "".join(f"<tr>{_row(board, place)}</tr>" for place in places[:_PLACES])
    more = len(places) - _PLACES
    rest = _line(f"and {more} more") if more > 0 else ""
    style = "border-collapse:collapse;margin:6px 0;font-size:inherit"
    return f'<table style="{style}"><tr>{head}</tr>{rows}</table>{rest}'


def _row(board: Board, place: Place) -> str:
    score = score_text(board.objectives[0], place.scores[-1] if place.scores else None)
    epoch = f"{place.epoch} of {place.epochs}" if place.fold else "-"
    fold = board.fold_text(place.fold)
    beside = sparkline(place.scores) if place.fold else board.starting
    return "".join(map(_cell, (str(place.trial), fold, epoch, score, beside)))


def _cell(text: str, kind: str = "td") -> str:
    return f'<{kind} style="{_CELL}">{escape(text)}</{kind}>'


def _best(board: Board) -> str:
    found = board.best()
    if found is None:
        return ""
    text, words = found
    return _line(text, weight="bold") + "".join(_line(line) for line in filled(words, 80))
