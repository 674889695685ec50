"""A picture file of any size and mode, as the pixels a model was trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from search.data.pictures import flattened, open_picture, quiet_pillow
from search.errors import DataError
from search.export.folder import Labels
from search.training.encoders import ImageEncoder

_CONTRAST = 64  # borders this far apart, of 255, are of opposite polarity

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Picture:
    """A file made ready for a model.

    Attributes:
        pixels: one image as the model receives it.
        inverted: its border is as bright as the training images' is dark, or the reverse.
    """

    pixels: Array
    inverted: bool


def read_picture(path: Path, labels: Labels, *, invert: bool = False) -> Picture:
    """Read a picture and bring it to a model's input.

    It is turned upright, laid on the training images' background where it is transparent, made
    grey or colour, fitted into the training images' size with its proportions kept, and padded or
    resized as they were.

    Args:
        path: a file in any format Pillow reads.
        labels: what the model expects.
        invert: swap dark and bright first.

    Raises:
        DataError: no such file, no image, or more than 50 million pixels.
    """
    encoder = labels.encoder
    if not isinstance(encoder, ImageEncoder):
        raise TypeError("a picture can only be read for a model of images")
    height, width, channels = encoder.native_shape
    mode = "L" if channels == 1 else "RGB"
    with quiet_pillow():
        image = open_picture(path)
        try:
            image = flattened(image, backdrop=round(labels.background), mode=mode)
        except ValueError as error:  # a mode that Pillow cannot convert
            raise DataError(
                f"{path}: {error}; save it as a PNG or JPEG in grey or colour"
            ) from error
    if invert:
        image = ImageOps.invert(image)
    border = _border_mean(np.asarray(image))
    fitted = ImageOps.pad(
        image,
        (width, height),
        method=Image.Resampling.BILINEAR,
        color=round(border) if channels == 1 else (round(border),) * 3,
    )
    pixels = np.asarray(fitted, dtype=np.uint8).reshape(1, height, width, channels)
    return Picture(encoder.encode(pixels)[0], _opposite(border, labels.background))


def _border_mean(pixels: Array) -> float:
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return float(np.mean([np.mean(edge) for edge in edges]))


def _opposite(border: float, background_mean: float) -> bool:
    middle = 127.5
    far = abs(border - background_mean) > 2 * _CONTRAST
    return far and (border > middle) != (background_mean > middle)
