"""Trains folds in this very process: for debugging and for tests."""

from collections import deque
from typing import TYPE_CHECKING

from search.executors.base import Executor, OnRecord
from search.executors.protocol import FoldKey, FoldTask, Work

if TYPE_CHECKING:
    from search.training.fold_data import FoldData


class InlineExecutor(Executor):
    """One slot, no worker process; TensorFlow is imported here at the first task."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._tasks: deque[FoldTask] = deque()
        self._data: FoldData | None = None

    def submit(self, task: FoldTask) -> None:
        """Queue the task."""
        self._tasks.append(task)

    def wait(self, on_record: OnRecord) -> FoldKey:
        """Train the oldest queued fold to its end."""
        from search.training.fold import train_fold
        from search.training.fold_data import FoldData

        self._data = self._data or FoldData.open(self._work)
        task = self._tasks.popleft()
        train_fold(self._data, task, on_record, interruptible=True)
        return task.key

    def close(self) -> None:
        """Forget queued tasks."""
        self._tasks.clear()
