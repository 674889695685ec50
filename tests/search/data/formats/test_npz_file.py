from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data import Dataset, load
from search.errors import DataError

Save = Callable[..., Path]
RNG = np.random.default_rng(0)
LABELS = np.arange(30) % 3
GREY = RNG.integers(0, 256, (30, 4, 5), np.uint8)
TABLE = RNG.normal(size=(30, 2)).astype(np.float32).astype(np.float64)
TEXTS = np.array([f"tekst nº {i}" for i in range(30)])


def changed(array: Any, value: float) -> Any:
    """The array with another value at [4, 1]."""
    array = array.copy()
    array[4, 1] = value
    return array


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save arrays: in Keras's layout, with the last 9 for the test, or under their own names."""

    def save(x: Any = None, y: Any = None, /, **arrays: Any) -> Path:
        path = tmp_path / "own.npz"
        if x is not None:
            arrays |= {"x_train": x[:21], "y_train": y[:21], "x_test": x[21:], "y_test": y[21:]}
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        return path

    return save


def told_of(path: Path, home: Path) -> tuple[Dataset, list[str]]:
    told: list[str] = []
    dataset = load(f"npz:{path}", home=home, notify=told.append)
    return dataset, told[1:]


def read(path: Path, home: Path) -> Dataset:
    return load(f"npz:{path}", home=home)


def fault(path: Path, home: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(f"npz:{path}", home=home)
    assert str(path) in str(caught.value)
    assert not list((home / "datasets").glob("*"))
    return str(caught.value)


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_images_are_kept_as_they_are(save: Save, home: Path, channels: int | None) -> None:
    images = GREY if channels is None else np.repeat(GREY[..., None], channels, axis=-1)
    dataset, told = told_of(save(images, LABELS), home)
    assert told == []
    assert (dataset.kind, dataset.classes) == ("image", ("0", "1", "2"))
    assert dataset.train_images.shape == (21, 4, 5, channels or 1)
    test, labels = dataset.open_test()
    kept = np.concatenate([dataset.train_images, test])
    assert np.array_equal(kept.reshape(images.shape), images)
    assert labels.tolist() == LABELS[21:].tolist()


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ((GREY / 255).astype(np.float32), "multiples of 1/255 are read as images of 4 x 5 pixels"),
        ((GREY / 255).astype(np.float16), "multiples of 1/255 are read as images of 4 x 5 pixels"),
        (GREY / 255, "multiples of 1/255 are read as images of 4 x 5 pixels"),
        (GREY.astype(np.float32), "whole numbers within 0 to 255 are read as images"),
        (GREY.astype(np.int64), "whole numbers within 0 to 255 are read as images"),
    ],
)
def test_other_numbers_become_pixels_and_that_is_told(
    save: Save, home: Path, images: Any, why: str
) -> None:
    dataset, told = told_of(save(images, LABELS), home)
    assert np.array_equal(dataset.train_images[..., 0], GREY[:21])
    assert dataset.train_images.dtype == np.uint8
    assert why in told[0]
    assert "`--kind sequence` reads sequences of 4 steps with 5 features" in told[0]


def test_black_and_white_becomes_0_and_255(save: Save, home: Path) -> None:
    dataset = read(save(GREY > 127, LABELS), home)
    assert np.array_equal(dataset.train_images[..., 0] == 255, GREY[:21] > 127)
    assert set(np.unique(dataset.train_images)) == {0, 255}


def test_dark_test_images_are_scaled_as_the_training_images_are(save: Save, home: Path) -> None:
    images = GREY.astype(np.float64)
    images[21:] = 1.0  # alone they would be taken for white
    assert set(np.unique(read(save(images, LABELS), home).open_test()[0])) == {1}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.bool_])
def test_numbers_in_two_dimensions_are_a_table(save: Save, home: Path, dtype: Any) -> None:
    table = (TABLE * 10).astype(dtype)
    dataset, told = told_of(save(table, LABELS), home)
    assert told == []
    assert (dataset.kind, dataset.column_names) == ("table", ("x0", "x1"))
    assert dataset.train_samples.dtype == np.float64
    assert np.array_equal(dataset.train_samples, table[:21].astype(np.float64))


def test_strings_are_texts(save: Save, home: Path) -> None:
    dataset = read(save(TEXTS, LABELS), home)
    assert dataset.kind == "text"
    assert list(dataset.train_samples) == TEXTS[:21].tolist()
    assert list(dataset.open_test()[0]) == TEXTS[21:].tolist()


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.astype(np.uint8)[:, None],
        LABELS.astype(np.float32),
        np.eye(3)[LABELS],
        np.eye(3, dtype=np.bool_)[LABELS],
    ],
)
def test_labels_may_be_a_column_floats_or_one_hot(save: Save, home: Path, labels: Any) -> None:
    dataset = read(save(GREY, labels), home)
    assert dataset.train_labels.tolist() == LABELS[:21].tolist()
    assert dataset.train_labels.dtype == np.int64


@pytest.mark.parametrize("samples", [GREY, TABLE, TEXTS])
@pytest.mark.parametrize("names", [("x_train", "y_train"), ("X", "y"), ("images", "labels")])
def test_a_fifth_is_set_aside_where_there_is_no_test_part(
    save: Save, home: Path, samples: Any, names: tuple[str, str]
) -> None:
    dataset, told = told_of(save(**{names[0]: samples, names[1]: LABELS}), home)
    test, labels = dataset.open_test()
    assert np.bincount(labels).tolist() == [2, 2, 2]
    assert np.bincount(dataset.train_labels).tolist() == [8, 8, 8]
    assert "a stratified fifth (6 of 30 samples) is held out for the test" in told[-1]
    for part, numbers in ((dataset.train_samples, dataset.train_labels), (test, labels)):
        for sample, label in zip(part, numbers, strict=True):
            near = [np.all(one == sample) for one in samples.reshape(30, *np.shape(sample))]
            assert LABELS[near.index(True)] == label


def test_arrays_that_are_not_used_are_told(save: Save, home: Path) -> None:
    _, told = told_of(save(GREY, LABELS, x_val=GREY, names=TEXTS), home)
    assert told[0].endswith("not used: x_val, names.")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("x_train", "y_train", "x_test"), "holds x_train, y_train, x_test; y_test must be there"),
        (("y_train",), "it holds y_train; x_train must be there, too"),
        (("x_test", "y_test"), "x_train and y_train must be there, too"),
        (("X",), "one of X, x, images and one of y, labels; it holds X."),
        (("X", "x", "y"), "it holds X, x, y."),
        (("a", "b"), "it holds a, b."),
        ((), "it holds nothing."),
    ],
)
def test_missing_arrays_are_refused_with_what_there_is(
    save: Save, home: Path, names: tuple[str, ...], expected: str
) -> None:
    assert expected in fault(save(**dict.fromkeys(names, LABELS)), home)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (GREY[:, None], "(21, 1, 4, 5). Put the channels last: numpy.moveaxis(x, 1, -1)."),
        (np.zeros((30, 4, 4, 2)), "must have 1 or 3 channels"),
        (np.zeros((30, 1, 4, 4, 3)), "must be images (n, height, width)"),
        (LABELS, "must be images (n, height, width)"),
        (np.array([b"text"] * 30), "x.astype(str)"),
        (GREY.astype(complex), "got complex128"),
        (changed(GREY / 255, np.nan), "must hold finite numbers; [4, 1, 0] is nan"),
        (changed(GREY[..., None] / 255, np.nan), "values are missing (NaN)"),
        (changed(GREY[..., None] / 255, np.inf), "values are infinite"),
        (GREY.astype(np.int64) * 2, "do not show which. Say it with `--kind image` or"),
        (GREY / 256, "do not show which. Say it with `--kind image` or"),
        (changed(TABLE, np.nan), "[4, 1] is nan"),
        (changed(TABLE, np.inf), "[4, 1] is inf"),
        (np.array(["\ud800"] * 30), "one cannot be encoded ("),
    ],
)
def test_samples_of_which_nothing_can_be_made_are_refused(
    save: Save, home: Path, samples: Any, expected: str
) -> None:
    message = fault(save(samples, LABELS), home)
    assert "x_train" in message
    assert expected in message


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.where(LABELS == 1, np.nan, 0), "number 2 has none (missing)"),
        (
            np.where(LABELS == 1, "", "a"),
            "number 2, must hold names in one line",
        ),
        (np.array([b"a", b"b", b"c"])[LABELS], "Convert bytes to str with y.astype(str)."),
        (LABELS.reshape(30, 1, 1), "got int64 (21, 1, 1)"),
        (LABELS * 0, "must have at least 2 classes; got 1 (0)"),
        (np.where(np.arange(30) < 21, LABELS, 7), "training part (0, 1, 2); number 1 is 7"),
    ],
)
def test_labels_that_number_no_classes_are_refused(
    save: Save, home: Path, labels: Any, expected: str
) -> None:
    assert expected in fault(save(GREY, labels), home)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (LABELS + 1, ("1", "2", "3")),
        (LABELS * 5 - 5, ("-5", "0", "5")),
        (LABELS == 1, ("False", "True")),
        (np.array(["red", "Green", "b l u e"])[LABELS], ("Green", "b l u e", "red")),
        (np.array(["red", "Green", "blue"])[LABELS][:, None], ("Green", "blue", "red")),
    ],
)
def test_classes_are_called_as_the_labels_are_written(
    save: Save, home: Path, labels: Any, classes: tuple[str, ...]
) -> None:
    dataset = read(save(GREY, labels), home)
    assert dataset.classes == classes
    numbers = (*dataset.train_labels, *dataset.open_test()[1])
    assert [classes[number] for number in numbers] == [str(label) for label in labels.reshape(-1)]


@pytest.mark.parametrize("array", [np.array([{}] * 30), np.array(["a", "b", "c"] * 10)])
def test_python_objects_are_not_opened_and_what_to_do_is_said(
    save: Save, home: Path, array: Any
) -> None:
    for samples, labels in ((GREY, array.astype(object)), (array.astype(object), LABELS)):
        message = fault(save(samples, labels), home)
        assert "pickled data are never opened" in message
        assert "x.astype(str)" in message


def test_training_and_test_samples_must_be_of_one_kind(save: Save, home: Path) -> None:
    parts = {"y_train": LABELS, "y_test": LABELS}
    message = fault(save(x_train=GREY, x_test=TABLE, **parts), home)
    assert "has images of shape (4, 5, 1); got tables of shape (2,)" in message
    message = fault(save(x_train=TABLE, x_test=TABLE[:, :1], **parts), home)
    assert "has tables of shape (2,); got tables of shape (1,)" in message
    message = fault(save(x_train=GREY / 255, x_test=GREY.astype(float), **parts), home)
    assert (
        "x_train (fractions, 0 to 1); got fractions, 0 to 255. Bring both to one scale" in message
    )


def test_counts_that_differ_are_refused(save: Save, home: Path) -> None:
    assert "30 samples and 29 labels" in fault(save(X=GREY, y=LABELS[:29]), home)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "own.npy"
    np.save(path, GREY)
    assert "must be a complete .npz file" in fault(path, home)
    assert "there is no file" in fault(tmp_path / "none.npz", home)
