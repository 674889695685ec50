"""The child process that imports TensorFlow, so that the coordinator does not have to.

    python -m search.data.fetch keras NAME READY                download to KERAS_HOME
    python -m search.data.fetch prepared FOLDER OUT WORK READY  read what TFDS has prepared
    python -m search.data.fetch download NAME OUT WORK READY    have TFDS prepare it first

The file READY is made when the imports are done. A failure is one line on standard error.
`reply.json` in WORK says what was read, or why it was refused.
"""

import json
import socket
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from search.data.checks import Contents
from search.data.formats.tfds_reading import chosen_features, write_dataset
from search.errors import FoldwiseError, SettingsError, near_matches

Host = tuple[str, int]

HOST = ("storage.googleapis.com", 443)  # where Keras keeps its datasets
TIMEOUT_SECONDS = 12.0
TFDS_TIMEOUT_SECONDS = 8.0  # shorter, because the imports have already taken some seconds
PORTS = {"http": 80, "https": 443, "ftp": 21}
MAX_HOSTS = 3
BEAT_SECONDS = 0.5
BUSY = 0.2  # fraction of a processor


def main(arguments: list[str]) -> int:
    """Run the command in the arguments and return the exit code."""
    kind, *rest = arguments
    try:
        if kind == "keras":
            download_by_keras(rest[0], Path(rest[1]))
        else:
            out, work, ready = map(Path, rest[1:])
            beat(work / "pulse")
            with answering(work / "reply.json") as reply:
                if kind == "prepared":
                    reply.update(asdict(read_by_tfds(rest[0], out, ready)))
                else:
                    reply.update(asdict(download_by_tfds(rest[0], out, work, ready)))
    except Exception as error:  # noqa: BLE001 - the process's boundary: the parent reads one line
        reason = " ".join(str(error).split()) or type(error).__name__
        sys.stderr.write(f"\n{reason}\n")
        return 1
    return 0


@contextmanager
def answering(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a dictionary, then write it as JSON: as filled in, or why it was refused."""
    document: dict[str, Any] = {}
    try:
        yield document
    except FoldwiseError as error:
        document = {"refused": str(error), "wrong": isinstance(error, SettingsError)}
    path.write_text(json.dumps(document), encoding="utf-8")


def beat(path: Path) -> None:
    """Let a file grow while this process computes: a sign of life, like new data."""

    def run() -> None:
        before = time.process_time()
        with path.open("wb", buffering=0) as file:
            while True:
                time.sleep(BEAT_SECONDS)
                now = time.process_time()
                if now - before > BUSY * BEAT_SECONDS:
                    file.write(b".")
                before = now

    threading.Thread(target=run, daemon=True).start()


def download_by_keras(name: str, ready: Path) -> None:
    """Have Keras download a dataset to KERAS_HOME.

    Raises:
        OSError: there is no connection; this is checked before the slow import of Keras.
    """
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    connect([HOST], TIMEOUT_SECONDS)
    module = import_module(f"keras.datasets.{name}")
    ready.touch()
    module.load_data()


def read_by_tfds(folder: str, out: Path, ready: Path) -> Contents:
    """Read a dataset that TFDS has prepared and write its arrays.

    Args:
        folder: of one version, for example `~/tensorflow_datasets/mnist/3.0.1`.
        out: receives the `.npy` files.
        ready: the file to make when the imports are done.
    """
    import tensorflow_datasets as tfds

    ready.touch()
    # A builder made from the folder itself cannot download.
    return write_dataset(tfds.builder_from_directory(folder), out, folder)


def download_by_tfds(name: str, out: Path, work: Path, ready: Path) -> Contents:
    """Have TFDS download and prepare a dataset, and write its arrays.

    Args:
        name: TFDS's name, optionally with configuration and version.
        out: receives the `.npy` files.
        work: receives TFDS's own files.
        ready: the file to make when the imports are done.

    Raises:
        OSError: none of the dataset's hosts can be reached.
        SettingsError: TFDS knows no such dataset, configuration or version.
        DataError: it is not a classification set of images or texts.
    """
    import tensorflow_datasets as tfds

    ready.touch()
    builder = _builder(tfds, name, work)
    origin = f"tfds:{name}"
    chosen_features(builder, origin)  # before anything is downloaded
    connect(_hosts(builder.url_infos), TFDS_TIMEOUT_SECONDS)
    builder.download_and_prepare(download_dir=str(work / "downloads"))
    return write_dataset(builder, out, origin)


def _builder(tfds: Any, name: str, folder: Path) -> Any:
    dataset, _, config = name.partition(":")[0].partition("/")
    try:
        configs = tfds.builder_cls(dataset).builder_configs
    except tfds.core.DatasetNotFoundError as error:
        near = near_matches(dataset, tfds.list_builders())
        raise SettingsError(f"TFDS has no dataset called {dataset!r}: {near}") from error
    if config and config not in configs:
        near = near_matches(config, configs)
        raise SettingsError(f"TFDS's {dataset} has no configuration called {config!r}: {near}")
    try:
        return tfds.builder(name, data_dir=str(folder))
    except (AssertionError, ValueError) as error:
        reason = str(error).rpartition('": ')[2]  # without the arguments, which are not the user's
        raise SettingsError(f"TFDS cannot make {name!r}: {reason}") from error


def _hosts(urls: Iterable[str]) -> list[Host]:
    """Return the hosts that have most of the URLs, each with its port."""
    parts = [urlsplit(url) for url in urls]
    hosts = Counter(
        (part.hostname, part.port or PORTS[part.scheme])
        for part in parts
        if part.hostname and part.scheme in PORTS
    )
    return [host for host, _ in hosts.most_common(MAX_HOSTS)]


def connect(hosts: Sequence[Host], timeout: float) -> None:
    """Raise OSError unless one of the hosts answers, or a proxy is configured.

    A silent name server counts as no answer.

    Args:
        hosts: tried all at once; may be empty.
        timeout: seconds.
    """
    if not hosts or PORTS.keys() & urllib.request.getproxies().keys():
        return
    answers: SimpleQueue[str] = SimpleQueue()
    # The resolver has no timeout, so it runs in threads that can be abandoned.
    for host in hosts:
        threading.Thread(target=_attempt, args=(host, timeout, answers), daemon=True).start()
    deadline = time.monotonic() + timeout
    failure = "no answer"
    for _ in hosts:
        try:
            failure = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            break
        if not failure:
            return
    raise OSError(f"{', '.join(name for name, _ in hosts)}: {failure}")


def _attempt(host: Host, timeout: float, answers: "SimpleQueue[str]") -> None:
    """Put the reason why a host cannot be reached, or None if it answers."""
    try:
        socket.create_connection(host, timeout=timeout).close()
        answers.put("")
    except OSError as error:
        answers.put(str(error) or type(error).__name__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
