"""A search space as data: parameters with ranges, baselines, and a function that builds the model.

Nothing here imports TensorFlow, Optuna or KerasTuner.
"""

import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, ClassVar, Literal, TypeAlias

from spaces.declaring.parameters import (
    GRID_POINTS,
    Boolean,
    Choice,
    Parameter,
    Params,
    SpaceError,
)
from spaces.declaring.values import Value, key, resolved, value_text

Pixels: TypeAlias = Literal["raw", "scaled"]  # uint8 0..255, and float32 0..1
ONE_RANGE = (
    "let all of them rescale, or none, or set the pixels for all with `--pixels raw`, 0 to"
    " 255, or `--pixels scaled`, 0 to 1"
)
PIXEL_RANGES: dict[Pixels, str] = {"raw": "0 to 255", "scaled": "0 to 1"}


@dataclass(frozen=True)
class ImageInput:
    """Images, padded or resized to one size.

    Models receive uint8 pixels 0..255, or float32 0..1 with `scaled`.

    Attributes:
        size: (height, width) in pixels; None: the dataset's own.
        channels: 1 (grey) or 3 (colour); None: the dataset's own.
        scaled: divide pixels by 255 before the model sees them.
    """

    kind: ClassVar[str] = "image"
    size: tuple[int, int] | None = None
    channels: int | None = None
    scaled: bool = False

    def shape(self, native: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one sample, `(height, width, channels)`.

        Args:
            native: the shape of the dataset's images.
        """
        height_width = native[:2] if self.size is None else self.size
        return (*height_width, native[2] if self.channels is None else self.channels)


@dataclass(frozen=True)
class TextInput:
    """Texts as token numbers, int32 `(length,)`, padded at the end.

    0 is padding, 1 a word outside the vocabulary; the vocabulary is learned on training parts.
    Parameters called `vocabulary` and `length` override these numbers.

    Attributes:
        vocabulary: number of tokens, padding and unknown included; at least 3.
        length: tokens kept of a text, from its beginning; at least 1.
    """

    kind: ClassVar[str] = "text"
    vocabulary: int = 10_000
    length: int = 50

    def __post_init__(self) -> None:
        if self.vocabulary < 3 or self.length < 1:
            raise SpaceError(
                "a text input needs a vocabulary of at least 3 and a length of at least 1;"
                f" got {self.vocabulary} and {self.length}"
            )

    def for_params(self, params: Mapping[str, Any]) -> "TextInput":
        """Return the input with `vocabulary` and `length` from params that have them."""
        return replace(
            self,
            vocabulary=int(params.get("vocabulary", self.vocabulary)),
            length=int(params.get("length", self.length)),
        )


@dataclass(frozen=True)
class TableInput:
    """Rows of numbers, float32 `(columns,)`, each column standardised on the training part."""

    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class SequenceInput:
    """Sequences, float32 `(time, features)`, each feature standardised on the training part."""

    kind: ClassVar[str] = "sequence"


@dataclass(frozen=True)
class SeveralInputs:
    """Several inputs at once: a model is given a dictionary of them, by their names.

    Attributes:
        inputs: by name; inputs of the data that it does not name are taken as their kind is by
            default.
        scaled: whether the pixels of images that it does not name become 0..1.
    """

    kind: ClassVar[str] = "several"
    inputs: tuple[tuple[str, "Input"], ...] = ()
    scaled: bool = True

    def of(self, name: str, kind: str) -> "Input":
        """Return how the input of a name is taken, whose samples are of a kind.

        Raises:
            SpaceError: it takes other samples.
        """
        for known, taken in self.inputs:
            if known == name and taken.kind != kind:
                raise SpaceError(f"input {name} takes {taken.kind} samples; the data have {kind}")
            if known == name:
                return taken
        defaults = (ImageInput(scaled=self.scaled), TextInput(), TableInput(), SequenceInput())
        return next(one for one in defaults if one.kind == kind)


Input: TypeAlias = ImageInput | TextInput | TableInput | SequenceInput | SeveralInputs


@dataclass(frozen=True)
class DataSpec:
    """The data that a model is built for.

    Attributes:
        input_shape: shape of one sample of the model's input, for example `(32, 32, 1)`.
        classes: number of classes, at least 2; 0 where no class is predicted.
        kind: `image`, `text`, `table` or `sequence`.
        vocabulary: number of tokens of a text input, padding (0) and unknown (1) included; else 0.
        task: what is predicted: `classification`, `multi-label` or `regression`.
        outputs: how many numbers a model gives for a sample: one for each class, each label, or
            each number that is predicted.
        activation: what a model ends with by default: `softmax`, `sigmoid` or `linear`.
        inputs: of several inputs (the kind is `several` then, and `input_shape` empty) the
            specification of each, by its name.
    """

    input_shape: tuple[int, ...]
    classes: int
    kind: str = "image"
    vocabulary: int = 0
    task: str = "classification"
    outputs: int = 0
    activation: str = "softmax"
    inputs: tuple[tuple[str, "DataSpec"], ...] = ()

    def __post_init__(self) -> None:
        if not self.outputs:
            object.__setattr__(self, "outputs", self.classes)


# What a `fit` of one's own is called with beside the samples, as KerasTuner's tuners do.
FIT_ARGUMENTS = ("validation_data", "callbacks", "epochs", "batch_size", "verbose")

Identity: TypeAlias = frozenset[tuple[str, Hashable]]


@dataclass(frozen=True)
class Published:
    """The published scores of a baseline.

    Attributes:
        model_parameters: exact number of weights on the space's own dataset, or on the one that
            its module names.
        scores: accuracy (fraction) by dataset; None for this project's own baselines.
        epochs: number of training epochs.
        measured_on: `test`; `validation` for a random part held out of the training data;
            `last fifth` for the last fifth of the training data, Keras's `validation_split=0.2`.
        seconds: expected time of one training on two cores.
    """

    model_parameters: int
    scores: Mapping[str, float | None] = field(default_factory=dict)
    epochs: int = 10
    measured_on: str = "test"
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, repr=False)
class Space:
    """One architecture: its parameters, its baselines, and how to build it.

    Attributes:
        name: for `--space`.
        build: `build(parameters, data)` returns a `keras.Model`. If it is not
            compiled, it is compiled with the training choices; else it keeps its loss and
            optimizer.
        parameters: in the order of their choice; a condition refers to an earlier one.
        inputs: the models' input: one kind, or one of several kinds, in order of preference; or of
            several inputs at once a mapping from the name of each, as models and data call it.
        dataset: the default dataset; None: `--dataset` must name one.
        baselines: params by name. A parameter that a baseline does not mention has its default.
        published: published scores by baseline name.
        parameters_known: False for a hypermodel whose data are not known yet.
        compiled: whether `build` compiles its models, so that the training choices for optimizer,
            learning rate, schedule and loss are not available.
        check: called with the narrowed space before a study begins; raises `SpaceError` if
            something that its models need is not available.
        unfreeze: called with (model, params) after the params' `frozen_epochs`; makes more of
            the model trainable and returns the factor for the learning rate from then on.
        fit: `fit(params, model, x, y, **arguments)` trains a fold's model in place of the built-in
            training, with the arguments of `FIT_ARGUMENTS` that it takes, and `sample_weight`
            where samples have weights. Of the training choices it has `batch_size` and `epochs`.
        set_by_fit: arguments that `fit` sets itself and is not given; a training choice of the name
            is only there if the space declares it.
        callbacks: `callbacks(params)` returns a list of `keras.callbacks.Callback` for a fold.
        summary: one line for listings.
    """

    name: str
    build: Callable[[Mapping[str, Any], DataSpec], Any]
    parameters: tuple[Parameter, ...]
    inputs: Input | tuple[Input, ...] | Mapping[str, Input]
    dataset: str | None = None
    baselines: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    published: Mapping[str, Published] = field(default_factory=dict)
    compiled: bool = False
    parameters_known: bool = True
    check: Callable[["Space"], None] | None = None
    unfreeze: Callable[[Any, Mapping[str, Any]], float] | None = None
    fit: Callable[..., Any] | None = None
    set_by_fit: tuple[str, ...] = ()
    callbacks: Callable[[Mapping[str, Any]], Sequence[Any]] | None = None
    summary: str = ""

    def __post_init__(self) -> None:
        seen: dict[str, Parameter] = {}
        for parameter in self.parameters:
            if parameter.name in seen:
                raise SpaceError(f"space {self.name}: `{parameter.name}` occurs twice")
            if parameter.when is not None and parameter.when[0] not in seen:
                raise SpaceError(
                    f"space {self.name}: `{parameter.name}` depends on `{parameter.when[0]}`,"
                    " which is not an earlier parameter"
                )
            seen[parameter.name] = _with_own_values(parameter, seen)
        object.__setattr__(self, "parameters", tuple(seen.values()))
        if isinstance(self.inputs, Mapping):
            object.__setattr__(self, "inputs", _several(self.name, self.inputs))

    def __repr__(self) -> str:
        names = ", ".join(parameter.name for parameter in self.parameters)
        return f"<space {self.name!r}: {names}; baselines: {', '.join(self.baselines) or 'none'}>"

    def check_conditions(self) -> None:
        """Check that every condition names values that the earlier parameter can have.

        Raises:
            SpaceError: for the first one that does not.
        """
        for parameter in self.parameters:
            parent, wanted = parameter.when or ("", ())
            for value in wanted if isinstance(wanted, tuple) else (wanted,):
                if not self[parent].contains(value):
                    raise SpaceError(
                        f"space {self.name}: `{parameter.name}` depends on `{parent}` being"
                        f" {value_text(value)}, which must be within {self[parent].describe()}"
                    )

    def check_baselines(self) -> None:
        """Check that every baseline has valid params.

        Raises:
            SpaceError: for the first one that has not; with the reason.
        """
        for name, params in self.baselines.items():
            try:
                self.complete(params)
            except SpaceError as error:
                raise SpaceError(f"space {self.name}, baseline {name}: {error}") from error

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of data that its models take, in order of preference."""
        return tuple(taken.kind for taken in self._inputs())

    def input_for(self, kind: str) -> Input:
        """Return the models' input for data of a kind.

        Raises:
            SpaceError: they take other kinds.
        """
        for taken in self._inputs():
            if taken.kind == kind:
                return taken
        raise SpaceError(f"space {self.name} takes {' or '.join(self.kinds)} data; got {kind}")

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def names(self) -> tuple[str, ...]:
        """Return the parameters' names in order."""
        return tuple(parameter.name for parameter in self.parameters)

    def searched(self) -> tuple[Parameter, ...]:
        """Return the searched parameters: those that are not fixed."""
        return tuple(parameter for parameter in self.parameters if not parameter.fixed)

    def complete(self, params: Mapping[str, Value]) -> Params:
        """Check params and return them with defaults filled in, without inactive parameters.

        Raises:
            SpaceError: an unknown or inactive name, or a value outside its range.
        """
        unknown = sorted(set(params) - set(self.names()))
        if unknown:
            raise SpaceError(f"unknown parameter `{unknown[0]}`; known: {', '.join(self.names())}")
        values = self.decide(lambda parameter: params.get(parameter.name, parameter.default))
        for name, value in values.items():
            if not self[name].contains(value):
                raise SpaceError(f"`{name}` must be within {self[name].describe()}; got {value!r}")
        idle = sorted(set(params) - set(values))
        if idle:
            parent, wanted = self[idle[0]].when or ("", "")
            alternatives = wanted if isinstance(wanted, tuple) else (wanted,)
            words = " or ".join(map(repr, alternatives))
            raise SpaceError(f"`{idle[0]}` is active only if `{parent}` is {words}")
        return values

    def decide(self, choose: Callable[[Parameter], Value]) -> Params:
        """Return params: `choose` is called for each active parameter in order."""
        values: Params = {}
        for parameter in self.parameters:
            if parameter.is_active(values):
                values[parameter.name] = parameter.canonical(choose(parameter))
        return values

    def identity(self, params: Mapping[str, Value]) -> Identity:
        """Return a key that is equal for equal params only."""
        known = {parameter.name: parameter for parameter in self.parameters}
        return identity_of(
            {
                name: known[name].canonical(value) if name in known else value
                for name, value in params.items()
            }
        )

    def grid(self, points: int = GRID_POINTS) -> Iterator[Params]:
        """Yield all distinct params of the grid; the last parameter changes fastest."""
        seen: set[Identity] = set()
        axes = [(p.default,) if p.fixed else p.grid(points) for p in self.parameters]
        for combination in product(*axes):
            chosen = dict(zip(self.names(), combination, strict=True))
            params = self.decide(lambda parameter, chosen=chosen: chosen[parameter.name])  # type: ignore[misc]
            identity = self.identity(params)
            if identity not in seen:
                seen.add(identity)
                yield params

    def _inputs(self) -> tuple[Input, ...]:
        if isinstance(self.inputs, Mapping):
            raise TypeError("a mapping becomes SeveralInputs when the space is made")
        return self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)


def _several(space: str, given: Mapping[str, Input]) -> SeveralInputs:
    for name, taken in given.items():
        if not isinstance(taken, ImageInput | TextInput | TableInput | SequenceInput):
            raise SpaceError(
                f"space {space}: input {name} must be an ImageInput, TextInput, TableInput or"
                f" SequenceInput; got {taken!r}"
            )
    if not given:
        raise SpaceError(f"space {space}: `inputs` must name an input; the mapping is empty")
    return SeveralInputs(tuple(given.items()))


def not_taken(fit: Callable[..., Any], names: Iterable[str]) -> tuple[str, ...]:
    """Return which named arguments a function does not take."""
    try:
        taken = inspect.signature(fit).parameters.values()
    except ValueError:  # a function without a signature
        return ()
    if any(one.kind is one.VAR_KEYWORD for one in taken):
        return ()
    known = {one.name for one in taken if one.kind is not one.POSITIONAL_ONLY}
    return tuple(name for name in names if name not in known)


def identity_of(params: Mapping[str, Value]) -> Identity:
    """Return a key that is equal only for params whose values are equal and of the same type."""
    return frozenset((name, key(value)) for name, value in params.items())


def _with_own_values(parameter: Parameter, earlier: Mapping[str, Parameter]) -> Parameter:
    """Return a parameter whose condition has values in the types of the earlier parameter."""
    if parameter.when is None:
        return parameter
    parent, wanted = earlier[parameter.when[0]], parameter.when[1]
    is_one = not isinstance(wanted, tuple) or parent.contains(wanted)
    if is_one and isinstance(wanted, tuple) and wanted and all(map(parent.contains, wanted)):
        raise SpaceError(
            f"`{parameter.name}` depends on `{parent.name}` being {wanted!r}, which may be one"
            f" value or several; write ({wanted!r},) for the tuple, and several in another order"
        )
    values = (wanted,) if is_one or not isinstance(wanted, tuple) else wanted
    own = tuple(_own_value(parent, value) for value in values)
    single = len(own) == 1 and is_one and not isinstance(own[0], tuple)
    return replace(parameter, when=(parent.name, own[0] if single else own))


def _own_value(parent: Parameter, value: Value) -> Value:
    match parent:
        case Choice() | Boolean():
            found = resolved(value, parent.grid())
            return found[0] if found else value
        case _:
            return parent.canonical(value)
