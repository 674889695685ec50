import io
import json
import struct
import warnings
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from search.data.formats.folder import Target, fit_picture
from search.data.inputs import ImageEncoder
from search.data.pictures import background
from search.data.ranges import BYTES, FRACTIONS, WHOLE, PixelRange
from search.errors import DataError
from search.export.labels import Labels
from search.export.pictures import UNKNOWN_FIT, read_picture
from search.tasks import Classification

GREY = Labels(Classification(("a", "b")), encoder=ImageEncoder((28, 28, 1), (32, 32, 1)))
COLOUR = Labels(Classification(("a", "b")), encoder=ImageEncoder((32, 32, 3), (32, 32, 3)))


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


def test_what_is_not_read_of_16_bits_a_colour_is_told(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        told = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + told

    path = tmp_path / "deep.png"
    lines = (b"\0" + struct.pack(">3H", 4095, 2000, 0) * 32) * 32
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )
    [notice] = read_picture(path, COLOUR).notices
    assert "16 bits a colour, of which the upper 8 are read: they reach 15 of 255" in notice
    plain = saved(tmp_path, Image.fromarray(np.zeros((32, 32, 3), np.uint8)))
    assert read_picture(plain, COLOUR).notices == ()


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


@pytest.mark.slow
def test_a_picture_too_large_to_be_honest_is_refused_before_it_is_unpacked(tmp_path):
    path = saved(tmp_path, Image.new("1", (9000, 9000)), "bomb.png")
    with pytest.raises(DataError, match="at most 50,000,000 pixels; this has 9000 x 9000"):
        read_picture(path, GREY)


def png_of_zeros(width: int, height: int) -> bytes:
    """A whole PNG of one bit a pixel, packed a thousandfold."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bmp_head(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54, 0, 0, 54) + info


def icon_of(picture: bytes) -> bytes:
    """An icon that says it is 16 x 16, with a larger picture in it."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(picture), 22) + picture


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bomb.png", png_of_zeros(10_000, 10_000)),
        ("huge.png", png_of_zeros(20_000, 10_000)),
        ("huge.bmp", bmp_head(2**31 - 1, 2**31 - 1)),
        ("huge.ppm", b"P6 4000000000 4000000000 255\n"),
        ("bomb.ico", icon_of(png_of_zeros(8_000, 8_000))),
        ("huge.ico", icon_of(png_of_zeros(10_000, 10_000))),
        ("huge.qoi", b"qoif" + struct.pack(">IIBB", 2**31, 2**31, 3, 0) + bytes(99)),
    ],
)
def test_no_format_brings_in_a_bomb(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert len(content) < 1 << 20
    with pytest.raises(DataError, match="at most 50,000,000 pixels"):
        read_picture(path, GREY)


def test_a_tiff_or_webp_says_its_size_before_it_is_unpacked(tmp_path):
    path = saved(tmp_path, Image.new("1", (7100, 7100)), "large.tif", compression="group4")
    with pytest.raises(DataError, match="this has 7100 x 7100"):
        read_picture(path, GREY)
    torn = saved(tmp_path, Image.fromarray(square((40, 40))), "torn.webp")
    torn.write_bytes(torn.read_bytes()[:-20])
    with pytest.raises(DataError, match="torn"):
        read_picture(torn, GREY)


@pytest.mark.parametrize("name", ["page.eps", "page.png"])
def test_no_other_program_is_started_for_a_picture(tmp_path, monkeypatch, name):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", "gs")
    path = tmp_path / name
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "EPS")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="is not a readable picture"):
        read_picture(path, GREY)


def test_warnings_of_pillow_stay_away_from_the_terminal(tmp_path):
    image = Image.new("P", (8, 8))
    image.putpalette(bytes(range(256)) * 3)
    path = saved(tmp_path, image, transparency=bytes(range(256)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(path, COLOUR).pixels.shape == (32, 32, 3)


def test_the_background_is_the_mean_of_the_borders():
    images = np.stack([square(), square()])[..., None]
    assert background(images) == 0.0
    assert background(255 - images) == 255.0


def ranged(low: float, high: float, depth: str) -> Labels:
    encoder = ImageEncoder((4, 6, 1), (4, 6, 1), False, PixelRange(low, high, depth))
    return Labels(Classification(("a", "b")), encoder=encoder)


@pytest.mark.parametrize(
    ("found", "dtype", "value", "pixel"),
    [
        ((0, 70, WHOLE), "u2", 35, 128),
        ((0, 4095, WHOLE), "u2", 4095, 255),
        ((-1000, 3000, WHOLE), "i4", 0, 64),
        ((0, 255, WHOLE), "u2", 200, 200),
        ((0, 1.02, FRACTIONS), "f4", 0.612, 153),
        ((-1, 1, FRACTIONS), "f4", 0, 128),
        ((0, 1, BYTES), "u1", 1, 255),
        # Where black and white are all that such pictures can have, other pictures' are, too.
        ((0, 4095, WHOLE), "u1", 200, 200),
        ((0, 1, FRACTIONS), "u1", 200, 200),
        ((0, 1, FRACTIONS), "u2", 257 * 200, 200),
        ((-1, 1, FRACTIONS), "u1", 200, 200),
    ],
)
def test_new_pictures_get_the_range_of_the_training_pictures(tmp_path, found, dtype, value, pixel):
    image = Image.fromarray(np.full((4, 6), value, dtype))
    picture = read_picture(saved(tmp_path, image, "new.tif"), ranged(*found))
    assert np.unique(picture.pixels).tolist() == [pixel]
    assert picture.notices == ()


@pytest.mark.parametrize(
    ("found", "dtype"),
    [((0, 70, WHOLE), "u1"), ((0, 1.02, FRACTIONS), "u1"), ((0, 1.02, FRACTIONS), "u2")],
)
def test_new_pictures_of_another_depth_are_refused_where_no_scale_fits(tmp_path, found, dtype):
    path = saved(tmp_path, Image.fromarray(np.full((4, 6), 40, dtype)), "new.tif")
    with pytest.raises(DataError, match="on the scale of the training images, 0 to"):
        read_picture(path, ranged(*found))


def test_values_beyond_the_range_of_the_training_pictures_are_told(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.full((4, 6), 71, "u2")), "new.tif")
    picture = read_picture(path, ranged(0, 70, WHOLE))
    assert picture.notices == (
        f"{path}: 24 of 24 values are not within the training part's 0 to 70; they become black or"
        " white.",
    )
    assert picture.pixels.min() == 255


def test_missing_values_in_a_new_picture_are_refused(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.full((4, 6), np.nan, "f4")), "new.tif")
    with pytest.raises(DataError, match="missing"):
        read_picture(path, ranged(0, 1, FRACTIONS))


def test_the_range_is_kept_with_the_model(tmp_path):
    from search.export.folder import ModelFolder

    labels = ranged(0, 1.02, FRACTIONS)
    folder = ModelFolder(tmp_path)
    folder.write_labels(labels)
    assert folder.labels() == labels
    folder.write_labels(GREY)
    assert "pixel_range" not in (tmp_path / "labels.json").read_text()
    assert folder.labels() == GREY


def colours(size: tuple[int, int], layers: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, layers)).astype(np.uint8)


NATIVE = {
    "L": ImageEncoder((28, 24, 1), (28, 24, 1)),
    "RGB": ImageEncoder((28, 24, 3), (28, 24, 3)),
}


@pytest.mark.parametrize("size", [(28, 24), (20, 80), (200, 30), (600, 500)])
@pytest.mark.parametrize("file", ["RGB jpg", "RGB png", "RGBA png", "LA png", "P png", "L png"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_model_trained_on_files_reads_a_picture_as_its_training_did(tmp_path, size, file, mode):
    kind, ending = file.split()
    layers = {"L": 1, "LA": 2, "RGBA": 4}.get(kind, 3)
    image = Image.fromarray(colours(size, layers).squeeze())
    image = image.convert("RGB").quantize(16) if kind == "P" else image
    options = {"transparency": 3} if kind == "P" else {}
    path = saved(tmp_path, image, f"new.{ending}", **options)
    labels = Labels(Classification(("a", "b")), NATIVE[mode], 200.0, stretches=True)
    trained = fit_picture(path, Target((24, 28), mode, (24, 28))).pixels
    picture = read_picture(path, labels)
    np.testing.assert_array_equal(picture.pixels, trained)
    assert picture.notices == ()


def test_a_model_trained_on_files_of_other_values_reads_a_picture_as_its_training_did(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (9, 30)).astype("u2")
    path = saved(tmp_path, Image.fromarray(values), "new.tif")
    labels = replace(ranged(0, 4095, WHOLE), stretches=True)
    target = Target((6, 4), "L", (6, 4), WHOLE, 0, labels.encoder.pixel_range)
    np.testing.assert_array_equal(
        read_picture(path, labels).pixels, fit_picture(path, target).pixels
    )


@pytest.mark.parametrize("stretches", [None, False, True])
def test_how_the_training_pictures_were_read_is_kept_with_the_model(tmp_path, stretches):
    from search.export.folder import ModelFolder

    folder, labels = ModelFolder(tmp_path), replace(GREY, stretches=stretches)
    folder.write_labels(labels)
    assert ("stretches" in json.loads((tmp_path / "labels.json").read_text())) == (
        stretches is not None
    )
    assert folder.labels() == labels


@pytest.mark.parametrize(
    ("image", "is_told"),
    [
        (Image.new("L", (28, 28)), False),
        (Image.new("L", (56, 56)), False),
        (Image.new("L", (28, 56)), True),
        (Image.new("LA", (28, 28)), True),
    ],
)
def test_what_an_earlier_version_did_not_store_is_told_where_it_matters(tmp_path, image, is_told):
    path = saved(tmp_path, image)
    assert read_picture(path, GREY).notices == ((UNKNOWN_FIT,) if is_told else ())
    assert read_picture(path, replace(GREY, stretches=False)).notices == ()
