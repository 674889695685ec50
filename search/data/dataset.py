"""A dataset on disk, shared by all processes through memory-mapped files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from search.data.arrays import (
    IMAGES,
    KINDS,
    array_file,
    array_names,
    digest_of,
    map_array,
    write_array,
)
from search.data.images import prepared_pieces
from search.data.manifest import Manifest
from search.data.texts import Texts
from search.errors import DataError
from spaces import ImageInput

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

        To score a model only `export` and `evaluate` call it, through `search.export.test_set`,
        and record it: a search that has seen the test set cannot be believed. `datasets NAME` counts
        what is in it, and duplicates are looked for in its samples.
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
