"""Calibration as a part of a model, in Keras's own operations, so that Keras alone loads it."""

from typing import Any

import numpy as np

from search.analysis.calibration import ISOTONIC, TEMPERATURE, Calibration, Knots
from search.analysis.library import SMALLEST
from search.tasks import MULTI_LABEL, Task

NOT_ASKED = "it was not asked for"  # why a model has none, as its record and card say


def with_calibration(values: Any, calibration: Calibration, task: Task) -> Any:
    """Return calibrated probabilities of symbolic ones; the same without a calibration.

    Args:
        values: a Keras tensor of probabilities, `(n, classes)` or `(n, labels)`.
        calibration: as `search.analysis.calibration` finds it.
        task: of classes or labels.
    """
    if calibration.kind == TEMPERATURE:
        change = _sigmoid_of_odds if task.name == MULTI_LABEL else _softmax_of_logs
        return change(values, calibration.temperature)
    if calibration.kind == ISOTONIC:
        return _interpolated(values, calibration.knots, task)
    return values


def _logs(values: Any) -> Any:
    from keras import ops

    return ops.log(ops.maximum(values, SMALLEST))


def _sigmoid_of_odds(values: Any, temperature: float) -> Any:
    from keras import ops

    return ops.sigmoid((_logs(values) - _logs(1 - values)) / temperature)


def _softmax_of_logs(values: Any, temperature: float) -> Any:
    from keras import ops

    return ops.softmax(_logs(values) / temperature, axis=-1)


def _interpolated(values: Any, knots: tuple[Knots, ...], task: Task) -> Any:
    from keras import ops

    if task.name != MULTI_LABEL and len(knots) == 1:
        second = _piecewise(values[:, 1:], knots)
        return ops.concatenate([1 - second, second], axis=-1)
    found = _piecewise(values, knots)
    if task.name == MULTI_LABEL:
        return found
    return found / ops.sum(found, axis=-1, keepdims=True)


def _piecewise(values: Any, knots: tuple[Knots, ...]) -> Any:
    """Return a piecewise linear function of each column: the sum of its rises up to a value."""
    from keras import ops

    places, rises, first = _table(knots)
    left, right = places[:, :-1], places[:, 1:]
    inside = ops.maximum(ops.minimum(ops.expand_dims(values, -1), right), left) - left
    return ops.sum(inside * rises, axis=-1) + first


def _table(knots: tuple[Knots, ...]) -> tuple[Any, Any, Any]:
    """Return corners `(columns, corners)`, slopes between them, and values at the first.

    Functions with fewer corners have their last one repeated, with a slope of 0.
    """
    most = max(2, *(len(x) for x, _ in knots))
    places = np.array([[*x, *[x[-1]] * (most - len(x))] for x, _ in knots])
    values = np.array([[*y, *[y[-1]] * (most - len(y))] for _, y in knots])
    wide = np.diff(places, axis=1)
    rises = np.diff(values, axis=1) / np.where(wide > 0, wide, 1)
    found = [array.astype(np.float32) for array in (places, rises, values[:, 0])]
    return found[0], found[1], found[2]
