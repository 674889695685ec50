"""How long a model takes to predict one sample by itself."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from search.analysis.comparison.contenders import Contender
from search.data.arrays import Array
from search.data.folds import Folds
from search.export.final import same_dataset
from search.export.refit import Final
from search.quiet import load_tensorflow
from search.studies import study_history
from search.text import Notify
from tracking.home import Home

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


def measured_latencies(
    home: Home, contenders: Sequence[Contender], *, data_dir: Path | None, notify: Notify
) -> tuple[float, ...]:
    """Return the milliseconds of one prediction at batch size 1 on this machine, for each.

    The models are built, not trained: weights do not matter. Imports TensorFlow.

    Args:
        home: where datasets are kept.
        contenders: whose models are measured, in the precision they were trained in.
        data_dir: where the user's own copies of datasets are.
        notify: takes notices for the user.

    Raises:
        DataError: the dataset cannot be had, or is not the one the study began with.
        SettingsError: a study's space can no longer be had, or has changed.
    """
    load_tensorflow()

    found = []
    for contender in contenders:
        history, folds = study_history(contender.folder), Folds.load(contender.folder.folds)
        dataset = same_dataset(history, home, data_dir, notify)
        model = Final.of(history, contender.trial, dataset, folds, home=home)
        sample = model.inputs.take(model.encoder, folds.used[:1])
        found.append(latency_ms(model.build(model.precision), sample))
    return tuple(found)
