"""Encoders as operations of Keras, so that a model takes raw samples in every format.

Only operations that Keras, ONNX and TensorFlow Lite have in common are used: no custom class, no
Python function, of comparisons only < and > (ONNX has >= as "not <", which is true of NaN), and
float64 only where an input has it.
"""

from typing import Any

import numpy as np

from search.data.arrays import Array
from search.data.encoders import (
    Encoder,
    ImageEncoder,
    SequenceEncoder,
    SeveralEncoder,
    TableEncoder,
)
from search.data.pictures import LUMA
from search.data.ranges import BLACK, WHITE, PixelRange
from search.export.formats.resizing import resized
from search.export.raw import LARGEST, told_apart


def encoded(raw: Any, encoder: Encoder) -> tuple[Any, Any]:
    """Return a model's symbolic input for raw samples.

    Args:
        raw: symbolic, as `raw_shape` and `raw_type` say; of several inputs by their names.
        encoder: of any kind.

    Returns:
        The input, float32 `(n, *input_shape)`, or tokens as they are; and whether each sample is
        one, `(n, 1)`, None where all are.
    """
    match encoder:
        case ImageEncoder():
            return _image(raw, encoder)
        case TableEncoder():
            return _table(raw, encoder)
        case SequenceEncoder():
            centred = _standardised(raw, np.array(encoder.means), np.array(encoder.deviations))
            return centred, _in_all(_is_finite(raw))
        case SeveralEncoder():
            found = {name: encoded(raw[name], own) for name, own in encoder.inputs}
            return {name: each for name, (each, _) in found.items()}, _both(
                [fits for _, fits in found.values() if fits is not None]
            )
        case _:
            return raw, None


def _both(all_fit: list[Any]) -> Any:
    from keras import ops

    found = None
    for fits in all_fit:
        found = fits if found is None else ops.logical_and(found, fits)
    return found


def _in_all(fits: Any) -> Any:
    """Return whether all values of a sample fit, bool `(n, 1)`."""
    from keras import ops

    axes = tuple(range(1, len(fits.shape)))
    least = ops.min(ops.cast(fits, "float32"), axis=axes)
    return ops.expand_dims(least, 1) > 0.5


def _is_finite(values: Any) -> Any:
    from keras import ops

    return ops.logical_and(values > -LARGEST, values < LARGEST)


def _standardised(values: Any, means: Array, deviations: Array) -> Any:
    """Return values minus means, divided by deviations, float32.

    In float32 the mean has two parts, so that the difference keeps its digits.
    """
    from keras import ops

    if values.dtype == "float64":
        return ops.cast((values - means) / deviations, "float32")
    high = means.astype(np.float32)
    low = (means - high).astype(np.float32)
    return (values - high - low) * (1.0 / deviations).astype(np.float32)


def _image(images: Any, encoder: ImageEncoder) -> tuple[Any, Any]:
    from keras import ops

    found, fits = told_apart(images, encoder.pixel_range, ops)
    if encoder.pixel_range is not None:
        pixels = _ranged(images, encoder.pixel_range)
    else:
        pixels = ops.round(ops.clip(found, float(BLACK), float(WHITE)))
    pixels = _in_size(pixels, encoder)
    return _scaled(pixels) if encoder.scaled else pixels, _in_all(fits)


def _ranged(values: Any, ranged: PixelRange) -> Any:
    """Return `PixelRange.pixels` of values, float32, to the last bit.

    In float32 a value near the middle between two pixels may become the wrong one; the lowest
    value of each pixel tells.
    """
    from keras import ops

    if values.dtype == "float64":
        scaled = (values - ranged.low) * ranged.factor
        return ops.cast(ops.round(ops.clip(scaled, float(BLACK), float(WHITE))), "float32")
    near = (values - np.float32(ranged.low)) * np.float32(ranged.factor)
    near = ops.round(ops.clip(near, float(BLACK), float(WHITE)))
    place = ops.cast(ops.where(ops.isnan(near), 0.0, near), "int32")
    lowest = _lowest_values(ranged)
    below = ops.cast(values < ops.take(lowest[:-1], place, axis=0), "float32")
    above = 1.0 - ops.cast(values < ops.take(lowest[1:], place, axis=0), "float32")
    return near - below + above


def _lowest_values(ranged: PixelRange) -> Array:
    """Return the lowest float32 that becomes each pixel, and what none reaches, `(257,)`."""
    wanted = np.arange(BLACK + 1, WHITE + 1)
    low = np.full(len(wanted), ranged.low - 1e-3 * (ranged.high - ranged.low), np.float32)
    high = np.full(len(wanted), ranged.high, np.float32)
    high = np.where(ranged.pixels(high) < wanted, np.nextafter(high, np.float32(np.inf)), high)
    while True:  # by halves, until no float32 lies between
        middle = (low.astype(np.float64) + high) / 2
        middle = middle.astype(np.float32)
        if not ((middle > low) & (middle < high)).any():
            break
        reaches = ranged.pixels(middle) >= wanted
        high, low = np.where(reaches, middle, high), np.where(reaches, low, middle)
    ends = np.float32(LARGEST)
    return np.concatenate([[-ends], high, [ends]]).astype(np.float32)


def _in_size(images: Any, encoder: ImageEncoder) -> Any:
    """Return whole numbers 0..255, float32, in an encoder's size and channels."""
    from keras import ops

    channels, wanted = encoder.native_shape[-1], encoder.shape[-1]
    if wanted == 1 and channels == 3:  # all sums are below 2 ** 24, and so exact
        luma = ops.sum(images * LUMA.astype(np.float32), axis=-1, keepdims=True)
        images = ops.floor((luma + float(0x8000)) / float(0x10000))
    border = margins(encoder)
    if border is None:
        images = resized(images, (encoder.shape[0], encoder.shape[1]))
    elif any(map(any, border)):
        images = ops.pad(images, ((0, 0), *border, (0, 0)))
    return ops.concatenate([images] * wanted, axis=-1) if wanted > images.shape[-1] else images


def _scaled(pixels: Any) -> Any:
    """Return whole numbers 0..255 divided by 255, to the last bit.

    TensorFlow multiplies by the reciprocal, whose rounding would show. In two parts, of which the
    first has so few digits that its product is exact, it does not.
    """
    share = 1 / WHITE
    high = np.float32(np.floor(share * (1 << 20)) / (1 << 20))
    return pixels * float(high) + pixels * float(np.float32(share - float(high)))


def margins(encoder: ImageEncoder) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return how many rows and columns an encoder adds around an image; None if it resizes.

    The encoder is tried with a white image, so that its rule is not repeated here.
    """
    lacking = [
        wanted - got for wanted, got in zip(encoder.shape[:2], encoder.native_shape, strict=False)
    ]
    if min(lacking) < 0:
        return None
    top, left = (lack // 2 for lack in lacking)
    border = (top, lacking[0] - top), (left, lacking[1] - left)
    white = np.full((1, *encoder.native_shape), WHITE, np.uint8)
    inner = np.full((1, *encoder.native_shape[:2], encoder.shape[-1]), WHITE, np.uint8)
    padded = encoder.scale(np.pad(inner, [(0, 0), *border, (0, 0)]))
    return border if np.array_equal(encoder.encode(white), padded) else None


def _table(rows: Any, encoder: TableEncoder) -> tuple[Any, Any]:
    """Return `TableEncoder.encode` of rows as they are stored."""
    from keras import ops

    is_missing = ops.isnan(rows)  # as it is: the converter to ONNX knows that of `where`
    means, deviations = np.array(encoder.means), np.array(encoder.deviations)
    known = ops.where(is_missing, -1.0, rows)
    fits = _in_all(_is_finite(known))
    values = ops.where(is_missing, 0.0, _standardised(rows, means, deviations))
    columns, flag_means, flag_deviations, trained = encoder.flags
    if not len(columns) and not encoder.groups:
        return values, fits
    absent = ops.cast(is_missing, "float32")
    flags = ops.take(absent, columns, axis=1) - flag_means.astype(np.float32)
    numbers = np.setdiff1d(np.arange(len(means)), encoder.groups)
    parts = [
        ops.take(values, numbers, axis=1)
        * np.where(encoder.empty[numbers], 0, 1).astype("float32"),
        flags * (trained / flag_deviations).astype(np.float32),
    ]
    for column in encoder.groups:
        numbers_of = np.arange(encoder.categories[column], dtype=str(rows.dtype))
        marks = ops.cast(ops.equal(known[:, column : column + 1], numbers_of), "float32")
        parts.append(marks * encoder.trained[column])
    # All numbers first, then all flags, then all categories; `places` brings them in order.
    starts = encoder.starts
    ends = [starts[column] + np.arange(encoder.categories[column]) for column in encoder.groups]
    places = np.argsort(np.concatenate([starts[numbers], starts[columns + 1] - 1, *ends]))
    kept = [part for part in parts if part.shape[1]]
    return ops.take(ops.concatenate(kept, axis=1), places, axis=1), fits
