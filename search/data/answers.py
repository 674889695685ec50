"""The answer of a location that is searched for a dataset, and the folders to search."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from search.data.checks import Contents
from search.data.dataset import Dataset
from search.data.reading import Reading
from tracking.home import Home


@dataclass(frozen=True)
class Surroundings:
    """The folders to search on this machine.

    Attributes:
        datasets: this project's cache.
        data_dir: the folder the user named, if any.
        keras: Keras's folder; its datasets are in `datasets` below it.
        tfds: TFDS's folder.
        reading: how a source of the user's own is read.
    """

    datasets: Path
    data_dir: Path | None
    keras: Path
    tfds: Path
    reading: Reading = field(default_factory=Reading)

    @classmethod
    def here(
        cls, home: Path, data_dir: Path | None, reading: Reading | None = None
    ) -> "Surroundings":
        """Return the folders of KERAS_HOME and TFDS_DATA_DIR, or the default ones."""
        user = Path.home()
        return cls(
            datasets=Home(home.absolute()).datasets,
            data_dir=data_dir.expanduser() if data_dir else None,
            keras=Path(os.environ.get("KERAS_HOME") or user / ".keras").expanduser(),
            tfds=Path(os.environ.get("TFDS_DATA_DIR") or user / "tensorflow_datasets").expanduser(),
            reading=reading or Reading(),
        )


@dataclass(frozen=True)
class Found:
    """A source that has not been read yet.

    Attributes:
        source: description for people.
        files: its files, so that a change is noticed; empty for temporary ones.
        write: writes the arrays to a folder and returns what they are; None: as in the catalog.
            Raises DataError if the source is damaged, `PlaceError` if it is not available.
    """

    source: str
    files: tuple[Path, ...]
    write: Callable[[Path], Contents | None]


@dataclass(frozen=True)
class Kept:
    """A dataset from this project's cache."""

    dataset: Dataset


@dataclass(frozen=True)
class Missing:
    """A location without the dataset.

    Attributes:
        place: description of the location, for people.
        reason: what is there instead.
    """

    place: str
    reason: str


class PlaceError(Exception):
    """A source that turned out not to be available; the message says why."""


Answer: TypeAlias = Found | Kept | Missing
