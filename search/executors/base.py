"""The seam to where trials are evaluated."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from search.executors.protocol import TrialTask, Verdict
from tracking.records import Record

OnRecord = Callable[[Record], Verdict]


class Executor(ABC):
    """Evaluates trials, as many at once as it has slots.

    One thread, the coordinator's, calls all methods. Records reach `on_record` in that thread,
    during `wait`; its verdict decides how the trial goes on. A task that ends its trial reports a
    `TrialEnded` last (one that confirms it, a `TrialConfirmed`), unless the verdict was to halt. A
    task that broke off where its setting may not be to blame reports an `AttemptFailed` last.

    Attributes:
        slots: how many tasks may be submitted and not yet over.
    """

    slots: int = 1

    @abstractmethod
    def submit(self, task: TrialTask) -> None:
        """Take on a task; it starts at once or at the next `wait`."""

    @abstractmethod
    def wait(self, on_record: OnRecord) -> int | None:
        """Go on until a task is over or halted, and return its trial's number.

        An executor whose `slots` change returns None when there are more of them.
        """

    @abstractmethod
    def close(self) -> None:
        """Abandon what runs and let go of workers; may be called twice."""
