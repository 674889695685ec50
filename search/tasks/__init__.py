"""What is predicted, and how good predictions are."""

from search.tasks.base import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    Metric,
    Predictions,
    Task,
)
from search.tasks.classification import Classification
from search.tasks.multi_label import MultiLabel
from search.tasks.regression import Regression

__all__ = [
    "CLASSIFICATION",
    "MULTI_LABEL",
    "REGRESSION",
    "TASKS",
    "Classification",
    "Metric",
    "MultiLabel",
    "Predictions",
    "Regression",
    "Task",
    "task_of",
]

TASKS: dict[str, type[Task]] = {
    kind.name: kind for kind in (Classification, MultiLabel, Regression)
}


def task_of(name: str, names: tuple[str, ...]) -> Task:
    """Return a task by its name, with the names of what is predicted."""
    return TASKS[name](names)
