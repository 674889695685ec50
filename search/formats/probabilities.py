"""A Keras model around another one, so that it gives one probability a class."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from search.targets import BINARY, Targets

Array = npt.NDArray[Any]


def with_probabilities(model: keras.Model, inputs: Any, targets: Targets, some: Array) -> Any:
    """Return the symbolic probabilities, float32 `(n, classes)`, of a model for symbolic inputs.

    What `Targets.probabilities` computes with NumPy, out of Keras's own layers, so that it can be
    written in every format.

    Args:
        model: with weights.
        inputs: what goes in.
        targets: what its outputs mean.
        some: outputs of the model for real samples, `(n, units)`.
    """
    found = model(inputs)
    if targets.logits:
        found = layers.Activation("sigmoid" if targets.form == BINARY else "softmax")(found)
    if targets.form == BINARY:
        return layers.Concatenate()([layers.Rescaling(-1.0, offset=1.0)(found), found])
    if not np.array_equal(targets.probabilities(some), some) and not targets.logits:
        found = layers.ReLU()(found)
        return found / keras.ops.sum(found, axis=-1, keepdims=True)  # shares that sum to 1
    return found


def probable_model(
    model: keras.Model, targets: Targets, samples: Array, some: Array, *, kind: str
) -> keras.Model:
    """Return a functional model with the input `inputs` and the output `probabilities`.

    Args:
        model: with weights.
        targets: what its outputs mean.
        samples: real ones, as the model receives them.
        some: outputs of the model for them, `(n, units)`.
        kind: of the samples.
    """
    inputs = new_input(model, samples, kind)
    found = with_probabilities(model, inputs, targets, some)
    named = layers.Activation("linear", dtype="float32", name="probabilities")(found)
    made = keras.Model(inputs, named, name="foldwise")
    outputs_of(made, samples[:1])  # the exporters take only models that were called
    return made


def new_input(model: keras.Model, samples: Array, kind: str) -> Any:
    """Return a symbolic input for what a model takes.

    Args:
        model: with weights.
        samples: real ones, as the model receives them.
        kind: of the samples.
    """
    known = getattr(model, "inputs", None)
    if known and len(known) == 1:
        shape, dtype = tuple(known[0].shape[1:]), known[0].dtype
    else:  # a class of its own that has been called
        shape, dtype = samples.shape[1:], "int32" if kind == "text" else "float32"
    return keras.Input(shape, dtype=dtype, name="inputs")


def outputs_of(model: keras.Model, some: Array) -> Array:
    """Return a model's outputs for a few samples, float32 `(n, units)`, in one piece."""
    return np.asarray(keras.ops.convert_to_numpy(model(some, training=False)), np.float32)
