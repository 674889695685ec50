"""How training and prediction data reach Keras."""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from search.augmentation import Augmentation

PREDICTION_BATCH = 512
WINDOW = 50

Array = npt.NDArray[Any]


def takes_any_length(model: keras.Model) -> bool:
    """Say whether a model takes sequences of any length, so that padding may be cut off.

    Such models must ignore padding; an `Embedding` with `mask_zero=True` sees to it.
    """
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):  # a class of its own
        return False
    return isinstance(shape, tuple) and len(shape) == 2 and shape[1] is None


def image_batches(
    arrays: tuple[Array, ...], *, batch_size: int, seed: int, augmentation: Augmentation
) -> Any:
    """Return a `tf.data.Dataset` of shuffled, moved batches, other ones every epoch.

    Args:
        arrays: images and targets, optionally sample weights; all `(n, ...)`.
        batch_size: samples a batch; the last may be smaller.
        seed: decides the order and the movements.
        augmentation: how images are moved.
    """
    made = tf.data.Dataset.from_tensor_slices(arrays)
    made = made.shuffle(len(arrays[0]), seed=seed, reshuffle_each_iteration=True)
    moves = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
    made = tf.data.Dataset.zip(made.batch(batch_size), moves).map(
        lambda batch, move: (augmentation.apply(batch[0], move), *batch[1:]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    options = tf.data.Options()
    options.deterministic = True
    return made.with_options(options).prefetch(2)


def sequence_batches(arrays: tuple[Array, ...], *, batch_size: int, seed: int) -> Any:
    """Return a `tf.data.Dataset` of batches of sequences of like length, cut to the longest.

    The samples of an epoch are shuffled, sorted by length within windows of `WINDOW` batches, and
    the batches shuffled; so batches are random, and little is computed on padding.

    Args:
        arrays: tokens `(n, length)` and targets, optionally sample weights.
        batch_size: samples a batch; some may be smaller.
        seed: decides the order.
    """
    random = np.random.RandomState(seed % 2**32)
    tokens, *others = arrays
    lengths = np.maximum(np.count_nonzero(tokens, axis=1), 1)

    def epoch() -> Iterator[tuple[Array, ...]]:
        for rows in _like_lengths(lengths, batch_size, random):
            yield tokens[rows, : lengths[rows].max()], *(other[rows] for other in others)

    signature = (
        tf.TensorSpec((None, None), tokens.dtype),
        *(tf.TensorSpec((None, *other.shape[1:]), other.dtype) for other in others),
    )
    made = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    count = math.ceil(len(lengths) / batch_size)
    return made.apply(tf.data.experimental.assert_cardinality(count)).prefetch(2)


def _like_lengths(lengths: Array, batch_size: int, random: np.random.RandomState) -> list[Array]:
    order = random.permutation(len(lengths))
    made = []
    for start in range(0, len(order), WINDOW * batch_size):
        window = order[start : start + WINDOW * batch_size]
        window = window[np.argsort(lengths[window], kind="stable")]
        made += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    return [made[index] for index in random.permutation(len(made))]


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
