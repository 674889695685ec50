"""Where a named dataset may lie, in the order of looking.

A place is a function that says, without reading any data, what it has: a `Found` that can write
the arrays, a dataset `Kept` before, or a `Missing` with what was found instead. To add a source,
write such a function and put it where it belongs in `places`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeAlias

import numpy as np

from search.data import dataset as cache
from search.data.answers import Answer, Found, Kept, Missing, Surroundings
from search.data.arrays import IMAGES, LABELS, SPLITS, array_file, hold_out, write_array
from search.data.catalog import DatasetEntry, known
from search.data.download import download_by_keras, download_named, read_named
from search.data.formats.idx import find_files, find_part
from search.data.formats.tfds import TfdsName, find_prepared, prepared_files
from search.errors import DataError

WHITE = 16


def write_digits(folder: Path) -> None:
    """Write the digits to `folder`: 1,437 for training, a stratified fifth (360) for the test.

    Values 0..16 become 0..255.

    Args:
        folder: receives the `.npy` files.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = ((digits.images.astype(np.int64) * 255 + WHITE // 2) // WHITE)[..., np.newaxis]
    for split, part in zip(SPLITS, hold_out(digits.target, "digits"), strict=True):
        target = array_file(folder, f"{split}_images")
        write_array(target, IMAGES, images[part].shape, [images[part]])
        labels = digits.target[part]
        write_array(array_file(folder, f"{split}_labels"), LABELS, labels.shape, [labels])


DEBIAN_FOLDER = Path("/usr/share/datasets")

Place: TypeAlias = Callable[[DatasetEntry, Surroundings], Answer]


def places(entry: DatasetEntry, *, download: bool) -> tuple[Place, ...]:
    """Return the places to look for a dataset, in order."""
    if entry.embedded:
        return (own_cache, embedded)
    local: tuple[Place, ...] = (data_dir, own_cache, tfds_cache)
    if entry.keras:
        local = (data_dir, own_cache, keras_cache, tfds_cache, debian)
    return (*local, keras_download if entry.keras else tfds_download) if download else local


def data_dir(entry: DatasetEntry, around: Surroundings) -> Answer:
    """Look in the folder the user named: below it by the dataset's name, then in itself."""
    place = "the folder of `--data-dir` or SEARCH_DATA_DIR"
    if around.data_dir is None:
        return Missing(place, "not given")
    if not around.data_dir.is_dir():
        return Missing(place, f"{around.data_dir} is no folder")
    folders = [around.data_dir / spelling for spelling in entry.spellings]
    if not _is_of_another(around.data_dir, entry):
        folders.append(around.data_dir)
    found = find_files(entry, folders)
    if found is not None:
        return found
    part = find_part(entry, folders)
    if part:
        return Found(part, (), partial(_refuse, part))
    return Missing(place, f"nothing of {entry.name} in {around.data_dir}")


def own_cache(entry: DatasetEntry, around: Surroundings) -> Answer:
    """Look for what was loaded before; the published number of samples goes before any other."""
    datasets = cache.kept(around.datasets, entry.name)
    if not datasets:
        return Missing("this project's cache", f"nothing of {entry.name} in {around.datasets}")
    return Kept(min(datasets, key=lambda kept: len(kept.train_labels) != entry.train))


def keras_cache(entry: DatasetEntry, around: Surroundings) -> Answer:
    """Look where Keras keeps its downloads."""
    root = around.keras / "datasets"
    folders = [*(root / spelling for spelling in entry.spellings), root]
    return _look("Keras's cache", entry, folders)


def tfds_cache(entry: DatasetEntry, around: Surroundings) -> Answer:
    """Look where TFDS keeps what it has prepared; the highest version counts."""
    version = find_prepared(around.tfds, TfdsName.parse(entry.tfds))
    if version is None:
        return Missing("TFDS's cache", f"no prepared version in {around.tfds / entry.tfds}")
    read = partial(read_named, entry, version)
    return Found(f"TFDS's {version}", prepared_files(version), read)


def debian(entry: DatasetEntry, _: Surroundings) -> Answer:
    """Look where Debian's dataset packages install."""
    return _look("Debian's package", entry, [DEBIAN_FOLDER / entry.spellings[-1]])


def keras_download(entry: DatasetEntry, _: Surroundings) -> Answer:
    """Offer the download that Keras does."""
    return Found("Keras's download", (), partial(download_by_keras, entry))


def tfds_download(entry: DatasetEntry, _: Surroundings) -> Answer:
    """Offer the download and preparation that TFDS does."""
    return Found("TFDS's download", (), partial(download_named, entry))


def embedded(_: DatasetEntry, __: Surroundings) -> Answer:
    """Offer the dataset that comes with a dependency."""
    return Found("scikit-learn", (), write_digits)


def _look(place: str, entry: DatasetEntry, folders: list[Path]) -> Answer:
    found = find_files(entry, folders)
    if found is not None:
        return found
    return Missing(place, find_part(entry, folders) or f"nothing of {entry.name} in {folders[-1]}")


def _refuse(part: str, _: Path) -> NoReturn:
    raise DataError(f"{part}. Add what is missing, or remove the rest to look elsewhere.")


def _is_of_another(folder: Path, entry: DatasetEntry) -> bool:
    """Say whether the folder bears another dataset's name; their files have the same names."""
    return any(folder.resolve().name in other.spellings for other in known() if other != entry)
