"""Find and load a dataset, by its name or by a reference to your own data.

A named dataset may be in several locations, which are searched in order.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeAlias

import numpy as np

from search.data import dataset as cache
from search.data.answers import Answer, Found, Kept, Missing, PlaceError, Surroundings
from search.data.arrays import IMAGES, LABELS, SPLITS, array_file, map_array, write_array
from search.data.catalog import DatasetEntry, entry_of, known, recognise
from search.data.checks import Contents, check_arrays
from search.data.dataset import Dataset, Stamp
from search.data.download import download_by_keras, download_named, read_named
from search.data.folds import hold_out
from search.data.formats import folder as folder_files
from search.data.formats import memory, tables, text_folder, tfds
from search.data.formats import npz as npz_file
from search.data.formats.archives import expanded
from search.data.formats.idx import find_files, find_part
from search.data.formats.tfds import TfdsName, find_prepared, prepared_files
from search.data.reading import Reading
from search.environment import missing_extra
from search.errors import DataError, SettingsError, near_matches
from search.tasks import CLASSIFICATION
from tracking.home import Home
from tracking.text import Notify, joined

WHITE = 16
SKIPPED = "skipped.txt"


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
    """Return the locations to search for a dataset, in order."""
    if entry.embedded:
        return (own_cache, embedded)
    local: tuple[Place, ...] = (data_dir, own_cache, tfds_cache)
    if entry.keras:
        local = (data_dir, own_cache, keras_cache, tfds_cache, debian)
    return (*local, keras_download if entry.keras else tfds_download) if download else local


def data_dir(entry: DatasetEntry, around: Surroundings) -> Answer:
    """Look in the user's folder: first below it by the dataset's name, then in itself."""
    place = "the folder of `--data-dir` or FOLDWISE_DATA_DIR"
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
    """Look in the cache; a dataset with the published number of samples takes precedence."""
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
    """Look in TFDS's folder of prepared datasets; the highest version counts."""
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
    raise DataError(f"{part}. Add the missing files, or remove the others to look elsewhere.")


def _is_of_another(folder: Path, entry: DatasetEntry) -> bool:
    """Return whether the folder has another dataset's name; their files have the same names."""
    return any(folder.resolve().name in other.spellings for other in known() if other != entry)


Find: TypeAlias = Callable[[str, Surroundings], Found]


def _folder(rest: str, around: Surroundings) -> Found:
    """Return the source that `folder:DIR` names: of texts or of pictures, as most files are."""
    root = expanded(rest)
    try:
        if text_folder.holds_texts(root):
            return text_folder.find(root, around)
    except (OSError, ValueError):  # a zero byte in the path, or a folder that cannot be read
        pass
    return folder_files.find(rest, around)


FORMATS: dict[str, Find] = {
    **{kind: partial(tables.find, kind) for kind in tables.OPENERS},
    "npz": npz_file.find,
    "folder": _folder,
    "tfds": tfds.find,
    memory.KIND: memory.find,
}


OF_FILES = [kind for kind in FORMATS if kind != memory.KIND]


def is_reference(name: str) -> bool:
    """Return whether a dataset's name is a reference: a format and a location."""
    return ":" in name


def absolute(name: str) -> str:
    """Return a dataset's name with absolute paths."""
    kind, _, rest = name.partition(":")
    is_file = is_reference(name) and kind in FORMATS and kind not in ("tfds", memory.KIND)
    if not is_file or not rest.strip():
        return name
    parts = rest.split(",") if kind in tables.OPENERS else [rest]
    try:
        paths = [Path(part.strip()).expanduser().resolve() for part in parts]
    except (RuntimeError, OSError, ValueError):  # an unknown user, a circular link, a zero byte
        return name  # opening it gives the error
    return f"{kind}:{','.join(map(str, paths))}"


# The options of `Reading` that a format takes; the others are refused.
_COLUMNS = (
    "target",
    "task",
    "ignore",
    "types",
    "text",
    "input",
    "groups",
    "weights",
    "time",
    "fold_column",
)
OPTIONS: dict[str, tuple[str, ...]] = {
    "csv": (*_COLUMNS, "decimal", "header"),
    "parquet": (*_COLUMNS, "decimal"),
    "jsonl": (*_COLUMNS, "decimal"),
    "npz": ("kind", "task"),
    "folder": ("skip_unreadable",),
    memory.KIND: (*_COLUMNS, "decimal", "kind"),
}


def _check_reading(name: str, reading: Reading) -> None:
    """Raise SettingsError for an option that says nothing of this source."""
    kind = name.partition(":")[0] if is_reference(name) else "a named dataset"
    taken = ("allow_duplicates", *OPTIONS.get(kind, ()))
    for option, value in reading.given.items():
        if option not in taken and (option, value) != ("task", CLASSIFICATION):
            takers = [f"{kind}:" for kind in OF_FILES if option in OPTIONS.get(kind, ())]
            raise SettingsError(
                f"`--{option.replace('_', '-')}` is for data from"
                f" {joined(takers, 'or') if takers else 'Python'}; the dataset is {name}. Leave the"
                " option out."
            )


def find(name: str, around: Surroundings) -> Found:
    """Return the source that a reference names.

    Raises:
        SettingsError: the format is unknown or nothing follows it.
        DataError: there is no data of that format.
    """
    kind, _, rest = name.partition(":")
    if kind not in FORMATS or not rest.strip():
        if kind in FORMATS:
            raise SettingsError(f"{name!r} must say what to read after {kind}:, as {kind}:NAME")
        near = near_matches(kind, OF_FILES)
        raise SettingsError(
            f"data are read as KIND:NAME; got {name!r}, and no kind {kind!r}: {near}"
        )
    return FORMATS[kind](rest, around)


_LOG = logging.getLogger(__name__)


class DatasetNotFound(DataError):
    """A named dataset is in none of the locations.

    Attributes:
        name: the dataset's name.
        tried: the locations, each with the reason.
    """

    def __init__(self, name: str, tried: Sequence[Missing]) -> None:
        lines = [f"  {missing.place}: {missing.reason}" for missing in tried]
        remedies = ["name its folder with `--data-dir` or FOLDWISE_DATA_DIR"]
        entry = entry_of(name)
        if not entry.keras and entry.tfds and missing_extra("tfds"):
            remedies.append(f"`{missing_extra('tfds')}`, which can download it")
        if entry.remedy:
            remedies.append(entry.remedy)
        if entry.kind == "image":
            remedies.append("use `--dataset digits`, which is always available")
        super().__init__(
            "\n".join([f"the dataset {name} is not on this machine. Tried:", *lines])
            + f"\nWhat to do: {'; or '.join(remedies)}."
        )
        self.name = name
        self.tried = tuple(tried)


def load(
    name: str,
    *,
    home: Path,
    data_dir: Path | None = None,
    reading: Reading | None = None,
    digest: str | None = None,
    download: bool = True,
    notify: Notify = _LOG.info,
) -> Dataset:
    """Return a dataset, from the first location that has it.

    Its arrays are cached below `home`; files in `data_dir` are read again if they have changed.

    Args:
        name: the dataset's name, or a reference such as `csv:train.csv`.
        home: the home; arrays go to `datasets` below it.
        data_dir: the folder to search first.
        reading: how to read a source of the user's own; None: as it comes.
        digest: of the dataset that a study began with, where it is known: tables that an earlier
            version read from the same files are returned if they have it.
        download: allow a download if the dataset is nowhere else.
        notify: takes notices for the user; those about a source that was read before are given
            again, unless a study goes on (`digest`).

    Raises:
        SettingsError: no dataset has that name, or the home cannot be written.
        DataError: the dataset was found, but is damaged.
        DatasetNotFound: it was not found.
    """
    around = Surroundings.here(home, data_dir, reading)
    _check_reading(name, around.reading)
    if is_reference(name):
        return _load_reference(absolute(name), around, digest, download, notify)
    around = replace(around, reading=Reading())  # it has a test part of its own
    entry = entry_of(name)
    if around.data_dir is not None and not around.data_dir.is_dir():
        notify(f"The data folder {around.data_dir} does not exist; looking elsewhere.")
    tried: list[Missing] = []
    for place in places(entry, download=download):
        answer = _ask(place, entry, around)
        if isinstance(answer, Found):
            check = partial(_check_identity, entry)
            answer = _read(entry.name, answer, _contents(entry), around, notify, check)
        elif isinstance(answer, Kept):
            answer = _check_kept(answer, notify)
        if isinstance(answer, Kept):
            _tell_of_count(entry, answer.dataset, notify)
            return answer.dataset
        tried.append(answer)
    raise DatasetNotFound(entry.name, tried)


def bring(
    given: memory.Given, *, home: Path, reading: Reading | None = None, notify: Notify = _LOG.info
) -> Dataset:
    """Return data that were passed from Python as a dataset of the cache.

    Equal data are brought once. What there is to say of them is said when they are loaded.

    Args:
        given: the data.
        home: the home; arrays go to `datasets` below it.
        reading: how a table is read.
        notify: takes notices for the user.

    Raises:
        DataError: they are not of a form that can be used.
        SettingsError: the home cannot be written, or an option says nothing of such data.
    """
    around = Surroundings.here(home, None, reading)
    name = given.name(around.reading)
    _check_reading(name, around.reading)
    for dataset in cache.kept(around.datasets, name):
        if isinstance(_check_kept(Kept(dataset), notify), Kept):
            return dataset
    found = Found(given.source, (), partial(given.write, around.reading))
    answer = _read(name, found, None, around, notify, told=True)
    if isinstance(answer, Missing):
        raise DataError(f"{name} is not available: {answer.reason}")
    return answer.dataset


def passed_to(home: Path) -> list[Dataset]:
    """Return the datasets of a home that were passed from Python, the newest first."""
    return cache.kept_of(Home(home).datasets, memory.KIND)


def locate(name: str, *, home: Path, data_dir: Path | None = None) -> str | None:
    """Return where a named dataset would be loaded from, without reading it; None: nowhere.

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


def _load_reference(
    name: str, around: Surroundings, digest: str | None, download: bool, notify: Notify
) -> Dataset:
    found = find(name, around)
    if not found.files:
        # A download: use the result of an earlier one.
        for dataset in cache.kept(around.datasets, name):
            if isinstance(_check_kept(Kept(dataset), notify), Kept):
                return _told(dataset, digest, notify)
        if not download:
            raise DataError(f"{name} is not on this machine, and downloads are not allowed")
    answer = _read(name, found, None, around, notify, digest=digest)
    if isinstance(answer, Missing):
        raise DataError(f"{name} is not available: {answer.reason}")
    return answer.dataset


def _told(dataset: Dataset, digest: str | None, notify: Notify) -> Dataset:
    """Tell what was told when a dataset was read, unless it is of a study that goes on."""
    for text in dataset.notices if digest is None else ():
        notify(text)
    return dataset


def _contents(entry: DatasetEntry) -> Contents:
    return Contents(entry.kind, entry.classes)


def _no_check(arrays: Path, source: str) -> None:
    """Accept any content."""


def _read(
    name: str,
    found: Found,
    expected: Contents | None,
    around: Surroundings,
    notify: Notify,
    check: Callable[[Path, str], None] = _no_check,
    digest: str | None = None,
    *,
    told: bool = False,
) -> Kept | Missing:
    root = around.datasets
    try:
        stamp = Stamp.of(found.source, found.files, around.reading.key)
    except OSError as error:
        raise DataError(f"{found.source} cannot be read: {error}") from error
    dataset = cache.remembered(root, name, stamp, digest)
    if dataset is not None and isinstance(_check_kept(Kept(dataset), notify), Kept):
        return Kept(_told(dataset, digest, notify))
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
            for text in () if told else contents.notices:
                notify(text)
            dataset = cache.keep(root, arrays, name, contents, stamp)
            _note_skipped(dataset, contents.skipped, found.source, notify)
            return Kept(dataset)
        except PlaceError as error:
            return Missing(found.source, str(error))
        except OSError as error:
            raise DataError(f"{root} cannot be written: {error}. Free some space.") from error


def _note_skipped(dataset: Dataset, skipped: Sequence[str], source: str, notify: Notify) -> None:
    """Write what was left out to a file beside the dataset's arrays, and tell of it."""
    if not skipped:
        return
    path = dataset.folder / SKIPPED
    path.write_text("".join(f"{one}\n" for one in skipped), errors="backslashreplace")
    notify(
        f"{source}: files that cannot be read and are left out: {len(skipped):,};"
        f" {path} names them."
    )


def _check_kept(kept: Kept, notify: Notify) -> Kept | Missing:
    dataset = kept.dataset
    if dataset.is_intact():
        return kept
    notify(f"The cached arrays in {dataset.folder} are damaged; they are deleted and rebuilt.")
    cache.discard(dataset.folder)
    return Missing("this project's cache", f"{dataset.folder} was damaged and has been deleted")


def _check_identity(entry: DatasetEntry, arrays: Path, source: str) -> None:
    """Raise DataError for another dataset's files, or for swapped training and test files."""
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
            f" the published dataset has {entry.train:,}."
        )
