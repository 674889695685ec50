"""Which values become black and white."""

import numpy as np
import pytest

from search.data.ranges import BYTES, FRACTIONS, WHOLE, PixelRange, Survey
from search.errors import DataError


def of(values, dtype) -> PixelRange | None:
    return Survey.of(np.array(values, dtype)[:, None], "x").range


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ((0, 255), "u1", None),
        ((0, 2), "u1", None),
        ((0, 0), "u1", None),
        ((0, 1), "u1", (0, 1)),
        ((0, 1), "?", (0, 1)),
        ((0, 0), "?", None),
        ((0, 70), "u2", (0, 70)),
        ((0, 128), "u2", (0, 255)),
        ((0, 256), "u2", (0, 256)),
        ((0, 512), "u2", (0, 1023)),
        ((0, 4000), "u2", (0, 4095)),
        ((0, 60_000), "u2", (0, 65_535)),
        ((0, 70_000), "i4", (0, 70_000)),
        ((29_000, 31_000), "u2", (29_000, 31_000)),
        ((27_000, 31_000), "u2", (0, 31_000)),
        ((31_000, 31_000), "u2", (0, 31_000)),
        ((-1024, 3071), "i2", (-1024, 3071)),
        ((-5, -5), "i2", (-5, 0)),
        ((0, 0), "i8", (0, 255)),
        ((0.0, 0.9), "f4", (0, 1)),
        ((0.0, 0.0), "f4", (0, 1)),
        ((0.3, 1.02), "f8", (0, 1.02)),
        ((0.0, 254.5), "f8", (0, 255)),
        ((0.0, 4000.5), "f8", (0, 4000.5)),
        ((0.0, 4000.0), "f8", (0, 4095)),
        ((-1.0, 1.0), "f4", (-1, 1)),
        ((-0.25, 1.0), "f4", (-0.25, 1)),
        ((-1.5, 1.0), "f4", (-1.5, 1)),
    ],
)
def test_the_range_of_a_training_part(values, dtype, expected):
    found = of(values, dtype)
    assert (found and (found.low, found.high)) == expected


@pytest.mark.parametrize(("low", "high"), [(0, 70), (-1024, 3071), (29_000, 31_000), (0, 1.02)])
def test_values_are_rounded_to_the_nearest_pixel_and_clipped(low, high):
    found = PixelRange(low, high, WHOLE)
    values = np.linspace(low - 3, high + 3, 4001)
    expected = [min(255, max(0, round(255 * (v - low) / (high - low)))) for v in values.tolist()]
    assert found.pixels(values).tolist() == expected
    assert found.outside(values) == sum(not low <= v <= high for v in values.tolist())


@pytest.mark.parametrize(
    "found",
    [
        PixelRange(0, 70, WHOLE),
        PixelRange(0, 1.02, FRACTIONS),
        PixelRange(29_000, 31_000, WHOLE),
        PixelRange(1e9, 1e9 + 100, WHOLE),
        PixelRange(0, 1, BYTES),
    ],
)
def test_every_pixel_comes_of_some_value_and_the_range_survives_json(found):
    pixels = np.arange(256, dtype=np.uint8)
    assert found.pixels(found.values(pixels)).tolist() == pixels.tolist()
    assert PixelRange.from_json(found.to_json()) == found


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(value):
    with pytest.raises(DataError, match=r"values are (missing|infinite)"):
        of((0.0, value), "f4")


@pytest.mark.parametrize(
    "data",
    [
        {"low": 1, "high": 1, "depth": WHOLE},
        {"low": 0, "high": float("inf"), "depth": WHOLE},
        {"low": float("nan"), "high": 1, "depth": WHOLE},
        {"low": 0, "high": 1, "depth": "deep"},
        {"low": 0, "high": 1},
        [],
    ],
)
def test_damaged_ranges_are_refused(data):
    with pytest.raises((ValueError, TypeError, LookupError)):
        PixelRange.from_json(data)
