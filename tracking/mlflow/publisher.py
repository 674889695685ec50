"""Publishes a journal to a sink: in the background while a study runs, or at once on request.

A thread of its own talks to the sink; whoever waits for it waits for a bounded time. What a server
answers is bounded by `tracking.mlflow.transport`.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tracking.journal import JournalError
from tracking.mlflow.calls import Abandonable, Overdue, finish, reason
from tracking.mlflow.delivery import BusyError, Delivery, Sink
from tracking.text import shell

_GATHER = 5.0  # seconds; a fold's epochs then go together, and MLflow's pages reload every 30 s
_LONGEST_PAUSE = 60.0  # seconds between tries
PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before the new tries of `publish_all`
_PATIENCE = 2.0  # seconds; a server that is restarted, or a line that breaks for a moment

logger = logging.getLogger(__name__)


class Publisher:
    """A background thread that publishes a journal as it grows; the writer never waits for it.

    The thread is a daemon, so that the interpreter can exit although a server hangs; what was not
    published by then waits in the journal.

    Args:
        journal: the file of records; it may not exist yet.
        offset_path: where it is remembered how far the sink came; its folder exists.
        make_sink: makes a sink, in the thread.
        key: the sink's address, as `tracking.mlflow.delivery.address_key` names it.
        notify: takes one sentence for the user, from the thread.
        gather: seconds to collect records before they are published.
        first_pause: seconds before the first new try; each further pause is twice as long, up to
            a minute.
        patience: seconds of an outage before the user is told.
    """

    def __init__(
        self,
        journal: Path,
        offset_path: Path,
        make_sink: Callable[[], Sink],
        *,
        key: str,
        notify: Callable[[str], None],
        gather: float = _GATHER,
        first_pause: float = 1.0,
        patience: float = _PATIENCE,
    ) -> None:
        self._delivery = Delivery(journal, offset_path, make_sink, key=key, notify=notify)
        self._notify, self._gather, self._first_pause = notify, gather, first_pause
        self._patience = patience
        self._pause = 0.0  # before the next try; zero when the last went well
        self._position = self._delivery.position
        self._out_since: float | None = None  # when the first try of an outage began
        self._has_said_so = False  # to the user, of this outage
        self._state = threading.Condition()
        self._wanted, self._served, self._failed = 1, 0, 0  # deliveries, counted by `wake`
        self._hurry = self._hurried = self._closing = self._over = False
        self._thread = Abandonable(self._run)
        self._thread.start()

    def wake(self) -> None:
        """Say that the journal has grown; returns at once."""
        with self._state:
            self._wanted += 1
            self._state.notify_all()

    def drain(self, timeout: float) -> int:
        """Publish what there is now, without the usual pauses; return how many records still wait.

        It returns before `timeout` seconds when all is published, or when a try fails.
        """
        with self._state:
            self._wanted += 1
            goal, self._hurry = self._wanted, True
            self._state.notify_all()
            self._state.wait_for(
                lambda: self._over or max(self._served, self._failed) >= goal, timeout
            )
        return self.waiting

    @property
    def waiting(self) -> int:
        """Number of records the sink has not taken."""
        return self._delivery.waiting()

    @property
    def refused(self) -> int:
        """Number of records the sink refused, which were left out."""
        return self._delivery.refused

    def close(self) -> None:
        """End the thread after the record it is publishing, without waiting for a hanging one."""
        with self._state:
            self._closing = True
            self._state.notify_all()
        self._thread.join(timeout=1.0)
        self._thread.abandoned = True

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            while (goal := self._next_goal()) is not None:
                began = time.monotonic()
                self._report(goal, began, delivered=self._delivery.deliver())
        except JournalError as error:
            self._notify(f"Publishing to MLflow stopped: {error}")
        except Exception as error:
            logger.info("publishing stopped", exc_info=True)
            why = f"{type(error).__name__}: {reason(error)}"
            self._notify(f"Publishing to MLflow stopped ({why}); `{shell('sync')}` goes on.")
        finally:
            self._delivery.close()
            with self._state:
                self._over = True
                self._state.notify_all()

    def _next_goal(self) -> int | None:
        """Wait until there is something to publish and it is time; None when closing."""
        with self._state:
            self._state.wait_for(lambda: self._closing or self._wanted > self._served)
            pause = self._pause or self._gather
            self._state.wait_for(lambda: self._closing or self._hurry, pause)
            self._hurried, self._hurry = self._hurry, False
            return None if self._closing else self._wanted

    def _report(self, goal: int, began: float, *, delivered: bool) -> None:
        self._pause = self._next_pause(delivered=delivered)
        if delivered:
            self._end_outage()
        elif not self._delivery.is_refused:
            self._note_outage(began)
        with self._state:
            if delivered:
                self._served = goal
            else:
                self._failed = goal
            self._state.notify_all()

    def _note_outage(self, began: float) -> None:
        """Tell the user once: when it lasts, or when somebody waits for all to be published."""
        if self._out_since is None:
            self._out_since = began
        lasts = time.monotonic() - self._out_since >= self._patience
        if self._delivery.failure is None or self._has_said_so or not (lasts or self._hurried):
            return
        self._has_said_so = True
        self._notify(_outage(self._delivery.failure))

    def _end_outage(self) -> None:
        if self._has_said_so:
            self._notify("The tracking server has everything again.")
        self._out_since, self._has_said_so = None, False

    def _next_pause(self, *, delivered: bool) -> float:
        came_from, self._position = self._position, self._delivery.position
        if delivered:
            return 0.0
        if self._position > came_from:  # the next record's trouble is a new one
            return self._first_pause
        return min(max(self._first_pause, 2 * self._pause), _LONGEST_PAUSE)


@dataclass(frozen=True)
class Publication:
    """What `publish_all` did.

    Attributes:
        published: records taken by the sink, those it refused included.
        waiting: records not taken.
        refused: records the sink refused, which were left out.
        failure: why the rest waits; empty when nothing does.
        is_overdue: whether that is because a record was not taken in time.
    """

    published: int
    waiting: int
    refused: int
    failure: str
    is_overdue: bool = False


def publish_all(
    journal: Path,
    offset_path: Path,
    make_sink: Callable[[], Sink],
    *,
    key: str,
    notify: Callable[[str], None],
    pauses: tuple[float, ...] | None = None,
    record_seconds: float = math.inf,
    seconds: float = math.inf,
) -> Publication:
    """Publish what a journal holds, records that were refused once more, and come back.

    It comes back in time whatever the sink does: once a record is overdue, the rest waits. A sink
    that writes to this machine's disk needs no limits.

    Args:
        journal: as for `Publisher`, like the next four.
        offset_path: see there.
        make_sink: see there.
        key: see there.
        notify: see there.
        pauses: seconds before each new try, `PAUSES` unless given; any record that gets through
            starts them anew.
        record_seconds: how long one record may take, with all its tries.
        seconds: how long all of them may take.

    Raises:
        JournalError: the journal is damaged.
    """
    delivery = Delivery(
        journal,
        offset_path,
        make_sink,
        key=key,
        notify=notify,
        once_more=True,
        record_seconds=record_seconds,
    )
    at_first, end, late = delivery.waiting(), time.monotonic() + seconds, ""
    try:
        finish(
            lambda: _deliver_all(delivery, at_first, PAUSES if pauses is None else pauses),
            lambda: min(end, delivery.overdue_at),
        )
    except Overdue:
        is_all = time.monotonic() < delivery.overdue_at
        late = (
            f"not all was taken within {seconds:.0f} s"
            if is_all
            else f"a record was not taken within {record_seconds:.0f} s"
        )
    waiting = delivery.waiting()
    why = reason(delivery.failure) if delivery.failure is not None and waiting else ""
    failure = "; ".join(filter(None, (late, why)))
    return Publication(at_first - waiting, waiting, delivery.refused, failure, bool(late))


def _deliver_all(delivery: Delivery, waiting: int, pauses: tuple[float, ...]) -> None:
    left = list(pauses)
    try:
        while not delivery.deliver() and left and not isinstance(delivery.failure, BusyError):
            before, waiting = waiting, delivery.waiting()
            left = list(pauses) if waiting < before else left
            time.sleep(left.pop(0))
    finally:
        delivery.close()


def _outage(failure: Exception) -> str:
    if isinstance(failure, BusyError):
        return f"Not publishing to the tracking server: {failure}."
    return (
        f"The tracking server cannot be reached ({reason(failure)}). The search goes on;"
        f" what is missing there is published later, or by `{shell('sync')}`."
    )
