"""Keras's metrics: which of them tell something of which task, and how they are computed."""

from typing import Any

import numpy as np

from search.tasks.base import CLASSIFICATION, MULTI_LABEL, REGRESSION, Array, Scored, Task

_ERRORS = ("mean_squared_error", "root_mean_squared_error", "mean_absolute_error")
_OF_ALL_LABELS = (*_ERRORS, "auc", "f1_score", "hinge", "squared_hinge")
_OF_PROBABILITIES = ("binary_crossentropy",)
_TOP = 5  # Keras's `k`
# Names by the task whose predictions they tell something of. Keras computes others, too: of one
# number the accuracy and the cosine, of two labels the likelier one.
_FITTING = {
    CLASSIFICATION: frozenset(
        {
            *_OF_ALL_LABELS,
            *_OF_PROBABILITIES,
            "binary_accuracy",
            "categorical_accuracy",
            "categorical_crossentropy",
            "categorical_hinge",
            "cosine_similarity",
            "kl_divergence",
            "sparse_categorical_accuracy",
            "sparse_categorical_crossentropy",
            "sparse_top_k_categorical_accuracy",
            "top_k_categorical_accuracy",
        }
    ),
    MULTI_LABEL: frozenset({*_OF_ALL_LABELS, *_OF_PROBABILITIES, "binary_accuracy"}),
    REGRESSION: frozenset(
        {
            *_ERRORS,
            "cosine_similarity",
            "log_cosh_error",
            "mean_absolute_percentage_error",
            "mean_squared_logarithmic_error",
            "poisson",
            "r2_score",
        }
    ),
}
_NOT_OF_SCORES = ("crossentropy", "divergence", "_error", "auc", "f1_score")
_NOT_NEGATIVE = ("mean_squared_logarithmic_error", "poisson")  # Keras moves others up to 0


def fits_keras(name: str, task: Task) -> bool:
    """Say whether a metric of Keras's tells good predictions of a task from bad ones."""
    if name not in _FITTING.get(task.name, ()):
        return False
    if task.name == CLASSIFICATION and "top_k" in name:
        return task.units > _TOP  # of fewer classes the true one is always among the first
    return task.name != REGRESSION or name != "cosine_similarity" or task.units > 1


def keras_value(name: str, task: Task, scored: Scored) -> float:
    """Return a metric of all samples, in float64; classes are one-hot rows, two are 0 and 1.

    Args:
        name: in snake case.
        task: what is predicted.
        scored: the samples; targets `(n,)` or `(n, units)`.

    Raises:
        ValueError: the metric has no meaning for these values.
    """
    true, given = _forms(name, task, scored.values, scored.targets)
    _check(name, task, true, given, of_chances=scored.are_probabilities)
    metric = _metric(name, task)
    kind = _kind(name)
    metric.update_state(
        np.asarray(true, kind), np.asarray(given, kind), sample_weight=scored.weights
    )
    return float(np.asarray(metric.result()).mean())


def _forms(name: str, task: Task, values: Array, targets: Array) -> tuple[Array, Array]:
    if name == "r2_score":  # Keras subtracts sums of squares; far from 0 no digit is left
        middle = targets.mean(axis=0)
        return targets - middle, values - middle
    if task.name != CLASSIFICATION or name.startswith("sparse_"):
        return targets, values
    if values.shape[1] == 2 and not name.startswith(("categorical", "top_k", "kl_", "cosine")):
        return targets[:, np.newaxis], values[:, 1:]
    return np.eye(values.shape[1])[targets], values


def _check(name: str, task: Task, true: Array, given: Array, *, of_chances: bool) -> None:
    if task.name == CLASSIFICATION and not of_chances and name.endswith(_NOT_OF_SCORES):
        raise ValueError(f"{name} needs probabilities, and the models' outputs are scores")
    for whose, numbers in (("targets", true), ("models' predictions", given)):
        if name in _NOT_NEGATIVE and numbers.min() < 0:
            raise ValueError(
                f"{name} needs numbers of at least 0; the least of the {whose} is {numbers.min():g}"
            )


def _metric(name: str, task: Task) -> Any:
    import keras

    options: dict[str, Any] = {"dtype": _kind(name)}
    if name == "f1_score" and (task.name == MULTI_LABEL or task.units == 2):
        options["threshold"] = 0.5  # without one, the largest value of a row is the prediction
    return getattr(keras.metrics, _camel(name))(**options)


def _kind(name: str) -> str:
    """Return the type to compute in: float64, for dates; TensorFlow ranks float32 alone."""
    return "float32" if "top_k" in name else "float64"


def _camel(name: str) -> str:
    special = {"auc": "AUC", "kl_divergence": "KLDivergence"}
    return special.get(name) or "".join(part.capitalize() for part in name.split("_"))
