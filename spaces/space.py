"""A search space as data: parameters with ranges, baselines, and a function that builds the model.

Nothing here imports TensorFlow, Optuna or KerasTuner.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from spaces.parameters import GRID_POINTS, Parameter, Settings, SpaceError, Value


@dataclass(frozen=True)
class DataSpec:
    """What a model is built for.

    Attributes:
        input_shape: shape of one sample as the model receives it, for example `(32, 32, 1)`.
        classes: number of classes, at least 2.
    """

    input_shape: tuple[int, ...]
    classes: int


@dataclass(frozen=True)
class ImageInput:
    """The images a space wants; the harness pads or resizes every dataset to it.

    Attributes:
        size: (height, width) in pixels.
        channels: 1 (grey) or 3 (colour).
    """

    size: tuple[int, int]
    channels: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (height, width, channels)."""
        return (*self.size, self.channels)


@dataclass(frozen=True, kw_only=True)
class Space:
    """One architecture: its parameters, its published settings, and how to build it.

    Attributes:
        name: what `--space` calls it.
        build: `build(parameters, data)` returns a `keras.Model`. Uncompiled, it is compiled with
            the training parameters; compiled, it keeps its own loss and optimizer.
        parameters: in the order they are decided; a condition refers to an earlier one.
        image: the images the model wants.
        dataset: the dataset used where the user names none.
        baselines: name to setting. A parameter a baseline does not mention takes its default.
        summary: one line for listings.
    """

    name: str
    build: Callable[[Mapping[str, Any], DataSpec], Any]
    parameters: tuple[Parameter, ...]
    image: ImageInput
    dataset: str
    baselines: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    summary: str = ""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for parameter in self.parameters:
            if parameter.name in seen:
                raise SpaceError(f"space {self.name}: `{parameter.name}` stands twice")
            if parameter.when is not None and parameter.when[0] not in seen:
                raise SpaceError(
                    f"space {self.name}: `{parameter.name}` depends on `{parameter.when[0]}`,"
                    " which is not an earlier parameter"
                )
            seen.add(parameter.name)

    def check_baselines(self) -> None:
        """Check that every baseline is a setting of the space.

        Raises:
            SpaceError: the first one that is not, and why.
        """
        for name, setting in self.baselines.items():
            try:
                self.complete(setting)
            except SpaceError as error:
                raise SpaceError(f"space {self.name}, baseline {name}: {error}") from error

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def names(self) -> tuple[str, ...]:
        """Return the parameters' names in order."""
        return tuple(parameter.name for parameter in self.parameters)

    def searched(self) -> tuple[Parameter, ...]:
        """Return the parameters a driver decides: those that are not fixed."""
        return tuple(parameter for parameter in self.parameters if not parameter.fixed)

    def complete(self, setting: Mapping[str, Value]) -> Settings:
        """Check a setting and return it with defaults filled in and inactive parameters left out.

        Raises:
            SpaceError: an unknown or inactive name, or a value outside its range.
        """
        unknown = sorted(set(setting) - set(self.names()))
        if unknown:
            raise SpaceError(f"unknown parameter `{unknown[0]}`; known: {', '.join(self.names())}")
        values = self.decide(lambda parameter: setting.get(parameter.name, parameter.default))
        for name, value in values.items():
            if not self[name].contains(value):
                raise SpaceError(f"`{name}` must be within {self[name].describe()}; got {value!r}")
        idle = sorted(set(setting) - set(values))
        if idle:
            parent, wanted = self[idle[0]].when or ("", "")
            raise SpaceError(f"`{idle[0]}` is only in use when `{parent}` is {wanted!r}")
        return values

    def decide(self, choose: Callable[[Parameter], Value]) -> Settings:
        """Return a setting: `choose` is called for each active parameter in order."""
        values: Settings = {}
        for parameter in self.parameters:
            if parameter.is_active(values):
                values[parameter.name] = choose(parameter)
        return values

    def grid(self, points: int = GRID_POINTS) -> Iterator[Settings]:
        """Yield every distinct setting of the grid, the last parameter changing fastest."""
        seen: set[tuple[tuple[str, Value], ...]] = set()
        axes = [(p.default,) if p.fixed else p.grid(points) for p in self.parameters]
        for combination in product(*axes):
            chosen = dict(zip(self.names(), combination, strict=True))
            setting = self.decide(lambda parameter, chosen=chosen: chosen[parameter.name])  # type: ignore[misc]
            key = tuple(setting.items())
            if key not in seen:
                seen.add(key)
                yield setting
