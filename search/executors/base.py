"""The seam to where folds are trained."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from search.executors.protocol import FoldKey, FoldTask, Verdict
from tracking.records import Record

OnRecord = Callable[[Record], Verdict]


class Executor(ABC):
    """Trains folds of trials, as many at once as it has slots.

    One thread, the coordinator's, calls all methods. Records reach `on_record` in that thread,
    during `wait`; its verdict decides whether the fold goes on. A task reports a `FoldStarted`, its
    epochs and last a `FoldEnded`, unless the verdict was to stop. One that broke off reports an
    `AttemptFailed` last.

    Attributes:
        slots: how many tasks may be submitted and not yet over.
    """

    slots: int = 1

    @abstractmethod
    def submit(self, task: FoldTask) -> None:
        """Take on a task; it starts at once or at the next `wait`.

        A worker that has trained another fold of the same trial is preferred.
        """

    @abstractmethod
    def wait(self, on_record: OnRecord) -> FoldKey | None:
        """Go on until a task is over or stopped, and return its trial and fold.

        An executor whose `slots` change returns None when there are more of them.
        """

    @abstractmethod
    def close(self) -> None:
        """Abandon what runs and let go of workers; may be called twice."""
