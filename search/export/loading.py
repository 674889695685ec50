"""An exported model opened again: whose code may run, and whether it computes as it did.

An exported folder may come from anybody, so no module is imported because the folder names it. Only
two kinds of code run: a space that the user names, and the space of a study in the home whose
journal records this archive by its SHA-256.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from search.data.encoders import ImageEncoder, SequenceEncoder, TableEncoder, TextEncoder
from search.data.inputs import spec_of
from search.errors import DataError, FoldwiseError
from search.export.folder import Code, ModelFolder, NeedsCode
from search.export.labels import CHECKED, Labels
from search.export.raw import raw_pixels, raw_shape, raw_type
from search.studies import study_folder, study_history
from search.tasks.models import count_of, first_of
from spaces import absolute, run_code
from tracking.home import Home
from tracking.text import shell

DIFFERENCE = 1e-3  # of one value; rounding on other machines and versions is smaller


def code_of(reference: str, labels: Labels) -> Code:
    """Return a function that runs the code of a space: imports it, then builds one of its models.

    Args:
        reference: of the space.
        labels: of the exported model.
    """
    spec = spec_of(labels.encoder, labels.kind, labels.task)
    return partial(run_code, absolute(reference), spec)


def checked(model: Any, labels: Labels) -> Labels:
    """Return the labels with a model's outputs for made-up samples."""
    found = _tried(model, labels)
    return labels if found is None else replace(labels, check=tuple(map(tuple, found.tolist())))


def load_model(folder: ModelFolder, labels: Labels, *, space: str | None, home: Path | None) -> Any:
    """Return the Keras model of a folder of unknown origin.

    Args:
        folder: written by `export`.
        labels: of the same folder.
        space: reference of the space whose code may run, named by the user.
        home: the home whose studies are trusted; None: no home.

    Raises:
        NeedsCode: it has custom classes, and neither `space` nor `home` has their code.
        DataError: there is no model, or it is damaged.
    """
    reference = space or _space_in(home, folder)
    try:
        return open_model(folder, labels, code_of(reference, labels) if reference else None)
    except NeedsCode as error:
        raise error.with_remedy(_remedy(folder)) from error


def open_model(folder: ModelFolder, labels: Labels, code: Code | None) -> Any:
    """Return a folder's Keras model, which computes the same as when it was written.

    Args:
        folder: written by `export`.
        labels: of the same folder.
        code: registers custom objects, as `ModelFolder.load` takes it.

    Raises:
        DataError: there is no model, it is damaged, or its code is unknown or has changed.
    """
    model = folder.load(code)
    if labels.check:
        found, expected = _tried(model, labels), np.array(labels.check)
        if found is None or not np.allclose(found, expected, DIFFERENCE, DIFFERENCE):
            own = ", ".join(folder.own_names())
            gave = "fails" if found is None else f"is off by {np.abs(found - expected).max():.2g}"
            raise DataError(
                f"{folder.model} must give the same outputs as when it was exported; for made-up"
                f" samples it {gave}. Its custom objects ({own}) have changed since: restore the"
                " code it was exported with, or export again."
            )
    return model


def predicted_values(model: Any, inputs: Any, labels: Labels) -> Any:
    """Return a loaded model's values, float `(n, units)`, in the form of its task.

    The labels give the meaning of its outputs, because its loss is not loaded.

    Args:
        model: from `ModelFolder.load`.
        inputs: the model's input, `(n, ...)`, or several by their names.
        labels: of the same export.

    Raises:
        ValueError: there is not one output for each value, or one for two classes.
    """
    from search.training.fit import predict

    try:
        found = predict(model, inputs, labels.outputs)
    except Exception:
        if model.run_eagerly:
            raise
        model.run_eagerly = True  # as its `compile` had asked for, perhaps
        return predicted_values(model, inputs, labels)
    if found.shape != (count_of(inputs), labels.task.units):
        raise ValueError(f"it gives {found.shape} for {count_of(inputs):,} samples")
    return found


def made_up(labels: Labels) -> Any:
    """Return a model's input of made-up samples, the same on all machines and versions."""
    encoder, chance = labels.encoder, np.random.RandomState(0)  # its stream never changes
    if labels.inputs:
        return {each.name: made_up(labels.part(each.name)) for each in labels.inputs}
    is_raw = labels.is_raw
    shape = (CHECKED, *(raw_shape(encoder) if is_raw else encoder.input_shape))
    match encoder:
        case ImageEncoder(pixel_range=ranged):
            pixels = chance.randint(0, 256, shape, np.uint8)
            return raw_pixels(pixels, ranged, encoder.dark) if is_raw else encoder.scale(pixels)
        case TextEncoder(size=size):
            return chance.randint(0, size, shape, np.int32)
        case TableEncoder() | SequenceEncoder() if is_raw:
            usual = chance.standard_normal(shape) * encoder.deviations + encoder.means
            return usual.astype(raw_type(encoder))
        case _:
            return chance.standard_normal(shape).astype(np.float32)


def _space_in(home: Path | None, folder: ModelFolder) -> str | None:
    """Return the space of the study in a home that exported this archive."""
    if home is None or not home.is_dir():
        return None
    try:
        history = study_history(study_folder(Home(home), str(folder.metrics().get("study", ""))))
    except FoldwiseError:
        return None
    digest = folder.model_sha256()
    known = any(export.model_sha256 == digest for export in history.exports)
    return history.known_study().space if known else None


def _remedy(folder: ModelFolder) -> str:
    named = str(folder.metrics().get("space", ""))
    origin = f" (the folder says: {named[:200]!r})" if ":" in named else ""
    return (
        "Where it was exported, name its home with `--home`; elsewhere, get the file with the space"
        f"{origin} and, if you trust it, name it, which runs it:"
        f" `{shell('predict', str(folder.path), 'INPUT', '--space', 'FILE.py:NAME')}`."
    )


def _tried(model: Any, labels: Labels) -> Any:
    """Return a model's values for made-up samples; None if it gives no numbers."""
    try:
        some = first_of(made_up(labels), len(labels.check) or CHECKED)
        found = predicted_values(model, some, labels)
    except Exception:  # noqa: BLE001 # made-up samples may be invalid for the model
        return None
    return found if np.isfinite(found).all() else None
