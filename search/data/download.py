"""Datasets that only Keras and TFDS can load, in a child process that may stall.

The child is `search.data.fetch`; the coordinator never imports TensorFlow.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from search.data.answers import PlaceError
from search.data.catalog import DatasetEntry
from search.data.checks import Contents
from search.data.formats.idx import find_files
from search.environment import missing_extra
from search.errors import DataError, SettingsError

WORK = "child"
IMPORT_SECONDS = 120.0
POLL_SECONDS = 0.1
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}


class ChildError(Exception):
    """The child failed or was killed; the message is one sentence without a full stop.

    Attributes:
        at_work: its imports were done, so the cause is the data or the network.
    """

    def __init__(self, message: str, *, at_work: bool) -> None:
        super().__init__(message)
        self.at_work = at_work


def fetch(
    arguments: Sequence[str],
    folder: Path,
    *,
    stall_seconds: float,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run the child until it ends.

    Args:
        arguments: the child's, without the last one, READY.
        folder: where it writes; growth shows that it is alive.
        stall_seconds: once the imports are done, the child is killed after this long without
            growth.
        environment: added to this process's own.

    Raises:
        ChildError: the child failed or stalled.
    """
    work = folder / WORK
    work.mkdir()
    log, ready = work / "log", work / "ready"
    with log.open("wb") as output:
        child = subprocess.Popen(  # nosec B603 # this interpreter; names were checked
            [sys.executable, "-m", "search.data.fetch", *arguments, str(ready)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **QUIET, **_path(), **(environment or {})},
        )
    try:
        _watch(child, folder, stall_seconds)
        if child.returncode:
            raise ChildError(_last_line(log), at_work=ready.exists())
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        shutil.rmtree(work, ignore_errors=True)


def _watch(child: "subprocess.Popen[bytes]", folder: Path, stall_seconds: float) -> None:
    ready = folder / WORK / "ready"
    started = changed = time.monotonic()
    size = -1
    while child.poll() is None:
        time.sleep(POLL_SECONDS)
        now = time.monotonic()
        if not ready.exists():
            changed = now
            if now - started > IMPORT_SECONDS:
                raise ChildError(f"not ready after {IMPORT_SECONDS:.0f} s", at_work=False)
        elif (grown := _bytes_in(folder)) != size:
            size, changed = grown, now
        elif now - changed > stall_seconds:
            raise ChildError(f"nothing arrived for {stall_seconds:.0f} s", at_work=True)


def _bytes_in(folder: Path) -> int:
    """Return the size of all files below `folder`, without the child's log."""
    total = 0
    for parent, folders, names in os.walk(folder):
        if WORK in folders:
            folders.remove(WORK)
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def _path() -> dict[str, str]:
    """Return an environment in which the child finds this package from any folder."""
    paths = [os.environ.get("PYTHONPATH", ""), str(Path(__file__).resolve().parents[2])]
    return {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no message")


# Less than the documented 15 s: noticing the stall and killing the child take time, too.
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
        PlaceError: TFDS cannot be used.
    """
    _check_named(entry, read_prepared(version, out), str(version))


def download_named(entry: DatasetEntry, out: Path) -> None:
    """Have TFDS download a named dataset and write its arrays.

    Raises:
        PlaceError: there is no connection, the download stalled, or it is damaged.
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
        DataError: TFDS cannot read it, or it is not a classification set of images or texts.
        PlaceError: TFDS cannot be used.
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
        name: TFDS's name, optionally with configuration and version.
        out: receives the `.npy` files.

    Raises:
        SettingsError: TFDS knows no such dataset, configuration or version.
        DataError: it is not a classification set of images or texts.
        PlaceError: there is no connection, the download stalled, or TFDS cannot prepare it.
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
        PlaceError: there is no connection, the download stalled, or it is damaged.
    """
    try:
        with _folder(out / "keras") as keras:
            environment = {"KERAS_HOME": str(keras)}
            arguments = ["keras", entry.name]
            fetch(arguments, keras, stall_seconds=STALL_SECONDS, environment=environment)
            root = keras / "datasets"
            found = find_files(entry, [*(root / spelling for spelling in entry.spellings), root])
            if found is None:
                raise PlaceError("Keras did not download the expected files")
            found.write(out)
    except ChildError as error:
        raise PlaceError(str(error)) from error
    except DataError as error:
        raise PlaceError(f"what arrived is damaged: {error}") from error


def _by_tfds(arguments: Sequence[str], out: Path, stall_seconds: float) -> Contents:
    if missing_extra("tfds"):
        raise PlaceError(f"TFDS is not installed; install it with `{missing_extra('tfds')}`")
    with _folder(out / "tfds") as work:
        fetch([*arguments, str(out), str(work)], out, stall_seconds=stall_seconds)
        reply = json.loads((work / REPLY).read_text(encoding="utf-8"))
    if "refused" in reply:
        raise (SettingsError if reply["wrong"] else DataError)(reply["refused"])
    return Contents(reply["kind"], tuple(reply["classes"]), notices=tuple(reply["notices"]))


@contextmanager
def _folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder that is deleted afterwards."""
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
