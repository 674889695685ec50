"""A picture file of any size and mode, as the pixels a model was trained on."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from search.datasets import prepare_images
from search.errors import DataError
from search.model_folder import Labels
from spaces import ImageInput

MAX_PIXELS = 50_000_000
_CONTRAST = 64  # borders this far apart, of 255, are of opposite polarity

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Picture:
    """A file made ready for a model.

    Attributes:
        pixels: uint8, the model's input shape.
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
        DataError: no such file, no image, or more than `MAX_PIXELS` pixels.
    """
    height, width, channels = labels.native_shape
    try:
        image = _flat(_opened(path), round(labels.background), "L" if channels == 1 else "RGB")
    except ValueError as error:  # a mode that Pillow cannot convert
        raise DataError(f"{path}: {error}; save it as a PNG or JPEG in grey or colour") from error
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
    target = ImageInput(labels.input_shape[:2], labels.input_shape[2])
    return Picture(prepare_images(pixels, target)[0], _opposite(border, labels.background))


def background(images: Array) -> float:
    """Return the mean of the border pixels of images `(n, height, width, channels)`."""
    return float(np.mean([_border_mean(image) for image in images[:1000]]))


def _opened(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # bounded below
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(
                        f"{path}: a picture must have at most {MAX_PIXELS:,} pixels;"
                        f" this has {image.width} x {image.height}. Make it smaller."
                    )
                image.load()
                return ImageOps.exif_transpose(image)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        OSError,
        ValueError,
        SyntaxError,
    ) as error:
        raise DataError(
            f"{path} is no picture that can be read ({error}); give a PNG, JPEG or the like"
        ) from error


def _flat(image: Image.Image, backdrop: int, mode: str) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16 or 32 bits a pixel
        values = np.asarray(image, dtype=np.float64)
        top = next((top for top in (1.0, 255.0) if values.max() <= top), 65535.0)
        image = Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (backdrop, backdrop, backdrop, 255))
        image = Image.alpha_composite(canvas, layer)
    return image.convert(mode)


def _border_mean(pixels: Array) -> float:
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return float(np.mean([np.mean(edge) for edge in edges]))


def _opposite(border: float, background_mean: float) -> bool:
    middle = 127.5
    far = abs(border - background_mean) > 2 * _CONTRAST
    return far and (border > middle) != (background_mean > middle)
