"""A Keras model around another one, so that it gives one probability a class."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from search.tasks.outputs import LOGITS, SCORES, SIGMOID_LOGITS, Outputs, last_activation, single

Array = npt.NDArray[Any]


def with_values(model: keras.Model, inputs: Any, outputs: Outputs) -> Any:
    """Return a symbolic value a class, float32 `(n, classes)`, of a model for symbolic inputs.

    What `Outputs.values` computes with NumPy, out of Keras's own layers, so that it can be written
    in every format.

    Args:
        model: with weights.
        inputs: what goes in.
        outputs: what its outputs mean.
    """
    found = single(model(inputs))
    is_one = found.shape[-1] == 1
    if outputs.meaning == SCORES:
        if not is_one:
            return found
        above = layers.Rescaling(1.0, offset=-outputs.threshold)(found)
        return layers.Concatenate()([layers.Rescaling(-1.0)(above), above])
    if outputs.meaning in (LOGITS, SIGMOID_LOGITS):
        is_softmax = outputs.meaning == LOGITS and not is_one
        found = layers.Activation("softmax" if is_softmax else "sigmoid")(found)
    if is_one:
        return layers.Concatenate()([layers.Rescaling(-1.0, offset=1.0)(found), found])
    if outputs.meaning == LOGITS or last_activation(model) == "softmax":
        return found
    found = layers.ReLU()(found)
    return found / keras.ops.sum(found, axis=-1, keepdims=True)  # shares that sum to 1


def probable_model(
    model: keras.Model, outputs: Outputs, samples: Array, *, kind: str
) -> keras.Model:
    """Return a functional model with the input `inputs` and the output `probabilities`.

    Args:
        model: with weights.
        outputs: what its outputs mean.
        samples: real ones, as the model receives them.
        kind: of the samples.
    """
    inputs = new_input(model, samples, kind)
    found = with_values(model, inputs, outputs)
    name = "scores" if outputs.meaning == SCORES else "probabilities"
    named = layers.Activation("linear", dtype="float32", name=name)(found)
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
    return np.asarray(keras.ops.convert_to_numpy(single(model(some, training=False))), np.float32)
