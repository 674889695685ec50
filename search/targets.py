"""In which form a model wants its labels, and how its outputs become probabilities."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

INTEGERS, ONE_HOT, BINARY = "integers", "one-hot", "binary"

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Targets:
    """The label format of a compiled model, read off its output and its loss.

    Attributes:
        form: `integers` (n,), `one-hot` float32 (n, classes), or `binary` float32 (n, 1) for a
            model of two classes with one output, the probability of the second.
        classes: number of classes.
        logits: the outputs are logits, as the loss was told (`from_logits=True`).
    """

    form: str
    classes: int
    logits: bool = False

    @classmethod
    def of(cls, model: keras.Model, classes: int, sample: Array) -> "Targets":
        """Return the label format that a compiled model's loss asks for.

        Args:
            model: compiled.
            classes: number of classes.
            sample: one sample or more as the model receives them.

        Raises:
            ValueError: the model has not one output, or not one number a class.
        """
        units = output_units(model, classes, sample)
        loss = keras.losses.get(model.loss)
        name = getattr(loss, "__name__", type(loss).__name__).replace("_", "").lower()
        logits = isinstance(loss, keras.losses.Loss) and bool(
            loss.get_config().get("from_logits", False)
        )
        if units == 1:
            return cls(BINARY, classes, logits)
        # Without a loss the model's own step computes one, from the labels as they are.
        return cls(INTEGERS if "sparse" in name or loss is None else ONE_HOT, classes, logits)

    def encode(self, labels: Array) -> Array:
        """Return class numbers `(n,)` in the form the loss asks for."""
        if self.form == BINARY:
            return labels.astype(np.float32)[:, np.newaxis]
        if self.form == ONE_HOT:
            return np.eye(self.classes, dtype=np.float32)[labels]
        return labels

    def probabilities(self, outputs: Array) -> Array:
        """Return float32 probabilities `(n, classes)` for a model's outputs."""
        values = np.asarray(outputs, np.float32)
        if self.logits:
            values = _sigmoid(values) if self.form == BINARY else _softmax(values)
        if self.form == BINARY:
            second = np.clip(values.reshape(len(values), 1), 0.0, 1.0)
            return np.concatenate([1 - second, second], axis=1)
        return _shares(values)


def output_units(model: keras.Model, classes: int, sample: Array) -> int:
    """Return the number of a model's outputs a sample; a model without weights yet gets them.

    Raises:
        ValueError: it fits no number of classes.
    """
    try:
        shape = model.output_shape
    except (AttributeError, ValueError):  # it has no input layer, or is a class of its own
        shape = tuple(model(sample[:1]).shape)
    if not isinstance(shape, tuple) or len(shape) != 2:
        raise ValueError(f"a model must have one output of shape (n, classes); it has {shape}")
    units = int(shape[-1])
    if units != classes and (units, classes) != (1, 2):
        raise ValueError(
            f"a model must have one output a class; it has {units} outputs for {classes} classes"
        )
    return units


def _sigmoid(values: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-values.astype(np.float64))), np.float32)


def _softmax(values: Array) -> Array:
    powers = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _shares(values: Array) -> Array:
    """Return rows that sum to 1; outputs of a softmax stay as they are."""
    sums = values.sum(axis=1, keepdims=True)
    if values.min(initial=0.0) >= 0 and np.abs(sums - 1).max(initial=0.0) < 1e-2:
        return values
    positive = np.clip(values, 0.0, None)
    sums = positive.sum(axis=1, keepdims=True)
    equal = np.float32(1 / values.shape[1])
    return np.where(sums > 0, positive / np.where(sums > 0, sums, 1), equal)
