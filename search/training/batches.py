"""In which order and batches samples are computed on, and how training images are varied.

Random shifts, turns, zooms and mirrorings are drawn anew every epoch. TensorFlow is imported
where it is needed, since exports take `Part` from here before they load it quietly.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from search.data.arrays import Array
from search.tasks.models import other_weights, single
from spaces import Params

if TYPE_CHECKING:
    import keras

PREDICTION_BATCH = 512
WINDOW = 50
TRIED, DRAWS = 16, 20  # sequences, and draws of weights, by which it is seen if padding counts

_Called = Callable[[Any], Any]


@dataclass(frozen=True)
class Part:
    """Some of the samples, without a copy of them.

    Attributes:
        inputs: `(n, ...)`, all samples as the model receives them; an array, a tensor or
            `Streamed`.
        labels: targets in the form of the task, `(n, ...)`.
        rows: int64 `(m,)`, which of them are meant; None for all.
        groups: int64 `(n,)`, numbers such that samples with the same one stay together when the
            part is cut; None if all are alone.
        time: `(n,)`, by which the later end is cut off; None: at random.
        weights: `(n,)`, by which samples count in losses; None if all count the same.
        weighs_metrics: whether they count in metrics, too.
    """

    inputs: Any
    labels: Array
    rows: Array | None = None
    groups: Array | None = None
    time: Array | None = None
    weights: Array | None = None
    weighs_metrics: bool = True

    @property
    def indices(self) -> Array:
        """The rows that are meant, int64 `(m,)`."""
        return np.arange(len(self.labels)) if self.rows is None else self.rows

    @property
    def own_labels(self) -> Array:
        """The targets of those rows, `(m, ...)`."""
        return self.labels if self.rows is None else self.labels[self.rows]

    @property
    def own_weights(self) -> Array | None:
        """The weights of those rows, `(m,)`."""
        return self.weights if self.weights is None else self.weights[self.indices]

    @property
    def metric_weights(self) -> Array | None:
        """The weights of those rows in metrics, `(m,)`."""
        return self.own_weights if self.weighs_metrics else None


@dataclass(frozen=True)
class Batches:
    """Samples in an order, cut into batches.

    Attributes:
        order: int64 `(m,)`, row numbers.
        ends: int64 `(batches + 1,)`; batch `i` is `order[ends[i]:ends[i + 1]]`.
        longest: int64 `(batches,)`, how much of each sequence is computed on; the rest is padding.
            None where samples are no sequences of any length.
    """

    order: Array
    ends: Array
    longest: Array | None = None

    def __len__(self) -> int:
        return len(self.ends) - 1


def spread(rows: Array, most: int) -> Array:
    """Return at most so many of the rows, evenly spread over all of them."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]


def ignores_padding(model: "keras.Model", tokens: Any) -> bool:
    """Say whether padding may be cut off the sequences of a batch: it changes nothing.

    The model must take sequences of any length, and is tried: with its own weights and with weights
    drawn at random, its outputs and penalties must be the same for some sequences with and without
    the padding behind the longest of them. Many draws are tried on sequences of two tokens, since
    padding may be one of many values of which a layer takes the largest. Where batches are
    normalised while training, padding counts there, and stays.

    Args:
        model: with weights.
        tokens: `(n, length)`, sequences of tokens as the model receives them.
    """
    if not _takes_any_length(model) or _keeps_statistics(model):
        return False
    lengths = lengths_of(tokens)
    order = np.argsort(lengths, kind="stable")
    rows = order[: max(1, len(order) // 2)]  # the shorter half
    longest = int(lengths[rows[-1]])
    if longest == tokens.shape[1]:  # little could be cut off
        return False
    rows = spread(rows, TRIED)
    some = tokens[rows] if hasattr(tokens, "lengths") else np.asarray(tokens)[rows]
    cut = some[:, :longest]
    called = _traced(model, some.dtype)
    if not _same(called, model, some, cut):
        return False
    with other_weights(model, spread=0.5):
        if not _same(called, model, some, cut):
            return False
    short = np.pad(some[:, :2], ((0, 0), (0, 4)))
    for draw in range(DRAWS):
        with other_weights(model, spread=1.0, seed=draw):
            if not _same(called, model, short, short[:, :2]):
                return False
    return True


def _takes_any_length(model: "keras.Model") -> bool:
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):  # a class of its own
        return False
    return isinstance(shape, tuple) and len(shape) == 2 and shape[1] is None


def _keeps_statistics(model: "keras.Model") -> bool:
    """Say whether weights change otherwise than by training, as those of a normalisation do."""
    return any(
        "float" in str(variable.dtype)
        for layer in model._flatten_layers(include_self=False)
        if layer.trainable
        for variable in layer._non_trainable_variables
    )


def _same(called: _Called, model: "keras.Model", some: Array, cut: Array) -> bool:
    try:
        padded, shorter = np.asarray(called(some)), np.asarray(called(cut))
    except Exception:  # noqa: BLE001 # too short for a layer, or not for any length
        return False
    tolerance = 1e-4 if model.compute_dtype == "float32" else 1e-2
    scale = np.abs(padded).max(initial=1.0)
    return bool(np.allclose(padded, shorter, rtol=0, atol=tolerance * scale))


def _traced(model: "keras.Model", dtype: Any) -> _Called:
    """Return what gives a model's outputs and penalties in one row.

    It is traced once for all lengths: step by step, a recurrent layer takes twenty times as long.
    """
    import tensorflow as tf

    def called(some: Any) -> Any:
        outputs = single(model(some, training=False))
        told = [tf.reshape(tf.cast(each, tf.float32), [-1]) for each in (outputs, *model.losses)]
        return tf.concat(told, axis=0)

    if model.run_eagerly:
        return called
    signature = [tf.TensorSpec((None, None), dtype)]
    traced: _Called = tf.function(called, input_signature=signature)
    return traced


def lengths_of(tokens: Any) -> Array:
    """Return the length of each sequence of tokens `(n, length)` without padding, at least 1.

    Args:
        tokens: an array, a tensor or `Streamed`, which knows the lengths.
    """
    if hasattr(tokens, "lengths"):
        tokens_lengths: Array = tokens.lengths
        return tokens_lengths
    lengths: Array = np.maximum(np.count_nonzero(np.asarray(tokens), axis=1), 1)
    return lengths


def shuffled(
    rows: Array, *, batch_size: int, seed: int, epoch: int, lengths: Array | None = None
) -> Batches:
    """Return the batches of an epoch; every epoch has its own order, decided by the seed.

    Sequences come in batches of like length, cut to the longest: the samples of the epoch are
    shuffled, sorted by length within windows of `WINDOW` batches, and the batches shuffled; so
    batches are random, and little is computed on padding.

    Args:
        rows: int64 `(m,)`.
        batch_size: samples a batch; one may be smaller.
        seed: of the training.
        epoch: number of the epoch.
        lengths: of the sequences, indexed by row number; None where samples are no sequences.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(rows)
    if lengths is None:
        return Batches(order, _ends(len(order), batch_size))
    pieces = []
    for start in range(0, len(order), WINDOW * batch_size):
        window = order[start : start + WINDOW * batch_size]
        window = window[np.argsort(lengths[window], kind="stable")]
        pieces += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    pieces = [pieces[index] for index in random.permutation(len(pieces))]
    return Batches(
        np.concatenate(pieces),
        np.cumsum([0, *map(len, pieces)]),
        np.array([lengths[piece].max() for piece in pieces]),
    )


def in_turn(rows: Array, lengths: Array | None = None) -> Batches:
    """Return large batches for predictions: as the rows come, or the shortest sequences first."""
    if lengths is None:
        return Batches(rows, _ends(len(rows), PREDICTION_BATCH))
    order = rows[np.argsort(lengths[rows], kind="stable")]
    ends = _ends(len(order), PREDICTION_BATCH)
    return Batches(order, ends, lengths[order[ends[1:] - 1]])


def _ends(count: int, size: int) -> Array:
    return np.append(np.arange(0, count, size), count)


@dataclass(frozen=True)
class Augmentation:
    """How far a training image may be moved.

    All movements of an image are one affine map, applied once, bilinearly.

    Attributes:
        shift: at most this fraction of height and width, each way.
        rotation: at most so many degrees, each way.
        zoom: the side's length changes by a factor within `1 - zoom .. 1 + zoom`.
        flip: mirror half of the images left to right.
    """

    shift: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    flip: bool = False

    @classmethod
    def of(cls, params: Params) -> "Augmentation | None":
        """Return the params' augmentation; None where it is off or changes nothing."""
        if not params.get("augmentation", False):
            return None
        made = cls(
            shift=float(params.get("shift", 0.0)),
            rotation=float(params.get("rotation", 0.0)),
            zoom=float(params.get("zoom", 0.0)),
            flip=bool(params.get("flip", False)),
        )
        return made if made.shift or made.rotation or made.zoom or made.flip else None

    def apply(self, images: Any, seed: Any, fill: Any = 0.0) -> Any:
        """Return a batch of moved images, same shape and dtype.

        Args:
            images: `(n, height, width, channels)`.
            seed: two int64 numbers; the same seed moves the same way.
            fill: what comes in from outside, in the images' own units.
        """
        import tensorflow as tf

        moved = tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=self._transforms(images, seed),
            output_shape=tf.shape(images)[1:3],
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
            fill_value=fill,
        )
        return tf.ensure_shape(moved, images.shape)

    def _transforms(self, images: Any, seed: Any) -> Any:
        """Return the map from output to input pixels, `(n, 8)`, about each image's centre."""
        import tensorflow as tf

        count = tf.shape(images)[0]
        height, width = (tf.cast(side, tf.float32) for side in images.shape[1:3])
        drawn = tf.random.stateless_uniform((5, count), seed, -1.0, 1.0)
        angle = drawn[0] * (self.rotation * math.pi / 180)
        scale = 1 + drawn[1] * self.zoom
        mirror = tf.where(drawn[2] < 0, -1.0, 1.0) if self.flip else tf.ones((count,))
        down, right = drawn[3] * self.shift * height, drawn[4] * self.shift * width
        if not self.rotation and not self.zoom:  # whole pixels stay sharp
            down, right = tf.round(down), tf.round(right)
        cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
        a, b, d, e = cosine * mirror, -sine, sine * mirror, cosine
        x, y = (width - 1) / 2, (height - 1) / 2
        c, f = x - a * x - b * y + right, y - d * x - e * y + down
        zero = tf.zeros((count,))
        return tf.stack([a, b, c, d, e, f, zero, zero], axis=1)
