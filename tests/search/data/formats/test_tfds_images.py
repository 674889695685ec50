import io

import numpy as np
import pytest
from PIL import Image

from search.data.formats.tfds_reading import resize, size_of, usual_size


def test_the_size_is_read_from_the_header_alone() -> None:
    file = io.BytesIO()
    Image.new("RGB", (30, 20)).save(file, "PNG")
    assert size_of(file.getvalue()[:60]) == (20, 30)


@pytest.mark.parametrize(
    ("sizes", "size"),
    [
        ([(10, 20), (30, 40), (20, 10)], (20, 20)),
        ([(500, 250)] * 3, (256, 128)),
        ([(3000, 2)], (256, 1)),
    ],
)
def test_the_usual_size_is_the_median_made_smaller_in_proportion(
    sizes: list[tuple[int, int]], size: tuple[int, int]
) -> None:
    assert usual_size(sizes) == size


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_resized_in_its_channels(channels: int) -> None:
    image = np.zeros((8, 4, channels), np.uint8)
    image[:, 2:] = 200
    resized = resize(image, (4, 2))
    assert (resized.shape, resized.dtype) == ((1, 4, 2, channels), np.uint8)
    assert resized[0, :, 0].max() < 50
    assert resized[0, :, 1].min() > 150
