from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data import load
from search.errors import DataError


def fault(path: Path, home: Path) -> str:
    with pytest.raises(DataError) as caught:
        load("mnist", home=home, data_dir=path.parent, download=False)
    assert str(path) in str(caught.value)
    return str(caught.value)


def rewrite(path: Path, **changes: Any) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | changes
    kept = {name: array for name, array in arrays.items() if array is not None}
    np.savez(path, **kept)


@pytest.fixture
def path(tmp_path: Path, npz_file: Callable[..., Path]) -> Path:
    return npz_file(tmp_path / "data" / "mnist.npz")


def test_keras_layout_is_read(path: Path, home: Path) -> None:
    dataset = load("mnist", home=home, data_dir=path.parent)
    assert dataset.source == str(path)
    assert dataset.train_images.shape == (40, 28, 28, 1)
    assert dataset.train_labels.tolist() == [i % 10 for i in range(40)]
    assert dataset.train_labels.dtype == np.int64


def test_a_missing_array_is_named(path: Path, home: Path) -> None:
    rewrite(path, y_test=None)
    assert "y_test is missing" in fault(path, home)


def test_a_truncated_archive_is_refused(path: Path, home: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])
    assert "complete .npz file" in fault(path, home)


def test_a_damaged_array_is_refused(path: Path, home: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5000] ^= 0xFF
    path.write_bytes(bytes(content))
    assert "complete .npz file" in fault(path, home)


def test_pickled_objects_are_not_opened(path: Path, home: Path) -> None:
    rewrite(path, y_train=np.array([{}] * 40, dtype=object))
    assert "pickled data are never opened" in fault(path, home)


def test_float_images_are_refused(path: Path, home: Path) -> None:
    rewrite(path, x_train=np.zeros((40, 28, 28), np.float32))
    message = fault(path, home)
    assert "must be uint8" in message
    assert "float32 (40, 28, 28, 1)" in message


def test_labels_that_are_no_whole_numbers_are_refused(path: Path, home: Path) -> None:
    rewrite(path, y_train=np.zeros(40, np.float64))
    assert "whole numbers of shape (n,); got float64 (40,)" in fault(path, home)


def test_a_negative_label_is_refused(path: Path, home: Path) -> None:
    rewrite(path, y_test=np.full(10, -1))
    assert "within 0..9; number 1 is -1" in fault(path, home)


def test_counts_that_differ_are_refused(path: Path, home: Path) -> None:
    rewrite(path, y_train=np.zeros(41, np.uint8))
    assert "40 samples and 41 labels" in fault(path, home)
