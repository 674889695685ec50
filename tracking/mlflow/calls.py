"""Calls of MLflow that end in time, and what a server did when they fail."""

import re
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from tracking.secrets import without_secrets

_LONGEST = 300  # characters of a reason

Value = TypeVar("Value")


class ServerFault(RuntimeError):
    """A tracking server that answers badly, or not in time; the message says what it did."""


class Overdue(Exception):
    """A call took longer than it may; nobody waits for it any more."""


class Abandonable(threading.Thread):
    """A daemon thread for one call that nobody need wait for.

    Attributes:
        abandoned: nobody waits any more; `tracking.mlflow.transport` then begins no exchange.
        value: what the call returned.
        error: what it raised.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(name="publisher", daemon=True)
        self.abandoned = False
        self.value: Any = None
        self.error: BaseException | None = None
        self._call = call

    def run(self) -> None:
        """Make the call."""
        try:
            self.value = self._call()
        except BaseException as error:  # noqa: BLE001 # raised where it is waited for
            self.error = error


def within(seconds: float, call: Callable[[], Value]) -> Value:
    """Return what a call of MLflow returns, if it does so in time.

    Raises:
        ServerFault: it takes longer than `seconds`.
    """
    end = time.monotonic() + seconds
    try:
        return finish(call, lambda: end)
    except Overdue:
        raise ServerFault(f"it did not answer within {seconds:.0f} s") from None


def finish(call: Callable[[], Value], overdue_at: Callable[[], float]) -> Value:
    """Return what a call returns or raises, unless it is overdue.

    Args:
        call: made in a thread of its own.
        overdue_at: when to give up, by the monotonic clock; asked again every second.

    Raises:
        Overdue: it is.
    """
    thread = Abandonable(call)
    thread.start()
    try:
        while thread.is_alive() and (left := overdue_at() - time.monotonic()) > 0:
            thread.join(min(left, 1.0))
    finally:
        thread.abandoned = thread.is_alive()
    if thread.abandoned:
        raise Overdue
    if thread.error is not None:
        raise thread.error
    value: Value = thread.value
    return value


def reason(error: BaseException) -> str:
    """Return an error's first line, short, without a password in an address.

    What a server did wrong goes first. Where a library tells a chain of causes in one line, the
    last of them is returned.
    """
    fault = fault_in(error)
    if fault is not None:
        return without_secrets(str(fault))[:_LONGEST]
    lines = str(error).strip().splitlines() or [type(error).__name__]
    _, _, cause = lines[0].rpartition("Caused by ")
    shown = re.split(r": |\('|\(\"", cause.rstrip(")\"'"))[-1] if cause != lines[0] else lines[0]
    return without_secrets(shown)[:200]


def fault_in(error: BaseException) -> ServerFault | None:
    """Return the fault of a server that an error came of; None where there was none."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, ServerFault):
            return link
        link = link.__cause__ or link.__context__
    return None
