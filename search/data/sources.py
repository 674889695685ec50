"""Finding and loading a dataset, by its name or by a reference to data of one's own."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from search.data import dataset as cache
from search.data.answers import Answer, Found, Kept, Missing, PlaceError, Surroundings
from search.data.arrays import array_file, map_array
from search.data.catalog import DatasetEntry, entry_of, recognise
from search.data.checks import Contents, check_arrays
from search.data.dataset import Dataset, Stamp
from search.data.formats import csv as csv_files
from search.data.formats import folder as folder_files
from search.data.formats import npz as npz_file
from search.data.formats import tfds
from search.data.places import Place, places
from search.errors import DataError, SettingsError, near_matches

Find: TypeAlias = Callable[[str, Surroundings], Found]

FORMATS: dict[str, Find] = {
    "csv": csv_files.find,
    "npz": npz_file.find,
    "folder": folder_files.find,
    "tfds": tfds.find,
}


def is_reference(name: str) -> bool:
    """Say whether a dataset is named by a format and a place."""
    return ":" in name


def absolute(name: str) -> str:
    """Return a dataset's name in a form that means the same in any working directory."""
    kind, _, rest = name.partition(":")
    if not is_reference(name) or kind not in FORMATS or kind == "tfds" or not rest.strip():
        return name
    parts = rest.split(",") if kind == "csv" else [rest]
    try:
        paths = [Path(part.strip()).expanduser().resolve() for part in parts]
    except (RuntimeError, OSError, ValueError):  # an unknown user, a link in a circle, a zero byte
        return name  # whoever opens it tells
    return f"{kind}:{','.join(map(str, paths))}"


def find(name: str, around: Surroundings) -> Found:
    """Return the source that a reference names.

    Raises:
        SettingsError: the format is unknown or nothing follows it.
        DataError: there is nothing of that format.
    """
    kind, _, rest = name.partition(":")
    if kind not in FORMATS or not rest.strip():
        shown = f"{kind}:" if kind in FORMATS else repr(kind)
        raise SettingsError(
            f"`dataset` must be a name, or one of {', '.join(f'{f}:...' for f in FORMATS)};"
            f" got {name!r}: "
            + (f"say what {shown} is" if kind in FORMATS else near_matches(kind, FORMATS))
        )
    return FORMATS[kind](rest, around)


Notify = Callable[[str], None]

_LOG = logging.getLogger(__name__)


class DatasetNotFound(DataError):
    """A named dataset is in none of the places.

    Attributes:
        name: the dataset's name.
        tried: the places, each with what happened there.
    """

    def __init__(self, name: str, tried: Sequence[Missing]) -> None:
        lines = [f"  {missing.place}: {missing.reason}" for missing in tried]
        remedies = ["name its folder with `--data-dir` or SEARCH_DATA_DIR"]
        entry = entry_of(name)
        if entry.remedy:
            remedies.append(entry.remedy)
        if entry.kind == "image":
            remedies.append("use `--dataset digits`, which is always at hand")
        super().__init__(
            "\n".join([f"the dataset {name} is not on this machine. Tried:", *lines])
            + f"\nTo go on: {'; or '.join(remedies)}."
        )
        self.name = name
        self.tried = tuple(tried)


def load(
    name: str,
    *,
    home: Path,
    data_dir: Path | None = None,
    download: bool = True,
    notify: Notify = _LOG.info,
) -> Dataset:
    """Return a named dataset, from the first place that has it.

    Its arrays are kept below `home`, so that the next time nothing is unpacked; files in
    `data_dir` that have changed since are read anew.

    Args:
        name: the dataset's name, or a reference such as `csv:train.csv`.
        home: the folder everything is kept in; arrays go to `datasets` below it.
        data_dir: where to look first.
        download: allow the download, if the dataset is nowhere else.
        notify: is told, in sentences, what takes time or needs attention.

    Raises:
        SettingsError: no dataset has that name, or the home cannot be written.
        DataError: the dataset was found and is damaged.
        DatasetNotFound: it was not found.
    """
    around = Surroundings.here(home, data_dir)
    if is_reference(name):
        return _load_reference(absolute(name), around, download, notify)
    entry = entry_of(name)
    if around.data_dir is not None and not around.data_dir.is_dir():
        notify(f"The data folder {around.data_dir} does not exist; looking elsewhere.")
    tried: list[Missing] = []
    for place in places(entry, download=download):
        answer = _ask(place, entry, around)
        if isinstance(answer, Found):
            check = partial(_check_identity, entry)
            answer = _read(entry.name, answer, _contents(entry), around.datasets, notify, check)
        elif isinstance(answer, Kept):
            answer = _check_kept(answer, notify)
        if isinstance(answer, Kept):
            _tell_of_count(entry, answer.dataset, notify)
            return answer.dataset
        tried.append(answer)
    raise DatasetNotFound(entry.name, tried)


def locate(name: str, *, home: Path, data_dir: Path | None = None) -> str | None:
    """Say where a named dataset would be loaded from, without reading it; None: it is not here.

    Raises:
        SettingsError: no dataset has that name.
    """
    entry = entry_of(name)
    around = Surroundings.here(home, data_dir)
    for place in places(entry, download=False):
        try:
            answer = _ask(place, entry, around)
        except DataError:
            continue
        if isinstance(answer, Found):
            return answer.source
        if isinstance(answer, Kept):
            return f"{answer.dataset.folder} (from {answer.dataset.source})"
    return None


def _ask(place: Place, entry: DatasetEntry, around: Surroundings) -> Answer:
    try:
        return place(entry, around)
    except OSError as error:
        raise DataError(
            f"{error.filename} must be readable; it is not ({error.strerror})."
            " Change its permissions, or name another folder with `--data-dir`."
        ) from error


def _load_reference(name: str, around: Surroundings, download: bool, notify: Notify) -> Dataset:
    found = find(name, around)
    if not found.files:
        # A download: what it gave before will do.
        for dataset in cache.kept(around.datasets, name):
            if isinstance(_check_kept(Kept(dataset), notify), Kept):
                return dataset
        if not download:
            raise DataError(f"{name} is not on this machine, and is not to be downloaded")
    answer = _read(name, found, None, around.datasets, notify)
    if isinstance(answer, Missing):
        raise DataError(f"{name} cannot be had: {answer.reason}")
    return answer.dataset


def _contents(entry: DatasetEntry) -> Contents:
    return Contents(entry.kind, entry.classes)


def _no_check(arrays: Path, source: str) -> None:
    """Accept any content."""


def _read(
    name: str,
    found: Found,
    expected: Contents | None,
    root: Path,
    notify: Notify,
    check: Callable[[Path, str], None] = _no_check,
) -> Kept | Missing:
    try:
        stamp = Stamp.of(found.source, found.files)
    except OSError as error:
        raise DataError(f"{found.source} cannot be read: {error}") from error
    dataset = cache.remembered(root, name, stamp)
    if dataset is not None and isinstance(_check_kept(Kept(dataset), notify), Kept):
        return Kept(dataset)
    notify(f"Getting {name} ({found.source}).")
    with cache.scratch(root) as work:
        arrays = work / "arrays"
        arrays.mkdir()
        try:
            contents = found.write(arrays) or expected
            if contents is None:
                raise ValueError(f"{found.source} does not say what it holds")
            check_arrays(arrays, contents, found.source)
            check(arrays, found.source)
            for text in contents.notices:
                notify(text)
            return Kept(cache.keep(root, arrays, name, contents, stamp))
        except PlaceError as error:
            return Missing(found.source, str(error))
        except OSError as error:
            raise DataError(f"{root} cannot be written: {error}. Free some space.") from error


def _check_kept(kept: Kept, notify: Notify) -> Kept | Missing:
    dataset = kept.dataset
    if dataset.is_intact():
        return kept
    notify(f"The cached arrays in {dataset.folder} are damaged; they are deleted and made anew.")
    cache.discard(dataset.folder)
    return Missing("this project's cache", f"{dataset.folder} was damaged and is deleted")


def _check_identity(entry: DatasetEntry, arrays: Path, source: str) -> None:
    """Raise DataError for another dataset's files, or for training and test files swapped."""
    train = np.asarray(map_array(array_file(arrays, "train_labels")))
    test = map_array(array_file(arrays, "test_labels"))
    other = recognise(train)
    if other is not None and other != entry:
        raise DataError(
            f"the dataset must be {entry.name}; {source} holds {other.name}, whose files have the"
            f" same names. Use `--dataset {other.name}`, or name another folder."
        )
    if (len(train), len(test)) == (entry.test, entry.train):
        raise DataError(
            f"{entry.name} has {entry.train:,} training and {entry.test:,} test samples; {source}"
            " has them the other way round: the files look swapped. Give each its own name again."
        )


def _tell_of_count(entry: DatasetEntry, dataset: Dataset, notify: Notify) -> None:
    count = len(dataset.train_labels)
    if count != entry.train:
        notify(
            f"{entry.name} has {count:,} training samples here ({dataset.source});"
            f" as published it has {entry.train:,}."
        )
