"""A dataset on disk: its arrays, what is kept beside them, and the cache of all datasets.

All processes share the arrays through memory-mapped files; the cache has one folder for each
distinct content.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from search.data.arrays import (
    IMAGES,
    KINDS,
    Texts,
    array_file,
    array_names,
    digest_of,
    map_array,
    write_array,
)
from search.data.checks import Contents
from search.data.pictures import prepared_pieces
from search.errors import DataError, SettingsError
from spaces import ImageInput

FORMAT = 1
FILE = "meta.json"
_DAMAGES = (ArithmeticError, AttributeError, RecursionError)  # numbers and nesting without end
MANY = 1000  # files that are stamped one by one


@dataclass(frozen=True)
class Stamp:
    """One source the arrays were read from, and the state its files were in.

    Attributes:
        source: the source, for people.
        files: (absolute path, bytes, nanoseconds since 1970 of the last change) of each file;
            empty where the files are not there any more. Of more than `MANY` files one entry:
            (the folder they are in, how many they are, a digest of their entries).
    """

    source: str
    files: tuple[tuple[str, int, int], ...]

    @classmethod
    def of(cls, source: str, files: Sequence[Path]) -> "Stamp":
        """Return the stamp of `files` as they are now."""
        if len(files) > MANY:
            return cls(source, (_summary(files),))
        states = []
        for file in files:
            status = file.stat()
            states.append((str(file.resolve()), status.st_size, status.st_mtime_ns))
        return cls(source, tuple(states))


@dataclass(frozen=True)
class Manifest:
    """The contents of `meta.json`.

    Attributes:
        name: the dataset's name.
        digest: of the arrays, SHA-256 (hex).
        classes: class names.
        stamps: the sources that gave these arrays; at least one.
        kind: of the samples: `image`, `text` or `table`.
        columns: a table's column names.
        created: seconds since 1970 (UTC).
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    kind: str = "image"
    columns: tuple[str, ...] = ()
    created: float = field(default_factory=time.time)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read the manifest of a dataset's folder.

        Raises:
            DataError: there is none that this version understands.
        """
        try:
            return _parse(json.loads((folder / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, LookupError, TypeError, *_DAMAGES) as error:
            raise DataError(
                f"a dataset's folder must hold a readable {FILE}; {folder} does not"
                f" ({type(error).__name__}: {error}). Delete it: it is made anew when next needed."
            ) from error

    @property
    def names(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """All that people gave a name: the dataset, its classes, its columns."""
        return self.name, self.classes, self.columns

    def write(self, folder: Path) -> None:
        """Write the manifest to a dataset's folder, replacing the one there."""
        temporary = folder / f".{FILE}.{secrets.token_hex(4)}"
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / FILE)

    def with_stamp(self, stamp: Stamp) -> "Manifest":
        """Return the manifest with one more source; one for the same files is replaced."""
        paths = [path for path, _, _ in stamp.files]
        others = [s for s in self.stamps if [path for path, _, _ in s.files] != paths]
        return replace(self, stamps=(*others, stamp))


def _summary(files: Sequence[Path]) -> tuple[str, int, int]:
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        entry = f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n"
        digest.update(entry.encode(errors="surrogateescape"))
    return os.path.commonpath(files), len(files), int(digest.hexdigest()[:15], 16)


def _parse(data: Any) -> Manifest:
    if data["format"] != FORMAT:
        raise ValueError(f"its format must be {FORMAT}; got {data['format']!r}")
    stamps = tuple(
        Stamp(str(stamp["source"]), tuple((str(p), int(s), int(t)) for p, s, t in stamp["files"]))
        for stamp in data["stamps"]
    )
    classes = tuple(str(name) for name in data["classes"])
    if not stamps or not classes:
        raise ValueError("it names no source or no classes")
    kind = str(data.get("kind", "image"))
    if kind not in KINDS:
        raise ValueError(f"its kind must be one of {', '.join(KINDS)}; got {kind!r}")
    return Manifest(
        name=str(data["name"]),
        digest=str(data["digest"]),
        classes=classes,
        stamps=stamps,
        kind=kind,
        columns=tuple(str(name) for name in data.get("columns", ())),
        created=float(data["created"]),
    )


MappedImages: TypeAlias = np.memmap[Any, np.dtype[np.uint8]]
MappedLabels: TypeAlias = np.memmap[Any, np.dtype[np.int64]]
Samples: TypeAlias = np.memmap[Any, np.dtype[Any]] | Texts


@dataclass(frozen=True)
class Dataset:
    """A training set, and a test set that stays closed until it is asked for by name.

    It holds no arrays itself and is cheap to pickle: a worker process is given the folder and
    opens it. Each access maps the file again, so keep the array while it is in use.

    Attributes:
        name: the dataset's name.
        source: where its arrays came from, for people.
        digest: SHA-256 (hex) over the four arrays: names, dtypes, shapes and bytes.
        classes: class names; a label is an index into them.
        folder: with `meta.json`, the arrays and what is made of them.
        kind: of the samples: `image`, `text` or `table`.
        columns: a table's column names.
    """

    name: str
    source: str
    digest: str
    classes: tuple[str, ...]
    folder: Path
    kind: str = "image"
    columns: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path) -> "Dataset":
        """Open a dataset that was loaded before.

        Raises:
            DataError: the folder is no complete dataset.
        """
        manifest = Manifest.read(folder)
        for name in array_names(manifest.kind):
            map_array(array_file(folder, name))
        return cls(
            name=manifest.name,
            source=manifest.stamps[0].source,
            digest=manifest.digest,
            classes=manifest.classes,
            folder=folder,
            kind=manifest.kind,
            columns=manifest.columns,
        )

    @property
    def title(self) -> str:
        """A short name for people and for studies: of a path only its last part."""
        kind, colon, rest = self.name.partition(":")
        if kind == "tfds":
            return rest.partition(":")[0].replace("/", "-")
        return Path(rest.split(",")[0]).stem or kind if colon else self.name

    @property
    def train_samples(self) -> Samples:
        """Training samples, read-only.

        Images: uint8 (n, height, width, channels). Tables: float32 (n, columns). Texts: a
        sequence of str.
        """
        return self._samples("train")

    @property
    def train_images(self) -> MappedImages:
        """Training images, uint8 (n, height, width, channels), read-only."""
        return map_array(array_file(self.folder, "train_images"))

    @property
    def train_labels(self) -> MappedLabels:
        """Training labels, int64 (n,), read-only."""
        return map_array(array_file(self.folder, "train_labels"))

    def open_test(self) -> tuple[Samples, MappedLabels]:
        """Return the test samples and labels, shaped like the training ones.

        To score a model only `export` and `evaluate` call it, through `search.export.evaluation`,
        and record it: a search that has seen the test set cannot be believed. `datasets NAME`
        counts what is in it, and duplicates are looked for in its samples.
        """
        return self._samples("test"), map_array(array_file(self.folder, "test_labels"))

    def prepared(self, image: ImageInput) -> MappedImages:
        """Return the training images as a space wants them, uint8, read-only.

        They are made once and kept beside the originals.

        Raises:
            DataError: the images cannot be brought to that kind, or cannot be kept.
        """
        images = self.train_images
        wanted = image.shape(images.shape[1:])
        if images.shape[1:] == wanted:
            return images
        shape = (len(images), *wanted)
        path = array_file(self.folder, "train_images-" + "x".join(map(str, wanted)))
        if not _is_array(path, shape):
            try:
                write_array(path, IMAGES, shape, prepared_pieces(images, image))
            except OSError as error:
                raise DataError(f"{path} cannot be written: {error}. Free some space.") from error
        return map_array(path)

    def is_intact(self) -> bool:
        """Say whether the arrays still have the digest they were kept under; reads all of them."""
        return digest_of(self.folder, self.kind) == self.digest

    def _samples(self, split: str) -> Samples:
        parts = [map_array(array_file(self.folder, f"{split}_{part}")) for part in KINDS[self.kind]]
        return Texts(*parts) if self.kind == "text" else parts[0]


def _is_array(path: Path, shape: tuple[int, ...]) -> bool:
    if not path.exists():
        return False
    try:
        array = map_array(path)
    except DataError:
        return False
    return array.shape == shape and array.dtype == IMAGES


SCRATCH = ".new-"
ABANDONED_SECONDS = 24 * 3600


def kept(root: Path, name: str) -> list[Dataset]:
    """Return all complete datasets called `name`, the newest first.

    Args:
        root: the folder of all cached datasets.
        name: the dataset's name.
    """
    found = []
    for folder in root.glob(f"{folder_stem(name)}-*"):
        try:
            manifest, dataset = Manifest.read(folder), Dataset.open(folder)
        except DataError:
            continue
        if manifest.name == name:
            found.append((manifest.created, dataset))
    return [dataset for _, dataset in sorted(found, key=lambda pair: pair[0], reverse=True)]


def remembered(root: Path, name: str, stamp: Stamp) -> Dataset | None:
    """Return the dataset that was read from these very files, if they have not changed since."""
    if not stamp.files:
        return None
    for dataset in kept(root, name):
        if any(old.files == stamp.files for old in Manifest.read(dataset.folder).stamps):
            return replace(dataset, source=stamp.source)
    return None


def folder_stem(name: str) -> str:
    """Return the part of a dataset's folder name that tells people whose it is."""
    return re.sub(r"[^\w.-]+", "-", name)[-60:]


def keep(root: Path, arrays: Path, name: str, contents: Contents, stamp: Stamp) -> Dataset:
    """Move a folder of arrays into the cache.

    The same content from another source is kept once. Safe when two processes do it at once.

    Args:
        root: the folder of all cached datasets.
        arrays: a folder from `scratch` with the arrays; it is used up.
        name: the dataset's name.
        contents: what the arrays are.
        stamp: what the arrays were read from, as it was before reading.
    """
    digest = digest_of(arrays, contents.kind)
    manifest = Manifest(name, digest, contents.classes, (stamp,), contents.kind, contents.columns)
    manifest.write(arrays)
    folder = root / f"{folder_stem(name)}-{digest[:12]}"
    try:
        arrays.rename(folder)
    except OSError:
        # It is there already, from another source or by a process that was faster; or damaged.
        if _is_intact(folder, digest) and Manifest.read(folder).names == manifest.names:
            Manifest.read(folder).with_stamp(stamp).write(folder)
        else:
            discard(folder)
            arrays.rename(folder)
    return replace(Dataset.open(folder), source=stamp.source)


def discard(folder: Path) -> None:
    """Delete a dataset's folder; it vanishes at once, whoever looks."""
    aside = folder.with_name(f"{SCRATCH}{secrets.token_hex(4)}")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Give a new folder beside the cached datasets, and delete what is left of it afterwards.

    Raises:
        SettingsError: the home cannot be written.
    """
    folder = root / f"{SCRATCH}{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise SettingsError(
            f"the home must be a folder that can be written; {root} cannot be ({error.strerror})."
            " Choose another with `--home`."
        ) from error
    _sweep(root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_intact(folder: Path, digest: str) -> bool:
    try:
        dataset = Dataset.open(folder)
        return dataset.digest == digest and dataset.is_intact()
    except DataError:
        return False


def _sweep(root: Path) -> None:
    """Delete what processes that were killed have left."""
    for folder in root.glob(f"{SCRATCH}*"):
        try:
            abandoned = time.time() - folder.stat().st_mtime > ABANDONED_SECONDS
        except FileNotFoundError:
            continue
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)
