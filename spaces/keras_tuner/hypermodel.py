"""Models written for KerasTuner: a `HyperModel`, as class or instance, or a function `build(hp)`.

Of `spaces`, only this module imports KerasTuner, and only inside functions: the coordinator reads
the declaration that `spaces.declaring.__main__` made in a separate process, and workers replay
params here.
"""

import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spaces.declaring.declarations import Declaration
from spaces.declaring.importing import Code, described, passed_as, split
from spaces.declaring.parameters import SpaceError
from spaces.declaring.space import (
    ONE_RANGE,
    DataSpec,
    ImageInput,
    Input,
    Pixels,
    SequenceInput,
    SeveralInputs,
    Space,
    TableInput,
    TextInput,
    not_taken,
)
from spaces.declaring.values import Value

DATASET = "fashion_mnist"
OF_THE_DATA = ("input_shape", "classes", "num_classes")

# Names without meaning: the space is then named after its file or module.
_COMMON = frozenset({"build", "build_model", "model_builder", "hypermodel"})


@dataclass(frozen=True)
class Replay:
    """Builds a hypermodel's model for given params.

    Attributes:
        target: reference of the hypermodel.
        originals: pairs of a parameter's name and its name in the hypermodel.
        pixels: what each of its models for images must expect, as in `Declaration`. None if the
            user has set the pixels.
    """

    target: str
    originals: tuple[tuple[str, str], ...]
    pixels: str | None = None

    def __call__(self, parameters: Mapping[str, Any], data: DataSpec) -> Any:
        """Return the model, compiled or not, by running the hypermodel's code.

        Raises:
            SpaceError: it expects other pixels than the models that were built first.
        """
        with Code(self.target).running() as found:
            return self.of(found).build(parameters, data)

    def of(self, found: Any) -> "Replayed":
        """Return the hypermodel of one run of its code."""
        return Replayed(self, found)


class Replayed:
    """A hypermodel in one run of its code: `fit` is of the instance that has built the model.

    Args:
        replay: whose hypermodel it is.
        found: what its reference names, in this run.
    """

    def __init__(self, replay: Replay, found: Any) -> None:
        self._replay = replay
        self._found = found
        self._built: tuple[Hypermodel, Any] | None = None

    def build(self, parameters: Mapping[str, Any], data: DataSpec) -> Any:
        """Return the model for params."""
        replay = self._replay
        chosen = {old: parameters[name] for name, old in replay.originals if name in parameters}
        hypermodel = Hypermodel(self._found, replay.target, data)
        hp = new_hyperparameters(chosen)
        model = hypermodel.build(hp)
        self._built = hypermodel, hp
        if replay.pixels is not None and data.kind == "image" and _is_model(model):
            from spaces.keras_tuner.pixels import check_pixels

            wanted: Pixels = "raw" if replay.pixels == "raw" else "scaled"
            check_pixels(model, data.input_shape, wanted)
        return model

    def fit(self, _: Mapping[str, Any], model: Any, *args: Any, **arguments: Any) -> Any:
        """Train the model that was built last, with the values it was built with.

        Raises:
            SpaceError: what the hypermodel's `fit` returned is no result of a training.
        """
        if self._built is None:
            raise RuntimeError("a model is built before it is trained")
        hypermodel, hp = self._built
        return hypermodel.fit(hp, model, *args, **arguments)


def _fit_is_replayed(*_: object, **__: object) -> Any:
    raise RuntimeError("the `fit` of a hypermodel is called within `run_anew`")


def hypermodel_space(
    target: str, name: str | None, declaration: Declaration, *, is_outline: bool
) -> Space:
    """Return the space of a hypermodel.

    Args:
        target: reference of the hypermodel.
        name: its name; None for the name in the reference.
        declaration: its declaration.
        is_outline: whether data and parameters are not known yet; then the space builds no models.
    """
    originals = tuple((parameter.name, old) for parameter, old in declaration.parameters)
    return Space(
        name=name or _name(target),
        summary=declaration.summary or "a KerasTuner hypermodel",
        dataset=DATASET,
        inputs=_inputs(scaled=declaration.pixels != "raw"),
        parameters=tuple(parameter for parameter, _ in declaration.parameters),
        baselines={}
        if is_outline
        else {"defaults": {}},  # as in KerasTuner, which tries these first
        compiled=declaration.compiled,
        parameters_known=not is_outline,
        build=_unready if is_outline else Replay(target, originals, declaration.pixels),
        fit=_fit_is_replayed if declaration.fits else None,
        set_by_fit=declaration.set_by_fit,
    )


def _inputs(*, scaled: bool) -> tuple[Input, ...]:
    """Return all inputs: what a hypermodel can make of its data shows when it is built for them."""
    return (
        ImageInput(scaled=scaled),
        TableInput(),
        TextInput(),
        SequenceInput(),
        SeveralInputs(scaled=scaled),
    )


def given_pixels(space: Space) -> Pixels | None:
    """Return the pixels that a hypermodel's models receive; None for any other space."""
    if not isinstance(space.build, Replay):
        return None
    taken = space.input_for("image")
    return "scaled" if isinstance(taken, ImageInput) and taken.scaled else "raw"


def with_pixels(space: Space, pixels: str) -> Space:
    """Return a hypermodel's space whose models receive certain pixels.

    Args:
        space: the space, on image data.
        pixels: `raw`, `scaled`, `auto` for what its models expect, or `legacy` for `scaled`
            whatever they expect, as in studies of versions that did not test this.

    Raises:
        SpaceError: the models expect different pixels and the user did not decide, or the space is
            not that of a hypermodel and declares its pixels itself.
    """
    if not isinstance(space.build, Replay):
        if pixels in ("auto", "legacy"):
            return space
        raise SpaceError(
            f"`--pixels` is for hypermodels and build functions; space {space.name} declares"
            " what its models take, with `ImageInput(scaled=...)`"
        )
    if pixels == "auto":
        if space.build.pixels == "both":
            raise SpaceError(
                f"some models of {space.build.target} rescale pixels themselves and others do not:"
                f" {ONE_RANGE}"
            )
        return space
    inputs = _inputs(scaled=pixels != "raw")
    return replace(space, inputs=inputs, build=replace(space.build, pixels=None))


def check(found: Any, target: str) -> None:
    """Check that an object is a hypermodel whose models can be built here.

    Raises:
        SpaceError: it is not, or needs more arguments.
    """
    if inspect.isclass(found):
        _check_class(found, target)
    elif not _is_hypermodel(found):
        if not callable(found):
            raise _wrong(target, f"it is of type {type(found).__name__}")
        _check_function(found, target)


class Hypermodel:
    """A hypermodel for certain data: a `HyperModel`, or a function `build(hp)`.

    Args:
        found: what the reference names.
        target: the reference, for messages.
        data: the data the models are built for.

    Attributes:
        fits: whether it has a `fit` of its own.

    Raises:
        SpaceError: it is not a usable hypermodel.
    """

    def __init__(self, found: Any, target: str, data: DataSpec) -> None:
        check(found, target)
        self._target = target
        self._one = _instance(found, target, data) if inspect.isclass(found) else found
        self.fits = has_own_fit(self._one)

    def build(self, hp: Any) -> Any:
        """Return the model for a `HyperParameters`."""
        if not _is_hypermodel(self._one):
            return self._one(hp)
        self._one.declare_hyperparameters(hp)
        return self._one.build(hp)

    def fit(self, hp: Any, model: Any, *args: Any, **arguments: Any) -> Any:
        """Call its own `fit`, and return what it returns.

        Raises:
            SpaceError: that is no result of a training.
        """
        returned = self._one.fit(hp, model, *args, **arguments)
        _check_returned(returned, self._target)
        return returned

    def not_taken(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return which of the arguments its own `fit` does not take."""
        return not_taken(self._one.fit, names)


def has_own_fit(found: Any) -> bool:
    """Return whether an object is a `HyperModel` with a `fit` of its own."""
    if not _is_hypermodel(found):
        return False
    import keras_tuner

    known = keras_tuner.HyperModel.fit
    return getattr(found.fit, "__func__", found.fit) is not known


def _check_returned(returned: Any, target: str) -> None:
    """Check a `fit`'s result as KerasTuner does, whose tuners would read the score from it.

    Raises:
        SpaceError: it is none.
    """
    if isinstance(returned, list):
        for one in returned:
            _check_returned(one, target)
        return
    import keras
    import numpy as np

    if isinstance(returned, int | float | np.floating | dict | keras.callbacks.History):
        return
    got = "nothing" if returned is None else f"a {type(returned).__name__}"
    raise SpaceError(
        f"the `fit` of {target} must return a History, as `model.fit` does, a dictionary of"
        f" metrics, a number, or a list of these; it returned {got}. Does it end with `return"
        " model.fit(...)`?"
    )


def new_hyperparameters(values: Mapping[str, Value]) -> Any:
    """Return an empty `keras_tuner.HyperParameters` in which some names already have values."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return hp


def check_model(model: Any, target: str, data: DataSpec) -> None:
    """Check that a built object is a model for the data.

    Raises:
        SpaceError: it is not a Keras model, takes samples of another shape, or has not as many
            outputs as the task needs.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise SpaceError(
            f"{target} must return a keras.Model; it returned a {type(model).__name__}"
        )
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        return  # unknown until the model has seen data; see `check_outputs`
    if data.inputs:
        _check_inputs(model, target, data)
        shape = (None, *data.input_shape)
    if not isinstance(shape, tuple) or not _takes(shape[1:], data.input_shape):
        raise SpaceError(
            f"the models of {target} take {shape}, and a sample of the data is"
            f" {data.input_shape}: build them for that shape, or name other data with `--dataset`"
        )
    if fault := _misfit(model.output_shape, data):
        raise SpaceError(f"the models of {target} must have {fault}")


def check_outputs(model: Any, target: str, data: DataSpec) -> None:
    """Check what a model returns whose layers are its own code's: its `call` is traced.

    Raises:
        SpaceError: it returns something else than tensors, or has not as many outputs as the task
            needs.
    """
    import keras

    try:
        returned = model.compute_output_spec(_made_input(data))
    except Exception:  # noqa: BLE001 # code of one's own may need eager tensors: a worker sees it
        return
    parts = keras.tree.flatten(returned)
    if not parts or not all(map(_is_numeric, parts)):
        raise SpaceError(
            f"the `call` of the models of {target} must return tensors of numbers, and nothing"
            " beside what is predicted: leave out texts, None and the like"
        )
    shape = parts[0].shape if len(parts) == 1 else None
    if fault := _misfit(shape, data):
        raise SpaceError(f"the models of {target} must have {fault}")


def _is_numeric(returned: Any) -> bool:
    import keras

    return bool(keras.utils.is_keras_tensor(returned)) and returned.dtype != "string"


def _made_input(data: DataSpec) -> Any:
    """Return symbolic tensors as a model gets them."""
    import keras

    if data.inputs:
        return {name: _made_input(spec) for name, spec in data.inputs}
    dtype = "int32" if data.kind == "text" else "float32"
    return keras.KerasTensor((None, *data.input_shape), dtype=dtype)


def _check_inputs(model: Any, target: str, data: DataSpec) -> None:
    """Check that a model takes each of several inputs by its name.

    Raises:
        SpaceError: it does not.
    """
    taken = {tensor.name: tuple(tensor.shape) for tensor in model.inputs}
    given = {name: spec.input_shape for name, spec in data.inputs}
    if set(taken) != set(given):
        raise SpaceError(
            f"the models of {target} must have the inputs of the data, by the same names:"
            f" {', '.join(given)}; they have {', '.join(taken)}. Name them, as in"
            f" `keras.Input(shape, name={next(iter(given))!r})`"
        )
    for name, shape in taken.items():
        if not _takes(shape[1:], given[name]):
            raise SpaceError(
                f"input {name} of the models of {target} takes {shape}, and a sample of the data is"
                f" {given[name]}: build it for that shape"
            )


def _misfit(shape: Any, data: DataSpec) -> str:
    """Return what models must have instead of outputs of a shape; empty where they fit."""
    if data.task == "multi-output":
        return ""  # seen in a worker, which knows the outputs' names
    if isinstance(shape, dict | list) and len(shape) == 1:  # a single output in a structure
        (shape,) = shape.values() if isinstance(shape, dict) else shape
    units = shape[-1] if isinstance(shape, tuple) else None
    rest = "build them for that number, or name other data with `--dataset`"
    if data.classes:
        if units == data.classes or (units, data.classes) == (1, 2):
            return ""
        number = ", or if the target is a number to predict, give `--task regression`"
        return (
            f"one output for each class (or one for two); they have {units} for {data.classes}"
            f" classes: {rest}{number if units == 1 else ''}"
        )
    if units == data.outputs or (shape == (None,) and data.outputs == 1):
        return ""
    unit = "label" if data.task == "multi-label" else "number"
    return (
        f"one output for each {unit} that is predicted; they have {units} for {data.outputs}:"
        f" {rest}, or if the targets are classes, give `--task classification`"
    )


def _is_model(model: Any) -> bool:
    import keras

    return isinstance(model, keras.Model)


def _name(target: str) -> str:
    place, attribute = split(target)
    if attribute not in _COMMON or passed_as(target) is not None:
        return attribute
    return Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]


def _unready(*_: object) -> Any:
    raise SpaceError("the parameters are not known yet: call `get_space` with the data")


def _is_hypermodel(found: Any) -> bool:
    keras_tuner = sys.modules.get("keras_tuner")  # a HyperModel's module has imported it
    kind = found if inspect.isclass(found) else type(found)
    return keras_tuner is not None and issubclass(kind, keras_tuner.HyperModel)


def _check_class(found: type, target: str) -> None:
    if not _is_hypermodel(found):
        raise _wrong(target, "it is another class")
    needed = [
        name
        for name, parameter in inspect.signature(found).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and name not in OF_THE_DATA
    ]
    if needed:
        raise SpaceError(
            f"{target}: a class is called with {', '.join(OF_THE_DATA)} if it takes them; this"
            f" one also needs {', '.join(needed)}. Make an instance in your own file, as in"
            f" `MODEL = {found.__name__}(...)`, and name that: --space my_file.py:MODEL"
        )


def _check_function(found: Any, target: str) -> None:
    try:
        inspect.signature(found).bind(None)
    except TypeError as error:
        raise _wrong(target, f"as a function it must take one argument, hp: {error}") from error
    except ValueError:
        return  # a function without a signature


def _wrong(target: str, why: str) -> SpaceError:
    return SpaceError(
        f"{target} must be a spaces.Space, a keras_tuner.HyperModel (class or instance) or a"
        f" function build(hp); {why}"
    )


def _instance(found: type, target: str, data: DataSpec) -> Any:
    known = {  # of other tasks the numbers of outputs, as what takes it builds its last layer so
        "input_shape": data.input_shape,
        "classes": data.outputs,
        "num_classes": data.outputs,
    }
    taken = inspect.signature(found).parameters
    try:
        return found(**{name: value for name, value in known.items() if name in taken})
    except Exception as error:  # a user's constructor may raise anything
        place, _ = split(target)
        raise SpaceError(f"{target} cannot be instantiated: {described(error, place)}") from error


def _takes(shape: tuple[int | None, ...], sample: tuple[int, ...]) -> bool:
    """Return whether samples fit; Keras itself adds and drops a last axis of length 1."""
    given = sample
    if len(shape) == len(sample) + 1 and shape[-1] in (1, None):
        given = (*sample, 1)
    elif len(shape) == len(sample) - 1 and sample[-1] == 1:
        given = sample[:-1]
    return len(shape) == len(given) and all(
        size in (None, length) for size, length in zip(shape, given, strict=True)
    )
