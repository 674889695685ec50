import io

import numpy as np
import pytest
from PIL import Image

from search.tasks.reliability import reliability
from tracking.plots.probabilities import reliability_png

SOURCE = np.random.default_rng(0)
SHARES = SOURCE.random(600)
TRUE = reliability(SHARES, SOURCE.random(600) < SHARES).to_json()
TOO_SURE = reliability(SHARES, SOURCE.random(600) < 0.5 + 0.3 * (SHARES - 0.5)).to_json()
BLUE, ORANGE = (0, 114, 178), (213, 94, 0)


def pixels(png: bytes, colour: tuple[int, int, int]) -> int:
    with Image.open(io.BytesIO(png)) as image:
        return int((np.asarray(image.convert("RGB")) == colour).all(axis=-1).sum())


@pytest.mark.slow
def test_one_diagram_is_drawn_or_two_in_colours_of_their_own():
    one = reliability_png([("as predicted", TOO_SURE)], "digits")
    both = reliability_png([("as predicted", TOO_SURE), ("calibrated", TRUE)], "digits")
    assert pixels(one, ORANGE) > 500
    assert pixels(one, BLUE) == 0
    assert pixels(both, BLUE) > 500


@pytest.mark.slow
def test_any_title_and_a_single_bin_can_be_drawn():
    single = reliability(np.array([0.5]), np.array([1])).to_json()
    assert reliability_png([("$as$", single)], "$x_1$ <b> " * 30).startswith(b"\x89PNG")
