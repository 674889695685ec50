"""An export folder that gets all of a new model's files, or none."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from search.errors import SettingsError
from search.export.folder import CARD, LABELS, METRICS, MODEL
from search.export.formats.catalog import FORMATS

STAGED = ".new-"  # what such a folder's name begins with; one is left where the machine stopped


@contextmanager
def staged(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder inside a target; whatever happens, it is gone afterwards.

    Folders that had to be made for it are gone, too, unless something was put in them. One process
    at a time may do this to a target: what a stopped one left is removed.

    Raises:
        SettingsError: the target holds a model that is not to be overwritten, or other things, or
            cannot be written.
    """
    absent = [path for path in (target, *target.parents) if not path.exists()]
    try:
        try:
            staging = _prepared(target, overwrite=overwrite)
        except OSError as error:
            raise not_writable(target, error) from error
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    finally:
        _remove_empty(absent)


def not_writable(target: Path, error: OSError) -> SettingsError:
    """Return the error for a target that cannot be written."""
    why = error.strerror or str(error)
    return SettingsError(f"`--to {target}` cannot be written ({why}); name another folder")


def publish(staging: Path, target: Path) -> None:
    """Move a new model's files to the target, in place of an older model's.

    The older model's other formats and results go: they would be of another model than
    `model.keras`. Files that belong to no model stay. Wherever this is broken off, the folder has
    the older model and its labels, the new model and its labels, or the new labels beside the
    older model, which their digest of it refuses.
    """
    for name in (*_names_of_formats(), METRICS, CARD):
        _remove(target / name)
    for path in sorted(staging.iterdir(), key=_turn):
        _remove_folder(target / path.name)
        path.replace(target / path.name)


def _turn(path: Path) -> int:
    return {LABELS: 0, MODEL: 2}.get(path.name, 1)


def _prepared(target: Path, *, overwrite: bool) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    check_target(target, overwrite=overwrite)
    for left in target.glob(f"{STAGED}*"):
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=STAGED, dir=target))


def check_target(target: Path, *, overwrite: bool) -> None:
    """Check that a folder is empty or absent, or holds a model that may be overwritten.

    Raises:
        SettingsError: it is not so.
    """
    if target.exists() and not target.is_dir():
        raise SettingsError(f"`--to {target}` must be a folder; it is a file. Name another one")
    holds_model = (target / MODEL).is_file()
    found = {path.name for path in target.iterdir()} if target.is_dir() else set()
    others = {name for name in found if not name.startswith(STAGED)}
    if others < found:  # an export was stopped: its own files may be overwritten
        others -= {LABELS, *_names_of_formats()}
    if others and not holds_model:
        raise SettingsError(f"`--to {target}` holds other things; name a new folder")
    if holds_model and not overwrite:
        raise SettingsError(
            f"`--to {target}` holds a model already; replace it with `--overwrite`"
            " or name a new folder"
        )


def _names_of_formats() -> Iterable[str]:
    return {
        name for form in FORMATS.values() for name in (form.file, *form.more_files) if name != MODEL
    }


def _remove(path: Path) -> None:
    _remove_folder(path)
    path.unlink(missing_ok=True)


def _remove_folder(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:  # the innermost first
        try:
            folder.rmdir()
        except OSError:
            return
