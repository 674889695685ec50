"""The values that a dataset's pictures have, and how they become pixels 0..255.

All pictures of a dataset are brought to pixels alike: one value is black and one is white. Which
ones is decided on the training part, stored with the dataset, and used for whatever comes later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import IMAGES, Images, pieces
from search.errors import DataError

BYTES, WHOLE, FRACTIONS = "8 bits", "whole numbers", "fractions"
DEPTHS = (BYTES, WHOLE, FRACTIONS)
BLACK, WHITE = 0, 255
# The highest values that pictures of 8, 10, 12, 14 and 16 bits can have.
_TOPS = {WHOLE: (1, 255, 1023, 4095, 16383, 65535), FRACTIONS: (1, 255, 65535)}
_SIGNED = (-1.0, 1.0)
# Values that begin at more than 0 do so at black only if they would else fill less of the range.
_LEAST_SHARE = 1 / 8
_FAR = 1 << 12  # times their own spread: values further from 0 lose digits in float32


@dataclass(frozen=True)
class PixelRange:
    """Which values of pictures become black and white; those between are spread evenly.

    Attributes:
        low: becomes 0, as does whatever is below it.
        high: becomes 255, as does whatever is above it.
        depth: what the pictures hold: one of `DEPTHS`.
    """

    low: float
    high: float
    depth: str

    def __post_init__(self) -> None:
        if not -np.inf < self.low < self.high < np.inf or self.depth not in DEPTHS:
            raise ValueError(f"no range of pixels: {self.low} to {self.high}, {self.depth!r}")

    def pixels(self, values: NDArray[Any]) -> Images:
        """Return values of any shape as uint8 pixels, rounded."""
        scaled = (values.astype(np.float64) - self.low) * self.factor
        return np.rint(np.clip(scaled, BLACK, WHITE)).astype(IMAGES)

    @property
    def factor(self) -> float:
        """How many pixels a difference of 1 is; a factor, as TensorFlow makes of a divisor, too."""
        return WHITE / (self.high - self.low)

    def values(self, pixels: Images) -> NDArray[np.floating]:
        """Return values that become these pixels."""
        spread = pixels.astype(np.float64) * (self.high - self.low) / WHITE
        return (self.low + spread).astype(self.dtype)

    @property
    def dtype(self) -> str:
        """The type that tells values apart: `float32`, or `float64` where it must be."""
        largest = max(abs(self.low), abs(self.high))
        return "float64" if largest > _FAR * (self.high - self.low) else "float32"

    def outside(self, values: NDArray[Any]) -> int:
        """Return how many values are below `low` or above `high`."""
        return int(((values < self.low) | (values > self.high)).sum())

    @property
    def is_usual(self) -> bool:
        """Whether it is all that pictures of some kind can have: 0..1, 0..4095, -1..1 and so on."""
        tops = {*_TOPS[WHOLE], *_TOPS[FRACTIONS]}
        return (self.low, self.high) == _SIGNED or (self.low == 0 and self.high in tops)

    def __str__(self) -> str:
        """Return the range for people, as in `0 to 4095`."""
        return f"{self.low:.6g} to {self.high:.6g}"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that `from_json` reads."""
        return {"low": self.low, "high": self.high, "depth": self.depth}

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> "PixelRange | None":
        """Return the range; None for pictures of 8 bits, whose values are pixels.

        Raises:
            LookupError, TypeError, ValueError: the JSON describes none.
        """
        if data is None:
            return None
        return cls(float(data["low"]), float(data["high"]), str(data["depth"]))


@dataclass(frozen=True)
class Survey:
    """What values some pictures have.

    Attributes:
        depth: one of `DEPTHS`, by the type of the values.
        lowest: the smallest.
        highest: the largest.
        is_whole: whether all are whole numbers.
    """

    depth: str
    lowest: float
    highest: float
    is_whole: bool = True

    @classmethod
    def of(cls, values: NDArray[Any], what: str) -> "Survey":
        """Return what values an array has; it is gone through in pieces.

        Args:
            values: (n, ...), not empty, numbers or truth values.
            what: the array's name in messages.

        Raises:
            DataError: values are missing (NaN) or infinite.
        """
        depth = depth_of(values.dtype)
        found = None
        for _, piece in pieces(values):
            low, high = float(piece.min()), float(piece.max())
            if not (np.isfinite(low) and np.isfinite(high)):
                missing = low != low or high != high
                raise DataError(
                    f"{what}: values are {'missing (NaN)' if missing else 'infinite'}."
                    f" {'Fill them in' if missing else 'Replace them'}, or leave the picture out."
                )
            is_whole = depth != FRACTIONS or bool((piece == np.floor(piece)).all())
            part = cls(depth, low, high, is_whole)
            found = part if found is None else found.joined(part)
        if found is None:
            raise ValueError(f"{what} must not be empty")
        return found

    def joined(self, other: "Survey") -> "Survey":
        """Return the survey of both sets of pictures, which are of one depth."""
        return Survey(
            self.depth,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
            self.is_whole and other.is_whole,
        )

    @property
    def range(self) -> PixelRange | None:
        """The range that these pictures suggest; None for 8 bits, whose values are pixels.

        Black is 0 where no value is negative, so that darkness stays darkness, unless values would
        then fill less than an eighth of the range. White is the highest value that pictures of this
        kind can have (1, 255, 4095 and so on) if values come to more than half of it, else the
        highest value that there is. 8 bits with nothing but 0 and 1 are a mask: 1 becomes white.
        """
        low, high = self.lowest, self.highest
        if self.depth == BYTES:
            return PixelRange(0, 1, BYTES) if high == 1 else None
        if low < 0:
            is_signed = -1 <= low <= -0.5 and high <= 1
            low, high = _SIGNED if is_signed else (low, max(high, 0.0) if high == low else high)
        elif high == 0:
            low, high = 0, 255 if self.depth == WHOLE else 1
        elif 0 < high - low < high * _LEAST_SHARE:
            pass  # the lowest value is black
        else:
            tops = _TOPS[WHOLE if self.is_whole else FRACTIONS]
            top = next((top for top in tops if high <= top), high)
            low, high = 0, top if high > top / 2 else high
        return PixelRange(float(low), float(high), self.depth)


def depth_of(dtype: np.dtype[Any]) -> str:
    """Return which of `DEPTHS` values of a type have."""
    if dtype in (IMAGES, np.bool_):
        return BYTES
    return WHOLE if dtype.kind in "iu" else FRACTIONS


def told_range(what: str, found: PixelRange | None, survey: Survey) -> list[str]:
    """Return the notice on how pictures are brought to pixels; none for those that are pixels.

    Args:
        what: the pictures' name.
        found: their range.
        survey: of the training part.
    """
    if found is None:
        return []
    if found.depth == BYTES:
        return [f"{what}: pictures hold only 0 and 1; 1 becomes white (255)."]
    if (found.low, found.high) == (0, 255) and survey.is_whole:
        return []  # the values are pixels
    return [
        f"{what}: pictures hold {found.depth} from {survey.lowest:.6g} to {survey.highest:.6g} in"
        f" the training part; for all pictures {found.low:.6g} becomes black (0) and"
        f" {found.high:.6g} white (255)."
    ]


def told_clipped(what: str, found: PixelRange | None, outside: int, count: int) -> list[str]:
    """Return the notice on values outside the range; none if there are none.

    Args:
        what: whose values they are.
        found: the range.
        outside: how many values.
        count: how many values there are.
    """
    if found is None or not outside:
        return []
    return [
        f"{what}: {outside:,} of {count:,} values are not within the training part's {found}; they"
        " become black or white."
    ]
