"""Text as outlines: many labels drawn as one path.

Matplotlib lays out and rasters every `Text` on its own, about a millisecond each; a confusion
matrix has a hundred of them. Glyph outlines are cached here and joined into one path instead.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import cos, radians, sin

import numpy as np
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.path import Path
from numpy.typing import NDArray

_UNIT = 100.0  # glyphs are cached at this size, pixels an em
_CAPITAL = 0.73  # height of DejaVu Sans's capitals and digits, ems


@dataclass(frozen=True)
class Label:
    """A line of text and where it goes.

    Attributes:
        x: anchor, pixels from the left.
        y: anchor, pixels from the bottom; the text is centred on it vertically.
        size: pixels an em.
        align: which part of the text lies on the anchor: 0 its left end, 0.5 its middle, 1 its
            right end.
        rotation: degrees, counter-clockwise, about the anchor.
    """

    text: str
    x: float
    y: float
    size: float
    align: float = 0.5
    rotation: float = 0.0


def lettering(labels: Iterable[Label]) -> Path:
    """Return the outlines of all `labels` as one path, in pixels."""
    pieces = [piece for label in labels for piece in _outlines(label)]
    if not pieces:
        return Path(np.zeros((0, 2)))
    return Path(
        np.concatenate([vertices for vertices, _ in pieces]),
        np.concatenate([codes for _, codes in pieces]),
    )


def width(text: str, size: float) -> float:
    """Return how wide `text` is at `size` pixels an em, pixels."""
    return sum(_glyph(character)[2] for character in text) * size / _UNIT


def drawable(text: str) -> bool:
    """Tell whether the font has a glyph for every character of `text`."""
    font = get_font(_font_file())
    return all(font.get_char_index(ord(character)) for character in text)


def _outlines(label: Label) -> Iterable[tuple[NDArray[np.float64], NDArray[np.uint8]]]:
    scale, angle = label.size / _UNIT, radians(label.rotation)
    turn = scale * np.array([[cos(angle), sin(angle)], [-sin(angle), cos(angle)]])
    pen = np.array([-label.align * width(label.text, label.size) / scale, -_CAPITAL / 2 * _UNIT])
    anchor = np.array([label.x, label.y])
    for character in label.text:
        vertices, codes, advance = _glyph(character)
        if len(vertices):
            yield (vertices + pen) @ turn + anchor, codes
        pen[0] += advance


@lru_cache(maxsize=2048)
def _glyph(character: str) -> tuple[NDArray[np.float64], NDArray[np.uint8], float]:
    font = get_font(_font_file())
    font.set_size(_UNIT, 72)  # at 72 dots an inch a point is a pixel
    glyph = font.load_char(ord(character), flags=LoadFlags.NO_HINTING)
    vertices, codes = font.get_path()
    return (
        np.array(vertices, float).reshape(-1, 2),
        np.array(codes),
        glyph.linearHoriAdvance / 65536,
    )


@lru_cache(maxsize=1)
def _font_file() -> str:
    return findfont(FontProperties(family="DejaVu Sans"))  # Matplotlib brings this one
