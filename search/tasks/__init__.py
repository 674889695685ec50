"""What is predicted, and how good predictions are."""

from search.tasks.base import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    Metric,
    OutputMeaning,
    Predictions,
    Task,
)
from search.tasks.classification import Classification, Outputs
from search.tasks.multi_label import LabelOutputs, MultiLabel
from search.tasks.regression import NumberOutputs, Regression
from tracking.records import Json

__all__ = [
    "CLASSIFICATION",
    "MULTI_LABEL",
    "REGRESSION",
    "TASKS",
    "Classification",
    "LabelOutputs",
    "Metric",
    "MultiLabel",
    "NumberOutputs",
    "OutputMeaning",
    "Outputs",
    "Predictions",
    "Regression",
    "Task",
    "outputs_of",
    "task_of",
]

TASKS: dict[str, type[Task]] = {
    kind.name: kind for kind in (Classification, MultiLabel, Regression)
}


def task_of(name: str, names: tuple[str, ...]) -> Task:
    """Return a task by its name, with the names of what is predicted."""
    return TASKS[name](names)


_OUTPUTS: dict[str, type[OutputMeaning]] = {
    CLASSIFICATION: Outputs,
    MULTI_LABEL: LabelOutputs,
    REGRESSION: NumberOutputs,
}


def outputs_of(known: Json) -> OutputMeaning:
    """Return what outputs mean from `OutputMeaning.to_json`."""
    return _OUTPUTS[known["task"]].from_json(known)
