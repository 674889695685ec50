"""How training and prediction data reach Keras."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from search.augmentation import Augmentation

PREDICTION_BATCH = 512

Array = npt.NDArray[Any]


def takes_any_length(model: keras.Model) -> bool:
    """Say whether a model takes sequences of any length, so that padding may be cut off.

    Such models must ignore padding; an `Embedding` with `mask_zero=True` sees to it.
    """
    shape = model.input_shape
    return isinstance(shape, tuple) and len(shape) == 2 and shape[1] is None


def batches(
    arrays: tuple[Array, ...],
    *,
    batch_size: int,
    seed: int,
    augmentation: Augmentation | None,
    trim: bool,
) -> Any:
    """Return a `tf.data.Dataset` of shuffled training batches, another order every epoch.

    Args:
        arrays: inputs and targets, optionally sample weights; all `(n, ...)`.
        batch_size: samples a batch; the last may be smaller.
        seed: decides the order and the augmentation.
        augmentation: how images are moved, or None.
        trim: cut each batch of token sequences to its longest.
    """
    made = tf.data.Dataset.from_tensor_slices(arrays)
    made = made.shuffle(len(arrays[0]), seed=seed, reshuffle_each_iteration=True)
    made = made.batch(batch_size)
    if augmentation is not None:
        moves = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
        made = tf.data.Dataset.zip(made, moves).map(
            lambda batch, move: (augmentation.apply(batch[0], move), *batch[1:]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    if trim:
        made = made.map(lambda inputs, *rest: (_trimmed(inputs), *rest))
    options = tf.data.Options()
    options.deterministic = True
    return made.with_options(options).prefetch(2)


def outputs(model: keras.Model, inputs: Array) -> Array:
    """Return a model's outputs, float32 `(n, units)`, computed in large batches.

    Sequences are computed shortest first where padding may be cut off.
    """
    if not takes_any_length(model):
        made = model.predict(inputs, batch_size=PREDICTION_BATCH, verbose=0)
        return np.asarray(made, dtype=np.float32)
    order = np.argsort(np.count_nonzero(inputs, axis=1), kind="stable")
    data = tf.data.Dataset.from_tensor_slices(inputs[order]).batch(PREDICTION_BATCH)
    sorted_outputs = np.asarray(model.predict(data.map(_trimmed), verbose=0), np.float32)
    made = np.empty_like(sorted_outputs)
    made[order] = sorted_outputs
    return made


def _trimmed(tokens: Any) -> Any:
    longest = tf.reduce_max(tf.math.count_nonzero(tokens, axis=1, dtype=tf.int32))
    return tokens[:, : tf.maximum(longest, 1)]
