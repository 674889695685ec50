"""Trains folds in this very process: for debugging and for tests."""

from collections import deque

from search.executors.base import Executor, OnRecord
from search.executors.protocol import FoldKey, FoldTask, Work
from search.executors.worker import Training


class InlineExecutor(Executor):
    """One slot, no worker process; TensorFlow is imported here at the first task."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._tasks: deque[FoldTask] = deque()
        self._training: Training | None = None

    def submit(self, task: FoldTask) -> None:
        """Queue the task."""
        self._tasks.append(task)

    def wait(self, on_record: OnRecord) -> FoldKey:
        """Train the oldest queued fold to its end."""
        self._training = self._training or Training(self._work)
        task = self._tasks.popleft()
        self._training.train(task, on_record, interruptible=True)
        return task.key

    def close(self) -> None:
        """Forget queued tasks."""
        self._tasks.clear()
