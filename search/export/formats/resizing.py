"""Images resized as Pillow does it, to the last bit, by Keras's operations in float32.

Pillow resizes one axis after the other, each time by whole numbers: a coefficient is rounded to 22
bits, and the sum of pixels times coefficients is rounded to a pixel. In float32 such a sum would
lose digits. Here coefficients are split into digits of at most 11 bits, so that every sum is a
whole number below 2^24, which float32 holds exactly in whatever order it is added up.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL
from PIL import Image

from search.data.arrays import Array
from search.data.ranges import BLACK, WHITE

PRECISION = 22  # bits of a coefficient
_EXACT = 1 << 24  # whole numbers up to this are exact in float32
_MOST_BITS = 11
_TRIED = 6  # noisy images


def coefficients(size: int, wanted: int) -> Array:
    """Return what each pixel of a line counts in each pixel of the resized line, in 2^-22.

    Source: the triangle filter of Pillow's `Image.resize` (`BILINEAR`), which covers more pixels
    where a line becomes shorter.

    Args:
        size: pixels of the line.
        wanted: pixels of the resized line.

    Returns:
        int64 `(size, wanted)`.
    """
    scale = size / wanted
    reach = max(scale, 1.0)
    found = np.zeros((size, wanted), np.int64)
    for place in range(wanted):
        centre = (place + 0.5) * scale
        first = max(int(centre - reach + 0.5), 0)
        last = min(int(centre + reach + 0.5), size)
        distance = np.abs((np.arange(first, last) - centre + 0.5) * (1.0 / reach))
        shares = np.maximum(1.0 - distance, 0.0)
        total = sum(shares.tolist())  # in this order
        found[first:last, place] = (0.5 + shares / total * (1 << PRECISION)).astype(np.int64)
    return found


@dataclass(frozen=True)
class Digits:
    """Coefficients in digits that float32 sums exactly.

    Attributes:
        bits: of a digit but the highest.
        parts: the digits, lowest first, each float32 `(size, wanted)`.
    """

    bits: int
    parts: tuple[Array, ...]

    @classmethod
    def of(cls, whole: Array) -> "Digits":
        """Return the digits; all but the highest lie around 0, which doubles the room."""
        most = int((whole != 0).sum(axis=0).max())
        room = _EXACT // (most * WHITE)
        bits = min(_MOST_BITS, int(math.log2(room)))
        parts, rest = [], whole
        for _ in range(math.ceil(PRECISION / bits) - 1):
            digit = (rest + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
            parts.append(digit.astype(np.float32))
            rest = (rest - digit) >> bits
        return cls(bits, (*parts, rest.astype(np.float32)))

    def resized(self, lines: Any) -> Any:
        """Return lines `(..., size)` of whole numbers 0..255 as `(..., wanted)`, float32."""
        from keras import ops

        *lower, highest = self.parts
        carried: Any = 0.0
        for digit in lower:
            carried = ops.floor((ops.matmul(lines, digit) + carried) / float(1 << self.bits))
        left = PRECISION - self.bits * len(lower)
        total = ops.matmul(lines, highest) + carried + float(1 << left - 1)
        return ops.clip(ops.floor(total / float(1 << left)), float(BLACK), float(WHITE))


def resized(images: Any, size: tuple[int, int]) -> Any:
    """Return images in another size, bilinear as the installed Pillow resizes them.

    Args:
        images: whole numbers 0..255, float32 `(n, height, width, channels)`.
        size: (height, width).

    Raises:
        ValueError: this Pillow resizes in a way that is not known.
    """
    from keras import ops

    native = tuple(images.shape[1:3])
    turned = ops.transpose(images, (0, 3, 1, 2))
    for axis in order_of(native, size):
        other = (0, 1, 3, 2)
        turned = turned if axis == 1 else ops.transpose(turned, other)
        turned = Digits.of(coefficients(native[axis], size[axis])).resized(turned)
        turned = turned if axis == 1 else ops.transpose(turned, other)
    return ops.transpose(turned, (0, 2, 3, 1))


def order_of(native: tuple[int, ...], size: tuple[int, int]) -> tuple[int, ...]:
    """Return the axes, 0 for height and 1 for width, in the order in which Pillow resizes them.

    That depends on its version and on the sizes, so it is found out with a noisy image.

    Raises:
        ValueError: neither order gives what Pillow does.
    """
    noise = np.random.default_rng(0).integers(0, WHITE + 1, (_TRIED, *native)).astype(np.uint8)
    noise[::2] = np.where(noise[::2] > WHITE // 2, WHITE, BLACK)
    expected = [
        np.asarray(Image.fromarray(one).resize(size[::-1], Image.Resampling.BILINEAR))
        for one in noise
    ]
    axes = tuple(axis for axis in (1, 0) if native[axis] != size[axis])
    for order in (axes, axes[::-1]):
        found = noise.astype(np.int64)
        for axis in order:
            lines = np.moveaxis(found, axis + 1, -1) @ coefficients(native[axis], size[axis])
            lines = np.clip(lines + (1 << PRECISION - 1) >> PRECISION, BLACK, WHITE)
            found = np.moveaxis(lines, -1, axis + 1)
        if np.array_equal(found, expected):
            return order
    raise ValueError(
        f"Pillow {PIL.__version__} resizes images from {native} to {size} in a way that is not"
        " known"
    )
