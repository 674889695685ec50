"""Ships a journal to a sink: in the background while a study runs, or at once on request."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tracking.journal import JournalError
from tracking.mlflow.courier import BusyError, Courier, reason
from tracking.mlflow.sink_base import Sink

_GATHER = 5.0  # seconds; a fold's epochs then go together, and MLflow's pages reload every 30 s
_LONGEST_PAUSE = 60.0  # seconds between tries
_PATIENCE = 2.0  # seconds; a server that is restarted, or a line that breaks for a moment

logger = logging.getLogger(__name__)


class Shipper:
    """A background thread that ships a journal as it grows; the writer never waits for it.

    The thread is a daemon, so that the interpreter can exit although a server hangs; what was not
    shipped by then waits in the journal.

    Args:
        journal: the file of records; it may not exist yet.
        shipped_path: where it is remembered how far the sink came; its folder exists.
        make_sink: makes a sink, in the thread.
        uri_key: the sink's address, as `tracking.mlflow.shipped.address_key` names it.
        notify: takes one sentence for the user, from the thread.
        gather: seconds to collect records before they are shipped.
        first_pause: seconds before the first new try; each further pause is twice as long, up to
            a minute.
        patience: seconds of an outage before the user is told.
    """

    def __init__(
        self,
        journal: Path,
        shipped_path: Path,
        make_sink: Callable[[], Sink],
        *,
        uri_key: str,
        notify: Callable[[str], None],
        gather: float = _GATHER,
        first_pause: float = 1.0,
        patience: float = _PATIENCE,
    ) -> None:
        self._courier = Courier(journal, shipped_path, make_sink, uri_key=uri_key, notify=notify)
        self._notify, self._gather, self._first_pause = notify, gather, first_pause
        self._patience = patience
        self._pause = 0.0  # before the next try; zero when the last went well
        self._offset = self._courier.offset
        self._out_since: float | None = None  # when the first try of an outage began
        self._is_told = False  # the user was told of it
        self._state = threading.Condition()
        self._wanted, self._served, self._failed = 1, 0, 0  # deliveries, counted by `wake`
        self._hurry = self._hurried = self._closing = self._over = False
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that the journal has grown; returns at once."""
        with self._state:
            self._wanted += 1
            self._state.notify_all()

    def drain(self, timeout: float) -> int:
        """Ship what there is now, without the usual pauses; return how many records still wait.

        It returns before `timeout` seconds when all is shipped, or when a try fails.
        """
        with self._state:
            self._wanted += 1
            goal, self._hurry = self._wanted, True
            self._state.notify_all()
            self._state.wait_for(
                lambda: self._over or max(self._served, self._failed) >= goal, timeout
            )
        return self._courier.waiting()

    @property
    def set_aside(self) -> int:
        """Number of records the sink refused, which were left out."""
        return self._courier.set_aside

    def close(self) -> None:
        """End the thread after the record it is shipping, without waiting for a hanging one."""
        with self._state:
            self._closing = True
            self._state.notify_all()
        self._thread.join(timeout=1.0)

    def __enter__(self) -> "Shipper":
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
                self._report(goal, began, delivered=self._courier.deliver())
        except JournalError as error:
            self._notify(f"Shipping stopped: {error}")
        except Exception as error:
            logger.info("shipping stopped", exc_info=True)
            why = f"{type(error).__name__}: {reason(error)}"
            self._notify(f"Shipping stopped ({why}); `python -m search sync` goes on.")
        finally:
            self._courier.close()
            with self._state:
                self._over = True
                self._state.notify_all()

    def _next_goal(self) -> int | None:
        """Wait until there is something to ship and it is time; None when closing."""
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
        elif not self._courier.refused:
            self._note_outage(began)
        with self._state:
            if delivered:
                self._served = goal
            else:
                self._failed = goal
            self._state.notify_all()

    def _note_outage(self, began: float) -> None:
        """Tell the user once: when it lasts, or when somebody waits for all to be shipped."""
        if self._out_since is None:
            self._out_since = began
        lasts = time.monotonic() - self._out_since >= self._patience
        if self._courier.failure is not None and not self._is_told and (lasts or self._hurried):
            self._is_told = True
            self._notify(_outage(self._courier.failure))

    def _end_outage(self) -> None:
        if self._is_told:
            self._notify("The tracking server has everything again.")
        self._out_since, self._is_told = None, False

    def _next_pause(self, *, delivered: bool) -> float:
        came_from, self._offset = self._offset, self._courier.offset
        if delivered:
            return 0.0
        if self._offset > came_from:  # the next record's trouble is a new one
            return self._first_pause
        return min(max(self._first_pause, 2 * self._pause), _LONGEST_PAUSE)


@dataclass(frozen=True)
class Shipment:
    """What `ship_all` did.

    Attributes:
        shipped: records taken by the sink, those set aside included.
        waiting: records not taken.
        set_aside: records the sink refused, which were left out.
        failure: why the rest waits; empty when nothing does.
    """

    shipped: int
    waiting: int
    set_aside: int
    failure: str


def ship_all(
    journal: Path,
    shipped_path: Path,
    make_sink: Callable[[], Sink],
    *,
    uri_key: str,
    notify: Callable[[str], None],
    pauses: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0),
) -> Shipment:
    """Ship what a journal holds, records that were set aside once more, and come back.

    Args:
        journal: as for `Shipper`, like the next four.
        shipped_path: see there.
        make_sink: see there.
        uri_key: see there.
        notify: see there.
        pauses: seconds before each new try; any record that gets through starts them anew.

    Raises:
        JournalError: the journal is damaged.
    """
    courier = Courier(
        journal, shipped_path, make_sink, uri_key=uri_key, notify=notify, once_more=True
    )
    at_first = before = courier.waiting()
    left = list(pauses)
    try:
        while not courier.deliver() and left and not isinstance(courier.failure, BusyError):
            left = list(pauses) if courier.waiting() < before else left
            before = courier.waiting()
            time.sleep(left.pop(0))
    finally:
        courier.close()
    waiting = courier.waiting()
    failure = reason(courier.failure) if courier.failure is not None else ""
    return Shipment(at_first - waiting, waiting, courier.set_aside, failure)


def _outage(failure: Exception) -> str:
    if isinstance(failure, BusyError):
        return f"Not shipping to the tracking server: {failure}."
    return (
        f"The tracking server cannot be reached ({reason(failure)}). The search goes on;"
        " what is missing there is shipped later, or by `python -m search sync`."
    )
