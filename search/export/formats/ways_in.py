"""In which shape raw images enter a model that brings its preprocessing."""

from typing import TypeAlias

import numpy as np

from search.training.encoders import Encoder, ImageEncoder

Margins: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


def raw_shape(encoder: Encoder) -> tuple[int, ...]:
    """Return the shape of one sample as a model with its preprocessing takes it."""
    if isinstance(encoder, ImageEncoder) and margins(encoder) is not None:
        return encoder.native_shape
    return encoder.input_shape


def margins(encoder: ImageEncoder) -> Margins | None:
    """Return how many rows and columns an encoder adds around an image; None where it resizes.

    The encoder itself is asked, with a white image, so that no rule stands twice.
    """
    lacking = [
        wanted - got for wanted, got in zip(encoder.shape[:2], encoder.native_shape, strict=False)
    ]
    if min(lacking) < 0:
        return None
    top, left = (lack // 2 for lack in lacking)
    border = (top, lacking[0] - top), (left, lacking[1] - left)
    white = np.full((1, *encoder.native_shape), 255, np.uint8)
    inner = np.full((1, *encoder.native_shape[:2], encoder.shape[-1]), 255, np.uint8)
    padded = encoder.scale(np.pad(inner, [(0, 0), *border, (0, 0)]))
    return border if np.array_equal(encoder.encode(white), padded) else None
