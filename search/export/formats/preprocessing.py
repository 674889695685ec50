"""What encoders do, as TensorFlow operations that can travel inside a model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from search.data.pictures import LUMA
from search.export.formats.ways_in import Margins, margins
from search.training.encoders import (
    FIRST_WORD,
    PADDING,
    UNKNOWN,
    Encoder,
    ImageEncoder,
    TableEncoder,
    TextEncoder,
)

# RE2's classes for what `search.data.arrays` matches; every other sign becomes a space.
_WORD_OR_SIGN = r"([\pL\pN]+(?:'[\pL\pN]+)*|[!?])|(?s:.)"
# ICU lower-cases these as the machine's language does (Turkish: dotless), Python does not.
_SAME_EVERYWHERE = (("I", "i"), ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i\u0307"))


@dataclass(frozen=True)
class Preprocessing:
    """An encoder as part of a graph.

    Attributes:
        signature: of the samples as a dataset holds them, the first axis open.
        encode: turns such a tensor into the model's input.
        resources: tables that must be kept with the model.
    """

    signature: Any
    encode: Callable[[Any], Any]
    resources: tuple[Any, ...] = ()


def preprocessing_of(encoder: Encoder) -> Preprocessing:
    """Return what an encoder does, in TensorFlow.

    Images that are resized and not only padded are taken in the model's own size, as TensorFlow
    resizes otherwise than Pillow does.
    """
    match encoder:
        case TextEncoder():
            return _texts(encoder)
        case TableEncoder():
            return _rows(encoder)
        case ImageEncoder():
            return _images(encoder)
    raise TypeError(f"no preprocessing is known for {type(encoder).__name__}")


def _texts(encoder: TextEncoder) -> Preprocessing:
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


def _rows(encoder: TableEncoder) -> Preprocessing:
    means = np.array(encoder.means, np.float64)
    deviations = np.array(encoder.deviations, np.float64)

    def encode(rows: Any) -> Any:
        centred = tf.cast(rows, tf.float64) - means  # float64, as the encoder does
        return tf.cast(centred / deviations, tf.float32)

    signature = tf.TensorSpec((None, *encoder.input_shape), tf.float32, name="rows")
    return Preprocessing(signature, encode)


def _images(encoder: ImageEncoder) -> Preprocessing:
    border = margins(encoder)
    shape = encoder.shape if border is None else encoder.native_shape

    def encode(images: Any) -> Any:
        images = images if border is None else _padded(images, border, encoder)
        if encoder.scaled:
            # In float64: TensorFlow multiplies by the reciprocal, whose rounding would show.
            return tf.cast(tf.cast(images, tf.float64) / 255, tf.float32)
        return images

    return Preprocessing(tf.TensorSpec((None, *shape), tf.uint8, name="images"), encode)


def _padded(images: Any, border: Margins, encoder: ImageEncoder) -> Any:
    channels, wanted = encoder.native_shape[-1], encoder.shape[-1]
    if wanted == 1 and channels == 3:
        luma = tf.reduce_sum(tf.cast(images, tf.int32) * LUMA.astype(np.int32), -1, keepdims=True)
        images = tf.cast(tf.bitwise.right_shift(luma + 0x8000, 16), tf.uint8)
    images = tf.pad(images, [(0, 0), *border, (0, 0)])
    return tf.repeat(images, wanted, axis=-1) if wanted > images.shape[-1] else images
