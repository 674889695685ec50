import gzip
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.data import Dataset, Reading, load
from search.data.dataset import Manifest
from search.errors import DataError

MakeFolder = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path, idx_folder: MakeFolder) -> Path:
    return idx_folder(tmp_path / "data")


def load_quietly(home: Path, data: Path | None) -> tuple[Dataset, list[str]]:
    """Load mnist and return it with the notices about reading."""
    told: list[str] = []
    dataset = load("mnist", home=home, data_dir=data, download=False, notify=told.append)
    return dataset, [text for text in told if "the published dataset" not in text]


def test_unchanged_files_are_not_read_again(home: Path, data: Path) -> None:
    first, told = load_quietly(home, data)
    assert told == [f"Getting mnist (IDX files in {data})."]
    for path in data.iterdir():
        state = path.stat()
        path.write_bytes(b"\0" * state.st_size)  # only the stamp could tell, and it says: the same
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    second, told = load_quietly(home, data)
    assert told == []
    assert second == first


def test_changed_files_are_read_anew_and_have_another_digest(
    home: Path, data: Path, idx_folder: MakeFolder
) -> None:
    first, _ = load_quietly(home, data)
    idx_folder(data, tone=1)
    second, told = load_quietly(home, data)
    assert told
    assert second.digest != first.digest
    assert second.train_images[0, 0, 0, 0] == 1
    assert first.train_images[0, 0, 0, 0] == 0
    assert load_quietly(home, data) == (second, [])


def test_the_digest_depends_on_content_alone(
    tmp_path: Path, home: Path, data: Path, idx_folder: MakeFolder
) -> None:
    first, _ = load_quietly(home, data)
    elsewhere = idx_folder(tmp_path / "elsewhere", plain=True)
    second, _ = load_quietly(tmp_path / "home2", elsewhere)
    assert second.digest == first.digest
    assert second.folder.name == first.folder.name == f"mnist-{first.digest[:12]}"


@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
def test_every_array_counts_in_the_digest(
    tmp_path: Path, home: Path, data: Path, name: str
) -> None:
    first, _ = load_quietly(home, data)
    stem = {"train": "train", "test": "t10k"}[name.split("_")[0]]
    (path,) = data.glob(f"{stem}-{name.split('_')[1]}-*")
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(content)))
    second, _ = load_quietly(tmp_path / "home2", data)
    assert second.digest != first.digest


def test_the_same_content_from_two_sources_is_kept_once(
    tmp_path: Path, home: Path, data: Path, idx_folder: MakeFolder
) -> None:
    first, _ = load_quietly(home, data)
    elsewhere = idx_folder(tmp_path / "elsewhere", plain=True)
    second, told = load_quietly(home, elsewhere)
    assert second.folder == first.folder
    assert (first.source, second.source) == (f"IDX files in {data}", f"IDX files in {elsewhere}")
    assert told
    assert load_quietly(home, data) == (first, [])
    assert load_quietly(home, elsewhere) == (second, [])
    assert [path.name for path in (home / "datasets").iterdir()] == [first.folder.name]


def test_damaged_arrays_are_made_anew_from_their_files(home: Path, data: Path) -> None:
    first, _ = load_quietly(home, data)
    path = first.folder / "train_images.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    second, told = load_quietly(home, data)
    assert "are damaged; they are deleted and rebuilt" in told[0]
    assert second == first
    assert second.is_intact()


@pytest.mark.parametrize("missing", ["meta.json", "train_labels.npy"])
def test_an_incomplete_folder_is_ignored_and_replaced(home: Path, data: Path, missing: str) -> None:
    first, _ = load_quietly(home, data)
    (first.folder / missing).unlink()
    with pytest.raises(DataError, match="nothing of mnist"):
        load("mnist", home=home, download=False)
    second, _ = load_quietly(home, data)
    assert second == first
    assert second.is_intact()


def test_damaged_arrays_without_their_files_are_gone(home: Path, data: Path) -> None:
    first, _ = load_quietly(home, data)
    (first.folder / "test_labels.npy").write_bytes(
        (first.folder / "test_labels.npy").read_bytes()[:-8] + b"\7" + b"\0" * 7
    )
    with pytest.raises(DataError, match="was damaged and has been deleted"):
        load("mnist", home=home, download=False)
    assert not first.folder.exists()


def test_the_newest_of_two_contents_is_used_where_no_folder_is_named(
    home: Path, data: Path, idx_folder: MakeFolder
) -> None:
    load_quietly(home, data)
    idx_folder(data, tone=1)
    newest, _ = load_quietly(home, data)
    assert load_quietly(home, None)[0].digest == newest.digest


def test_the_published_number_of_samples_goes_before_a_newer_excerpt(
    tmp_path: Path, home: Path, idx_folder: MakeFolder
) -> None:
    whole, _ = load_quietly(home, idx_folder(tmp_path / "whole", train=60_000, size=1))
    load_quietly(home, idx_folder(tmp_path / "excerpt", train=40))
    assert load_quietly(home, None)[0] == whole


def test_many_loads_at_once_give_one_folder(home: Path, data: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load_quietly, home, data) for _ in range(8)]
        digests = {future.result()[0].digest for future in loads}
    assert len(digests) == 1
    (folder,) = (home / "datasets").iterdir()
    assert Dataset.open(folder).is_intact()


def test_what_a_killed_process_has_left_is_swept_after_a_day(home: Path, data: Path) -> None:
    old, new = home / "datasets" / ".new-old", home / "datasets" / ".new-new"
    old.mkdir(parents=True)
    new.mkdir()
    os.utime(old, (time.time() - 90_000,) * 2)
    load_quietly(home, data)
    assert not old.exists()
    assert new.exists()


def test_a_column_that_was_renamed_has_its_new_name(tmp_path: Path, home: Path) -> None:
    rows = "".join(f"{i},{i % 2}\n" for i in range(20))
    table = tmp_path / "table.csv"
    table.write_text(f"width,label\n{rows}")
    assert load(f"csv:{table}", home=home).column_names == ("width",)
    table.write_text(f"breadth,label\n{rows}")
    renamed = load(f"csv:{table}", home=home)
    assert renamed.column_names == ("breadth",)
    assert load(f"csv:{table}", home=home) == renamed


def test_a_test_part_of_an_earlier_version_is_its_studies_alone(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "twice.npz"
    rows = np.random.RandomState(0).normal(size=(20, 2))
    np.savez(path, X=np.concatenate([rows, rows]), y=np.tile(np.arange(20) % 2, 2))
    torn = load(f"npz:{path}", home=home, reading=Reading(allow_duplicates=True))
    manifest = Manifest.read(torn.folder)
    replace(manifest, format=1, stamps=(replace(manifest.stamps[0], reading=""),)).write(
        torn.folder
    )
    new = load(f"npz:{path}", home=home)
    assert new.digest != torn.digest
    assert load(f"npz:{path}", home=home, digest=torn.digest).digest == torn.digest
    assert load(f"npz:{path}", home=home).digest == new.digest
    told: list[str] = []
    again = load(
        f"npz:{path}", home=home, reading=Reading(allow_duplicates=True), notify=told.append
    )
    assert again.digest == torn.digest
    assert told[0].startswith("Getting npz:")
    assert Manifest.read(torn.folder).stamps[0].reading == '{"allow_duplicates": true}'
    assert load(f"npz:{path}", home=home).digest == new.digest
