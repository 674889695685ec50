"""Write a model in several formats; each is loaded again and compared with the Keras model.

An export folder gets all files of a new model, or none.
"""

import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.environment import package_versions
from search.errors import FoldwiseError, SettingsError
from search.export.folder import why_not_read
from search.export.formats import FORMATS, KERAS
from search.export.formats.base import (
    Difference,
    Exportable,
    Format,
    Samples,
    outputs_of,
    raw_model,
)
from search.export.formats.keras_archive import REGISTER
from search.export.labels import Labels, values_of
from search.export.raw import raw_samples
from search.export.snippets import example_of
from search.quiet import standard_error_to, without_remarks
from search.tasks.regression import NUMBERS
from tracking.home import CARD, LABELS, METRICS, MODEL, RELIABILITY

# Sums in another order differ by rounding, by 6e-8 of a number's size in each layer. Over 200
# layers, with errors of random sign, a logit of 30 changes by about 30 x 6e-8 x sqrt(200) = 3e-5, a
# probability by at most a quarter of that. Measured: up to 1e-6 (LeNets, LSTMs). A mistake (a
# scale, a layer left in training mode, weights in another order) changes far more.
TOLERANCE = 1e-4


class ExportFailed(FoldwiseError):
    """A format whose predictions differ from the Keras model's.

    Attributes:
        why: what differs by how much, a clause.
    """

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why


@dataclass(frozen=True)
class Written:
    """A format that was written and checked.

    Attributes:
        format: its name.
        file: its file or folder, in the export folder.
        size: bytes.
        difference: largest difference from the Keras model's values, in units of their spread.
        takes: input and output, for people.
        returns: dtype of its values.
        runtime: the package that ran it, pinned.
        details: more entries, by name.
    """

    format: str
    file: str
    size: int
    difference: float
    takes: str
    returns: str
    runtime: str
    details: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of a `ModelExported` record."""
        return {
            "format": self.format,
            "file": self.file,
            "bytes": self.size,
            "difference": self.difference,
            "takes": self.takes,
            "returns": self.returns,
            "runtime": self.runtime,
            **self.details,
        }


def exportable(model: Any, labels: Labels, samples: Samples) -> Exportable:
    """Return a model that takes raw samples, with the data to write and check it.

    Args:
        model: from encoded samples to outputs.
        labels: of that model.
        samples: real ones, raw and encoded.

    Raises:
        SettingsError: the model cannot be part of another one.
    """
    with _exact_products():
        found = outputs_of(model, samples.encoded, labels.outputs.names)
        expected = labels.outputs.values(found)
        taken = replace(labels, outputs=values_of(labels.outputs, labels.task), is_raw=True)
        samples = replace(samples, given=raw_samples(samples.raw, taken))
        try:
            whole = raw_model(model, labels, samples)
        except Exception as error:  # a class of a user's may raise anything
            raise SettingsError(
                "the models of this space cannot be exported: it must be possible to make them part"
                f" of a Keras model that takes raw samples; it is not ({why_not_read(error)}). Use"
                " operations of Keras or TensorFlow in `call`, not NumPy's."
            ) from error
        return Exportable(whole, taken, samples, expected)


def write_formats(
    formats: Sequence[Format], made: Exportable, folder: Path, *, log: Path
) -> list[Written]:
    """Write a model into a folder in each format, load it again and compare.

    Args:
        formats: the formats to write.
        made: the model, and samples to compare it on.
        folder: an existing folder.
        log: file for messages of converters and interpreters.

    Raises:
        SettingsError: a format cannot be written or loaded.
        ExportFailed: a format's predictions differ from the Keras model's.
    """
    return [_write(each, made, folder, log) for each in formats]


def rehearse(formats: Sequence[Format], made: Exportable, folder: Path, *, log: Path) -> None:
    """Write and check a model before its training, and delete the files.

    Raises:
        SettingsError, ExportFailed: as in `write_formats`.
    """
    place = folder / "rehearsal"
    place.mkdir()
    try:
        write_formats(formats, made, place, log=log)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _write(form: Format, made: Exportable, folder: Path, log: Path) -> Written:
    try:
        with (
            standard_error_to(log),
            without_remarks(),
            _exact_products(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # warnings of converters; results are compared
            form.write(made, folder)
            found = form.predict(folder, made.samples, made.labels)
        difference = Difference.of(found, made.expected, made.samples.spread)
    except OSError:
        raise  # the folder cannot be written
    except Exception as error:  # Keras and the converters raise errors of all types
        raise _cannot(form, error) from error
    if not difference.largest <= TOLERANCE:
        raise ExportFailed(
            f"format {form.name}: {made.labels.returns} must be within {TOLERANCE:g}"
            f"{_unit(made.labels)} of the Keras model's on {len(made.expected)} training samples;"
            f" the largest difference is {difference.largest:.2g} (input `{difference.mode}`)."
            " Nothing was exported."
            f"{_remedy(form)}",
            f"{form.name} gave {made.labels.returns} that differ by {difference.largest:.2g}",
        )
    runtime = package_versions((form.runtime,))
    return Written(
        format=form.name,
        file=form.file,
        size=form.size(folder),
        difference=difference.largest,
        takes=form.takes(made.labels),
        returns=form.returned(made),
        runtime="".join(f"{name}=={version}" for name, version in runtime.items()),
        details=form.details(made.labels, folder)
        | {"example": example_of(made.labels, words=form.takes_words, plain=form.has_plain_names)},
    )


def _unit(labels: Labels) -> str:
    return " standard deviations of the targets" if labels.returns == NUMBERS else ""


def _cannot(form: Format, error: Exception) -> SettingsError:
    why = why_not_read(error)
    if form.name == KERAS:
        return SettingsError(
            "the models of this space cannot be exported: Keras cannot read them again after they"
            f" are written ({why}). {REGISTER}."
        )
    return SettingsError(
        f"format {form.name}: the model must be convertible; it is not ({why})."
        f" Nothing was exported.{_remedy(form)}"
    )


def _remedy(form: Format) -> str:
    return "" if form.name == KERAS else f" Leave `{form.name}` out of `--format`."


@contextmanager
def _exact_products() -> Iterator[None]:
    """Compute products in full float32, where a GPU would use fewer digits (TF32)."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


STAGED = ".new-"  # prefix of such a folder's name; one is left if the machine stopped


@contextmanager
def staged(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder inside a target; afterwards it is always deleted.

    Folders created for it are deleted, too, unless they contain files. Only one process at a time
    may use a target: leftovers of a killed one are removed.

    Raises:
        SettingsError: the target contains a model that must not be overwritten, or other files, or
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


def clear(folder: Path) -> None:
    """Delete all that is in a folder."""
    for path in folder.iterdir():
        _remove(path)


def not_writable(target: Path, error: OSError) -> SettingsError:
    """Return the error for a target that cannot be written."""
    why = error.strerror or str(error)
    return SettingsError(f"the folder {target} cannot be written ({why}); name another folder")


def publish(staging: Path, target: Path) -> None:
    """Move a new model's files to the target, replacing an older model's.

    The older model's other formats and results are deleted, because they would not match
    `model.keras`. Files that belong to no model stay. If this is interrupted, the folder has the
    older model and its labels, the new model and its labels, or the new labels beside the older
    model, which their digest then refuses.
    """
    for name in (*_names_of_formats(), METRICS, CARD, RELIABILITY):
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
    """Check that a folder is empty, absent, or has a model that may be overwritten.

    Raises:
        SettingsError: it is neither.
    """
    if target.exists() and not target.is_dir():
        raise SettingsError(f"{target} must be a folder to write; it is a file. Name another one")
    holds_model = (target / MODEL).is_file()
    found = {path.name for path in target.iterdir()} if target.is_dir() else set()
    others = {name for name in found if not name.startswith(STAGED)}
    if others < found:  # an export was interrupted: its files may be overwritten
        others -= {LABELS, *_names_of_formats()}
    if others and not holds_model:
        raise SettingsError(f"the folder {target} contains other files; name a new folder")
    if holds_model and not overwrite:
        raise SettingsError(
            f"the folder {target} already contains a model; replace it with `--overwrite`"
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
