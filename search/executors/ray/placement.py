"""A machine's own copies of what travels to it: made once, shared by its workers."""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from search.errors import DataError, SettingsError
from search.executors.ray.bundles import Bundle

VARIABLE = "FOLDWISE_NODE_CACHE"

Fetch: TypeAlias = Callable[[Bundle], Iterable[tuple[str, bytes]]]

_LOCK = "lock"


def cache_root() -> Path:
    """Return this machine's folder for what travels to it, made where it is missing.

    It is `$FOLDWISE_NODE_CACHE`, or a folder of the user's among the temporary files.

    Raises:
        SettingsError: the folder is somebody else's: the code in it would run as us.
    """
    named = os.environ.get(VARIABLE)
    root = Path(named) if named else Path(tempfile.gettempdir()) / f"foldwise-{os.getuid()}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise SettingsError(
            f"{root} must belong to the user that Ray runs as; it belongs to user"
            f" {root.stat().st_uid}. Name another folder with the environment variable {VARIABLE}."
        )
    return root


def place(bundle: Bundle, root: Path, fetch: Fetch) -> Path:
    """Return the folder with a bundle's files, fetched unless they are there already.

    Of several workers that start at once one fetches and the others wait for it. The folder is
    whole or absent, whenever a worker or the machine goes down.

    Args:
        bundle: what is wanted.
        root: the machine's cache.
        fetch: yields names and bytes of the bundle's files, in order, long files in pieces.

    Raises:
        DataError: what came is not what was announced.
        OSError: there is no room.
    """
    folder = root / bundle.digest
    with _locked(root / f"{bundle.digest}.lock"):
        if not _is_whole(folder, bundle):
            for left in (folder, *root.glob(f".{bundle.digest}.*")):  # by who was ended meanwhile
                shutil.rmtree(left, ignore_errors=True)
            partial = root / f".{bundle.digest}.{secrets.token_hex(4)}"
            try:
                _write(partial, bundle, fetch)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Lend an empty folder of one worker's own; those that dead workers left are removed."""
    with _locked(root / _LOCK):
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix="worker-", dir=root))
        held = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _write(folder: Path, bundle: Bundle, fetch: Fetch) -> None:
    for name, _ in bundle.sizes:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for name, piece in fetch(bundle):
        with (folder / name).open("ab") as file:
            file.write(piece)
            file.flush()
            os.fsync(file.fileno())  # the folder's name will say that it is whole
    if not _is_whole(folder, bundle):
        raise DataError(
            f"the files of bundle {bundle.digest[:12]} did not arrive as they were announced; did"
            " the home change meanwhile? Run the same command again."
        )


def _is_whole(folder: Path, bundle: Bundle) -> bool:
    try:
        return all((folder / name).stat().st_size == size for name, size in bundle.sizes)
    except OSError:
        return False


def _sweep(root: Path) -> None:
    for folder in root.glob("worker-*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:  # one that was being removed: ours get their lock before anybody looks
            shutil.rmtree(folder, ignore_errors=True)
            continue
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # let go of by the system, too, when we die
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
