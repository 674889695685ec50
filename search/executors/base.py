"""The seam to where trials are evaluated."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from search.work import TrialTask, Verdict
from tracking.records import Record

OnRecord = Callable[[Record], Verdict]


class Executor(ABC):
    """Evaluates trials, as many at once as it has slots.

    One thread, the coordinator's, calls all methods. Records reach `on_record` in that thread,
    during `wait`; its verdict decides how the trial goes on. Every submitted trial ends with a
    `TrialEnded` record, also when its worker is lost, unless the verdict was to halt.

    Attributes:
        slots: how many trials may be submitted and not yet ended.
    """

    slots: int = 1

    @abstractmethod
    def submit(self, task: TrialTask) -> None:
        """Take on a trial; it starts at once or at the next `wait`."""

    @abstractmethod
    def wait(self, on_record: OnRecord) -> int:
        """Go on until a trial is over or halted, and return its number."""

    @abstractmethod
    def close(self) -> None:
        """Abandon what runs and let go of workers; may be called twice."""
