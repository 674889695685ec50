import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from search.data import Dataset, DatasetNotFound, load, locate
from search.errors import DataError, SettingsError

MakeFolder = Callable[..., Path]
REAL = Path(os.environ.get("SEARCH_DATA_DIR", "../shared/data"))


def source(name: str, home: Path, data_dir: Path | None = None) -> str:
    """Load without the download; `locate` must have said the same before."""
    before = locate(name, home=home, data_dir=data_dir)
    dataset = load(name, home=home, data_dir=data_dir, download=False)
    assert before is not None
    assert dataset.source in before
    return dataset.source


def test_digits_are_always_at_hand(home: Path) -> None:
    digits = load("digits", home=home, download=False)
    images, labels = digits.open_test()
    assert digits.train_images.shape == (1437, 8, 8, 1)
    assert images.shape == (360, 8, 8, 1)
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 255)
    per_class = np.bincount(digits.train_labels)
    assert np.allclose(np.bincount(labels) / (np.bincount(labels) + per_class), 0.2, atol=0.01)


def test_digits_are_the_same_everywhere(home: Path) -> None:
    digest = load("digits", home=home).digest
    assert digest == "0ee7e56b9205ce43d65d5a571ea9200ad03fee6e0e9c28add18e0222503d6059"


def test_no_digit_of_the_test_set_is_in_the_training_set(home: Path) -> None:
    digits = load("digits", home=home)
    train = {image.tobytes() for image in np.asarray(digits.train_images)}
    assert not train & {image.tobytes() for image in np.asarray(digits.open_test()[0])}


@pytest.mark.parametrize("subfolder", ["fashion_mnist", "fashion-mnist", "."])
def test_the_named_folder_may_be_the_datasets_or_the_one_above(
    tmp_path: Path, home: Path, idx_folder: MakeFolder, subfolder: str
) -> None:
    folder = idx_folder(tmp_path / "data" / subfolder)
    assert source("fashion_mnist", home, tmp_path / "data") == f"IDX files in {folder}"


@pytest.mark.parametrize("spelling", ["fashion_mnist", "fashion-mnist"])
def test_the_named_folder_may_hold_an_npz_file(
    tmp_path: Path, home: Path, npz_file: MakeFolder, spelling: str
) -> None:
    path = npz_file(tmp_path / "data" / f"{spelling}.npz")
    assert source("fashion_mnist", home, tmp_path / "data") == str(path)


def test_the_places_are_asked_in_order(
    tmp_path: Path, home: Path, idx_folder: MakeFolder, npz_file: MakeFolder
) -> None:
    data = idx_folder(tmp_path / "data" / "fashion_mnist", tone=1)
    keras = idx_folder(tmp_path / "keras" / "datasets" / "fashion-mnist", tone=2)
    debian = idx_folder(tmp_path / "debian" / "fashion-mnist", tone=3)
    assert source("fashion_mnist", tmp_path / "home1") == f"IDX files in {keras}"
    assert source("fashion_mnist", home, tmp_path / "data") == f"IDX files in {data}"
    # Now this project's own cache goes before Keras's.
    assert source("fashion_mnist", home) == f"IDX files in {data}"
    for path in keras.iterdir():
        path.unlink()
    assert source("fashion_mnist", tmp_path / "home2") == f"IDX files in {debian}"


def test_keras_npz_of_mnist_is_found(tmp_path: Path, home: Path, npz_file: MakeFolder) -> None:
    path = npz_file(tmp_path / "keras" / "datasets" / "mnist.npz")
    assert source("mnist", home) == str(path)


def test_keras_and_tfds_are_looked_for_in_the_users_folder(
    tmp_path: Path, home: Path, npz_file: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.delenv("TFDS_DATA_DIR")
    with pytest.raises(DatasetNotFound, match=r"user/tensorflow_datasets/mnist"):
        load("mnist", home=home, download=False)
    path = npz_file(tmp_path / "user" / ".keras" / "datasets" / "mnist.npz")
    assert source("mnist", home) == str(path)


def test_a_dataset_that_is_nowhere_lists_all_places_and_remedies(
    tmp_path: Path, home: Path, idx_folder: MakeFolder
) -> None:
    (idx_folder(tmp_path / "keras/datasets/fashion-mnist") / "t10k-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "data").mkdir()
    with pytest.raises(DatasetNotFound) as caught:
        load("fashion_mnist", home=home, data_dir=tmp_path / "data", download=False)
    message = str(caught.value)
    for part in (
        f"nothing of fashion_mnist in {tmp_path / 'data'}",
        f"nothing of fashion_mnist in {home / 'datasets'}",
        "only some of the IDX files; missing: t10k-labels-idx1-ubyte.gz",
        str(tmp_path / "tfds" / "fashion_mnist"),
        str(tmp_path / "debian" / "fashion-mnist"),
        "--data-dir",
        "FOLDWISE_DATA_DIR",
        "apt install dataset-fashion-mnist",
        "--dataset digits",
    ):
        assert part in message
    assert len(caught.value.tried) == 5
    assert isinstance(caught.value, DataError)
    assert caught.value.exit_code == 3
    assert locate("fashion_mnist", home=home) is None


def test_a_named_folder_that_is_not_there_is_told_and_passed_over(
    tmp_path: Path, home: Path, npz_file: MakeFolder
) -> None:
    npz_file(tmp_path / "keras" / "datasets" / "mnist.npz")
    told: list[str] = []
    load("mnist", home=home, data_dir=tmp_path / "nothing", notify=told.append)
    assert told[0] == f"The data folder {tmp_path / 'nothing'} does not exist; looking elsewhere."


def test_damage_in_an_early_place_is_not_passed_over(
    tmp_path: Path, home: Path, npz_file: MakeFolder
) -> None:
    npz_file(tmp_path / "keras" / "datasets" / "mnist.npz")
    damaged = tmp_path / "data" / "mnist.npz"
    damaged.parent.mkdir()
    damaged.write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match=str(damaged)):
        load("mnist", home=home, data_dir=tmp_path / "data")


def test_another_datasets_folder_is_not_taken_for_this_one(
    tmp_path: Path, home: Path, idx_folder: MakeFolder
) -> None:
    folder = idx_folder(tmp_path / "data" / "mnist")
    with pytest.raises(DatasetNotFound):
        load("fashion_mnist", home=home, data_dir=folder, download=False)


def test_an_unknown_dataset_is_a_wrong_setting(home: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean digits"):
        load("digit", home=home)
    with pytest.raises(SettingsError, match="did you mean digits"):
        locate("digit", home=home)


def test_other_counts_than_the_published_ones_are_told(
    tmp_path: Path, home: Path, npz_file: MakeFolder
) -> None:
    told: list[str] = []
    path = npz_file(tmp_path / "data" / "mnist.npz")
    load("mnist", home=home, data_dir=path.parent, notify=told.append)
    assert told == [
        f"Getting mnist ({path}).",
        f"mnist has 40 training samples here ({path}); the published dataset has 60,000.",
    ]


def test_a_home_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(SettingsError, match=r"must be writable.*Choose another"):
        load("digits", home=tmp_path / "home")


def test_a_full_disk_ends_in_one_message(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("search.data.sources.write_array", full)
    with pytest.raises(DataError, match="No space left on device"):
        load("digits", home=home)
    assert not list((home / "datasets").iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, home: Path, idx_folder: MakeFolder
) -> None:
    folder = idx_folder(tmp_path / "data" / "mnist")
    folder.chmod(0)
    try:
        with pytest.raises(DataError, match="must be readable"):
            load("mnist", home=home, data_dir=tmp_path / "data")
    finally:
        folder.chmod(0o755)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "digest", "first"),
    [
        ("fashion_mnist", "63d06f8d76df", [9, 0, 0, 3, 0]),
        ("mnist", "b916d895ab90", [5, 0, 4, 1, 9]),
    ],
)
def test_the_real_files_are_read_as_published(
    home: Path, name: str, digest: str, first: list[int]
) -> None:
    needed(name)
    started = time.monotonic()
    dataset = load(name, home=home, data_dir=REAL)
    assert time.monotonic() - started < 60
    assert dataset.train_images.shape == (60_000, 28, 28, 1)
    assert dataset.train_labels[:5].tolist() == first
    assert np.bincount(dataset.train_labels).min() > 5000
    assert dataset.digest.startswith(digest)
    assert dataset.open_test()[0].shape == (10_000, 28, 28, 1)


@pytest.mark.slow
def test_real_mnist_under_fashion_mnists_name_is_recognised(tmp_path: Path, home: Path) -> None:
    needed("mnist")
    (tmp_path / "fashion_mnist").symlink_to((REAL / "mnist").absolute())
    with pytest.raises(DataError, match=r"holds mnist.*Use `--dataset mnist`"):
        load("fashion_mnist", home=home, data_dir=tmp_path)
    assert locate("fashion_mnist", home=home) is None


def needed(name: str) -> None:
    if not (REAL / name).is_dir():
        pytest.skip(f"no real data: {REAL / name} does not exist (set SEARCH_DATA_DIR)")


def test_loaded_datasets_can_be_opened_by_folder(home: Path) -> None:
    digits = load("digits", home=home)
    assert Dataset.open(digits.folder) == digits
