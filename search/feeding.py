"""In which order, and in what batches, samples are computed on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

PREDICTION_BATCH = 512
WINDOW = 50

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Part:
    """Some of the samples, without a copy of them.

    Attributes:
        inputs: `(n, ...)`, all samples as the model receives them; an array or a tensor.
        labels: int64 `(n,)`, class numbers from 0.
        rows: int64 `(m,)`, which of them are meant; None for all.
    """

    inputs: Any
    labels: Array
    rows: Array | None = None

    @property
    def indices(self) -> Array:
        """The rows that are meant, int64 `(m,)`."""
        return np.arange(len(self.labels)) if self.rows is None else self.rows

    @property
    def own_labels(self) -> Array:
        """The labels of those rows, int64 `(m,)`."""
        return self.labels if self.rows is None else self.labels[self.rows]


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


def takes_any_length(model: "keras.Model") -> bool:
    """Say whether a model takes sequences of any length, so that padding may be cut off.

    Such models must ignore padding; an `Embedding` with `mask_zero=True` sees to it.
    """
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):  # a class of its own
        return False
    return isinstance(shape, tuple) and len(shape) == 2 and shape[1] is None


def lengths_of(tokens: Any) -> Array:
    """Return the length of each sequence of tokens `(n, length)` without padding, at least 1."""
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
