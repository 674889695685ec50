"""The project's own cache: one folder for each distinct content of a dataset.

A folder `NAME-DIGEST12` appears whole, by renaming. What has no readable manifest is ignored.
"""

import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from search.data.arrays import digest_of
from search.data.contents import Contents
from search.data.dataset import Dataset
from search.data.manifest import Manifest, Stamp
from search.errors import DataError, SettingsError

SCRATCH = ".new-"
ABANDONED_SECONDS = 24 * 3600


def kept(root: Path, name: str) -> list[Dataset]:
    """Return all complete datasets called `name`, the newest first.

    Args:
        root: the folder of all cached datasets.
        name: the dataset's name.
    """
    found = []
    for folder in root.glob(f"{folder_stem(name)}-*"):
        try:
            manifest, dataset = Manifest.read(folder), Dataset.open(folder)
        except DataError:
            continue
        if manifest.name == name:
            found.append((manifest.created, dataset))
    return [dataset for _, dataset in sorted(found, key=lambda pair: pair[0], reverse=True)]


def remembered(root: Path, name: str, stamp: Stamp) -> Dataset | None:
    """Return the dataset that was read from these very files, if they have not changed since."""
    if not stamp.files:
        return None
    for dataset in kept(root, name):
        if any(old.files == stamp.files for old in Manifest.read(dataset.folder).stamps):
            return replace(dataset, source=stamp.source)
    return None


def folder_stem(name: str) -> str:
    """Return the part of a dataset's folder name that tells people whose it is."""
    return re.sub(r"[^\w.-]+", "-", name)[-60:]


def keep(root: Path, arrays: Path, name: str, contents: Contents, stamp: Stamp) -> Dataset:
    """Move a folder of arrays into the cache.

    The same content from another source is kept once. Safe when two processes do it at once.

    Args:
        root: the folder of all cached datasets.
        arrays: a folder from `scratch` with the arrays; it is used up.
        name: the dataset's name.
        contents: what the arrays are.
        stamp: what the arrays were read from, as it was before reading.
    """
    digest = digest_of(arrays, contents.kind)
    manifest = Manifest(name, digest, contents.classes, (stamp,), contents.kind, contents.columns)
    manifest.write(arrays)
    folder = root / f"{folder_stem(name)}-{digest[:12]}"
    try:
        arrays.rename(folder)
    except OSError:
        # It is there already, from another source or by a process that was faster; or damaged.
        if _is_intact(folder, digest) and Manifest.read(folder).names == manifest.names:
            Manifest.read(folder).with_stamp(stamp).write(folder)
        else:
            discard(folder)
            arrays.rename(folder)
    return replace(Dataset.open(folder), source=stamp.source)


def discard(folder: Path) -> None:
    """Delete a dataset's folder; it vanishes at once, whoever looks."""
    aside = folder.with_name(f"{SCRATCH}{secrets.token_hex(4)}")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Give a new folder beside the cached datasets, and delete what is left of it afterwards.

    Raises:
        SettingsError: the home cannot be written.
    """
    folder = root / f"{SCRATCH}{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise SettingsError(
            f"the home must be a folder that can be written; {root} cannot be ({error.strerror})."
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
    """Delete what processes that were killed have left."""
    for folder in root.glob(f"{SCRATCH}*"):
        try:
            abandoned = time.time() - folder.stat().st_mtime > ABANDONED_SECONDS
        except FileNotFoundError:
            continue
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)
