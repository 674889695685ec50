"""The child process that imports TensorFlow so that the coordinator need not.

    python -m search.datasets.fetch keras NAME READY       download to KERAS_HOME
    python -m search.datasets.fetch tfds FOLDER OUT READY  read a prepared dataset

The file READY is made when the imports are done. A failure is one line on standard error.
"""

import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.datasets.arrays import IMAGES, LABELS, SPLITS, array_file, write_array

HOST = ("storage.googleapis.com", 443)  # where Keras keeps its datasets
TIMEOUT_SECONDS = 12.0
BATCH = 1024


def main(arguments: list[str]) -> int:
    """Do what the arguments say and return the exit code."""
    kind, *rest = arguments
    try:
        if kind == "keras":
            download_by_keras(rest[0], Path(rest[1]))
        else:
            read_by_tfds(Path(rest[0]), Path(rest[1]), Path(rest[2]))
    except Exception as error:  # noqa: BLE001 - the process's boundary: the parent reads one line
        reason = " ".join(str(error).split()) or type(error).__name__
        sys.stderr.write(f"\n{reason}\n")
        return 1
    return 0


def download_by_keras(name: str, ready: Path) -> None:
    """Have Keras download a dataset to where KERAS_HOME says.

    Raises:
        OSError: there is no connection; found out before the seconds that importing Keras takes.
    """
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    if "https" not in urllib.request.getproxies():
        _connect()
    module = import_module(f"keras.datasets.{name}")
    ready.touch()
    module.load_data()


def read_by_tfds(folder: Path, out: Path, ready: Path) -> None:
    """Read a dataset that TFDS has prepared, in the order of its files, and write its arrays.

    Args:
        folder: of one version, for example `~/tensorflow_datasets/mnist/3.0.1`.
        out: receives the `.npy` files.
        ready: the file to make when the imports are done.
    """
    import tensorflow_datasets as tfds

    ready.touch()
    # A builder made from the folder itself cannot download.
    builder = tfds.builder_from_directory(str(folder))
    for split in SPLITS:
        count = builder.info.splits[split].num_examples
        rows = builder.as_dataset(split=split, shuffle_files=False, batch_size=BATCH)
        labels: list[NDArray[Any]] = []
        shape = (count, *builder.info.features["image"].shape)
        write_array(array_file(out, f"{split}_images"), IMAGES, shape, _images(rows, labels))
        write_array(array_file(out, f"{split}_labels"), LABELS, (count,), labels)


def _images(rows: Any, labels: list[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    for batch in rows.as_numpy_iterator():
        labels.append(np.asarray(batch["label"]))
        yield batch["image"]


def _connect() -> None:
    """Raise OSError unless `HOST` answers; a name server that is silent counts as no answer."""
    failures: list[OSError] = [TimeoutError(f"{HOST[0]} does not answer")]

    def attempt() -> None:
        try:
            socket.create_connection(HOST, timeout=TIMEOUT_SECONDS).close()
            failures.clear()
        except OSError as error:
            failures[:] = [OSError(f"{HOST[0]}: {error}")]

    # The resolver has no timeout of its own, hence a thread that can be left behind.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    if failures:
        raise failures[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
