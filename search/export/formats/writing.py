"""A model written in several formats, each loaded again and compared with the Keras model."""

import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.environment import package_versions
from search.errors import FoldwiseError, SettingsError
from search.export.folder import Labels, why_not_read
from search.export.formats.base import Difference, Exportable, Format, Samples
from search.export.formats.catalog import KERAS
from search.export.formats.keras_archive import REGISTER
from search.quiet import standard_error_to

# Sums in another order round otherwise, by 6e-8 of a number's size in each layer. Over 200 layers,
# errors of random sign, a logit of 30 changes by about 30 x 6e-8 x sqrt(200) = 3e-5, a probability
# by at most a quarter of that. Measured: up to 1e-6 (LeNets, LSTMs). What a mistake changes (a
# scale, a layer left in training mode, weights in another order) is far above it.
TOLERANCE = 1e-4


class ExportFailed(FoldwiseError):
    """A format that predicts otherwise than the Keras model."""


@dataclass(frozen=True)
class Written:
    """A format that was written and found to be right.

    Attributes:
        format: its name.
        file: its file or folder, in the export folder.
        size: bytes of it.
        difference: largest difference from the Keras model's probabilities.
        takes: what goes in and comes out, for people.
        runtime: the package that ran it, pinned.
        details: what else is to be known of it, by name.
    """

    format: str
    file: str
    size: int
    difference: float
    takes: str
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
            "runtime": self.runtime,
            **self.details,
        }


def exportable(model: Any, labels: Labels, samples: Samples) -> Exportable:
    """Return a model with all that writing and checking it takes."""
    from search.export.formats.probabilities import outputs_of

    with _exact_products():
        found = outputs_of(model, samples.encoded)
        return Exportable(model, labels, samples, labels.meaning.values(found))


def write_formats(
    formats: Sequence[Format], made: Exportable, folder: Path, *, log: Path
) -> list[Written]:
    """Write a model into a folder in each format, load it again and compare.

    Args:
        formats: which ones.
        made: the model, and what it is compared on.
        folder: an existing one.
        log: file that gets what converters and interpreters say.

    Raises:
        SettingsError: one cannot be written or loaded.
        ExportFailed: one predicts otherwise than the Keras model.
    """
    return [_write(each, made, folder, log) for each in formats]


def rehearse(formats: Sequence[Format], made: Exportable, folder: Path, *, log: Path) -> None:
    """Write and check a model whose training is still to come, and delete what was written.

    Raises:
        SettingsError, ExportFailed: as `write_formats`.
    """
    place = folder / "rehearsal"
    place.mkdir()
    try:
        write_formats(formats, made, place, log=log)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _write(form: Format, made: Exportable, folder: Path, log: Path) -> Written:
    try:
        with standard_error_to(log), _exact_products(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of converters; what matters is compared
            form.write(made, folder)
            found = form.predict(folder, made.samples, made.labels)
        difference = Difference.of(found, made.expected)
    except OSError:
        raise  # the folder cannot be written
    except Exception as error:  # Keras and the converters raise all kinds
        raise _cannot(form, error) from error
    if not difference.largest <= TOLERANCE:
        raise ExportFailed(
            f"format {form.name}: probabilities must be within {TOLERANCE:g} of the Keras model's"
            f" on {len(made.expected)} training samples; the largest difference is"
            f" {difference.largest:.2g} (input `{difference.way}`). Nothing was exported."
            f"{_remedy(form)}"
        )
    runtime = package_versions((form.runtime,))
    return Written(
        format=form.name,
        file=form.file,
        size=form.size(folder),
        difference=difference.largest,
        takes=form.takes(made.labels),
        runtime="".join(f"{name}=={version}" for name, version in runtime.items()),
        details=form.details(made.labels, folder),
    )


def _cannot(form: Format, error: Exception) -> SettingsError:
    why = why_not_read(error)
    if form.name == KERAS:
        return SettingsError(
            "the models of this space cannot be exported: once they are written, Keras cannot read"
            f" them again ({why}). {REGISTER}."
        )
    return SettingsError(
        f"format {form.name}: the model must be convertible; it is not ({why})."
        f" Nothing was exported.{_remedy(form)}"
    )


def _remedy(form: Format) -> str:
    return "" if form.name == KERAS else f" Leave `{form.name}` out of `--format`."


@contextmanager
def _exact_products() -> Iterator[None]:
    """Compute products in full float32 meanwhile, where a GPU would take fewer digits (TF32)."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
