"""A picture of rectangles, tiles and text, PNG.

Positions are pixels from the upper left corner. Tiles and rectangles are copied pixel by pixel,
text is drawn as outlines; both are what makes drawing quick (see `tracking/plots/trials.py`).
"""

import io
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from tracking.plots.lettering import Label, drawable, width
from tracking.plots.panel import write

INK, GREY, RULE, PAPER = "#1a1a1a", "#666666", "#c8c8c8", "#ffffff"
# Two colours of the Okabe-Ito palette, told apart by colour-blind readers.
BLUE, ORANGE = "#0072B2", "#D55E00"
TITLE, TEXT, SMALL = 16, 13, 11  # pixels an em
_DPI = 100

Pixels = NDArray[np.uint8]


class Canvas:
    """An empty white picture to draw on.

    Args:
        wide: pixels.
        high: pixels.
    """

    def __init__(self, wide: int, high: int) -> None:
        self._pixels = np.full((high, wide, 4), 255, np.uint8)
        self._labels: dict[str, list[Label]] = defaultdict(list)

    def tile(self, pixels: NDArray[np.uint8], left: float, top: float) -> None:
        """Copy a small picture, (height, width, 1 or 3), with its corner at that place."""
        x, y = round(left), round(top)
        self._pixels[y : y + pixels.shape[0], x : x + pixels.shape[1], :3] = pixels

    def bar(self, left: float, top: float, *, wide: float, high: float, colour: str = BLUE) -> None:
        """Fill a rectangle; one of any width is seen."""
        x, y = round(left), round(top)
        right, bottom = max(x + 1, round(left + wide)), max(y + 1, round(top + high))
        self._pixels[y:bottom, x:right, :3] = np.round(np.multiply(to_rgb(colour), 255))

    def write(
        self,
        text: str,
        x: float,
        y: float,
        *,
        size: float = TEXT,
        align: float = 0.0,
        colour: str = INK,
        rotation: float = 0.0,
    ) -> None:
        """Write a line of text, centred on `y`.

        Args:
            text: one line.
            x: where the part that `align` names lies.
            y: the line's middle.
            size: pixels an em.
            align: 0 its left end, 0.5 its middle, 1 its right end.
            colour: of the letters.
            rotation: degrees, counter-clockwise, about the anchor.
        """
        up = self._pixels.shape[0] - y
        self._labels[colour].append(Label(text, x, up, size, align, rotation))

    def png(self) -> bytes:
        """Return the picture."""
        high, wide, _ = self._pixels.shape
        figure = Figure(figsize=(wide / _DPI, high / _DPI), dpi=_DPI, facecolor=PAPER)
        canvas = FigureCanvasAgg(figure)
        figure.add_artist(_Ground(self._pixels), clip=False)
        for colour, labels in self._labels.items():
            write(figure, labels, colour)
        canvas.draw()  # type: ignore[no-untyped-call]
        drawn = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
        image = Image.frombuffer("RGBA", canvas.get_width_height(), drawn).convert("RGB")
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()


class _Ground(Artist):
    """What is under the text."""

    def __init__(self, pixels: Pixels) -> None:
        super().__init__()
        self._pixels = np.ascontiguousarray(pixels[::-1])  # the renderer counts from the bottom

    def draw(self, renderer: RendererBase) -> None:
        renderer.draw_image(renderer.new_gc(), 0, 0, self._pixels)


def fitted(text: str, size: float, most: float) -> str:
    """Return `text`, or as much of its two ends as `most` pixels hold."""
    if width(text, size) <= most:
        return text
    for kept in range(len(text) - 1, 0, -1):
        # Long names mostly differ at their ends, so the middle goes.
        short = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
        if width(short, size) <= most:
            return short
    return "…"


def folded(text: str, size: float, most: float) -> list[str]:
    """Return `text` in up to three lines of `most` pixels, with as much of it as they hold."""
    lines: list[str] = []
    while len(lines) < 2 and width(text, size) > most:
        end = max(at for at in range(1, len(text)) if at == 1 or width(text[:at], size) <= most)
        space = text.rfind(" ", 1, end + 1)
        cut = space if space > 0 else end
        lines.append(text[:cut])
        text = text[cut:].strip()
    return [*lines, fitted(text, size, most)]


def plain(text: str) -> str:
    """Return `text` with a question mark for each character that the font lacks.

    No other is to be written or measured: Matplotlib warns, and from then on takes it for drawable.
    """
    return "".join(letter if _is_plain(letter) else "?" for letter in text)


def class_names(names: Sequence[str]) -> list[str]:
    """Return names that can be written: one the font has no letters for becomes its number."""
    return [
        name if name and all(map(_is_plain, name)) else f"class {number}"
        for number, name in enumerate(names)
    ]


def heat(values: NDArray[Any], colours: str) -> Pixels:
    """Return the colours of values 0 to 1, (height, width, 3); grey where there is none."""
    pixels: Pixels = colormaps[colours](np.nan_to_num(values), bytes=True)[..., :3]
    pixels[np.isnan(values)] = 225
    return pixels


def enlarged(pixels: Pixels, side: int) -> Pixels:
    """Return a picture whose longer side has about `side` pixels; small ones keep sharp edges."""
    high, wide = pixels.shape[:2]
    if max(high, wide) <= side:
        factor = side // max(high, wide)
        return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    size = max(1, wide * side // max(high, wide)), max(1, high * side // max(high, wide))
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    resized = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    return resized.reshape(size[1], size[0], -1)


def _is_plain(letter: str) -> bool:
    return letter.isprintable() and drawable(letter)
