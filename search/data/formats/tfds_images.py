"""Images of different sizes brought to one."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.data.arrays import Images
from search.data.picture_files import check_pixels, opened, quiet_pillow
from search.errors import DataError

MAX_SIDE = 256


def size_of(encoded: bytes) -> tuple[int, int]:
    """Return (height, width) of an image file's content; only its header is read.

    Raises:
        DataError: it has more pixels than any picture may have.
    """
    try:
        with quiet_pillow(), opened(io.BytesIO(encoded)) as picture:
            check_pixels("one of the images", picture.width, picture.height)
            return picture.height, picture.width
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"one of the images has too many pixels: {error}") from error


def usual_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the median height and the median width, made smaller together to at most `MAX_SIDE`.

    Args:
        sizes: (height, width) of each image, in pixels; at least one.
    """
    height, width = np.median(np.array(sizes), axis=0)
    scale = min(1.0, MAX_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: NDArray[Any], size: tuple[int, int]) -> Images:
    """Return an image resized (bilinear, antialiased) to (height, width), which may distort it.

    Args:
        image: uint8 (height, width, 1 or 3).
        size: the target, in pixels.

    Returns:
        uint8 (1, height, width, 1 or 3).
    """
    height, width = size
    channels = image.shape[-1]
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(1, height, width, channels)
