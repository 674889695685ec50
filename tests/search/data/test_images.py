import numpy as np
import pytest
from PIL import Image

from search.data import prepare_images
from search.errors import DataError
from spaces import ImageInput


def noise(*shape: int) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)


def test_28_becomes_32_by_two_black_pixels_on_each_side() -> None:
    images = noise(5, 28, 28, 1)
    result = prepare_images(images, ImageInput((32, 32), 1))
    assert result.shape == (5, 32, 32, 1)
    assert result.dtype == np.uint8
    assert np.array_equal(result[:, 2:30, 2:30], images)
    assert result.sum() == images.sum()


def test_an_odd_margin_puts_the_extra_row_below_and_right() -> None:
    images = noise(1, 27, 29, 1)
    result = prepare_images(images, ImageInput((32, 32), 1))
    assert np.array_equal(result[:, 2:29, 1:30], images)


def test_images_of_the_right_kind_stay_as_they_are() -> None:
    images = noise(3, 16, 16, 3)
    assert np.array_equal(prepare_images(images, ImageInput((16, 16), 3)), images)


@pytest.mark.parametrize(("size", "padded"), [(24, True), (23, False), (32, True), (33, False)])
def test_padding_ends_at_a_quarter_of_the_target(size: int, padded: bool) -> None:
    images = np.full((1, size, size, 1), 255, np.uint8)
    result = prepare_images(images, ImageInput((32, 32), 1))
    expected = size * size if padded else 32 * 32
    assert np.count_nonzero(result) == expected


def test_one_side_too_small_means_resizing_both() -> None:
    images = np.full((1, 32, 8, 1), 255, np.uint8)
    assert prepare_images(images, ImageInput((32, 32), 1)).min() == 255


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_pillows_antialiased_bilinear(channels: int) -> None:
    images = noise(2, 50, 40, channels)
    result = prepare_images(images, ImageInput((20, 30), channels))
    picture = Image.fromarray(images[1].squeeze())
    expected = np.asarray(picture.resize((30, 20), Image.Resampling.BILINEAR))
    assert np.array_equal(result[1].squeeze(), expected)


def test_grey_becomes_three_equal_channels() -> None:
    images = noise(2, 28, 28, 1)
    result = prepare_images(images, ImageInput((32, 32), 3))
    assert result.shape == (2, 32, 32, 3)
    assert all(np.array_equal(result[..., i], result[..., 0]) for i in range(3))
    assert np.array_equal(result[:, 2:30, 2:30, :1], images)


def test_colour_becomes_grey_as_pillow_does_it() -> None:
    images = noise(2, 20, 20, 3)
    result = prepare_images(images, ImageInput((20, 20), 1))
    expected = np.asarray(Image.fromarray(images[0]).convert("L"))
    assert np.array_equal(result[0, ..., 0], expected)


def test_more_images_than_one_piece_keep_their_order() -> None:
    images = np.zeros((5000, 4, 4, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(5000) % 256
    result = prepare_images(images, ImageInput((5, 5), 1))
    assert np.array_equal(result[:, 0, 0, 0], images[:, 0, 0, 0])


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((2, 8, 8, 1), np.float32),
        np.zeros((0, 8, 8, 1), np.uint8),
    ],
)
def test_other_arrays_are_refused_with_their_kind(images: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"must be uint8 of shape.*; got (uint8|float32) \("):
        prepare_images(images, ImageInput((8, 8), 1))


def test_a_target_with_four_channels_is_refused() -> None:
    with pytest.raises(DataError, match="1 or 3 channels"):
        prepare_images(noise(1, 8, 8, 1), ImageInput((8, 8), 4))
