"""What travels inside a model does exactly what the encoder does."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.data.arrays import words_of
from search.data.inputs import ImageEncoder, SequenceEncoder, TableEncoder, TextEncoder
from search.data.pictures import dark_limit
from search.data.ranges import BYTES, FRACTIONS, WHOLE, PixelRange
from search.data.reading import Column, Reading
from search.errors import DataError
from search.export.formats.encoding import margins
from search.export.formats.naming import tensor_names
from search.export.raw import pixels_of, raw_pixels, raw_shape, raw_type

pytestmark = pytest.mark.slow  # TensorFlow

SAID = (
    "",
    " ",
    "A good film!",
    "it's the actors' film , is n't it ??",
    "rock'n'roll 'quoted' '' o''clock don't'",
    "snake_case __init__ semi-colon; e-mail a.b.c 3.14 1,000 50%",
    "ÉCOLE Straße ĲSSELMEER İstanbul ΟΔΟΣ ΣΙΣΥΦΟΣ. ΑΣ",
    "日本語 film 東京 한국어 हिन्दी عربى ไทย",
    "e\u0301 naïve ﬁne ½ ² Ⅷ ⑦ ٣ \U0001d49c 🎬 \u200b \u00a0 tab\there\nnew line\r\u2028end",
    "!? ¡¿ … — \u2019 it\u2019s \u2032",
    "good " * 30,
)


def names_of(columns):
    """Return the names of columns' tensors."""
    return tensor_names([column.name for column in columns])


def graph_of(encoder, columns=()):
    """Return what turns words into numbers in a SavedModel, and the same as a function."""
    import tensorflow as tf

    from search.export.formats.preprocessing import rows_of, tokens_of

    made = rows_of(columns, names_of(columns)) if columns else tokens_of(encoder)

    def encode(given):
        found = made.read(given)
        return encoded_by(encoder)(found) if columns else found

    return made, tf.function(encode, input_signature=[made.signature])


def encoded_by(encoder):
    """Return a Keras model that encodes raw samples; NaN for what is none."""
    import keras
    from keras import ops

    from search.export.formats.encoding import encoded

    raw = keras.Input(raw_shape(encoder), dtype=raw_type(encoder))
    found, fits = encoded(raw, encoder)
    turned = ops.expand_dims(fits, 2) if len(found.shape) == 3 else fits
    turned = ops.expand_dims(ops.expand_dims(fits, 2), 3) if len(found.shape) == 4 else turned
    return keras.Model(raw, ops.where(turned, found, float("nan")))


def test_texts_of_all_kinds_become_the_same_tokens():
    words = tuple(dict.fromkeys(word for text in SAID for word in words_of(text)))
    encoder = TextEncoder(words, length=12, size=len(words) + 2)
    _, encode = graph_of(encoder)
    np.testing.assert_array_equal(encode(list(SAID)).numpy(), encoder.encode(SAID))


def test_every_sign_is_a_word_here_and_there():
    """All code points by themselves, and between letters."""
    import unicodedata

    signs = [chr(n) for n in range(1, 0x30000) if not 0xD800 <= n < 0xE000]
    known = [sign for sign in signs if unicodedata.category(sign) != "Cn"]  # newer in ICU's table
    cased = {sign for sign in known if sign.lower() != sign}
    said = [sign if sign in cased else f"a{sign}b {sign}" for sign in known]
    words = tuple(dict.fromkeys(word for text in said for word in words_of(text)))
    encoder = TextEncoder(words, length=4, size=len(words) + 2)
    _, encode = graph_of(encoder)
    found, expected = encode(said).numpy(), encoder.encode(said)
    different = [known[row] for row in np.flatnonzero((found != expected).any(axis=1))]
    assert len(different) < 60, different  # capitals newer than the letter tables of one of both
    assert not [sign for sign in different if ord(sign) < 0x2C00]


@pytest.mark.skipif("SEARCH_DATA_DIR" not in os.environ, reason="SST-2 is not here")
def test_real_sentences_become_the_same_tokens(tmp_path):
    from search.data import load

    dataset = load(
        "sst2", home=tmp_path, data_dir=Path(os.environ["SEARCH_DATA_DIR"]), notify=print
    )
    texts = dataset.train_samples[:20_000]
    words = tuple(dict.fromkeys(word for text in texts[:5000] for word in words_of(text)))
    encoder = TextEncoder(words, length=50, size=len(words) + 2)
    _, encode = graph_of(encoder)
    np.testing.assert_array_equal(encode(texts).numpy(), encoder.encode(texts))


def test_a_machine_of_another_language_makes_the_same_tokens(tmp_path):
    import subprocess

    script = (
        "import tests.search.export.formats.test_preprocessing as t\n"
        "t.test_texts_of_all_kinds_become_the_same_tokens()\n"
    )
    turkish = {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | turkish, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def test_an_empty_vocabulary_knows_no_word():
    encoder = TextEncoder((), length=3, size=3)
    _, encode = graph_of(encoder)
    np.testing.assert_array_equal(encode(["a b"]).numpy(), [[1, 1, 0]])


@pytest.mark.parametrize(
    ("native", "shape", "scaled"),
    [
        ((28, 28, 1), (32, 32, 1), False),
        ((28, 28, 1), (28, 28, 1), True),
        ((27, 24, 3), (32, 32, 1), True),
        ((28, 28, 1), (32, 28, 3), False),
        ((30, 30, 3), (30, 30, 3), True),
        ((8, 8, 1), (32, 32, 1), True),
        ((64, 64, 3), (32, 32, 1), False),
        ((28, 40, 1), (32, 32, 3), True),
        ((45, 20, 3), (32, 32, 3), True),
    ],
)
def test_images_become_the_same_pixels(native, shape, scaled):
    encoder = ImageEncoder(native, shape, scaled)
    images = np.random.default_rng(0).integers(0, 256, (50, *native)).astype(np.uint8)
    images[1], images[2] = 0, images[2] // 200  # of nothing but 0 and 1
    model, expected = encoded_by(encoder), encoder.encode(images)
    assert tuple(model.input_shape[1:]) == native
    np.testing.assert_array_equal(model(raw_pixels(images)), expected)
    images, expected = images[[0, 1, *range(3, 50)]], expected[[0, 1, *range(3, 50)]]
    for given in (images, images.astype(np.float32), (images / 255).astype(np.float32)):
        np.testing.assert_array_equal(model(given), expected)
        flat = given[..., 0] if native[-1] == 1 else given
        np.testing.assert_array_equal(model.predict(flat, verbose=0), expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images - 1.0,
        lambda images: images + 1.0,
        lambda images: images + 0.5,
        lambda images: (images - images.mean()) / images.std(),
        lambda images: images / images.std(),
        lambda images: images / 127.5 - 1,
        lambda images: np.where(images == images.max(), np.nan, images),
        lambda images: np.where(images == images.max(), np.inf, images),
        lambda images: images * 257.0,
    ],
)
def test_what_is_neither_pixels_nor_fractions_becomes_nothing(change):
    encoder = ImageEncoder((8, 8, 1), (12, 12, 1), scaled=True)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1)).astype(np.float32)
    images[:, 0, 0], images[:, 0, 1] = 0, 255
    given = images.copy()
    given[1] = change(images[1])
    found = np.asarray(encoded_by(encoder)(given))
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()


def test_whole_numbers_darker_than_all_training_images_become_nothing():
    encoder = ImageEncoder((8, 8, 1), (12, 12, 1), scaled=True, dark=51)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8)
    pixels[1] //= 10  # a dark picture, whose pixels are known to be pixels
    model = encoded_by(encoder)
    np.testing.assert_array_equal(model(raw_pixels(pixels, dark=51)), encoder.encode(pixels))
    np.testing.assert_array_equal(pixels_of(pixels, encoder, "they"), pixels)
    sixteenths = np.round(pixels / 16)  # another scale, as scikit-learn's digits have it
    sixteenths[2] = pixels[2]
    found = np.asarray(model(sixteenths.astype(np.float32)))
    assert [bool(np.isnan(one).all()) for one in found] == [True, True, False]
    with pytest.raises(DataError, match=r"reach 51 at most. If these are dark pixels"):
        pixels_of(sixteenths, encoder, "they")
    assert np.isfinite(np.asarray(model((sixteenths[:2] / 16).astype(np.float32)))).all()


def test_how_dark_training_images_are_is_a_quarter_of_the_darkest():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    assert dark_limit(images) == 0
    images[1, 3, 3], images[2, 0, 0], images[3, 5, 5] = 255, 204, 230
    assert dark_limit(images) == 51


@pytest.mark.parametrize(
    ("low", "high", "depth", "dtype"),
    [
        (0, 4095, WHOLE, "float32"),
        (-1024, 3071, WHOLE, "float32"),
        (29_000, 31_000, WHOLE, "float32"),
        (0, 1.02, FRACTIONS, "float32"),
        (0, 1, BYTES, "float32"),
        (1e9, 1e9 + 3000, WHOLE, "float64"),
    ],
)
@pytest.mark.parametrize("scaled", [False, True])
def test_values_that_are_no_pixels_become_the_same_pixels(low, high, depth, dtype, scaled):
    ranged = PixelRange(low, high, depth)
    encoder = ImageEncoder((28, 28, 1), (32, 32, 1), scaled, ranged)
    margin = (high - low) / 20
    values = np.random.default_rng(0).uniform(low - margin, high + margin, (50, 28, 28, 1))
    values = np.round(values) if depth == WHOLE else values
    values = values.astype(dtype)
    model = encoded_by(encoder)
    assert model.input.dtype == dtype
    np.testing.assert_array_equal(model(values), encoder.encode(ranged.pixels(values)))
    pixels = np.random.default_rng(1).integers(0, 256, (5, 28, 28, 1)).astype(np.uint8)
    pixels[1] //= 16
    given = raw_pixels(pixels, ranged)
    if depth != WHOLE or high - low > 255:
        np.testing.assert_array_equal(model(given), encoder.encode(pixels))


@pytest.mark.parametrize(
    ("ranged", "wrong"),
    [
        (PixelRange(0, 4095, WHOLE), lambda values: values / 4095),
        (PixelRange(0, 4095, WHOLE), lambda values: values * 16),
        (PixelRange(0, 4095, WHOLE), lambda values: (values - 2000) / 900),
        (PixelRange(0, 1.02, FRACTIONS), lambda values: values * 250),
        (PixelRange(0, 1.02, FRACTIONS), lambda values: values * 4 - 2),
        (PixelRange(0, 1.02, FRACTIONS), lambda values: values * np.nan),
    ],
)
def test_values_on_another_scale_become_nothing(ranged, wrong):
    encoder = ImageEncoder((8, 8, 1), (8, 8, 1), True, ranged)
    values = np.random.default_rng(0).uniform(ranged.low, ranged.high, (3, 8, 8, 1))
    values = np.round(values) if ranged.depth == WHOLE else values
    model = encoded_by(encoder)
    assert np.isfinite(np.asarray(model(values.astype(np.float32)))).all()
    assert np.isnan(np.asarray(model(wrong(values).astype(np.float32)))).all()


@pytest.mark.parametrize("far", [0.0, 1.7e9])
def test_sequences_become_the_same_numbers(far):
    series = far + np.random.default_rng(0).normal(20, 3, (30, 9, 2))
    series = series if far else series.astype(np.float32)
    encoder = SequenceEncoder.fitted(series, np.arange(20))
    model = encoded_by(encoder)
    assert model.input.dtype == ("float64" if far else "float32")
    np.testing.assert_allclose(model(series), encoder.encode(series), atol=3e-7)
    series[1, 2, 0] = np.nan
    assert (
        np.isnan(np.asarray(model(series))).any(axis=(1, 2)).tolist()
        == [False, True] + [False] * 28
    )


def test_whether_images_are_padded_is_found_out():
    assert margins(ImageEncoder((28, 28, 1), (32, 32, 1))) == ((2, 2), (2, 2))
    for native in ((8, 8, 1), (64, 64, 3), (28, 40, 1)):
        assert margins(ImageEncoder(native, (32, 32, 1))) is None


def test_images_are_resized_as_pillow_resizes_them():
    """Over sizes of all proportions, grey and in colour, of noise and of black and white."""
    from PIL import Image

    from search.export.formats.resizing import resized

    chance = np.random.default_rng(0)
    sizes = [((28, 28), (32, 32)), ((500, 375), (32, 32)), ((1, 1), (8, 8)), ((2000, 5), (3, 9))]
    sizes += [((3, 900), (9, 2)), ((100, 3), (28, 28)), ((28, 28), (28, 40)), ((64, 64), (32, 32))]
    for _ in range(80):
        native, size = chance.integers(1, 90, (2, 2)).tolist()
        sizes.append((tuple(native), tuple(size)))
    for native, size in sizes:
        for channels in (1, 3):
            images = chance.integers(0, 256, (3, *native, channels)).astype(np.uint8)
            images[1] = np.where(images[1] > 127, 255, 0)
            expected = [
                np.asarray(
                    Image.fromarray(one.squeeze(-1) if channels == 1 else one).resize(
                        size[::-1], Image.Resampling.BILINEAR
                    )
                ).reshape(*size, channels)
                for one in images
            ]
            found = np.asarray(resized(images.astype(np.float32), size))
            np.testing.assert_array_equal(found, expected, err_msg=f"{native} to {size}")


def test_rows_become_the_same_numbers():
    chance = np.random.default_rng(0)
    encoder = TableEncoder((1e6, 0.0, -3.25), (0.1, 1.0, 1e5))
    rows = chance.normal(size=(200, 3)) * (1, 2, 3e5) + (1e6, 0, 0)
    rows[3, 1] = np.nan
    model = encoded_by(encoder)
    assert model.input.dtype == "float64"
    np.testing.assert_array_equal(model(rows), encoder.encode(rows))
    encoder = replace(encoder, means=(1e6, 0.0, -3.25), deviations=(1e4, 1.0, 1e5))
    model, rows = encoded_by(encoder), rows.astype(np.float32)
    assert model.input.dtype == "float32"
    np.testing.assert_allclose(model(rows), encoder.encode(rows), rtol=5e-7, atol=1e-9)
    rows[5, 0] = np.inf
    assert np.isnan(np.asarray(model(rows))).any(axis=1).nonzero()[0].tolist() == [5]


SHOPS = ("1", "2.50", "NORTH", "na\u00efve", "none", "x y")
COLUMNS = (
    Column("age (years)"),
    Column("shop", "category", SHOPS),
    Column("alive?", "truth", ("Nay", "Aye")),
    Column("seen", "date"),
    Column("age_years_", "category", ("a", "b", "c")),
    Column("odd", "truth"),
    Column("empty", "category", ("x",)),
)
ENCODER = TableEncoder(
    means=(40.1, 0.0, 0.4, 1.7e9, 0.0, 0.5, 0.0),
    deviations=(12.5, 1.0, 0.49, 86400.0, 1.0, 0.5, 1.0),
    categories=(0, 6, 0, 0, 3, 0, 1),
    missing=(0.25, 0.1, None, 1.0, None, 0.0, 0.0),
    unseen=((1, 2), (4, 0)),
)


def stored(count=300):
    """Return rows of `COLUMNS` as a dataset has them, with gaps and unknown categories."""
    chance = np.random.default_rng(1)
    rows = np.column_stack(
        [
            chance.normal(40, 12, count),
            chance.integers(-1, 6, count),
            chance.integers(0, 2, count),
            1.7e9 + chance.integers(0, 10**6, count) / 1000,
            chance.integers(-1, 3, count),
            chance.integers(0, 2, count),
            chance.integers(-1, 1, count),
        ]
    ).astype(np.float64)
    rows[chance.random(rows.shape) < 0.15] = np.nan
    return rows


def test_columns_of_all_types_become_the_same_numbers():
    rows = stored()
    names = names_of(COLUMNS)
    given = {}
    for name, column, values in zip(names, COLUMNS, rows.T, strict=True):
        given[name] = values
        if column.words:
            words = {-1.0: "other"} | dict(enumerate(column.words))
            given[name] = ["" if np.isnan(value) else words[value] for value in values]
    made, encode = graph_of(ENCODER, COLUMNS)
    assert {name: spec.dtype.name for name, spec in made.signature.items()} == {
        "age__years_": "float64",
        "shop": "string",
        "alive_": "string",
        "seen": "float64",
        "age_years_": "string",
        "odd": "float64",
        "empty": "string",
    }
    expected = ENCODER.encode(rows)
    assert expected.any(axis=0).sum() == expected.shape[1] - 6  # are untrained
    np.testing.assert_allclose(encode(given).numpy(), expected, rtol=5e-7)


WRITTEN = (
    *("1", "1.0", " 1 ", "01", "+1", "1e0", "2.5", "2.50", "250e-2", "3", "1.5"),
    *("NORTH", "north", " NORTH\t", "na\u00efve", "x y", "x  y", "other", "unknown"),
    *("", "  ", "NA", "n/a", "NaN", "-nan", "?", "-", "null", "<NA>", "none", "None", "NONE"),
)


def test_a_word_means_to_the_graph_what_it_means_in_a_file(tmp_path):
    from search.data.formats.tables import read_rows

    column = COLUMNS[1]
    encoder = TableEncoder((0.0,), (1.0,), (6,), (0.5,))
    file = tmp_path / "rows.csv"
    file.write_text("n,shop\n" + "".join(f'0,"{word}"\n' for word in WRITTEN))
    rows = read_rows(file, [column], Reading()).values
    _, encode = graph_of(encoder, (column,))
    found, expected = encode({"shop": list(WRITTEN)}).numpy(), encoder.encode(rows)
    different = {
        word for word, a, b in zip(WRITTEN, found, expected, strict=True) if (a != b).any()
    }
    assert different == {"none"}  # the very name of a category, which a file cannot have
    assert len(np.unique(expected, axis=0)) == 7


def test_truth_values_mean_to_the_graph_what_they_mean_in_a_file(tmp_path):
    from search.data.formats.tables import read_rows

    said = ("yes", "NO", "True", "f", "Y", " n ", "0", "1", "", "NA", "?")
    column, encoder = Column("alive", "truth", ("no", "yes")), TableEncoder((0.5,), (0.5,))
    file = tmp_path / "rows.csv"
    file.write_text("n,alive\n" + "".join(f"0,{word}\n" for word in said))
    rows = read_rows(file, [column], Reading()).values
    _, encode = graph_of(encoder, (column,))
    np.testing.assert_array_equal(encode({"alive": list(said)}).numpy(), encoder.encode(rows))
    assert encode({"alive": ["Perhaps"]}).numpy().tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("columns", "tensors"),
    [
        (("a", "b"), ("a", "b")),
        (("a b", "a_b", "A B", "a_b_2"), ("a_b_3", "a_b", "A_B_4", "a_b_2")),
        (
            ("1", "_x", "", "self", "größe"),
            ("column_1", "column__x", "column_", "column_self", "gr__e"),
        ),
    ],
)
def test_every_column_has_a_tensor_of_a_name_that_tensorflow_takes(columns, tensors):
    assert tensor_names(columns) == tensors
