"""Images brought to the size and the channels a space wants, as uint8."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.data.arrays import Images
from search.data.checks import check_images
from search.errors import DataError
from spaces import ImageInput

PIECE = 2048
# Luma of ITU-R BT.601 in 1/65536, rounded; the weights Pillow uses for mode "L".
LUMA = np.array([19595, 38470, 7471], np.uint32)


def prepare_images(images: NDArray[Any], image: ImageInput) -> Images:
    """Return the images as the space wants them.

    An image that is smaller than the target by at most a quarter of it in height and width is
    centred on black; any other is resized (bilinear, antialiased), which may change its
    proportions. Colour becomes grey by luma, grey becomes colour with three equal channels.

    Args:
        images: (n, height, width, 1 or 3), uint8.
        image: the target.

    Returns:
        (n, height, width, channels), uint8.

    Raises:
        DataError: images or target of another kind.
    """
    result = np.empty((len(images), *image.shape(images.shape[1:])), np.uint8)
    start = 0
    for piece in prepared_pieces(images, image):
        result[start : start + len(piece)] = piece
        start += len(piece)
    return result


def prepared_pieces(images: NDArray[Any], image: ImageInput) -> Iterator[Images]:
    """Yield what `prepare_images` returns, a piece of the images at a time."""
    check_images(images, "images")
    height, width, channels = shape = image.shape(images.shape[1:])
    if channels not in (1, 3) or min(height, width) < 1:
        raise DataError(f"a space's images must have 1 or 3 channels and a size; got {shape}")
    for start in range(0, len(images), PIECE):
        piece = np.asarray(images[start : start + PIECE])
        if channels == 1:
            piece = _grey(piece)
        size = height, width
        piece = _pad(piece, size) if _is_near(piece, size) else _resize(piece, size)
        yield np.broadcast_to(piece, (len(piece), *shape))


def background(images: NDArray[Any]) -> float:
    """Return the mean of the border of the first images, `(n, height, width, channels)`."""
    some = images[:1000]
    edges = (some[:, 0], some[:, -1], some[:, :, 0], some[:, :, -1])
    return float(np.mean([np.mean(edge) for edge in edges]))


def _is_near(images: Images, size: tuple[int, int]) -> bool:
    lacking = [wanted - got for wanted, got in zip(size, images.shape[1:3], strict=True)]
    return all(0 <= lack <= wanted // 4 for lack, wanted in zip(lacking, size, strict=True))


def _pad(images: Images, size: tuple[int, int]) -> Images:
    lacking = [wanted - got for wanted, got in zip(size, images.shape[1:3], strict=True)]
    margins = [(lack // 2, lack - lack // 2) for lack in lacking]
    return np.pad(images, [(0, 0), *margins, (0, 0)])


def _resize(images: Images, size: tuple[int, int]) -> Images:
    height, width = size
    channels = images.shape[-1]
    result = np.empty((len(images), height, width, channels), np.uint8)
    for index, pixels in enumerate(images):
        picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        resized = picture.resize((width, height), Image.Resampling.BILINEAR)
        result[index] = np.asarray(resized).reshape(height, width, channels)
    return result


def _grey(images: Images) -> Images:
    if images.shape[-1] == 1:
        return images
    luma = images.astype(np.uint32) @ LUMA
    return ((luma + 0x8000) >> 16).astype(np.uint8)[..., np.newaxis]
