import numpy as np
import pytest
from PIL import Image

from search.datasets.images import background
from search.encoding import ImageEncoder
from search.errors import DataError
from search.model_folder import Labels
from search.pictures import read_picture

GREY = Labels(classes=("a", "b"), encoder=ImageEncoder((28, 28, 1), (32, 32, 1)))
COLOUR = Labels(classes=("a", "b"), encoder=ImageEncoder((32, 32, 3), (32, 32, 3)))


def square(size: tuple[int, int] = (28, 28)) -> np.ndarray:
    """A bright square in the middle of black."""
    height, width = size
    pixels = np.zeros(size, dtype=np.uint8)
    pixels[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 200
    return pixels


def saved(tmp_path, image: Image.Image, name: str = "picture.png", **options: object):
    path = tmp_path / name
    image.save(path, **options)
    return path


def test_a_picture_of_the_training_size_is_padded_like_the_training_images(tmp_path):
    pixels = read_picture(saved(tmp_path, Image.fromarray(square())), GREY).pixels
    assert pixels.shape == (32, 32, 1)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels[2:30, 2:30, 0], square())


@pytest.mark.parametrize("size", [(28, 28), (280, 280), (14, 14), (1, 1)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA", "I;16", "I", "F", "CMYK"])
def test_any_size_and_mode_comes_out_the_same_shape(tmp_path, size, mode):
    base = Image.fromarray(square(size))
    if mode.startswith("I"):
        image = Image.fromarray(square(size).astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(square(size).astype(np.float32))
    else:
        image = base.convert(mode, dither=Image.Dither.NONE)
    name = "picture.tif" if mode in {"F", "I", "CMYK"} else "picture.png"
    picture = read_picture(saved(tmp_path, image, name), GREY)
    assert picture.pixels.shape == (32, 32, 1)
    if size != (1, 1):
        assert picture.pixels[16, 16, 0] > 150
        assert picture.pixels[0, 0, 0] == 0
    assert read_picture(saved(tmp_path, image, name), COLOUR).pixels.shape == (32, 32, 3)


def test_proportions_are_kept(tmp_path):
    wide = np.full((20, 80), 255, dtype=np.uint8)
    wide[0] = wide[-1] = wide[:, 0] = wide[:, -1] = 0  # a dark border
    pixels = read_picture(saved(tmp_path, Image.fromarray(wide)), GREY).pixels[..., 0]
    rows = np.flatnonzero(pixels.max(axis=1) > 100)
    columns = np.flatnonzero(pixels.max(axis=0) > 100)
    assert len(columns) > 3 * len(rows)


def test_transparency_becomes_the_training_images_background(tmp_path):
    layers = np.zeros((28, 28, 4), dtype=np.uint8)
    layers[..., :3] = 255  # white, but transparent outside the square
    layers[8:20, 8:20, 3] = 255
    pixels = read_picture(saved(tmp_path, Image.fromarray(layers)), GREY).pixels
    assert pixels[4, 4, 0] == 0
    assert pixels[16, 16, 0] == 255


def test_a_rotated_photograph_is_turned_upright(tmp_path):
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[:5] = 255  # a bright top edge
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: top is at the right
    path = saved(tmp_path, Image.fromarray(pixels), "photo.jpg", exif=exif, quality=95)
    upright = read_picture(path, GREY).pixels[..., 0]
    assert upright[16, 27] > 200
    assert upright[4, 8] < 50


def test_an_inverted_picture_is_noticed_and_can_be_turned_back(tmp_path):
    path = saved(tmp_path, Image.fromarray(255 - square()))
    assert read_picture(path, GREY).inverted
    restored = read_picture(path, GREY, invert=True)
    assert not restored.inverted
    assert np.array_equal(restored.pixels[2:30, 2:30, 0], square())
    assert not read_picture(saved(tmp_path, Image.fromarray(square())), GREY).inverted


def test_what_is_no_picture_is_refused_with_its_name(tmp_path):
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    torn = saved(tmp_path, Image.fromarray(square((200, 200))), "torn.png")
    torn.write_bytes(torn.read_bytes()[:60])
    for path in (text, torn, tmp_path, tmp_path / "absent.png"):
        with pytest.raises(DataError, match=path.name):
            read_picture(path, GREY)


def test_a_picture_too_large_to_be_honest_is_refused_before_it_is_unpacked(tmp_path):
    path = saved(tmp_path, Image.new("1", (9000, 9000)), "bomb.png")
    with pytest.raises(DataError, match="at most 50,000,000 pixels; this has 9000 x 9000"):
        read_picture(path, GREY)


def test_the_background_is_the_mean_of_the_borders():
    images = np.stack([square(), square()])[..., None]
    assert background(images) == 0.0
    assert background(255 - images) == 255.0
