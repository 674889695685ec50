"""Where `sst2` is looked for."""

import os
from pathlib import Path

import numpy as np
import pytest

from search.data import DatasetNotFound, load, locate
from search.errors import DataError

REAL = Path(os.environ.get("SEARCH_DATA_DIR", "../shared/data"))


def tsv_files(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("train.tsv", "dev.tsv"):
        (folder / name).write_text("sentence\tlabel\ndull\t0\nbright\t1\n")
    return folder


@pytest.mark.parametrize("subfolder", ["sst2", "SST-2", "."])
def test_the_named_folder_may_be_the_datasets_or_the_one_above(
    tmp_path: Path, home: Path, subfolder: str
) -> None:
    folder = tsv_files(tmp_path / "data" / subfolder)
    assert locate("sst2", home=home, data_dir=tmp_path / "data") == f"TSV files in {folder}"
    dataset = load("sst2", home=home, data_dir=tmp_path / "data", download=False)
    assert dataset.source == f"TSV files in {folder}"
    assert (dataset.kind, dataset.classes) == ("text", ("negative", "positive"))


def test_what_was_read_once_is_found_again(tmp_path: Path, home: Path) -> None:
    first = load("sst2", home=home, data_dir=tsv_files(tmp_path / "data"))
    assert load("sst2", home=home, download=False) == first
    assert locate("sst2", home=home) == f"{first.folder} (from {first.source})"


def test_one_file_without_the_other_is_named(tmp_path: Path, home: Path) -> None:
    (tsv_files(tmp_path / "sst2") / "dev.tsv").unlink()
    with pytest.raises(DataError, match=r"only some of the TSV files; missing: dev\.tsv\. Add"):
        load("sst2", home=home, data_dir=tmp_path)


def test_images_are_not_taken_for_texts(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "data" / "sst2"
    folder.mkdir(parents=True)
    np.savez(folder / "sst2.npz", allow_pickle=False, x_train=np.zeros(1))
    assert locate("sst2", home=home, data_dir=tmp_path / "data") is None


def test_texts_are_not_taken_for_images(tmp_path: Path, home: Path) -> None:
    folder = tsv_files(tmp_path / "data")
    assert locate("mnist", home=home, data_dir=folder) is None


def test_where_it_is_nowhere_only_places_are_named_that_could_have_it(
    tmp_path: Path, home: Path
) -> None:
    with pytest.raises(DatasetNotFound) as caught:
        load("sst2", home=home, download=False)
    assert len(caught.value.tried) == 3
    message = str(caught.value)
    assert str(tmp_path / "tfds" / "glue" / "sst2") in message
    assert "--data-dir" in message
    assert "train.tsv and dev.tsv" in message
    for foreign in ("apt install", "Keras", "digits"):
        assert foreign not in message


@pytest.mark.slow
def test_the_real_files_are_read_as_published(home: Path) -> None:
    if not (REAL / "sst2").is_dir():
        pytest.skip(f"no real data: {REAL / 'sst2'} does not exist (set SEARCH_DATA_DIR)")
    told: list[str] = []
    dataset = load("sst2", home=home, data_dir=REAL, notify=told.append)
    assert len(told) == 1, "a count that differs from the published one would be told"
    assert np.bincount(dataset.train_labels).tolist() == [29_780, 37_569]
    assert len(dataset.train_samples) == 67_349
    samples, labels = dataset.open_test()
    assert np.bincount(labels).tolist() == [428, 444]
    assert not set(samples) & set(dataset.train_samples)
