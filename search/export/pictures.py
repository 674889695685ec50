"""A picture file as a model of images takes it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from search.data.arrays import Array
from search.data.encoders import ImageEncoder
from search.data.pictures import (
    BACKDROP,
    depth_of_picture,
    enough_for,
    flattened,
    in_size,
    open_picture,
    quiet_pillow,
    read_head,
    values_of,
)
from search.data.ranges import BYTES, PixelRange, told_clipped
from search.errors import DataError
from search.export.labels import Labels
from search.export.raw import raw_samples

UNKNOWN_FIT = (
    "pictures with transparent parts or other proportions than the training images' are fitted into"
    " their size: the model was exported by an earlier version, which did not store how its own"
    " pictures were read. If these were files in folders, export it again, as they were resized"
)
_CONTRAST = 64  # borders that differ by this much, of 255, have opposite polarity


@dataclass(frozen=True)
class Picture:
    """A picture file prepared for a model.

    Attributes:
        pixels: the model's input of one image.
        inverted: whether its border is as bright as the training images' is dark, or the reverse.
        notices: on values outside the training images' range.
    """

    pixels: Array
    inverted: bool
    notices: tuple[str, ...] = ()


def read_picture(path: Path, labels: Labels, *, invert: bool = False) -> Picture:
    """Read a picture and convert it to a model's input.

    A model that was trained on pictures in files gets it as these were read: upright, transparent
    parts black, grey or colour, resized. For one that was trained on arrays it is turned upright,
    gets the training images' background behind transparent parts, becomes grey or colour, and is
    fitted into the training images' size with its proportions. Then it is padded or resized like
    them.

    Args:
        path: a file in any format Pillow reads.
        labels: what the model expects.
        invert: swap dark and bright first.

    Raises:
        DataError: no such file, no image, more than 50 million pixels, or values on another scale
            than those of the training images.
    """
    encoder = labels.encoder
    if not isinstance(encoder, ImageEncoder):
        raise TypeError("a picture can only be read for a model of images")
    height, width, channels = encoder.native_shape
    mode, size = "L" if channels == 1 else "RGB", (width, height)
    stretches = bool(labels.stretches)
    backdrop = BACKDROP if stretches else round(labels.background)
    with quiet_pillow():
        image = open_picture(path, at_least=enough_for(size) if stretches else 0)
        ranged = _range_for(path, image, encoder)
        try:
            told = [*_cut(path, image), *_outside(path, image, ranged, mode)]
            if labels.stretches is None and (
                image.has_transparency_data or width * image.height != height * image.width
            ):
                told.append(UNKNOWN_FIT)
            image = flattened(image, backdrop=backdrop, mode=mode, ranged=ranged)
        except ValueError as error:  # a mode that Pillow cannot convert
            raise DataError(
                f"{path}: {error}; save it as a PNG or JPEG in grey or colour"
            ) from error
    if invert:
        image = ImageOps.invert(image)
    border = _border_mean(np.asarray(image))
    fitted = in_size(image, size) if stretches else _padded(image, size, round(border))
    pixels = np.asarray(fitted, dtype=np.uint8).reshape(1, height, width, channels)
    inverted = _opposite(border, labels.background)
    return Picture(raw_samples(pixels, labels)[0], inverted, tuple(told))


def _padded(image: Image.Image, size: tuple[int, int], border: int) -> Image.Image:
    """Return a picture fitted into a (width, height) with its proportions."""
    return ImageOps.pad(
        image,
        size,
        method=Image.Resampling.BILINEAR,
        color=border if image.mode == "L" else (border,) * 3,
    )


def _range_for(path: Path, image: Image.Image, encoder: ImageEncoder) -> PixelRange | None:
    """Return which values of a picture become black and white; None for all that it can have.

    Raises:
        DataError: it is of another depth than the training images, whose range is only theirs.
    """
    ranged, depth = encoder.pixel_range, depth_of_picture(image)
    if ranged is None or depth == ranged.depth:
        return ranged
    if ranged.is_usual:  # white is white
        return None
    raise DataError(
        f"{path} must hold {ranged.depth} on the scale of the training images, {ranged}; it holds"
        f" {depth}. Save it as they are."
    )


def _cut(path: Path, image: Image.Image) -> list[str]:
    """Return the notice on a picture of which not all bits are read."""
    if not read_head(path).is_cut:
        return []
    highest = int(np.asarray(image.convert("RGB")).max())
    return [
        f"{path} has 16 bits a colour, of which the upper 8 are read: they reach {highest} of 255."
        " If the pictures use fewer bits, save them as PNGs of 8."
    ]


def _outside(path: Path, image: Image.Image, ranged: PixelRange | None, mode: str) -> list[str]:
    if ranged is None:
        return []
    is_bytes = depth_of_picture(image) == BYTES
    values = np.asarray(image.convert(mode)) if is_bytes else values_of(image)
    return told_clipped(str(path), ranged, ranged.outside(values), values.size)


def _border_mean(pixels: Array) -> float:
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return float(np.mean([np.mean(edge) for edge in edges]))


def _opposite(border: float, background_mean: float) -> bool:
    middle = 127.5
    far = abs(border - background_mean) > 2 * _CONTRAST
    return far and (border > middle) != (background_mean > middle)
