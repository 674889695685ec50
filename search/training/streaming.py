"""Samples that do not fit in memory: read and encoded while a model trains, in chunks.

A chunk holds the samples of consecutive batches. A thread reads the next one while the model is
trained on this one. Samples are read in the order of the file; the program that gathers a batch
puts them in the order of the epoch, as it does where all samples are in memory. So both ways
compute the same numbers.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from search.data.arrays import ALIGNMENT, Array, Indices
from search.data.inputs import Encoder, Inputs
from search.executors.protocol import fits
from search.training.batches import Batches, lengths_of

TRIED_SAMPLES = 16
CHUNK_BYTES = 1 << 26  # of encoded samples; three chunks are in memory at once


@dataclass(frozen=True)
class Chunk:
    """Samples in TensorFlow's memory, and batches of them.

    Attributes:
        inputs: `(k, ...)`, as the model receives them.
        batches: of row numbers in `inputs`.
        first: number of the first batch within the epoch, from 0.
        rows: int64 `(k,)`, which of all samples they are; None for all.
    """

    inputs: tf.Tensor
    batches: Batches
    first: int = 0
    rows: Array | None = None

    def of(self, values: Any) -> Any:
        """Return as tensors what belongs to the chunk's samples of arrays, `(n, ...)` each."""

        def own(each: Array) -> tf.Tensor:
            return tf.convert_to_tensor(each if self.rows is None else each[self.rows])

        return tf.nest.map_structure(own, values)


@dataclass(frozen=True, eq=False)
class Streamed:
    """Encoded samples that are read from disk whenever they are needed.

    It is indexed like an array, with slices and row numbers; what is asked for is in memory then.

    Attributes:
        source: of the samples.
        encoder: encodes them.
        indices: int64 `(n,)`, which of the source's samples they are.
        memory: bytes that this process may hold.
        chunk_bytes: what a chunk holds, at most, unless a single batch is larger.
    """

    source: Inputs
    encoder: Encoder
    indices: Indices
    memory: int = 0
    chunk_bytes: int = CHUNK_BYTES

    @property
    def notice(self) -> str:
        """What the user should know of it."""
        return (
            f"the samples take {self.sample_bytes * len(self) / 1e9:,.2g} GB as the models receive"
            f" them, which is too much for a worker with {self.memory / 1e9:,.2g} GB"
            " (`--worker-memory`): they are read from disk while a model is trained. Scores are the"
            " same as in memory"
        )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.indices)

    def __getitem__(self, which: Any) -> Array:
        """Return the samples of a slice or of row numbers, encoded."""
        return self.source.take(self.encoder, self.indices[which])

    @property
    def shape(self) -> tuple[int, ...]:
        """As of the array of all samples."""
        return (len(self), *self.encoder.input_shape)

    @cached_property
    def sample_bytes(self) -> int:
        """What one takes in memory."""
        return max(1, sum(int(each.nbytes) for each in tf.nest.flatten(self[:1])))

    @cached_property
    def lengths(self) -> Array:
        """The length of each sequence of tokens without padding; see `lengths_of`."""
        step = max(1, self.chunk_bytes // self.sample_bytes)
        starts = range(0, len(self), step)
        return np.concatenate([lengths_of(self[start : start + step]) for start in starts])

    def chunks(self, batches: Batches) -> Iterator[Chunk]:
        """Yield chunks with all of the batches in turn; the next is read meanwhile."""
        starts = self._starts(batches)
        spans = zip(starts, [*starts[1:], len(batches)], strict=True)
        reader = ThreadPoolExecutor(1, "read ahead")
        try:
            waiting = None
            for first, last in spans:
                coming = reader.submit(self._read, batches, first, last)
                if waiting is not None:
                    yield waiting.result()
                waiting = coming
                del coming
            if waiting is not None:
                yield waiting.result()
        finally:
            reader.shutdown(cancel_futures=True)

    def _starts(self, batches: Batches) -> list[int]:
        """Return the number of each chunk's first batch."""
        most, starts, begun = self.chunk_bytes // self.sample_bytes, [0], 0
        for number in range(1, len(batches)):
            if batches.ends[number + 1] - begun > most:
                starts.append(number)
                begun = batches.ends[number]
        return starts

    def _read(self, batches: Batches, first: int, last: int) -> Chunk:
        ends = batches.ends[first : last + 1]
        rows, places = np.unique(batches.order[ends[0] : ends[-1]], return_inverse=True)
        longest = None if batches.longest is None else batches.longest[first:last]
        inputs = tf.nest.map_structure(_as_tensor, self[rows])
        return Chunk(inputs, Batches(places, ends - ends[0], longest), first, rows)


def count_of(inputs: Any) -> int:
    """Return the number of samples, of one input or of several by name."""
    return len(next(iter(inputs.values())) if isinstance(inputs, dict) else inputs)


def shape_of(inputs: Any) -> tuple[Any, ...]:
    """Return the shape of one sample, or of one of each input with its name."""
    if isinstance(inputs, dict):
        return tuple((name, tuple(each.shape[1:])) for name, each in sorted(inputs.items()))
    return tuple(inputs.shape[1:])


def _as_tensor(samples: Array) -> tf.Tensor:
    """Return samples as a tensor, without a copy where they lie as TensorFlow wants them."""
    if samples.ctypes.data % ALIGNMENT or not samples.flags.c_contiguous:
        return tf.constant(samples)
    return tf.experimental.dlpack.from_dlpack(samples.__dlpack__())


def encoded(
    source: Inputs, encoder: Encoder, indices: Indices, memory: int | None
) -> "Array | Streamed":
    """Return encoded samples: in memory if they fit there, or read when they are needed.

    Args:
        source: of the samples.
        encoder: encodes them.
        indices: int64 `(n,)`, which of the source's samples.
        memory: bytes that this process may hold; None for any.
    """
    if memory is None or not len(indices):
        return source.take(encoder, indices)
    streamed = Streamed(source, encoder, indices, memory, min(CHUNK_BYTES, memory // 16))
    if fits(streamed.sample_bytes * len(indices), memory):
        return source.take(encoder, indices)
    return streamed


def chunks_of(inputs: Any, batches: Batches) -> Iterator[Chunk]:
    """Yield the batches in turn with the samples they need: all at once if those are in memory."""
    if isinstance(inputs, Streamed):
        yield from inputs.chunks(batches)
    else:
        yield Chunk(resident(inputs), batches)


def resident(inputs: Any) -> Any:
    """Return samples in TensorFlow's memory, but for those that do not fit there."""
    if isinstance(inputs, Streamed):
        return inputs
    return tf.nest.map_structure(tf.convert_to_tensor, inputs)


def some_of(inputs: Any) -> Any:
    """Return samples on which a model can be tried: the first few, where not all are in memory."""
    return inputs[:TRIED_SAMPLES] if isinstance(inputs, Streamed) else inputs


def picked(inputs: Any, rows: Array) -> Any:
    """Return some samples as an array, or one for each input by name, wherever they are."""
    if isinstance(inputs, Streamed):
        return inputs[rows]
    found: Any = tf.nest.map_structure(lambda each: tf.gather(each, rows).numpy(), inputs)
    return found
