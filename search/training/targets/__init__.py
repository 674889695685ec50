"""In which form a model's loss wants its targets, and how its outputs are scored."""

from typing import Any

import keras

from search.data.arrays import Array
from search.tasks import CLASSIFICATION, MULTI_LABEL, MULTI_OUTPUT, REGRESSION, Task
from search.training.targets.base import AUTO_SCALING, Scores, Targets
from search.training.targets.classes import ClassTargets
from search.training.targets.labels import LabelTargets
from search.training.targets.numbers import NumberTargets
from search.training.targets.several import SeveralTargets

__all__ = [
    "AUTO_SCALING",
    "ClassTargets",
    "LabelTargets",
    "NumberTargets",
    "Scores",
    "SeveralTargets",
    "Targets",
    "targets_for",
]

_KINDS: dict[str, type[Targets]] = {
    CLASSIFICATION: ClassTargets,
    MULTI_LABEL: LabelTargets,
    REGRESSION: NumberTargets,
    MULTI_OUTPUT: SeveralTargets,
}


def targets_for(
    model: keras.Model,
    task: Task,
    sample: Any,
    training: Array | None = None,
    weights: Array | None = None,
    *,
    scaling: str = AUTO_SCALING,
) -> Targets:
    """Find out what a compiled model's loss wants and what its outputs are.

    Args:
        model: compiled.
        task: what it is to predict.
        sample: one sample or more, better eight, as the model receives them.
        training: targets that it is trained on, in the task's form, `(n, ...)`; None where the
            result is to be given them later, by `Targets.on`.
        weights: `(n,)`, by which those samples count; None if all count the same.
        scaling: `auto` standardises numbers where that does no harm, `off` never.

    Raises:
        ValueError: the model's outputs do not fit the task, or its loss does not.
    """
    found = _KINDS[task.name].of(model, task, sample)
    return found if training is None else found.on(training, weights, scaling=scaling)
