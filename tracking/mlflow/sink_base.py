"""The seam between what happened and where it is shown."""

from typing import Protocol

from tracking.history import History
from tracking.records import Record


class Sink(Protocol):
    """Takes a study's records, in order, to a place where people look at them.

    Every record may be applied more than once, also by another process after a crash; the effect
    is that of applying it once. `apply` raises whatever the place raises when it cannot be
    reached; the caller tries again later with the same record.
    """

    def apply(self, record: Record, history: History, *, more: bool = False) -> None:
        """Show `record`; `history` already contains it and everything before it.

        Where `more` records follow at once, what is told of the study as a whole may be left to
        the last of them.
        """

    def close(self) -> None:
        """Let go of connections."""
