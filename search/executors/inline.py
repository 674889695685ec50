"""Evaluates trials in this very process: for debugging and for tests."""

from collections import deque

from search.executors.base import Executor, OnRecord
from search.executors.protocol import TrialTask, Work
from search.executors.worker import Training


class InlineExecutor(Executor):
    """One slot, no worker process; TensorFlow is imported here at the first trial."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._tasks: deque[TrialTask] = deque()
        self._training: Training | None = None

    def submit(self, task: TrialTask) -> None:
        """Queue the trial."""
        self._tasks.append(task)

    def wait(self, on_record: OnRecord) -> int:
        """Evaluate the oldest queued trial to its end."""
        self._training = self._training or Training(self._work)
        task = self._tasks.popleft()
        self._training.evaluate(task, on_record, interruptible=True)
        return task.trial

    def close(self) -> None:
        """Forget queued trials."""
        self._tasks.clear()
