"""What travels inside a model does exactly what the encoder does."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from search.data.arrays import words_of
from search.data.inputs import ImageEncoder, TableEncoder, TextEncoder
from search.export.formats.base import margins, raw_shape

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


def graph_of(encoder):
    import tensorflow as tf

    from search.export.formats.runtimes import preprocessing_of

    made = preprocessing_of(encoder)
    return made, tf.function(made.encode, input_signature=[made.signature])


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
    ],
)
def test_padded_images_become_the_same_pixels(native, shape, scaled):
    encoder = ImageEncoder(native, shape, scaled)
    images = np.random.default_rng(0).integers(0, 256, (50, *native)).astype(np.uint8)
    made, encode = graph_of(encoder)
    assert raw_shape(encoder) == tuple(made.signature.shape[1:]) == native
    found = encode(images).numpy()
    assert found.dtype == encoder.encode(images).dtype
    np.testing.assert_array_equal(found, encoder.encode(images))


@pytest.mark.parametrize("native", [(8, 8, 1), (64, 64, 3), (28, 40, 1)])
def test_images_that_are_resized_are_taken_in_the_models_size(native):
    encoder = ImageEncoder(native, (32, 32, 1), scaled=True)
    assert margins(encoder) is None
    made, encode = graph_of(encoder)
    assert raw_shape(encoder) == tuple(made.signature.shape[1:]) == (32, 32, 1)
    resized = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 1)).astype(np.uint8)
    np.testing.assert_array_equal(encode(resized).numpy(), encoder.scale(resized))


def test_rows_become_the_same_numbers():
    chance = np.random.default_rng(0)
    encoder = TableEncoder((1e6, 0.0, -3.25), (0.1, 1.0, 1e5))
    rows = (chance.normal(size=(200, 3)) * (1, 2, 3e5) + (1e6, 0, 0)).astype(np.float32)
    _, encode = graph_of(encoder)
    np.testing.assert_array_equal(encode(rows).numpy(), encoder.encode(rows))
