"""Whose code an exported model may have run so that Keras knows the model's own classes.

An exported folder may come from anybody, so nothing that is written in it is ever imported. Code
is run that the user names, or that the home's own study was made with, where its journal tells of
this very archive (by SHA-256).
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from search.data.inputs import ImageEncoder, TextEncoder, spec_of
from search.errors import DataError, FoldwiseError
from search.export.folder import CHECKED, Code, Labels, ModelFolder, NeedsCode
from search.studies import study_folder, study_history
from search.text import shell
from spaces import absolute, run_code
from tracking.home import Home

DIFFERENCE = 1e-3  # of one value; other machines and versions round otherwise by less


def code_of(reference: str, labels: Labels) -> Code:
    """Return what runs the code of a space: imports it, then builds one of its models.

    Args:
        reference: of the space.
        labels: of the exported model.
    """
    spec = spec_of(labels.encoder, labels.kind, len(labels.classes))
    return partial(run_code, absolute(reference), spec)


def checked(model: Any, labels: Labels) -> Labels:
    """Return the labels with what a model gives for made-up samples."""
    found = _tried(model, labels)
    return labels if found is None else replace(labels, check=tuple(map(tuple, found.tolist())))


def open_model(folder: ModelFolder, labels: Labels, code: Code | None) -> Any:
    """Return the Keras model of a folder, which computes what it did when it was written.

    Args:
        folder: what `export` wrote.
        labels: of the same folder.
        code: registers the model's own parts, as `ModelFolder.load` takes it.

    Raises:
        DataError: there is no model, it is damaged, its code is not known, or was changed.
    """
    model = folder.load(code)
    if labels.check:
        found, expected = _tried(model, labels), np.array(labels.check)
        if found is None or not np.allclose(found, expected, DIFFERENCE, DIFFERENCE):
            own = ", ".join(folder.own_names())
            gave = "fails" if found is None else f"is off by {np.abs(found - expected).max():.2g}"
            raise DataError(
                f"{folder.model} must give what it gave when it was exported; for made-up samples"
                f" it {gave}. Its own parts ({own}) were changed since: bring back the code it was"
                " exported with, or export again."
            )
    return model


def _tried(model: Any, labels: Labels) -> Any:
    """Return a model's values for made-up samples; None where it gives no numbers for them."""
    from search.export.predict import class_values

    try:
        found = class_values(model, made_up(labels)[: len(labels.check) or CHECKED], labels)
    except Exception:  # noqa: BLE001 # made-up samples may be beyond what the model was made for
        return None
    return found if np.isfinite(found).all() else None


def made_up(labels: Labels) -> Any:
    """Return samples as a model receives them, the same in each version and on each machine."""
    encoder, chance = labels.encoder, np.random.RandomState(0)  # NumPy keeps its numbers for good
    shape = (CHECKED, *encoder.input_shape)
    match encoder:
        case ImageEncoder():
            return encoder.scale(chance.randint(0, 256, shape, np.uint8))
        case TextEncoder(size=size):
            return chance.randint(0, size, shape, np.int32)
        case _:
            return chance.standard_normal(shape).astype(np.float32)


def load_model(folder: ModelFolder, labels: Labels, *, space: str | None, home: Path | None) -> Any:
    """Return the Keras model of a folder of unknown origin.

    Args:
        folder: what `export` wrote.
        labels: of the same folder.
        space: reference of the space whose code may be run, as the user names it.
        home: whose studies are trusted; None for no home.

    Raises:
        NeedsCode: it has classes of its own, and none of the two knows their code.
        DataError: there is no model, or it is damaged.
    """
    reference = space or _space_in(home, folder)
    try:
        return open_model(folder, labels, code_of(reference, labels) if reference else None)
    except NeedsCode as error:
        raise error.with_remedy(_remedy(folder)) from error


def _space_in(home: Path | None, folder: ModelFolder) -> str | None:
    """Return the space of the study in a home that has exported this very archive."""
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
        "Where it was exported, name that home with `--home`; elsewhere get the file with the space"
        f"{origin} and name it, if you trust it, since it is run:"
        f" `{shell('predict', str(folder.path), 'INPUT', '--space', 'FILE.py:NAME')}`."
    )
