"""A dataset on disk: its arrays, derived files, and the cache of all datasets.

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
from numpy.typing import NDArray

from search.data.arrays import (
    EXTRAS,
    IMAGES,
    INPUTS,
    KINDS,
    Several,
    Texts,
    array_file,
    array_names,
    digest_of,
    map_array,
    write_array,
)
from search.data.checks import Contents, InputContents
from search.data.pictures import prepared_pieces
from search.data.ranges import PixelRange
from search.data.reading import Column
from search.errors import DataError, SettingsError
from search.tasks import (
    CLASSIFICATION,
    TASKS,
    Classification,
    MultiOutput,
    Task,
    parts_from,
    parts_to_json,
    task_of,
)
from spaces import ImageInput
from tracking.records import Json

FORMAT = 3
# Of the first, tables hold float32, some pictures are too dark, and test parts that were held out
# may hold copies of training samples. Of the second, tables lack the decimal signs of columns.
FORMATS = (1, 2, FORMAT)
FILE = "meta.json"
_DAMAGES = (ArithmeticError, AttributeError, RecursionError)  # huge numbers and deep nesting
MANY = 1000  # files that get a stamp each


@dataclass(frozen=True)
class Stamp:
    """A source the arrays were read from, and the state of its files at that time.

    Attributes:
        source: description of the source, for people.
        files: (absolute path, bytes, time of the last change in nanoseconds since 1970) of each
            file; empty if the files were temporary. More than `MANY` files have one entry: (their
            folder, their number, a digest of their entries).
        reading: how they were read, as `Reading.key`.
    """

    source: str
    files: tuple[tuple[str, int, int], ...]
    reading: str = ""

    @classmethod
    def of(cls, source: str, files: Sequence[Path], reading: str = "") -> "Stamp":
        """Return the stamp of `files` as they are now."""
        if len(files) > MANY:
            return cls(source, (_summary(files),), reading)
        states = []
        for file in files:
            status = file.stat()
            states.append((str(file.resolve()), status.st_size, status.st_mtime_ns))
        return cls(source, tuple(states), reading)


@dataclass(frozen=True)
class Manifest:
    """The contents of `meta.json`.

    Attributes:
        name: the dataset's name.
        digest: SHA-256 (hex) of the arrays.
        classes: class names.
        stamps: the sources that gave these arrays; at least one.
        kind: of the samples: `image`, `text`, `table` or `sequence`.
        columns: a table's columns.
        extras: which of `arrays.EXTRAS` there are.
        created: seconds since 1970 (UTC).
        format: of the arrays; see `FORMATS`.
        pixel_range: which values of pictures became black and white; None if values are pixels.
        task: what is predicted, by its name; `classes` are the names of what is.
        inputs: where there are several; the kind is `several` then.
        outputs: where there are several: each one's task, as `parts_to_json` has them.
        notices: what was told when the source was read last.
        width: number of columns of a table whose file does not name them; 0 of others.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    kind: str = "image"
    columns: tuple[Column, ...] = ()
    extras: tuple[str, ...] = ()
    created: float = field(default_factory=time.time)
    format: int = FORMAT
    pixel_range: PixelRange | None = None
    task: str = CLASSIFICATION
    inputs: tuple[InputContents, ...] = ()
    outputs: tuple[Json, ...] = ()
    notices: tuple[str, ...] = ()
    width: int = 0

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read the manifest of a dataset's folder.

        Raises:
            DataError: there is none, or this version cannot read it.
        """
        try:
            return _parse(json.loads((folder / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, LookupError, TypeError, *_DAMAGES) as error:
            raise DataError(
                f"a dataset's folder must hold a readable {FILE}; {folder} does not"
                f" ({type(error).__name__}: {error}). Delete it; it is rebuilt when next needed."
            ) from error

    @property
    def meaning(self) -> tuple[object, ...]:
        """What the arrays' digest does not cover: names, types of columns, the range of pixels."""
        ranged = () if self.pixel_range is None else (self.pixel_range,)
        return (
            self.name,
            self.classes,
            self.columns,
            *ranged,
            self.task,
            self.inputs,
            *map(repr, self.outputs),
        )

    @property
    def is_current(self) -> bool:
        """Whether this version would read the sources alike."""
        return self.format == FORMAT or (self.format == 2 and not (self.columns or self.inputs))

    @property
    def signs(self) -> tuple[tuple[str | None, bool], ...]:
        """The decimal signs of all columns, which sources of equal arrays may have differently."""
        columns = [*self.columns, *(column for own in self.inputs for column in own.columns)]
        return tuple((column.decimal, column.thousands) for column in columns)

    def write(self, folder: Path) -> None:
        """Write the manifest to a dataset's folder, replacing an existing one."""
        temporary = folder / f".{FILE}.{secrets.token_hex(4)}"
        text = json.dumps(asdict(self), indent=1)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / FILE)

    def with_stamp(self, stamp: Stamp) -> "Manifest":
        """Return the manifest with one more source; it replaces the same files read alike.

        Sources that an earlier version read are forgotten: they may be read otherwise now.
        """
        if not self.is_current:
            return replace(self, stamps=(stamp,), format=FORMAT)
        read = ([path for path, _, _ in stamp.files], stamp.reading)
        others = [s for s in self.stamps if ([p for p, _, _ in s.files], s.reading) != read]
        return replace(self, stamps=(*others, stamp))


def _summary(files: Sequence[Path]) -> tuple[str, int, int]:
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        entry = f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n"
        digest.update(entry.encode(errors="surrogateescape"))
    return os.path.commonpath(files), len(files), int(digest.hexdigest()[:15], 16)


def _parse(data: Any) -> Manifest:
    if data["format"] not in FORMATS:
        raise ValueError(f"its format must be one of {FORMATS}; got {data['format']!r}")
    stamps = tuple(
        Stamp(
            str(stamp["source"]),
            tuple((str(p), int(s), int(t)) for p, s, t in stamp["files"]),
            str(stamp.get("reading", "")),
        )
        for stamp in data["stamps"]
    )
    classes = tuple(str(name) for name in data["classes"])
    if not stamps or not classes:
        raise ValueError("it names no source or no classes")
    kind = str(data.get("kind", "image"))
    if kind not in KINDS:
        raise ValueError(f"its kind must be one of {', '.join(KINDS)}; got {kind!r}")
    task = str(data.get("task", CLASSIFICATION))
    if task not in TASKS:
        raise ValueError(f"its task must be one of {', '.join(TASKS)}; got {task!r}")
    return Manifest(
        name=str(data["name"]),
        digest=str(data["digest"]),
        classes=classes,
        stamps=stamps,
        kind=kind,
        columns=tuple(_column(column) for column in data.get("columns", ())),
        extras=tuple(name for name in EXTRAS if name in data.get("extras", ())),
        created=float(data["created"]),
        format=int(data["format"]),
        pixel_range=PixelRange.from_json(data.get("pixel_range")),
        task=task,
        inputs=tuple(
            InputContents(
                str(entry["name"]),
                str(entry["kind"]),
                tuple(_column(column) for column in entry["columns"]),
                PixelRange.from_json(entry["pixel_range"]),
            )
            for entry in data.get("inputs", ())
        ),
        outputs=tuple(parts_to_json(parts_from(data.get("outputs", ())))),
        notices=tuple(map(str, data.get("notices", ()))),
        width=int(data.get("width", 0)),
    )


def _column(data: Any) -> Column:
    if isinstance(data, str):  # the first format
        return Column(data)
    return Column(
        str(data["name"]),
        str(data["type"]),
        tuple(map(str, data["categories"])),
        data.get("decimal"),
        bool(data.get("thousands", False)),
    )


MappedImages: TypeAlias = np.memmap[Any, np.dtype[np.uint8]]
MappedLabels: TypeAlias = np.memmap[Any, np.dtype[Any]]
Samples: TypeAlias = np.memmap[Any, np.dtype[Any]] | Texts  # or `Several`


@dataclass(frozen=True)
class Dataset:
    """A training set, and a test set that stays closed until `open_test` is called.

    It holds no arrays itself and is cheap to pickle: a worker gets the folder and opens it. Each
    access maps the file again, so keep a reference to the array while using it.

    Attributes:
        name: the dataset's name.
        source: description of where its arrays came from.
        digest: SHA-256 (hex) over the arrays: names, dtypes, shapes and bytes.
        classes: names of the classes, a label is an index into them; of the labels, or numbers.
        folder: contains `meta.json`, the arrays and derived files.
        kind: of the samples: `image`, `text`, `table` or `sequence`.
        columns: a table's columns.
        extras: which of `arrays.EXTRAS` there are.
        pixel_range: which values of pictures became black and white; None if values are pixels.
        task: what is predicted; `classes` are the names of what is.
        inputs: where there are several; the kind is `several` then.
        notices: what was told when its source was read.
        width: number of columns of a table whose file does not name them; 0 of others.
        whole: of one input or output of several, the dataset that it is a part of.
        output: of one output of several its name.
    """

    name: str
    source: str
    digest: str
    classes: tuple[str, ...]
    folder: Path
    kind: str = "image"
    columns: tuple[Column, ...] = ()
    extras: tuple[str, ...] = ()
    pixel_range: PixelRange | None = None
    task: Task = field(default_factory=lambda: Classification(()))
    inputs: tuple[InputContents, ...] = ()
    notices: tuple[str, ...] = ()
    width: int = 0
    whole: "Dataset | None" = None
    output: str = ""

    @classmethod
    def open(cls, folder: Path) -> "Dataset":
        """Open a cached dataset.

        Raises:
            DataError: the folder is not a complete dataset.
        """
        manifest = Manifest.read(folder)
        for name in array_names(manifest.kind, manifest.extras, _kinds(manifest.inputs)):
            map_array(array_file(folder, name))
        return cls(
            name=manifest.name,
            source=manifest.stamps[0].source,
            digest=manifest.digest,
            classes=manifest.classes,
            folder=folder,
            kind=manifest.kind,
            columns=manifest.columns,
            extras=manifest.extras,
            pixel_range=manifest.pixel_range,
            task=task_of(manifest.task, manifest.classes, parts_from(manifest.outputs)),
            inputs=manifest.inputs,
            notices=manifest.notices,
            width=manifest.width,
        )

    def input(self, name: str) -> "Dataset":
        """Return one of several inputs, with the targets of the whole, as a dataset of its own."""
        found = next(one for one in self.inputs if one.name == name)
        return replace(
            self,
            kind=found.kind,
            columns=found.columns,
            pixel_range=found.pixel_range,
            folder=self.folder / INPUTS / name,
            inputs=(),
            extras=(),
            whole=self,
        )

    def of_output(self, name: str) -> "Dataset":
        """Return the dataset with the targets of one of several outputs alone."""
        if not isinstance(self.task, MultiOutput):
            raise TypeError(f"the task is {self.task.name}; it has one output")
        part = next(part for part in self.task.parts if part.name == name)
        return replace(self, task=part.task, classes=part.task.names, whole=self, output=name)

    def _labels(self, split: str) -> MappedLabels:
        if self.whole is None:
            return map_array(array_file(self.folder, f"{split}_labels"))
        labels, task = self.whole._labels(split), self.whole.task
        if not self.output or not isinstance(task, MultiOutput):
            return labels
        return task.split(labels)[self.output]  # type: ignore[return-value] # in memory

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of a table's columns."""
        return tuple(column.name for column in self.columns)

    @property
    def title(self) -> str:
        """A short name, for people and for studies: only the last part of a path."""
        kind, colon, rest = self.name.partition(":")
        if kind == "tfds":
            return rest.partition(":")[0].replace("/", "-")
        if kind == "memory":
            return rest.rpartition("-")[0]  # without the digest
        return Path(rest.split(",")[0]).stem or kind if colon else self.name

    @property
    def is_of_files(self) -> bool:
        """Whether each sample was a file in the folder of its class."""
        return self.name.partition(":")[0] == "folder"

    @property
    def was_resized(self) -> bool:
        """Whether its images were pictures of any size, resized to that of all of them."""
        is_of_tfds = self.name.startswith("tfds:")
        return self.is_of_files or (
            is_of_tfds and any("all are resized to" in notice for notice in self.notices)
        )

    @property
    def train_samples(self) -> Samples:
        """Training samples, read-only.

        Images: uint8 (n, height, width, channels). Tables: float64 (n, columns), float32 where an
        earlier version read them; see `Column`. Sequences: float32 (n, time, features), float64
        where float32 cannot tell values apart. Texts: a sequence of str.
        """
        return self._samples("train")

    @property
    def train_images(self) -> MappedImages:
        """Training images, uint8 (n, height, width, channels), read-only."""
        return map_array(array_file(self.folder, "train_images"))

    @property
    def train_labels(self) -> MappedLabels:
        """Training targets in the form of the task, read-only: of classes int64 (n,)."""
        return self._labels("train")

    @property
    def has_test(self) -> bool:
        """Whether there is a test part; data that were passed from Python may come without."""
        return len(self._labels("test")) > 0

    def train_extra(self, name: str) -> NDArray[Any] | None:
        """Return what each training sample has besides its label, `(n,)`; None if there is none.

        Args:
            name: `groups`, `weights`, `time` or `folds`; see `arrays.EXTRAS`.
        """
        return map_array(array_file(self.folder, f"train_{name}")) if name in self.extras else None

    def open_test(self) -> tuple[Samples, MappedLabels]:
        """Return the test samples and labels, shaped like the training ones.

        Only `search.export.evaluation` scores models on them, for `export` and `evaluate`, and
        records it: the scores of a search that has seen the test set cannot be trusted.
        `datasets NAME` counts its samples and looks for duplicates among them.
        """
        return self._samples("test"), self._labels("test")

    def test_weights(self) -> NDArray[Any] | None:
        """Return the weight of each test sample, `(n,)`; None if samples have none."""
        has = "weights" in self.extras
        return map_array(array_file(self.folder, "test_weights")) if has else None

    def prepared(self, image: ImageInput) -> MappedImages:
        """Return the training images in the form a space takes, uint8, read-only.

        They are made once and cached beside the originals.

        Raises:
            DataError: the images cannot be converted, or cannot be cached.
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
        """Return whether the arrays still have their digest; reads all of them."""
        return digest_of(self.folder, self.kind, self.extras, _kinds(self.inputs)) == self.digest

    def _samples(self, split: str) -> Samples:
        if self.inputs:
            found = {one.name: self.input(one.name)._samples(split) for one in self.inputs}
            return Several(found)  # type: ignore[return-value] # see `Samples`
        parts = [map_array(array_file(self.folder, f"{split}_{part}")) for part in KINDS[self.kind]]
        return Texts(*parts) if self.kind == "text" else parts[0]


def _kinds(inputs: Sequence[InputContents]) -> dict[str, str]:
    return {one.name: one.kind for one in inputs}


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
    return [dataset for dataset in _kept(root, folder_stem(name)) if dataset.name == name]


def kept_of(root: Path, kind: str) -> list[Dataset]:
    """Return all complete datasets whose names begin with a kind and a colon, the newest first."""
    return [dataset for dataset in _kept(root, kind) if dataset.name.startswith(f"{kind}:")]


def _kept(root: Path, stem: str) -> list[Dataset]:
    found = []
    for folder in root.glob(f"{stem}-*"):
        try:
            found.append((Manifest.read(folder).created, Dataset.open(folder)))
        except DataError:
            continue
    return [dataset for _, dataset in sorted(found, key=lambda pair: pair[0], reverse=True)]


def remembered(root: Path, name: str, stamp: Stamp, digest: str | None = None) -> Dataset | None:
    """Return the dataset that was read alike from these files, if they have not changed since.

    Args:
        root: the folder of all cached datasets.
        name: the dataset's name.
        stamp: of the files as they are now.
        digest: of the dataset that a study began with, which may be one of an earlier version.
    """
    if not stamp.files:
        return None
    # The study's own first, whatever was read since, and whatever the options are called now.
    for dataset in sorted(kept(root, name), key=lambda found: found.digest != digest):
        manifest = Manifest.read(dataset.folder)
        if manifest.digest == digest:
            is_it = any(old.files == stamp.files for old in manifest.stamps)
        else:
            read = ((old.files, old.reading) for old in manifest.stamps)
            is_it = manifest.is_current and (stamp.files, stamp.reading) in read
        if is_it:
            return replace(dataset, source=stamp.source)
    return None


def folder_stem(name: str) -> str:
    """Return the readable part of the name of a dataset's folder."""
    return re.sub(r"[^\w.-]+", "-", name)[-60:]


def keep(root: Path, arrays: Path, name: str, contents: Contents, stamp: Stamp) -> Dataset:
    """Move a folder of arrays into the cache.

    The same content from another source is stored once. Two processes may do it at once.

    Args:
        root: the folder of all cached datasets.
        arrays: a folder from `scratch` with the arrays; it is moved.
        name: the dataset's name.
        contents: what the arrays are.
        stamp: of the source, taken before it was read.
    """
    digest = digest_of(arrays, contents.kind, contents.extras, _kinds(contents.inputs))
    manifest = Manifest(
        name,
        digest,
        contents.classes,
        (stamp,),
        contents.kind,
        contents.columns,
        contents.extras,
        pixel_range=contents.pixel_range,
        task=contents.task,
        inputs=contents.inputs,
        outputs=tuple(parts_to_json(contents.outputs)),
        notices=contents.notices,
        width=contents.width,
    )
    manifest.write(arrays)
    folder = root / f"{folder_stem(name)}-{digest[:12]}"
    try:
        arrays.rename(folder)
    except OSError:
        # It exists: from another source, written by a faster process, or damaged.
        if _is_intact(folder, digest) and Manifest.read(folder).meaning == manifest.meaning:
            known = Manifest.read(folder).with_stamp(stamp)
            if known.signs != manifest.signs:  # the others are read again when next needed
                known = manifest
            replace(known, notices=contents.notices).write(folder)
        else:
            discard(folder)
            arrays.rename(folder)
    return replace(Dataset.open(folder), source=stamp.source)


def discard(folder: Path) -> None:
    """Delete a dataset's folder; to other processes it disappears at once."""
    aside = folder.with_name(f"{SCRATCH}{secrets.token_hex(4)}")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Yield a new folder beside the cached datasets, and delete what is left of it afterwards.

    Raises:
        SettingsError: the home cannot be written.
    """
    folder = root / f"{SCRATCH}{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise SettingsError(
            f"the home must be writable; {root} is not ({error.strerror})."
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
    """Delete the folders that killed processes left."""
    for folder in root.glob(f"{SCRATCH}*"):
        try:
            abandoned = time.time() - folder.stat().st_mtime > ABANDONED_SECONDS
        except FileNotFoundError:
            continue
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)
