"""The named datasets: names, contents and classes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.errors import SettingsError, near_matches

DIGIT_NAMES = tuple("0123456789")
CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """One named dataset as published.

    Attributes:
        name: what `--dataset` calls it.
        title: one line for listings.
        shape: of one image, (height, width, channels), in pixels; empty for texts.
        train: number of training samples.
        test: number of test samples.
        classes: class names; a label is an index into them.
        kind: of the samples: `image` or `text`; a text's `shape` is empty.
        mirrored: a mirror image keeps its class, so images may be flipped in training.
        aliases: other names of its folder.
        keras: Keras downloads it.
        tfds: its name in TFDS, with the configuration.
        remedy: what a user can do if it is missing; empty: only name its folder.
        embedded: it comes with a dependency and is always available.
        labels_sha256: of the training labels as single bytes in the published order; distinguishes
            datasets whose files have the same names. Empty: not known.
    """

    name: str
    title: str
    shape: tuple[int, ...]
    train: int
    test: int
    classes: tuple[str, ...]
    kind: str = "image"
    mirrored: bool = False
    aliases: tuple[str, ...] = ()
    keras: bool = False
    tfds: str = ""
    remedy: str = ""
    embedded: bool = False
    labels_sha256: str = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        """The name, its spelling with hyphens if that differs, and its aliases."""
        return tuple(dict.fromkeys((self.name, self.name.replace("_", "-"), *self.aliases)))


_ENTRIES = (
    DatasetEntry(
        name="digits",
        title="scikit-learn's handwritten digits",
        shape=(8, 8, 1),
        train=1437,
        test=360,
        classes=DIGIT_NAMES,
        embedded=True,
    ),
    DatasetEntry(
        name="fashion_mnist",
        title="Zalando's articles of clothing",
        shape=(28, 28, 1),
        train=60_000,
        test=10_000,
        classes=CLOTHES,
        mirrored=True,
        keras=True,
        tfds="fashion_mnist",
        remedy="`apt install dataset-fashion-mnist`",
        labels_sha256="657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
    ),
    DatasetEntry(
        name="mnist",
        title="handwritten digits of NIST's forms",
        shape=(28, 28, 1),
        train=60_000,
        test=10_000,
        classes=DIGIT_NAMES,
        keras=True,
        tfds="mnist",
        labels_sha256="1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    ),
    DatasetEntry(
        name="sst2",
        title="phrases of film reviews, negative or positive",
        shape=(),
        train=67_349,
        test=872,  # GLUE's development set: the labels of its test set are not published
        classes=("negative", "positive"),
        kind="text",
        aliases=("SST-2",),
        tfds="glue/sst2",
        remedy="get GLUE's SST-2.zip and name the folder with its train.tsv and dev.tsv",
    ),
)


def known() -> tuple[DatasetEntry, ...]:
    """Return all named datasets, by name."""
    return _ENTRIES


def entry_of(name: str) -> DatasetEntry:
    """Return the dataset called `name`; hyphens and underscores are equivalent.

    Raises:
        SettingsError: no dataset has that name.
    """
    for entry in _ENTRIES:
        if name in entry.spellings:
            return entry
    names = [entry.name for entry in _ENTRIES]
    near = _reference(name) or near_matches(name, names)
    own = "" if near.endswith("?") else "; data of your own are named as in csv:FILE or folder:DIR"
    raise SettingsError(f"no dataset is called {name!r}; {near}{own}")


def _reference(name: str) -> str:
    """Return a question whether a file or folder that is there was meant; else nothing."""
    kind = Path(name).suffix.removeprefix(".")
    if kind in ("csv", "parquet", "jsonl", "npz") and Path(name).is_file():
        return f"did you mean the file, {kind}:{name}?"
    return f"did you mean the folder, folder:{name}?" if Path(name).is_dir() else ""


def recognise(labels: NDArray[np.int64]) -> DatasetEntry | None:
    """Return the dataset whose published training labels these are, or None.

    Args:
        labels: (n,), each within 0..255.
    """
    digest = hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest()
    for entry in _ENTRIES:
        if entry.labels_sha256 == digest:
            return entry
    return None
