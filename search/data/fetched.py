"""What only TensorFlow's libraries can get, through the child process."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from search.data.answers import PlaceError
from search.data.catalog import DatasetEntry
from search.data.child import ChildError, fetch
from search.data.contents import Contents
from search.data.formats.files import find_files
from search.errors import DataError, SettingsError

# Less than the 15 s a user is promised: noticing and ending the child take their share.
STALL_SECONDS = 14.0
TFDS_STALL_SECONDS = 120.0
REPLY = "reply.json"


def read_named(entry: DatasetEntry, version: Path, out: Path) -> None:
    """Write the arrays of a named dataset that TFDS has prepared.

    Args:
        entry: the dataset.
        version: the folder of one version, for example `~/tensorflow_datasets/mnist/3.0.1`.
        out: receives the `.npy` files.

    Raises:
        DataError: TFDS cannot read it, or it is another dataset.
        PlaceError: TFDS itself cannot be used.
    """
    _check_named(entry, read_prepared(version, out), str(version))


def download_named(entry: DatasetEntry, out: Path) -> None:
    """Have TFDS download a named dataset and write its arrays.

    Raises:
        PlaceError: there is no connection, it stalled, or what arrived is damaged.
    """
    try:
        _check_named(entry, download_by_tfds(entry.tfds, out), "TFDS's download")
    except SettingsError as error:
        raise PlaceError(str(error)) from error
    except DataError as error:
        raise PlaceError(f"what arrived is damaged: {error}") from error


def read_prepared(version: Path, out: Path) -> Contents:
    """Write the arrays of a dataset that TFDS has prepared.

    Args:
        version: the folder of one version.
        out: receives the `.npy` files.

    Raises:
        DataError: TFDS cannot read it, or it is no classification set of images or texts.
        PlaceError: TFDS itself cannot be used.
    """
    try:
        return _by_tfds(["prepared", str(version)], out, TFDS_STALL_SECONDS)
    except ChildError as error:
        if not error.at_work:
            raise PlaceError(f"TFDS cannot be used: {error}") from error
        raise DataError(
            f"{version} must be a dataset that TFDS can read; it is not: {error}."
            " Delete it, or have TFDS prepare it again."
        ) from error


def download_by_tfds(name: str, out: Path) -> Contents:
    """Have TFDS download and prepare a dataset and write its arrays; nothing is left outside `out`.

    Args:
        name: TFDS's, with configuration and version if it matters.
        out: receives the `.npy` files.

    Raises:
        SettingsError: TFDS knows no such dataset, configuration or version.
        DataError: it is no classification set of images or texts.
        PlaceError: there is no connection, it stalled, or TFDS cannot prepare it.
    """
    try:
        return _by_tfds(["download", name], out, STALL_SECONDS)
    except ChildError as error:
        raise PlaceError(str(error)) from error


def download_by_keras(entry: DatasetEntry, out: Path) -> None:
    """Have Keras download a dataset and write its arrays; nothing is written outside `out`.

    Args:
        entry: the dataset.
        out: receives the `.npy` files.

    Raises:
        PlaceError: there is no connection, it stalled, or what arrived is damaged.
    """
    try:
        with _folder(out / "keras") as keras:
            environment = {"KERAS_HOME": str(keras)}
            arguments = ["keras", entry.name]
            fetch(arguments, keras, stall_seconds=STALL_SECONDS, environment=environment)
            root = keras / "datasets"
            found = find_files(entry, [*(root / spelling for spelling in entry.spellings), root])
            if found is None:
                raise PlaceError("Keras has downloaded other files than expected")
            found.write(out)
    except ChildError as error:
        raise PlaceError(str(error)) from error
    except DataError as error:
        raise PlaceError(f"what arrived is damaged: {error}") from error


def _by_tfds(arguments: Sequence[str], out: Path, stall_seconds: float) -> Contents:
    with _folder(out / "tfds") as work:
        fetch([*arguments, str(out), str(work)], out, stall_seconds=stall_seconds)
        reply = json.loads((work / REPLY).read_text(encoding="utf-8"))
    if "refused" in reply:
        raise (SettingsError if reply["wrong"] else DataError)(reply["refused"])
    return Contents(reply["kind"], tuple(reply["classes"]), notices=tuple(reply["notices"]))


@contextmanager
def _folder(folder: Path) -> Iterator[Path]:
    """Give a new folder that is deleted afterwards."""
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_named(entry: DatasetEntry, contents: Contents, source: str) -> None:
    got = (contents.kind, len(contents.classes))
    if got != (entry.kind, len(entry.classes)):
        raise DataError(
            f"{entry.name} has {len(entry.classes)} classes of {entry.kind}s; {source} has"
            f" {got[1]} of {got[0]}s. Delete it, or have TFDS prepare it again."
        )
