"""Keras's archive: it is always written, and `predict` and `evaluate` load it."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from search.data.arrays import Array
from search.export.archive import own_in
from search.export.folder import ModelFolder, why_not_read
from search.export.formats.base import (
    VOCABULARY,
    Exportable,
    Format,
    Samples,
    outputs_of,
    raw_phrase,
    write_vocabulary,
)
from search.export.labels import Labels
from search.export.loading import predicted_values
from search.export.raw import raw_type
from tracking.home import MODEL

TRIED_BYTES = 50 << 20  # of weights; of larger models only the configuration is tried in advance
DIFFERENCE = 1e-3  # of one output; a larger one means that the loaded model differs
REGISTER = (
    "Decorate custom layers, models and functions with"
    " `@keras.saving.register_keras_serializable()`, give those with arguments a `get_config`, and"
    " use such a layer or function instead of a `Lambda` with a Python lambda"
)


class KerasArchive(Format):
    """`model.keras`, read in Keras's safe mode, which runs no code from it."""

    name, file, runtime = "keras", MODEL, "keras"
    more_files = (VOCABULARY,)

    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model without objects that only training needs."""
        write_archive(made.model, folder / self.file)
        write_vocabulary(made.labels, folder)

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Return the values that `predict` would give."""
        model = ModelFolder(folder).load()
        return {"inputs": predicted_values(model, samples.given, labels)}

    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output."""
        return f"{raw_phrase(labels)}; returns {labels.returns}"

    def details(self, labels: Labels, folder: Path) -> dict[str, Any]:
        """Return the names of custom objects, if there are any, and what its inputs are.

        That is the type of one input, or the kinds of several.
        """
        names = ModelFolder(folder).own_names()
        kinds = [{"name": own.name, "kind": labels.part(own.name).kind} for own in labels.inputs]
        taken = {"inputs": kinds} if kinds else {"raw_type": raw_type(labels.encoder)}
        return taken | ({"own": list(names)} if names else {})


def write_archive(model: Any, path: Path) -> None:
    """Write a model into an archive, without objects that only training needs.

    Custom losses, metrics, optimizers, initializers, regularizers and constraints are left out,
    because they could make the archive unwritable or unreadable. So are training steps: a
    functional or sequential model of a custom class is written as Keras's class, unless the class
    also has a `call`.
    """
    with _for_inference(model):
        model.save(path)


def doubt_about(model: Any, some: Array) -> str:
    """Return why a model could not be exported, with the remedy; empty if it could.

    It is written, read in this process, and compared. Of a model larger than `TRIED_BYTES`, only
    the configuration is written and, if it has custom objects, a model is built from it.

    Args:
        model: with weights.
        some: the model's input for a few samples.
    """
    import keras

    size = sum(int(np.prod(weight.shape)) * 4 for weight in model.weights)
    try:
        with tempfile.TemporaryDirectory(prefix="foldwise-") as place:
            folder = ModelFolder(Path(place))
            if size > TRIED_BYTES:
                with _for_inference(model):
                    described = keras.saving.serialize_keras_object(model)
                if own_in(described):
                    keras.saving.deserialize_keras_object(described, safe_mode=True)
                return ""
            write_archive(model, folder.model)
            again = folder.load()
    except (OSError, MemoryError):
        return ""  # the machine lacks something, not the model
    except Exception as error:  # noqa: BLE001 # custom classes may raise anything
        return (
            "`export` will refuse the models of this space: Keras cannot read them again after they"
            f" are written ({why_not_read(error)}). {REGISTER}."
        )
    found, expected = outputs_of(again, some), outputs_of(model, some)
    if found.shape == expected.shape and np.allclose(found, expected, DIFFERENCE, DIFFERENCE):
        return ""
    return (
        "`export` will refuse the models of this space: after they are written and read again, they"
        " give other outputs. Does a custom function have the name of one of Keras's, or does a"
        f" layer have state that is not a weight? {REGISTER}."
    )


@contextmanager
def _for_inference(model: Any) -> Iterator[None]:
    """Remove objects that only training needs from a model while it is written."""
    import keras

    with ExitStack() as stack:
        for layer in model._flatten_layers():
            changes = {name: _plain(name) for name in _of_training(layer)}
            if isinstance(layer, keras.Model):
                if layer.compiled:
                    changes |= {"compiled": False, "optimizer": None}
                stack.enter_context(_set(layer, "__class__", _class_of_keras(layer)))
            for name, value in changes.items():
                stack.enter_context(_set(layer, name, value))
        yield


@contextmanager
def _set(thing: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(thing, name)
    setattr(thing, name, value)
    try:
        yield
    finally:
        setattr(thing, name, before)


def _of_training(layer: Any) -> list[str]:
    """Return the attributes with initializers, regularizers or constraints to leave out.

    These are custom ones, and initializers that contain weights, such as word vectors.
    """
    ends = ("_initializer", "_regularizer", "_constraint")
    return [
        name
        for name, value in vars(layer).items()
        if name.endswith(ends) and (_is_own(value) or np.ndim(getattr(value, "value", 0)))
    ]


def _plain(name: str) -> Any:
    import keras

    return keras.initializers.GlorotUniform() if name.endswith("_initializer") else None


def _is_own(value: Any) -> bool:
    kind = value if hasattr(value, "__name__") else type(value)
    return value is not None and not str(kind.__module__).startswith("keras.")


def _class_of_keras(model: Any) -> type:
    """Return Keras's class for a model whose custom class does not change its predictions."""
    import keras

    kinds = type(model).__mro__
    own = list(takewhile(_is_own, kinds))
    is_graph = kinds[len(own)] is not keras.Model  # except Functional or Sequential
    calls = any({"call", "__call__"} & set(vars(kind)) for kind in own)
    return kinds[len(own)] if is_graph and not calls else type(model)
