import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from search.data import load
from search.errors import DataError

IMAGES = "train-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"


@pytest.fixture
def plain(tmp_path: Path, idx_folder: Callable[..., Path]) -> Path:
    return idx_folder(tmp_path / "data" / "mnist", plain=True)


@pytest.fixture
def packed(tmp_path: Path, idx_folder: Callable[..., Path]) -> Path:
    return idx_folder(tmp_path / "data" / "mnist")


def fault(folder: Path, home: Path) -> str:
    """Load from the folder and return the one message; nothing may be kept of a faulty set."""
    with pytest.raises(DataError) as caught:
        load("mnist", home=home, data_dir=folder, download=False)
    assert not list((home / "datasets").glob("*"))
    return str(caught.value)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("dots", [True, False])
def test_every_spelling_and_packing_gives_the_same_arrays(
    tmp_path: Path, home: Path, idx_folder: Callable[..., Path], plain: bool, dots: bool
) -> None:
    folder = idx_folder(tmp_path / "data", plain=plain, dots=dots)
    dataset = load("mnist", home=home, data_dir=folder, download=False)
    assert dataset.train_images.shape == (40, 28, 28, 1)
    assert dataset.train_images.dtype == np.uint8
    assert dataset.train_images[1, 0, :3, 0].tolist() == [784 % 251, 785 % 251, 786 % 251]
    assert dataset.train_labels.dtype == np.int64
    assert dataset.train_labels.tolist() == [i % 10 for i in range(40)]
    assert [len(array) for array in dataset.open_test()] == [10, 10]


def test_a_plain_file_under_a_gz_name_is_read(packed: Path, home: Path) -> None:
    path = packed / f"{LABELS}.gz"
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert len(load("mnist", home=home, data_dir=packed).train_labels) == 40


def test_images_larger_than_one_piece_arrive_whole(
    tmp_path: Path, home: Path, idx_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = idx_folder(tmp_path / "data")
    whole = load("mnist", home=home, data_dir=folder)
    monkeypatch.setattr("search.data.formats.idx.PIECE_BYTES", 3 * 784 + 5)
    pieces = load("mnist", home=tmp_path / "other", data_dir=folder)
    assert np.array_equal(whole.train_images, pieces.train_images)
    assert whole.digest == pieces.digest


def test_a_truncated_plain_file_is_named(plain: Path, home: Path) -> None:
    path = plain / IMAGES
    path.write_bytes(path.read_bytes()[:-100])
    message = fault(plain, home)
    assert str(path) in message
    assert "40 x 28 x 28 = 31,360 bytes" in message
    assert "it holds 31,260: the file is cut short" in message
    assert "Get the file again" in message


def test_a_file_that_is_too_long_is_named(plain: Path, home: Path) -> None:
    path = plain / LABELS
    path.write_bytes(path.read_bytes() + b"\0")
    message = fault(plain, home)
    assert str(path) in message
    assert "too long" in message


@pytest.mark.parametrize("kept", [20, 200, -1])
def test_a_truncated_gzip_file_is_named(packed: Path, home: Path, kept: int) -> None:
    path = packed / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:kept])
    message = fault(packed, home)
    assert str(path) in message
    assert "cut short" in message


@pytest.mark.parametrize("place", [30, -6])  # in the packed data, in the checksum
def test_a_corrupt_gzip_file_is_named(packed: Path, home: Path, place: int) -> None:
    path = packed / f"{TEST_IMAGES}.gz"
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(bytes(content))
    message = fault(packed, home)
    assert str(path) in message
    assert "its gzip data is corrupt" in message


@pytest.mark.parametrize("content", [b"", b"\0", b"\0\0\x08\x03\0\0"])
def test_a_file_without_a_whole_header_is_cut_short(
    plain: Path, home: Path, content: bytes
) -> None:
    (plain / IMAGES).write_bytes(content)
    assert "cut short" in fault(plain, home)


def test_a_file_that_is_no_idx_file_shows_what_it_starts_with(plain: Path, home: Path) -> None:
    (plain / LABELS).write_bytes(b"<html>not found</html>")
    message = fault(plain, home)
    assert "0x00000801" in message
    assert "0x3c68746d" in message


def test_images_and_labels_swapped_are_called_swapped(plain: Path, home: Path) -> None:
    swap(plain / IMAGES, plain / LABELS)
    message = fault(plain, home)
    assert "must be an IDX file of images" in message
    assert "got one of labels" in message
    assert "swapped" in message


def test_training_and_test_labels_swapped_are_called_swapped(plain: Path, home: Path) -> None:
    swap(plain / LABELS, plain / TEST_LABELS)
    message = fault(plain, home)
    assert "40 images and 10 labels" in message
    assert "look swapped" in message


def test_the_whole_published_sets_swapped_are_called_swapped(
    tmp_path: Path, home: Path, idx_folder: Callable[..., Path]
) -> None:
    folder = idx_folder(tmp_path / "data", train=10_000, test=60_000, size=1)
    assert "the other way round" in fault(folder, home)


def test_counts_that_differ_are_both_given(
    plain: Path, home: Path, idx_bytes: Callable[..., dict[str, bytes]]
) -> None:
    (plain / LABELS).write_bytes(idx_bytes(train=39)[LABELS])
    message = fault(plain, home)
    assert "40 samples and 39 labels" in message
    assert LABELS in message


def test_a_label_outside_the_classes_is_shown_with_its_place(plain: Path, home: Path) -> None:
    path = plain / LABELS
    content = bytearray(path.read_bytes())
    content[8 + 2] = 10
    path.write_bytes(bytes(content))
    message = fault(plain, home)
    assert str(path) in message
    assert "within 0..9; number 3 is 10" in message


@pytest.mark.parametrize(
    "shape", [(60_000, 60_000, 60_000), (1, 100_000, 10), (0, 28, 28), (40, 0, 28)]
)
def test_a_header_beyond_all_bounds_is_refused_before_reading(
    plain: Path, home: Path, shape: tuple[int, int, int]
) -> None:
    (plain / IMAGES).write_bytes(struct.pack(">IIII", 0x803, *shape) + b"\0" * 100)
    message = fault(plain, home)
    assert " x ".join(map(str, shape)) in message
    assert "damaged" in message


def test_training_and_test_images_must_have_one_size(
    plain: Path, home: Path, idx_bytes: Callable[..., dict[str, bytes]]
) -> None:
    (plain / TEST_IMAGES).write_bytes(idx_bytes(size=20)[TEST_IMAGES])
    message = fault(plain, home)
    assert "(28, 28, 1) and (20, 20, 1)" in message


def test_an_incomplete_set_in_the_named_folder_lists_what_is_missing(
    plain: Path, home: Path
) -> None:
    (plain / TEST_LABELS).unlink()
    message = fault(plain, home)
    assert str(plain) in message
    assert f"missing: {TEST_LABELS}" in message


def swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
