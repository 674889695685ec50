"""Picture files of any size and mode, opened with care."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from search.errors import DataError

MAX_PIXELS = 50_000_000
# By their content, whatever the file is called. Without those that Pillow hands to other programs
# (EPS to Ghostscript) or that are no pictures of pixels.
FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM"),
    *("PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM"),
)
GREY_MODES = frozenset({"1", "L", "LA", "La", "F"})
_TURNED = frozenset({5, 6, 7, 8})  # orientations that swap width and height
# What Pillow raises on damaged files, plugin by plugin.
_DAMAGES = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError),
    *(struct.error, zlib.error, ArithmeticError, MemoryError, RuntimeError, AssertionError),
    *(AttributeError, NotImplementedError),
)


@dataclass(frozen=True)
class Head:
    """What a picture file says of itself before its pixels are unpacked.

    Attributes:
        size: (width, height) in pixels, upright.
        is_grey: it has no colours.
    """

    size: tuple[int, int]
    is_grey: bool


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings, in all threads: what matters is checked or raised here.

    What looks like a decompression bomb is refused, also where it is a picture within a picture.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_head(path: Path) -> Head:
    """Return what a picture file says of itself.

    Raises:
        DataError: no such file, no picture, or more than `MAX_PIXELS` pixels.
    """
    with _reading(path), opened(path) as image:
        _check_size(path, image)
        width, height = image.size
        turned = _orientation(image) in _TURNED
        return Head((height, width) if turned else (width, height), _is_grey(image))


def open_picture(path: Path, *, at_least: int = 0) -> Image.Image:
    """Return a picture, unpacked and upright; of an animation the first frame.

    Args:
        path: a file in any format Pillow reads.
        at_least: where the format allows it (JPEG) the picture may come smaller, each side halved
            one to three times, but no side shorter than this; 0: as it is. Saves most of the time
            with photographs.

    Raises:
        DataError: no such file, no picture, or more than `MAX_PIXELS` pixels.
    """
    with _reading(path), opened(path) as image:
        _check_size(path, image)
        if at_least:
            image.draft(None, (at_least, at_least))
        image.load()
        _check_size(path, image)  # an icon's picture may be larger than the icon says
        return ImageOps.exif_transpose(image)


def flattened(image: Image.Image, *, backdrop: int, mode: str) -> Image.Image:
    """Return a picture without transparency, in 8 bits a channel.

    Values of 16 bits are divided by 257. Values of 32 bits or with fractions are taken as 0..1,
    0..255 or 0..65535, the least that holds them all.

    Args:
        image: of any mode.
        backdrop: grey value 0..255 of what shows through transparent places.
        mode: `L` or `RGB`.

    Raises:
        ValueError: Pillow cannot convert this mode.
    """
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        tops = () if image.mode.startswith("I;16") else (1.0, 255.0)
        top = next((top for top in tops if values.max() <= top), 65535.0)
        image = Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (backdrop, backdrop, backdrop, 255))
        image = Image.alpha_composite(canvas, layer)
    return image.convert(mode)


def opened(source: Path | BinaryIO) -> Image.Image:
    """Open a picture of one of the formats; its head is read and nothing else."""
    Image.init()  # all plug-ins; else a format that comes late is not known by its name
    return Image.open(source, formats=[name for name in FORMATS if name in Image.OPEN])


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"{path}: a picture must have at most {MAX_PIXELS:,} pixels; {error} Make it smaller."
        ) from error
    except _DAMAGES as error:
        raise DataError(
            f"{path} is no picture that can be read ({error}); give a PNG, JPEG or the like"
        ) from error


def _check_size(path: Path, image: Image.Image) -> None:
    check_pixels(str(path), image.width, image.height)


def check_pixels(what: str, width: int, height: int) -> None:
    """Raise DataError for more than `MAX_PIXELS` pixels."""
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{what}: a picture must have at most {MAX_PIXELS:,} pixels;"
            f" this has {width} x {height}. Make it smaller."
        )


def _orientation(image: Image.Image) -> int:
    # Asking a PNG without this entry would unpack it whole.
    if "exif" not in image.info and image.format != "TIFF":
        return 1
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def _is_grey(image: Image.Image) -> bool:
    if image.mode in GREY_MODES or image.mode.startswith("I"):
        return True
    palette = image.getpalette("RGB") if image.mode in ("P", "PA") else None
    if palette is None:
        return False
    colours = np.asarray(palette, np.uint8).reshape(-1, 3)
    return bool(np.all(colours == colours[:, :1]))
