"""Evaluates trials in this very process: for debugging and for tests."""

from collections import deque
from typing import TYPE_CHECKING

from search.executors.base import Executor, OnRecord
from search.executors.protocol import TrialTask, Work

if TYPE_CHECKING:
    from search.training.fold_data import Bench


class InlineExecutor(Executor):
    """One slot, no worker process; TensorFlow is imported here at the first trial."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._tasks: deque[TrialTask] = deque()
        self._bench: Bench | None = None

    def submit(self, task: TrialTask) -> None:
        """Queue the trial."""
        self._tasks.append(task)

    def wait(self, on_record: OnRecord) -> int:
        """Evaluate the oldest queued trial to its end."""
        from search.training.fold_data import Bench
        from search.training.trial import evaluate_trial

        self._bench = self._bench or Bench.open(self._work)
        task = self._tasks.popleft()
        evaluate_trial(self._bench, task, on_record, interruptible=True)
        return task.trial

    def close(self) -> None:
        """Forget queued trials."""
        self._tasks.clear()
