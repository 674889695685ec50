"""How long a model takes to predict one sample by itself."""

import statistics
import time

import keras
import tensorflow as tf

from search.data.arrays import Array

WARM_UP, TIMED = 10, 60


def latency_ms(model: keras.Model, sample: Array) -> float:
    """Return the median milliseconds of a prediction at batch size 1 on this machine.

    Weights do not matter, so the model need not be trained. The first calls, which trace and
    allocate, are not timed.

    Args:
        model: built.
        sample: `(1, ...)`, as the model receives it.
    """
    predict = tf.function(lambda inputs: model(inputs, training=False))
    inputs = tf.constant(sample)
    seconds = [_timed(predict, inputs) for _ in range(WARM_UP + TIMED)]
    return statistics.median(seconds[WARM_UP:]) * 1000


def _timed(predict: tf.types.experimental.PolymorphicFunction, inputs: tf.Tensor) -> float:
    started = time.perf_counter()
    # Outputs that lie on a device are only there once they are fetched.
    [tensor.numpy() for tensor in tf.nest.flatten(predict(inputs))]
    return time.perf_counter() - started
