"""What only TensorFlow's libraries can get, through the child process."""

import shutil
from pathlib import Path

from search.datasets.answers import PlaceError
from search.datasets.catalog import DatasetEntry
from search.datasets.child import ChildError, fetch
from search.datasets.files import find_files
from search.errors import DataError

# Less than the 15 s a user is promised: noticing and ending the child take their share.
STALL_SECONDS = 14.0
TFDS_STALL_SECONDS = 120.0


def read_tfds(version: Path, out: Path) -> None:
    """Write the arrays of a dataset that TFDS has prepared.

    Args:
        version: the folder of one version, for example `~/tensorflow_datasets/mnist/3.0.1`.
        out: receives the `.npy` files.

    Raises:
        DataError: TFDS cannot read it.
        PlaceError: TFDS itself cannot be used.
    """
    try:
        fetch(["tfds", str(version), str(out)], out, stall_seconds=TFDS_STALL_SECONDS)
    except ChildError as error:
        if not error.at_work:
            raise PlaceError(f"TFDS cannot be used: {error}") from error
        raise DataError(
            f"{version} must be a dataset that TFDS can read; it is not: {error}."
            " Delete it, or have TFDS prepare it again."
        ) from error


def download(entry: DatasetEntry, out: Path) -> None:
    """Have Keras download a dataset and write its arrays; nothing is written outside `out`.

    Args:
        entry: the dataset.
        out: receives the `.npy` files.

    Raises:
        PlaceError: there is no connection, it stalled, or what arrived is damaged.
    """
    keras = out / "keras"
    keras.mkdir()
    environment = {"KERAS_HOME": str(keras)}
    try:
        fetch(["keras", entry.name], keras, stall_seconds=STALL_SECONDS, environment=environment)
        root = keras / "datasets"
        found = find_files(entry, [*(root / spelling for spelling in entry.spellings), root])
        if found is None:
            raise PlaceError("Keras has downloaded other files than expected")
        found.write(out)
    except ChildError as error:
        raise PlaceError(str(error)) from error
    except DataError as error:
        raise PlaceError(f"what arrived is damaged: {error}") from error
    finally:
        shutil.rmtree(keras, ignore_errors=True)
