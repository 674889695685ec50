import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from search.data import Dataset, load, prepare_images
from search.errors import DataError
from spaces import ImageInput

LENET = ImageInput((32, 32), 1)


@pytest.fixture
def dataset(tmp_path: Path, home: Path, idx_folder: Callable[..., Path]) -> Dataset:
    return load("mnist", home=home, data_dir=idx_folder(tmp_path / "data"))


def mapped_files() -> str:
    return Path("/proc/self/maps").read_text()


def prepare_elsewhere(folder: Path) -> tuple[int, bool]:
    images = Dataset.open(folder).prepared(LENET)
    return int(images.sum()), str(images.filename) in mapped_files()


def test_a_reopened_dataset_is_the_same(dataset: Dataset) -> None:
    assert Dataset.open(dataset.folder) == dataset
    assert dataset.name == "mnist"
    assert dataset.classes == tuple("0123456789")


def test_arrays_are_mapped_and_read_only(dataset: Dataset) -> None:
    images = dataset.train_images
    assert isinstance(images, np.memmap)
    assert str(dataset.folder / "train_images.npy") in mapped_files()
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_a_dataset_is_pickled_without_its_arrays(dataset: Dataset) -> None:
    dataset.prepared(LENET)
    assert len(pickle.dumps(dataset)) < 2000
    assert pickle.loads(pickle.dumps(dataset)) == dataset  # noqa: S301 - made on the line above


def test_prepared_images_are_what_preparing_gives_and_are_kept(dataset: Dataset) -> None:
    first = dataset.prepared(LENET)
    assert np.array_equal(first, prepare_images(dataset.train_images, LENET))
    before = Path(first.filename).stat()
    again = dataset.prepared(LENET)
    assert Path(again.filename).stat() == before
    assert isinstance(again, np.memmap)


def test_images_of_the_right_kind_are_not_kept_twice(dataset: Dataset) -> None:
    images = dataset.prepared(ImageInput((28, 28), 1))
    assert Path(images.filename).name == "train_images.npy"


@pytest.mark.slow
def test_workers_map_one_file_even_when_all_prepare_at_once(dataset: Dataset) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        answers = pool.map(prepare_elsewhere, [dataset.folder] * 4)
    assert set(answers) == {(int(dataset.train_images.sum(dtype=np.int64)), True)}
    kept = [path.name for path in dataset.folder.glob("*32x32*")]
    assert kept == ["train_images-32x32x1.npy"]


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\x93NUMPY\x01\x00"])
def test_damaged_prepared_images_are_made_anew(dataset: Dataset, damage: bytes) -> None:
    path = Path(dataset.prepared(LENET).filename)
    path.write_bytes(damage)
    assert dataset.prepared(LENET).shape == (40, 32, 32, 1)


@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
@pytest.mark.parametrize("size", [0, 100, 129, None])
def test_a_damaged_or_missing_array_is_named(dataset: Dataset, name: str, size: int | None) -> None:
    path = dataset.folder / f"{name}.npy"
    if size is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=rf"{path}.*Delete {dataset.folder}"):
        Dataset.open(dataset.folder)


def test_an_array_of_pickled_objects_is_refused(dataset: Dataset) -> None:
    np.save(dataset.folder / "train_labels.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"train_labels\.npy"):
        Dataset.open(dataset.folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "name": "mnist", "stamps": []}']
)
def test_a_damaged_manifest_is_named(dataset: Dataset, text: str) -> None:
    (dataset.folder / "meta.json").write_text(text)
    with pytest.raises(DataError, match=r"readable meta\.json.*Delete it"):
        Dataset.open(dataset.folder)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        Dataset.open(tmp_path / "nothing")


def test_a_changed_byte_is_noticed(dataset: Dataset) -> None:
    assert dataset.is_intact()
    path = dataset.folder / "test_images.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert not dataset.is_intact()
