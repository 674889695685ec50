"""Open picture files safely, and convert images to the size and channels of a space."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw, ImageOps

from search.data.arrays import Images
from search.data.checks import check_images
from search.data.ranges import BYTES, FRACTIONS, WHOLE, PixelRange
from search.errors import DataError
from spaces import ImageInput

PIECE = 2048
_LOOKED_AT = 5_000  # images
# Luma of ITU-R BT.601 in 1/65536, rounded: Pillow's weights for mode "L".
LUMA = np.array([19595, 38470, 7471], np.uint32)


def prepare_images(images: NDArray[Any], image: ImageInput) -> Images:
    """Return the images with the size and channels of a space.

    An image whose height and width are smaller than the target's by at most a quarter is centred
    on black; any other is resized (bilinear, antialiased), which may change its proportions. Colour
    becomes grey by luma, grey becomes colour with three equal channels.

    Args:
        images: (n, height, width, 1 or 3), uint8.
        image: the target.

    Returns:
        (n, height, width, channels), uint8.

    Raises:
        DataError: the images or the target have another shape or dtype.
    """
    result = np.empty((len(images), *image.shape(images.shape[1:])), np.uint8)
    start = 0
    for piece in prepared_pieces(images, image):
        result[start : start + len(piece)] = piece
        start += len(piece)
    return result


def prepared_pieces(images: NDArray[Any], image: ImageInput) -> Iterator[Images]:
    """Yield the result of `prepare_images` for a piece of the images at a time."""
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


def dark_limit(images: NDArray[Any]) -> int:
    """Return a quarter of the brightest pixel of the darkest image that is not black.

    Args:
        images: uint8 `(n, height, width, channels)`, of which at most 5,000 are looked at.
    """
    some = np.linspace(0, len(images) - 1, min(len(images), _LOOKED_AT)).astype(int)
    brightest = np.asarray(images[np.unique(some)]).max(axis=(1, 2, 3))
    seen = brightest[brightest > 0]
    return int(seen.min()) // 4 if len(seen) else 0


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


LINES = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b")
_FINER = 4  # times as large as lines are drawn, which smooths them


def draw_sequence(
    values: NDArray[Any], lowest: NDArray[Any], highest: NDArray[Any], size: tuple[int, int]
) -> Image.Image:
    """Draw the first features of a sequence over time, one line each, on a scale of its own.

    Args:
        values: (time, features), of which as many features are drawn as there are `LINES`.
        lowest: (features,), at the bottom of the picture.
        highest: (features,), at its top.
        size: (width, height) in pixels.
    """
    wide, high = (side * _FINER for side in size)
    picture = Image.new("RGB", (wide, high), "white")
    pen = ImageDraw.Draw(picture)
    spread = np.where(highest > lowest, highest.astype(np.float64) - lowest, 1.0)
    share = np.where(highest > lowest, (values - lowest.astype(np.float64)) / spread, 0.5)
    across = np.linspace(_FINER, wide - _FINER, len(values))
    for colour, line in zip(LINES, np.clip(share, 0, 1).T, strict=False):
        down = (high - 2 * _FINER) * (1 - line) + _FINER
        places = list(zip(across.tolist(), down.tolist(), strict=True))
        pen.line(places * (2 if len(places) == 1 else 1), fill=colour, width=_FINER)
    return picture.resize(size, Image.Resampling.LANCZOS)


MAX_PIXELS = 50_000_000
# Recognised by content, not by name. Without formats that Pillow passes to other programs (EPS to
# Ghostscript) or that have no pixels.
FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM"),
    *("PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM"),
)
GREY_MODES = frozenset({"1", "L", "LA", "La", "F"})
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
# Errors that Pillow's plugins raise on damaged files.
_DAMAGES = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError),
    *(struct.error, zlib.error, ArithmeticError, MemoryError, RuntimeError, AssertionError),
    *(AttributeError, NotImplementedError),
)


@dataclass(frozen=True)
class Head:
    """The header of a picture file, read before its pixels are decoded.

    Attributes:
        size: (width, height) in pixels, upright.
        is_grey: whether it has no colours.
        depth: one of `ranges.DEPTHS`.
        is_cut: whether it has 16 bits a colour, of which Pillow reads the upper 8.
    """

    size: tuple[int, int]
    is_grey: bool
    depth: str = BYTES
    is_cut: bool = False


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings in all threads, and refuse decompression bombs.

    A bomb is refused even if it is a picture within a picture.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_head(path: Path) -> Head:
    """Return the header of a picture file.

    Raises:
        DataError: there is no such file, it is no picture, or has more than `MAX_PIXELS` pixels.
    """
    with _reading(path), opened(path) as image:
        _check_size(path, image)
        width, height = image.size
        turned = _orientation(image) in _TURNED
        size = (height, width) if turned else (width, height)
        depth = depth_of_picture(image)
        return Head(size, _is_grey(image), depth, depth == BYTES and _has_16_bits(image))


def open_picture(path: Path, *, at_least: int = 0) -> Image.Image:
    """Return a decoded, upright picture; of an animation the first frame.

    Args:
        path: a file in any format Pillow reads.
        at_least: a JPEG may be decoded at a half, a quarter or an eighth of its size, but no side
            shorter than this, which saves most of the time with photographs; 0: at full size.

    Raises:
        DataError: there is no such file, it is no picture, or has more than `MAX_PIXELS` pixels.
    """
    with _reading(path), opened(path) as image:
        _check_size(path, image)
        if at_least:
            image.draft(None, (at_least, at_least))
        image.load()
        _check_size(path, image)  # the picture in an icon may be larger than its header says
        return ImageOps.exif_transpose(image)


def depth_of_picture(image: Image.Image) -> str:
    """Return which of `ranges.DEPTHS` a picture's values have."""
    if image.mode == "F":
        return FRACTIONS
    return WHOLE if image.mode.startswith("I") else BYTES


def values_of(image: Image.Image) -> NDArray[Any]:
    """Return the values of a picture of one channel that are no bytes, `(height, width)`.

    Raises:
        ValueError: values are missing (NaN) or infinite.
    """
    values = np.asarray(image, dtype=np.float64 if image.mode == "F" else np.int64)
    if not np.isfinite(values).all():
        raise ValueError("some of its values are missing (NaN) or infinite")
    return values


def flattened(
    image: Image.Image, *, backdrop: int, mode: str, ranged: PixelRange | None = None
) -> Image.Image:
    """Return a picture without transparency, in 8 bits a channel.

    Without a range, values of 16 bits are divided by 257, and for values of 32 bits or with
    fractions, the range is the smallest of 0..1, 0..255 and 0..65535 that contains them all.

    Args:
        image: of any mode.
        backdrop: grey value 0..255 behind transparent parts.
        mode: `L` or `RGB`.
        ranged: which values become black and white, if it is for pictures of this depth.

    Raises:
        ValueError: Pillow cannot convert this mode, or values are missing.
    """
    is_for_this = ranged is not None and ranged.depth == depth_of_picture(image)
    if depth_of_picture(image) != BYTES:
        image = Image.fromarray(
            ranged.pixels(values_of(image)) if ranged and is_for_this else _unranged(image)
        )
        is_for_this = False
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (backdrop, backdrop, backdrop, 255))
        image = Image.alpha_composite(canvas, layer)
    image = image.convert(mode)
    return Image.fromarray(ranged.pixels(np.asarray(image))) if ranged and is_for_this else image


BACKDROP = 0  # behind transparent parts of pictures in files, when they are trained on


def enough_for(size: tuple[int, int]) -> int:
    """Return the `at_least` of `open_picture` for a picture that gets this size."""
    return 2 * max(size)


def in_size(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a picture with the (width, height) of all, as training resizes those in files.

    It is bilinear and antialiased, and may change proportions.
    """
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def _unranged(image: Image.Image) -> Images:
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    tops = () if image.mode.startswith("I;16") else (1.0, 255.0)
    top = next((top for top in tops if values.max() <= top), 65535.0)
    return np.clip(values * (255.0 / top), 0, 255).astype(np.uint8)


def opened(source: Path | BinaryIO) -> Image.Image:
    """Open a picture of one of the formats; only its header is read."""
    Image.init()  # loads all plugins; otherwise rarer formats are not known by name
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
            f"{path} is not a readable picture ({error}); use a PNG, JPEG or the like"
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
    # Reading this entry of a PNG that lacks it would decode the whole picture.
    if "exif" not in image.info and image.format != "TIFF":
        return 1
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def _has_16_bits(image: Image.Image) -> bool:
    """Return whether a picture's file has 16 bits a channel, which its mode does not show."""
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _is_grey(image: Image.Image) -> bool:
    if image.mode in GREY_MODES or image.mode.startswith("I"):
        return True
    palette = image.getpalette("RGB") if image.mode in ("P", "PA") else None
    if palette is None:
        return False
    colours = np.asarray(palette, np.uint8).reshape(-1, 3)
    return bool(np.all(colours == colours[:, :1]))
