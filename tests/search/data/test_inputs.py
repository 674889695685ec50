import json
from pathlib import Path

import numpy as np
import pytest

from search.data import Dataset
from search.data.arrays import IMAGES, LABELS, ROWS, array_file, words_of, write_array, write_texts
from search.data.dataset import Manifest, Stamp
from search.data.inputs import ImageEncoder, encoder_from_json, make_inputs, spec_of
from search.tasks import Classification
from spaces import ImageInput, TableInput, TextInput

TEXTS = (
    "A good film!",
    "a bad , bad film",
    "good actors , it 's good",
    "",
    "nothing but sequels",
)


def dataset(folder: Path, kind: str) -> Dataset:
    for split in ("train", "test"):
        if kind == "text":
            write_texts(folder, split, TEXTS)
        elif kind == "table":
            rows = np.array([[1, 10, 5], [3, 10, 5], [5, 10, 7], [7, 10, 5], [1000, 11, 5]])
            write_array(array_file(folder, f"{split}_rows"), ROWS, rows.shape, [rows])
        else:
            images = np.arange(5 * 64).reshape(5, 8, 8, 1) % 256
            write_array(array_file(folder, f"{split}_images"), IMAGES, images.shape, [images])
        labels = np.array([1, 0, 1, 0, 0])
        write_array(array_file(folder, f"{split}_labels"), LABELS, labels.shape, [labels])
    Manifest("own", "", ("no", "yes"), (Stamp("here", ()),), kind).write(folder)
    return Dataset.open(folder)


def test_words_are_lower_case_and_marks_apart() -> None:
    assert words_of("It's GOOD, n't it?! 3d") == ["it's", "good", "n't", "it", "?", "!", "3d"]


def test_the_vocabulary_holds_the_most_frequent_words_of_the_training_part_alone(tmp_path) -> None:
    inputs = make_inputs(dataset(tmp_path, "text"), TextInput(vocabulary=5, length=4))
    encoder = inputs.learn(np.array([0, 1]), {})
    assert encoder.to_json()["vocabulary"] == ["a", "bad", "film"]  # among equals the alphabet
    tokens = inputs.take(encoder, np.array([1, 2, 3]))
    assert tokens.dtype == np.int32
    assert tokens.tolist() == [[2, 3, 3, 4], [1, 1, 1, 1], [0, 0, 0, 0]]


def test_tokens_of_the_training_set_are_those_of_the_same_texts_given_anew(tmp_path) -> None:
    inputs = make_inputs(dataset(tmp_path, "text"), TextInput(vocabulary=8, length=3))
    encoder = inputs.learn(np.array([0, 2]), {})
    indices = np.array([4, 0, 2, 1, 3])
    again = encoder.encode([TEXTS[i] for i in indices])
    assert np.array_equal(inputs.take(encoder, indices), again)
    assert again.max() > 1


def test_a_setting_decides_on_vocabulary_and_length(tmp_path) -> None:
    inputs = make_inputs(dataset(tmp_path, "text"), TextInput(vocabulary=10, length=9))
    encoder = inputs.learn(np.arange(5), {"vocabulary": 4, "length": 2})
    spec = spec_of(encoder, "text", Classification(("no", "yes")))
    assert (spec.vocabulary, spec.input_shape) == (4, (2,))
    assert inputs.take(encoder, np.arange(5)).shape == (5, 2)
    assert inputs.take(encoder, np.arange(5)).max() == 3


def test_columns_are_standardised_by_the_training_part_alone(tmp_path) -> None:
    inputs = make_inputs(dataset(tmp_path, "table"), TableInput())
    encoder = inputs.learn(np.array([0, 1, 2, 3]), {})
    part = inputs.take(encoder, np.array([0, 1, 2, 3]))
    assert part.dtype == np.float32
    assert part[:, 0].mean() == pytest.approx(0, abs=1e-6)
    assert part[:, 0].std() == pytest.approx(1)
    other = inputs.take(encoder, np.array([4]))[0]
    assert other[0] > 100  # far outside what was learned
    assert other[1] == 1  # a column that never changed is only centred


def test_images_keep_their_pixels_or_become_fractions(tmp_path) -> None:
    own = dataset(tmp_path, "image")
    native = make_inputs(own, ImageInput())
    encoder = native.learn(np.arange(5), {})
    assert native.take(encoder, np.array([0])).dtype == np.uint8
    scaled = make_inputs(own, ImageInput(size=(10, 10), scaled=True))
    encoder = scaled.learn(np.arange(5), {})
    images = scaled.take(encoder, np.array([3, 4]))
    assert images.shape == (2, 10, 10, 1)
    assert images.dtype == np.float32
    assert 0.5 < images.max() <= 1
    assert np.array_equal(images, encoder.encode(own.train_images[3:5]))


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("image", ImageInput(size=(12, 12), channels=3, scaled=True)),
        ("text", TextInput(vocabulary=6, length=5)),
        ("table", TableInput()),
    ],
)
def test_an_encoder_survives_being_written_and_read(tmp_path, kind, taken) -> None:
    own = dataset(tmp_path, kind)
    encoder = make_inputs(own, taken).learn(np.arange(4), {})
    again = encoder_from_json(json.loads(json.dumps(encoder.to_json())))
    samples = own.open_test()[0]
    assert np.array_equal(again.encode(samples), encoder.encode(samples))
    assert again.input_shape == encoder.input_shape


@pytest.mark.parametrize(
    "data", [{}, {"kind": "sound"}, {"kind": "text"}, {"kind": "image", "native_shape": [1]}]
)
def test_what_describes_no_encoder_is_refused(data) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        encoder_from_json(data)


@pytest.mark.parametrize(
    ("native", "taken"),
    [([8, 8], [8, 8, 1]), ([8, 8, 1], [8, 8]), ([8] * 4, [8, 8, 1]), ([8, 8, 1], [8] * 4)],
)
def test_an_image_has_height_width_and_channels(native, taken) -> None:
    data = {"kind": "image", "native_shape": native, "input_shape": taken, "scaled": False}
    with pytest.raises(ValueError, match="three numbers"):
        encoder_from_json(data)


def test_pixels_are_scaled_by_255_alone() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    shape = {"native_shape": [16, 16, 1], "input_shape": [16, 16, 1]}
    scaled, kept = (
        encoder_from_json({"kind": "image", **shape, "scaled": on}) for on in (True, False)
    )
    expected = (pixels / 255).astype(np.float32)
    np.testing.assert_allclose(scaled.encode(pixels), expected, rtol=1e-6)
    assert np.array_equal(kept.encode(pixels), pixels)
    assert np.array_equal(ImageEncoder((16, 16, 1), (16, 16, 1)).encode(pixels), pixels)
    assert (scaled.vocabulary_size, kept.input_shape) == (0, (16, 16, 1))


def test_columns_are_standardised_as_scikit_learn_does_it(tmp_path) -> None:
    from sklearn.preprocessing import StandardScaler

    own = dataset(tmp_path, "table")
    encoder = make_inputs(own, TableInput()).learn(np.array([0, 2, 3]), {})
    rows = np.asarray(own.train_samples, np.float64)
    expected = StandardScaler().fit(rows[[0, 2, 3]]).transform(rows)
    np.testing.assert_allclose(encoder.encode(rows), expected, rtol=1e-6)
    assert encoder.input_shape == (3,)


def test_the_first_word_is_token_two_and_unknown_words_are_token_one() -> None:
    words = {"kind": "text", "vocabulary": ["film", "good"], "length": 4, "size": 9}
    encoder = encoder_from_json(words)
    assert encoder.encode(["good film", "bad good", "film film film film film"]).tolist() == [
        [3, 2, 0, 0],
        [1, 3, 0, 0],
        [2, 2, 2, 2],
    ]
    assert (encoder.vocabulary_size, encoder.input_shape) == (9, (4,))
