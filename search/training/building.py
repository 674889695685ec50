"""Models that no training and no other build has touched.

Every model is built as in a new process: the space's own code is run anew, under a seed and in the
state of Python, NumPy, Keras and TensorFlow that the study found. What that code changes of this
state holds for its model, up to the end of its training, and for nothing after it.
"""

import hashlib
import json
import os
import random
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state

from search.seeds import derive
from spaces import (
    Code,
    DataSpec,
    Fingerprint,
    Params,
    Space,
    SpaceError,
    fingerprint_of,
    run_anew,
)
from tracking.provenance import code_changes

UNSEEDED = (
    "the models of {space} do not begin with the same weights when they are built twice from one"
    " seed, so its scores cannot be reproduced: its code draws random numbers that no seed decides,"
    " as `numpy.random.default_rng()` and `os.urandom` do. Give that generator a seed."
)
SHARED = (
    "{space} builds models that share {what} with a model built before, which may have been"
    " trained: a fold must begin from weights that no training has touched. The space's own files"
    " are run anew for every model, so this is kept elsewhere: in an installed package, or on an"
    " object that outlives a run. Make it within `build`."
)


class SharedState(SpaceError):
    """A model holds what an earlier one has trained."""


@dataclass(frozen=True)
class Built:
    """A model as a space's code has built it, not trained.

    Attributes:
        model: what `build` returned.
        space: of the same run of its code, with what else acts in a training.
    """

    model: Any
    space: Space

    @property
    def unfreeze(self) -> Callable[[Any, Mapping[str, Any]], float] | None:
        """What makes more of the model trainable."""
        return self.space.unfreeze


class Models:
    """Builds the models of a space in this process.

    Args:
        space: on the study's data.
        code: the space's own; None for a space that comes with this project, which remembers
            nothing.
        expected: fingerprint of the code that the study is to run; empty to run any.
        seed: the study's.
    """

    def __init__(
        self, space: Space, code: Code | None, *, expected: Fingerprint, seed: int
    ) -> None:
        self._space, self._code = space, code
        self._expected = expected
        self._seed = seed
        self._seen = _Seen()
        self._import_matters: bool | None = None if code is not None else False
        self.notices: list[str] = []

    def open(self) -> None:
        """Run the space's code once, and see that it is what is expected.

        Raises:
            SpaceError: it cannot be run, or has changed since.
        """
        if self._code is None:
            return
        with untouched_state(), self._code.running():
            pass
        changes = code_changes(self._expected, fingerprint_of(self._code), partly=True)
        if changes:
            raise SpaceError(
                f"the code of {self._space.name} changed while the study was being opened:"
                f" {'; '.join(changes)}. Give the command again."
            )

    @contextmanager
    def built(
        self, params: Params, data: DataSpec, *, seed: int | None = None, precision: str
    ) -> Iterator[Built]:
        """Build a model, and keep the state it was built in until the context is left.

        Args:
            params: a complete one.
            data: what the model is built for.
            seed: decides its initial weights; None for the study's seed.
            precision: Keras's dtype policy, unless the space's code sets one itself.

        Raises:
            SharedState: the model shares variables with an earlier one.
            SpaceError: the code cannot be run.
        """
        if self._import_matters is None:
            self._import_matters = self._find_out(data, precision)
        seed = self._seed if seed is None else seed
        with_import = seed if self._import_matters else derive(seed, "import")
        again = None if self._import_matters else seed
        with self._built(params, data, precision, with_import, again) as made:
            yield made

    @contextmanager
    def _built(
        self, params: Params, data: DataSpec, precision: str, first: int, then: int | None
    ) -> Iterator[Built]:
        """Run the code under the seed `first`, and `build` under `then` or from there on."""
        with untouched_state():
            if precision != "float32":  # Keras's own, which follows `set_floatx` as long as unset
                keras.config.set_dtype_policy(precision)
            set_seed(first)
            with run_anew(self._space, self._code) as space:
                if then is not None:
                    set_seed(then)
                model = space.build(params, data)
                self._check(model)
                try:
                    yield Built(model, space)
                finally:
                    self._seen.add(model)

    def _check(self, model: Any) -> None:
        shared = self._seen.shared_by(model) if isinstance(model, keras.Model) else ""
        if shared:
            raise SharedState(SHARED.format(space=self._space.name, what=shared))

    def _find_out(self, data: DataSpec, precision: str) -> bool:
        """Say whether models use random numbers that are drawn when their code is imported.

        Such code is run and built in one sequence of random numbers, as one script would be. Any
        other begins it with `build`, whatever its import draws. Asked once, with the default
        setting, so that all processes come to the same answer.
        """
        params = self._space.complete({})

        def begun(first: int) -> str:
            with untouched_state():
                keras.backend.clear_session(free_memory=False)  # so that names are the same
                with self._built(params, data, precision, first, 1) as made:
                    return _beginning(made.model, data)

        try:
            one, other = begun(2), begun(3)
            if one == other:
                return False
            if other == begun(3):
                return True
        except SharedState:
            raise
        except Exception:  # noqa: BLE001 # `build`'s own: the trial that meets it tells
            return False
        self.notices.append(UNSEEDED.format(space=self._space.name))
        return False


def set_seed(seed: int) -> None:
    """Set all random state of Python, NumPy, Keras and TensorFlow."""
    keras.utils.set_random_seed(seed)
    tf.random.set_global_generator(tf.random.Generator.from_seed(seed))


@contextmanager
def untouched_state() -> Iterator[None]:
    """Begin without a dtype policy set; at the end bring back the state there was before.

    What is brought back: Python's and NumPy's random state, Keras's dtype policy, float type,
    epsilon, image layout and switches, TensorFlow's eager, XLA and optimizer options, NumPy's
    error handling, environment variables, the search path and the working directory.
    """
    before = [(get(), put) for get, put in _states()]
    # Unset, as in a new process, the policy follows a `set_floatx`. Keras has no call for it but
    # `clear_session`, which would reset names and scopes that a caller may be using.
    global_state.set_global_attribute("dtype_policy", None)
    try:
        yield
    finally:
        for value, put in before:
            put(value)


def _states() -> list[tuple[Callable[[], Any], Callable[[Any], object]]]:
    config, options = keras.config, tf.config.optimizer
    return [
        (random.getstate, random.setstate),
        (np.random.get_state, np.random.set_state),
        (np.geterr, lambda kept: np.seterr(**kept)),
        (config.floatx, config.set_floatx),
        (config.epsilon, config.set_epsilon),
        (config.image_data_format, config.set_image_data_format),
        (config.dtype_policy, config.set_dtype_policy),
        (config.max_epochs, config.set_max_epochs),
        (config.max_steps_per_epoch, config.set_max_steps_per_epoch),
        (
            config.is_traceback_filtering_enabled,
            _switch(config.enable_traceback_filtering, config.disable_traceback_filtering),
        ),
        (
            config.is_interactive_logging_enabled,
            _switch(config.enable_interactive_logging, config.disable_interactive_logging),
        ),
        (
            config.is_flash_attention_enabled,
            lambda kept: None if kept is None else _flash_attention(kept),
        ),
        (tf.config.functions_run_eagerly, tf.config.run_functions_eagerly),
        (options.get_jit, lambda kept: options.set_jit(kept or False)),
        (options.get_experimental_options, options.set_experimental_options),
        (
            tf.config.experimental.tensor_float_32_execution_enabled,
            tf.config.experimental.enable_tensor_float_32_execution,
        ),
        (lambda: dict(os.environ), _set_environment),
        (lambda: list(sys.path), _set_path),
        (Path.cwd, os.chdir),
    ]


def _switch(on: Callable[[], None], off: Callable[[], None]) -> Callable[[bool], None]:
    return lambda kept: on() if kept else off()


def _flash_attention(on: bool) -> None:
    (keras.config.enable_flash_attention if on else keras.config.disable_flash_attention)()


def _set_environment(kept: Mapping[str, str]) -> None:
    if os.environ != kept:
        os.environ.clear()
        os.environ.update(kept)


def _set_path(kept: list[str]) -> None:
    sys.path[:] = kept


class _Seen:
    """What the models so far hold that changes with training, as long as it is alive."""

    def __init__(self) -> None:
        self._alive: dict[int, weakref.ref[Any]] = {}

    def add(self, model: Any) -> None:
        """Remember what a model holds."""
        if not isinstance(model, keras.Model):
            return
        self._alive = {key: kept for key, kept in self._alive.items() if kept() is not None}
        self._alive |= {id(held): weakref.ref(held) for held, _ in _holdings(model)}

    def shared_by(self, model: Any) -> str:
        """Return in words what a model shares with an earlier one; empty where it is nothing."""
        shared = [name for held, name in _holdings(model) if self._is_known(held)]
        more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
        return f"{shared[0]}{more}" if shared else ""

    def _is_known(self, held: Any) -> bool:
        kept = self._alive.get(id(held))  # an object that is gone leaves its number to others
        return kept is not None and kept() is held


def _holdings(model: Any) -> Iterator[tuple[Any, str]]:
    """Yield each part of a model that training changes, and what to call it."""
    yield model, f"the model {model.name!r} itself"
    for layer in model._flatten_layers(include_self=False):
        if not type(layer).__module__.startswith("keras."):  # may hold anything
            yield layer, f"the layer {layer.name!r}"
    for variable in model.variables:
        yield variable, f"the variable {variable.path!r}"
    optimizer = getattr(model, "optimizer", None)
    while optimizer is not None:
        yield optimizer, f"the optimizer {optimizer.name!r}"
        for variable in optimizer.variables:
            yield variable, f"the optimizer's variable {variable.path!r}"
        optimizer = getattr(optimizer, "inner_optimizer", None)
    given = getattr(getattr(model, "_compile_metrics", None), "_user_metrics", None)
    for one in keras.tree.flatten([given, getattr(model, "loss", None)]):
        if isinstance(one, keras.metrics.Metric):
            yield one, f"the metric {one.name!r}"
        elif isinstance(one, keras.losses.Loss):
            for held in vars(one).values():
                if isinstance(held, keras.Variable | tf.Variable | keras.layers.Layer):
                    yield held, f"what the loss {one.name!r} holds"


def _beginning(model: Any, data: DataSpec) -> str:
    """Return a digest of a model's architecture, initial weights and optimizer."""
    if not model.built:
        model(_zeros(data))
    digest = hashlib.sha256()
    for one in (model, getattr(model, "optimizer", None)):
        try:
            config = one.get_config() if one is not None else {}
        except Exception:  # noqa: BLE001 # a class of one's own may have none
            config = {}
        digest.update(json.dumps(config, default=_type_name).encode())
    for variable in model.variables:
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{value.shape} {value.dtype} {variable.trainable}".encode())
        digest.update(value.view(np.uint8).data if value.size else b"")
    return digest.hexdigest()


def _zeros(data: DataSpec) -> Any:
    """Return one sample of a model's input, all of it 0."""
    if data.inputs:
        return {name: _zeros(spec) for name, spec in data.inputs}
    return np.zeros((1, *data.input_shape), "int32" if data.kind == "text" else "float32")


def _type_name(value: object) -> str:
    return type(value).__name__
