"""What a place answers when asked for a dataset, and the folders it may look in."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from search.data.checks import Contents
from search.data.dataset import Dataset
from tracking.home import Home


@dataclass(frozen=True)
class Surroundings:
    """The folders of this machine and user.

    Attributes:
        datasets: the project's own cache.
        data_dir: the folder the user named, if any.
        keras: Keras's folder; its datasets are in `datasets` below it.
        tfds: TFDS's folder.
    """

    datasets: Path
    data_dir: Path | None
    keras: Path
    tfds: Path

    @classmethod
    def here(cls, home: Path, data_dir: Path | None) -> "Surroundings":
        """Return the folders the environment says (KERAS_HOME, TFDS_DATA_DIR) or the usual ones."""
        user = Path.home()
        return cls(
            datasets=Home(home.absolute()).datasets,
            data_dir=data_dir.expanduser() if data_dir else None,
            keras=Path(os.environ.get("KERAS_HOME") or user / ".keras").expanduser(),
            tfds=Path(os.environ.get("TFDS_DATA_DIR") or user / "tensorflow_datasets").expanduser(),
        )


@dataclass(frozen=True)
class Found:
    """A source that has not been read yet.

    Attributes:
        source: for people.
        files: what it consists of, so that a change is noticed; empty where they do not last.
        write: writes the arrays to a folder and says what they are; None: what the catalog says.
            Raises DataError where the source is damaged, `PlaceError` where it turns out not to
            be had.
    """

    source: str
    files: tuple[Path, ...]
    write: Callable[[Path], Contents | None]


@dataclass(frozen=True)
class Kept:
    """A dataset of the project's own cache."""

    dataset: Dataset


@dataclass(frozen=True)
class Missing:
    """A place without the dataset.

    Attributes:
        place: for people.
        reason: what was found instead.
    """

    place: str
    reason: str


class PlaceError(Exception):
    """A source that could not be had after all; the message says why."""


Answer: TypeAlias = Found | Kept | Missing
