"""Raw samples: the one form in which exported models of each kind take them.

Images in the dataset's own size; rows and sequences as numbers in their own unit; texts as tokens,
since Keras has no layer for their words. What tells pixels from fractions is written once, for
arrays here and for the operations of a model.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from search.data.arrays import Array
from search.data.encoders import (
    Encoder,
    ImageEncoder,
    SequenceEncoder,
    SeveralEncoder,
    TableEncoder,
)
from search.data.ranges import BLACK, FRACTIONS, WHITE, WHOLE, PixelRange, depth_of
from search.errors import DataError

if TYPE_CHECKING:
    from search.export.labels import Labels

# Numbers reach about so many standard deviations from their mean; float32 may round them by this
# share of one, a tenth of what a written model may be off by.
USUAL, COARSE = 4.0, 1e-5
# How far a pixel may be off a whole number, as after a division by 255 and back.
ROUNDING = 1e-3
BELOW, ABOVE, BRIGHT = 0.25, 1.0, 0.125
LARGEST = 3.4e38  # of float32; what lies beyond is infinite, or missing
# Of 255: images that stay below and are not uint8 may be on a scale of their own.
_DARK = 128


def lose_digits(scale: Array, offset: Array) -> bool:
    """Say whether float32 holds numbers of this scale around this offset too coarsely."""
    largest = np.abs(offset) + USUAL * scale
    return bool((np.spacing(largest.astype(np.float32)) > COARSE * scale).any())


def raw_type(encoder: Encoder) -> str:
    """Return the type of an exported model's input: float64 where float32 is too coarse."""
    match encoder:
        case ImageEncoder(pixel_range=ranged):
            return ranged.dtype if ranged else "float32"
        case TableEncoder() | SequenceEncoder():
            means, deviations = np.array(encoder.means), np.array(encoder.deviations)
            is_exact = isinstance(encoder, SequenceEncoder) and not encoder.wide
            return "float64" if not is_exact and lose_digits(deviations, means) else "float32"
        case _:
            return "int32"


def raw_shape(encoder: Encoder) -> tuple[int, ...]:
    """Return the shape of one sample as an exported model takes it."""
    match encoder:
        case ImageEncoder():
            return encoder.native_shape
        case TableEncoder():
            return (len(encoder.means),)
        case _:
            return encoder.input_shape


def told_apart(
    images: Any, ranged: PixelRange | None, xp: Any, *, dark: int = 0
) -> tuple[Any, Any]:
    """Return what images hold: whole numbers 0..255 or fractions 0..1, or values of a range.

    An image without a value above 1 holds fractions. (Of the numbers 0..255 that would be a black
    image, and equally black, but for a few values of 1.) What is neither, such as standardised
    values, does not fit; nor do whole numbers that stay below what any training image had, such as
    0..16. Values of a range may lie somewhat outside, by `BELOW` and `ABOVE` of its
    width, and become black or white; further away they are on another scale. So are values between
    whole numbers, where those of the training were none, in an image that stays dark.

    Args:
        images: float `(n, height, width, channels)`.
        ranged: the range, of images whose values are no pixels.
        xp: `numpy`, or Keras's operations.
        dark: of the encoder.

    Returns:
        Pixels 0..255, not rounded, or the values of the range as they are; and whether each value
        fits, both of the images' shape.
    """
    # Only < and >, which are false of NaN in every format: ONNX has others as "not <".
    highest = xp.max(images, axis=(1, 2, 3), keepdims=True)
    if ranged is not None:
        width = ranged.high - ranged.low
        fits = (images > ranged.low - width * BELOW) & (images < ranged.high + width * ABOVE)
        if ranged.depth != WHOLE:
            return images, fits
        is_whole = xp.abs(images - xp.round(images)) < ROUNDING
        return images, fits & (is_whole | (highest > ranged.low + width * BRIGHT))
    are_fractions = highest < 1.0 + ROUNDING
    pixels = xp.where(are_fractions, images * float(WHITE), images)
    is_whole = are_fractions | ((xp.abs(pixels - xp.round(pixels)) < ROUNDING) & (highest > dark))
    margin = ROUNDING * WHITE
    return pixels, is_whole & (pixels > BLACK - margin) & (pixels < WHITE + margin)


def rule_of(ranged: PixelRange | None) -> str:
    """Return in words what `told_apart` lets pass."""
    if ranged is None:
        return f"whole numbers {BLACK}..{WHITE}, or fractions 0..1"
    return f"{ranged.depth} on the scale {ranged}"


def raw_pixels(pixels: Array, ranged: PixelRange | None = None, dark: int = 0) -> Array:
    """Return uint8 pixels `(n, height, width, channels)` as an exported model takes them.

    It gives back exactly these: an image as dark as `told_apart` doubts is given as fractions.
    """
    if ranged is not None:
        given = ranged.values(pixels)
        _, fits = told_apart(given, ranged, np)
        return given if fits.all() else np.where(fits, given, np.rint(given))
    given = pixels.astype(np.float32)
    doubtful = pixels.max(axis=(1, 2, 3), initial=0) <= max(1, dark)
    given[doubtful] /= np.float32(WHITE)
    return given


def pixels_of(values: Array, encoder: ImageEncoder, origin: str) -> Array:
    """Return images of a user's as uint8 pixels `(n, *native_shape)`.

    uint8 is always 0..255, and whole numbers of one depth are none of another, which a graph cannot
    see.

    Args:
        values: `(n, *native_shape)`, numbers or truth values.
        encoder: of the model.
        origin: what they are called in messages.

    Raises:
        DataError: their values are neither pixels nor fractions, or not on the model's scale.
    """
    ranged = encoder.pixel_range
    if ranged is None and values.dtype == np.uint8:
        return values
    kind = np.float32 if ranged is None else np.dtype(ranged.dtype)
    given = values.astype(kind)
    found, fits = told_apart(given, ranged, np, dark=encoder.dark)
    highest = float(given.max(initial=0))
    is_other = ranged is not None and depth_of(values.dtype) not in (FRACTIONS, ranged.depth)
    are_dark = ranged is None and not fits.all() and bool(told_apart(given, None, np)[1].all())
    if is_other or not (fits.all() or are_dark):
        raise DataError(
            f"{origin} must hold images on the scale of the training images, {rule_of(ranged)}; got"
            f" {values.dtype}, {given.min():.6g} to {highest:.6g}"
        )
    if ranged is not None:
        return ranged.pixels(values)
    if are_dark or 1 + ROUNDING < highest < _DARK:
        reach = min(highest, float(encoder.dark)) if are_dark else highest
        raise DataError(
            f"{origin} must hold images on the scale of the training images, {rule_of(None)}; got"
            f" {values.dtype} with images that reach {reach:.6g} at most. If these are dark pixels,"
            " pass them as uint8; else scale them."
        )
    pixels: Array = np.rint(np.clip(found, BLACK, WHITE)).astype(np.uint8)
    return pixels


def raw_samples(samples: Any, labels: "Labels") -> Any:
    """Return a model's input for a dataset's samples: raw, or encoded for an older export.

    Args:
        samples: as a dataset has them: uint8 images, rows and sequences of numbers, texts; of
            several inputs a mapping.
        labels: of the model.

    Returns:
        `(n, ...)`, of several inputs by their names.
    """
    encoder = labels.encoder
    if not labels.is_raw:
        return encoder.encode(samples)
    if isinstance(encoder, SeveralEncoder):
        given = getattr(samples, "inputs", samples)
        return {name: raw_samples(given[name], labels.part(name)) for name, _ in encoder.inputs}
    if isinstance(encoder, ImageEncoder):
        return raw_pixels(np.asarray(samples), encoder.pixel_range, encoder.dark)
    if isinstance(encoder, TableEncoder | SequenceEncoder):
        return np.asarray(samples).astype(raw_type(encoder))
    return encoder.encode(samples)
