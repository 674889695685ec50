"""What is predicted, and how good predictions are."""

from search.tasks.base import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    Metric,
    OutputMeaning,
    Predictions,
    Scored,
    Task,
)
from search.tasks.classification import Classification, Outputs
from search.tasks.multi_label import LabelOutputs, MultiLabel
from search.tasks.multi_output import (
    MULTI_OUTPUT,
    MultiOutput,
    OutputTask,
    SeveralOutputs,
    SeveralPredictions,
    parts_from,
    parts_to_json,
)
from search.tasks.regression import NumberOutputs, Regression
from tracking.records import Json, StudyStarted

__all__ = [
    "CLASSIFICATION",
    "MULTI_LABEL",
    "MULTI_OUTPUT",
    "REGRESSION",
    "TASKS",
    "Classification",
    "LabelOutputs",
    "Metric",
    "MultiLabel",
    "MultiOutput",
    "NumberOutputs",
    "OutputMeaning",
    "OutputTask",
    "Outputs",
    "Predictions",
    "Regression",
    "Scored",
    "SeveralOutputs",
    "SeveralPredictions",
    "Task",
    "outputs_of",
    "parts_from",
    "parts_to_json",
    "task_of",
    "task_of_study",
]

TASKS: dict[str, type[Task]] = {
    kind.name: kind for kind in (Classification, MultiLabel, Regression, MultiOutput)
}


def task_of(name: str, names: tuple[str, ...], parts: tuple[OutputTask, ...] = ()) -> Task:
    """Return a task by its name, with the names of what is predicted.

    Args:
        name: of the task.
        names: of the classes, labels, numbers or outputs.
        parts: of several outputs, each one's task.
    """
    return MultiOutput(names, parts) if name == MULTI_OUTPUT else TASKS[name](names)


def task_of_study(study: StudyStarted) -> Task:
    """Return what a study predicts, as its first record has it."""
    parts = parts_from(study.dataset.get("outputs", ()))
    return task_of(study.task, tuple(study.classes), parts)


_OUTPUTS: dict[str, type[OutputMeaning]] = {
    CLASSIFICATION: Outputs,
    MULTI_LABEL: LabelOutputs,
    REGRESSION: NumberOutputs,
    MULTI_OUTPUT: SeveralOutputs,
}


def outputs_of(known: Json) -> OutputMeaning:
    """Return what outputs mean from `OutputMeaning.to_json`."""
    return _OUTPUTS[known["task"]].from_json(known)
