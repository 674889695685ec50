"""Try a hypermodel's own `fit` on a few made samples, before it trains on the study's.

What it tunes is not known until it is called. Each call is one step of one epoch, without tracing.
"""

import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spaces.declaring.importing import described, split
from spaces.declaring.parameters import SpaceError
from spaces.declaring.space import FIT_ARGUMENTS, DataSpec
from spaces.keras_tuner.hypermodel import Hypermodel

Array: TypeAlias = npt.NDArray[Any]

SAMPLES = 32  # that are made at least, for training; half as many for validation
BATCH_SIZE = 16
CALLED = (
    "It is called as `fit(hp, model, x, y, validation_data=(x, y), callbacks=[...], epochs=...,"
    " batch_size=..., verbose=0)`, with NumPy arrays"
)

# What Python says where a function passes on an argument beside one of its own of that name.
_TWICE = re.compile(r"got multiple values for (?:keyword )?argument '(\w+)'")


class TriedFit:
    """Calls a hypermodel's own `fit` as a fold's training would.

    Args:
        hypermodel: has a `fit` of its own.
        target: its reference, for messages.
        data: what the models are built for.
    """

    def __init__(self, hypermodel: Hypermodel, target: str, data: DataSpec) -> None:
        self._hypermodel = hypermodel
        self._target = target
        self._data = data
        self._not_taken = hypermodel.not_taken(FIT_ARGUMENTS)
        self._form = ""
        self._set: dict[tuple[str, ...], Any] = {}

    def set_by_fit(self) -> tuple[str, ...]:
        """Return the arguments that it sets itself or does not take.

        Raises:
            SpaceError: it sets some of them only for some values of hyperparameters.
        """
        found = sorted({name for names in self._set for name in names})
        if len(self._set) > 1:
            apart = [name for name in found if not all(name in names for names in self._set)]
            raise SpaceError(
                f"the `fit` of {self._target} must set `{apart[0]}` for all values of its"
                " hyperparameters or for none, so that it is known whether to pass it; or take"
                f' it out first, with `kwargs.pop("{apart[0]}", None)`'
            )
        return (*self._not_taken, *found)

    def call(self, hp: Any, model: Any, *, raw: bool) -> None:
        """Call it once, with the hyperparameters and model of a build.

        Args:
            hp: a `HyperParameters`, which gets what `fit` asks for.
            model: built with it.
            raw: whether images have pixels 0 to 255.

        Raises:
            SpaceError: it fails, or returns no result.
        """
        set_itself: list[str] = []
        forms = [self._form] if self._form else _forms(self._data, model)
        faults: list[Exception] = []
        fresh: Any = model
        while forms:
            try:
                fresh = self._hypermodel.build(hp) if fresh is None else fresh
                with _aside():
                    self._call(hp, fresh, forms[0], set_itself, raw=raw)
            except SpaceError:
                raise
            except Exception as error:  # noqa: BLE001 # the user's code may raise anything
                fresh = None  # it may have been changed
                name = _set_twice(error, {*FIT_ARGUMENTS} - {*set_itself, *self._not_taken})
                if name:
                    set_itself.append(name)
                else:
                    faults.append(error)
                    forms = forms[1:]
            else:
                self._form = forms[0]
                self._set.setdefault(tuple(sorted(set_itself)), None)
                return
        place, _ = split(self._target)
        raise SpaceError(
            f"the `fit` of {self._target} fails on made samples of {self._data.input_shape}:"
            f" {described(faults[0], place)}. {CALLED}"
        ) from faults[0]

    def _call(self, hp: Any, model: Any, form: str, set_itself: list[str], *, raw: bool) -> None:
        import keras

        count = max(SAMPLES, 2 * self._data.outputs)
        x = _samples(self._data, count, raw=raw)
        if self._data.task == "multi-output":
            y: Any = _several_targets(model, count, form)
        else:
            y = _targets(self._data, count, form)
        given = {
            "validation_data": (_half(x), _half(y)),
            "callbacks": [keras.callbacks.Callback()],
            "epochs": 1,
            "batch_size": BATCH_SIZE,
            "verbose": 0,
        }
        left_out = {*set_itself, *self._not_taken}
        taken = {name: value for name, value in given.items() if name not in left_out}
        self._hypermodel.fit(hp, model, x, y, **taken)


def _set_twice(error: Exception, names: set[str]) -> str:
    """Return which of the arguments a `fit` passed on beside its own; empty if none."""
    found = _TWICE.search(str(error)) if isinstance(error, TypeError) else None
    return found[1] if found and found[1] in names else ""


@contextmanager
def _aside() -> Iterator[None]:
    """Let training take one step, in a folder of its own, and restore what this changes."""
    import keras
    import tensorflow as tf

    config = keras.config
    before = config.max_epochs(), config.max_steps_per_epoch(), Path.cwd()
    eager = tf.config.functions_run_eagerly()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that epochs are limited
        config.set_max_epochs(1)
        config.set_max_steps_per_epoch(1)
        tf.config.run_functions_eagerly(True)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before[2])
            tf.config.run_functions_eagerly(eager)
            config.set_max_epochs(before[0])
            config.set_max_steps_per_epoch(before[1])


def _forms(data: DataSpec, model: Any) -> list[str]:
    """Return in which forms a model's loss may want its targets, the likeliest first."""
    if data.task == "multi-output":
        return ["class numbers where there are several units", "numbers"]
    if data.task != "classification":
        return ["numbers"]
    shape = getattr(model, "output_shape", None) if model.built else None
    if isinstance(shape, tuple) and shape[-1] == 1:
        return ["column", "integers"]
    return ["integers", "one-hot"]


def _samples(data: DataSpec, count: int, *, raw: bool) -> Any:
    """Return made samples as models receive them, `(count, ...)`; of several inputs by name."""
    if data.inputs:
        return {name: _samples(spec, count, raw=raw) for name, spec in data.inputs}
    random = np.random.default_rng(0)
    shape = (count, *data.input_shape)
    if data.kind == "text":
        return random.integers(0, max(data.vocabulary, 2), shape, np.int32)
    if data.kind == "image":
        pixels = random.integers(0, 256, shape).astype(np.uint8)
        return pixels if raw else pixels / np.float32(255)
    return random.normal(size=shape).astype(np.float32)


def _targets(data: DataSpec, count: int, form: str) -> Array:
    """Return made targets of one output in a form."""
    random = np.random.default_rng(1)
    classes = np.arange(count) % max(data.classes, 2)
    match form:
        case "integers":
            return classes
        case "one-hot":
            return np.eye(data.classes, dtype=np.float32)[classes]
        case "column":
            return classes.astype(np.float32)[:, np.newaxis]
        case _ if data.task == "multi-label":
            return random.integers(0, 2, (count, data.outputs)).astype(np.float32)
        case _:
            return random.normal(size=(count, data.outputs)).astype(np.float32)


def _several_targets(model: Any, count: int, form: str) -> dict[str, Array]:
    """Return made targets of each of a model's outputs, by name."""
    random = np.random.default_rng(1)
    made: dict[str, Array] = {}
    for name, shape in _outputs(model).items():
        units = int(shape[-1] or 1)
        if form != "numbers" and units > 1:
            made[name] = np.arange(count) % units
        else:
            made[name] = random.integers(0, 2, (count, units)).astype(np.float32)
    return made


def _outputs(model: Any) -> dict[str, tuple[Any, ...]]:
    """Return the shape of each of a model's outputs, by name."""
    if isinstance(model.output, dict):
        return {name: tuple(each.shape) for name, each in model.output.items()}
    shapes = [tuple(each.shape) for each in model.outputs]
    return dict(zip(model.output_names, shapes, strict=True))


def _half(arrays: Any) -> Any:
    if isinstance(arrays, dict):
        return {name: _half(each) for name, each in arrays.items()}
    return arrays[: len(arrays) // 2]
