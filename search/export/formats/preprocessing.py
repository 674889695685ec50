"""Encoders as TensorFlow graphs, so that a SavedModel takes samples as they are."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.data.arrays import Array
from search.data.encoders import (
    FIRST_WORD,
    PADDING,
    UNKNOWN,
    Encoder,
    ImageEncoder,
    SequenceEncoder,
    TableEncoder,
    TextEncoder,
)
from search.data.formats.columns import MISSING, PAIRS, SPELLINGS, is_number
from search.data.pictures import LUMA
from search.data.ranges import BLACK, WHITE
from search.data.reading import TRUTH, Column
from search.export.formats.base import (
    has_words,
    margins,
    raw_shape,
    raw_type,
    tensor_names,
)

NUMERIC = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
# RE2's classes for the pattern of `search.data.arrays`; other characters become spaces.
_WORD_OR_SIGN = r"([\pL\pN]+(?:'[\pL\pN]+)*|[!?])|(?s:.)"
# ICU lower-cases these by the locale (Turkish: dotless i), Python does not.
_SAME_EVERYWHERE = (("I", "i"), ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i\u0307"))


@dataclass(frozen=True)
class Preprocessing:
    """An encoder as part of a graph.

    Attributes:
        signature: of raw samples, with an open first axis; of several tensors a dictionary.
        encode: turns such a tensor into the model's input.
        resources: tables that must be saved with the model.
    """

    signature: Any
    encode: Callable[[Any], Any]
    resources: tuple[Any, ...] = ()


def preprocessing_of(encoder: Encoder, columns: Sequence[Column] = ()) -> Preprocessing:
    """Return an encoder in TensorFlow.

    Rows are one tensor of float64, or if any column has words a dictionary with a tensor for each
    column: strings where it has words, else float64. If images are resized, not only padded, the
    input has the model's size, because TensorFlow resizes differently from Pillow.

    Args:
        encoder: of any kind.
        columns: of a table.
    """
    match encoder:
        case TextEncoder():
            return _texts(encoder)
        case TableEncoder():
            return _table(encoder, columns)
        case ImageEncoder():
            return _images(encoder)
        case SequenceEncoder():
            return _series(encoder)
    raise TypeError(f"no preprocessing is known for {type(encoder).__name__}")


def _texts(encoder: TextEncoder) -> Preprocessing:
    import tensorflow as tf

    words = list(encoder.words) or [" "]  # a table must have an entry; no word is a space
    numbers = tf.range(FIRST_WORD, FIRST_WORD + len(words), dtype=tf.int32)
    content = tf.lookup.KeyValueTensorInitializer(tf.constant(words), numbers)
    table = tf.lookup.StaticHashTable(content, UNKNOWN)

    def encode(texts: Any) -> Any:
        for upper, lower in _SAME_EVERYWHERE:
            texts = tf.strings.regex_replace(texts, upper, lower)
        texts = tf.strings.lower(texts, encoding="utf-8")
        spaced = tf.strings.regex_replace(texts, _WORD_OR_SIGN, r"\1 ")
        found = table.lookup(tf.strings.split(spaced))[:, : encoder.length]
        return found.to_tensor(PADDING, shape=(None, encoder.length))

    return Preprocessing(tf.TensorSpec((None,), tf.string, name="texts"), encode, (table,))


def _table(encoder: TableEncoder, columns: Sequence[Column]) -> Preprocessing:
    import tensorflow as tf

    encode = _encoded(encoder)
    if not has_words(columns):
        shape = (None, len(encoder.means))
        return Preprocessing(tf.TensorSpec(shape, tf.float64, name="rows"), encode)
    words = dict(zip(tensor_names(columns), map(_words, columns), strict=True))
    signature = {
        name: tf.TensorSpec((None,), tf.string if read else tf.float64, name=name)
        for name, read in words.items()
    }

    def encode_columns(given: Any) -> Any:
        stored = [read(given[name]) if read else given[name] for name, read in words.items()]
        return encode(tf.stack(stored, axis=1))

    return Preprocessing(
        signature, encode_columns, tuple(read.table for read in words.values() if read)
    )


def _encoded(encoder: TableEncoder) -> Callable[[Any], Any]:
    """Return `TableEncoder.encode` for tensors, float64 until the end as there."""
    import tensorflow as tf

    means, deviations = np.array(encoder.means), np.array(encoder.deviations)
    starts, groups, empty = encoder.starts, encoder.groups, encoder.empty
    numbers = np.setdiff1d(np.arange(len(means)), groups)
    flagged, flag_means, flag_deviations, flag_trained = encoder.flags
    # All numbers first, then all flags, then all categories; `places` brings them in order.
    ends = [starts[column] + np.arange(encoder.categories[column]) for column in groups]
    places = np.argsort(np.concatenate([starts[numbers], starts[flagged + 1] - 1, *ends]))

    def encode(rows: Any) -> Any:
        absent = tf.math.is_nan(rows)
        values = tf.where(absent, tf.zeros_like(rows), (rows - means) / deviations)
        if not len(flagged) and not groups:
            return tf.cast(values, tf.float32)
        values = tf.gather(values, numbers, axis=1) * np.where(empty[numbers], 0.0, 1.0)
        flags = tf.cast(tf.gather(absent, flagged, axis=1), tf.float64)
        flags = flag_trained * (flags - flag_means) / flag_deviations
        parts = [tf.cast(values, tf.float32), tf.cast(flags, tf.float32)]
        indices = tf.cast(tf.where(absent, -tf.ones_like(rows), rows), tf.int32)
        for column in groups:
            known = encoder.trained[column]
            parts.append(tf.one_hot(indices[:, column], len(known), dtype=tf.float32) * known)
        return tf.gather(tf.concat(parts, axis=1), places, axis=1)

    return encode


@dataclass(frozen=True)
class _Words:
    """Reads a column's words as files are read: blanks around them do not count.

    Attributes:
        table: from words to the numbers of `Column`; other words to -1, or of truth values to NaN.
        is_truth: whether upper and lower case are equal.
        spelled: numbers that are categories, sorted, and their indices, for other spellings.
    """

    table: Any
    is_truth: bool
    spelled: tuple[Array, Array]

    def __call__(self, given: Any) -> Any:
        """Return float64 `(n,)` for strings `(n,)`: the number, -1 if unknown, NaN if missing."""
        import tensorflow as tf

        plain = tf.strings.strip(given)
        if self.is_truth:
            return self.table.lookup(tf.strings.lower(plain))
        found = self.table.lookup(given)
        found = tf.where(found == -1, self.table.lookup(plain), found)
        values, indices = self.spelled
        if not len(values):
            return found
        is_number = tf.strings.regex_full_match(plain, NUMERIC)
        number = tf.strings.to_number(tf.where(is_number, plain, "nan"), tf.float64)
        place = tf.minimum(tf.searchsorted(values, number), len(values) - 1)
        is_known = (found == -1) & (tf.gather(values, place) == number)
        return tf.where(is_known, tf.gather(indices, place), found)


def _words(column: Column) -> _Words | None:
    """Return what reads a column's words; None if its values are numbers."""
    import tensorflow as tf

    if not column.words:
        return None
    is_truth = column.type == TRUTH
    known = {word: number for number, word in enumerate(column.words)}
    if is_truth:
        pairs = (*PAIRS, ("0", "1"), column.words)
        known = {word.lower(): number for pair in pairs for number, word in enumerate(pair)}
    numbers = dict.fromkeys(MISSING if is_truth else SPELLINGS, math.nan) | known
    content = tf.lookup.KeyValueTensorInitializer(
        tf.constant([*numbers]), tf.constant([*numbers.values()], tf.float64)
    )
    table = tf.lookup.StaticHashTable(content, math.nan if is_truth else -1.0)
    return _Words(table, is_truth, _spelled(column))


def _spelled(column: Column) -> tuple[Array, Array]:
    """Return the categories that are numbers, sorted, and their indices, both float64."""
    if column.type == TRUTH:
        return np.empty(0), np.empty(0)
    found = [(float(word), n) for n, word in enumerate(column.words) if is_number(word)]
    counts = Counter(value for value, _ in found)
    single = sorted(pair for pair in found if counts[pair[0]] == 1)
    values, indices = np.array(single, np.float64).reshape(-1, 2).T
    return values, indices


def _series(encoder: SequenceEncoder) -> Preprocessing:
    import tensorflow as tf

    means, deviations = np.array(encoder.means), np.array(encoder.deviations)

    def encode(series: Any) -> Any:
        centred = tf.cast(series, tf.float64) - means  # float64, like the encoder
        return tf.cast(centred / deviations, tf.float32)

    kind = tf.float64 if encoder.wide else tf.float32
    signature = tf.TensorSpec((None, *encoder.input_shape), kind, name="sequences")
    return Preprocessing(signature, encode)


def _images(encoder: ImageEncoder) -> Preprocessing:
    import tensorflow as tf

    ranged = encoder.pixel_range

    def encode(images: Any) -> Any:
        if ranged is None:
            images = encoded_pixels(images, encoder)
        else:
            scaled = (tf.cast(images, tf.float64) - ranged.low) * ranged.factor
            images = tf.round(tf.clip_by_value(scaled, float(BLACK), float(WHITE)))
            images = _padded(tf.cast(images, tf.float32), encoder)
        if encoder.scaled:
            # In float64: TensorFlow multiplies by the reciprocal, whose rounding would show.
            return tf.cast(tf.cast(images, tf.float64) / WHITE, tf.float32)
        return tf.cast(images, tf.uint8)

    shape = raw_shape(encoder)
    return Preprocessing(tf.TensorSpec((None, *shape), raw_type(encoder), name="images"), encode)


def encoded_pixels(images: Any, encoder: ImageEncoder) -> Any:
    """Return images as an encoder pads them, whole numbers 0..255, by Keras's operations.

    An image without a value above 1 has fractions of white. Of the numbers 0..255 that would be a
    black image, and equally black, but for a few values of 1.

    Args:
        images: float32 `(n, *raw_shape)`; each either 0..255 or 0..1.
        encoder: of images whose values are pixels.

    Returns:
        float32 `(n, *input_shape)`.
    """
    from keras import ops

    highest = ops.max(images, axis=(1, 2, 3), keepdims=True)
    pixels = ops.where(highest <= 1.0, images * float(WHITE), images)
    return _padded(ops.round(ops.clip(pixels, float(BLACK), float(WHITE))), encoder)


def _padded(images: Any, encoder: ImageEncoder) -> Any:
    """Return whole numbers 0..255, float32, in an encoder's size and channels."""
    from keras import ops

    border = margins(encoder)
    if border is None:
        return images
    channels, wanted = encoder.native_shape[-1], encoder.shape[-1]
    if wanted == 1 and channels == 3:  # all sums are below 2 ** 24, and so exact
        luma = ops.sum(images * LUMA.astype(np.float32), axis=-1, keepdims=True)
        images = ops.floor((luma + 0x8000) / 0x10000)
    images = ops.pad(images, ((0, 0), *border, (0, 0)))
    return ops.concatenate([images] * wanted, axis=-1) if wanted > images.shape[-1] else images
