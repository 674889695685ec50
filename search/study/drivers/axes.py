"""A space as KerasTuner's oracles are told of it; KerasTuner itself is not imported."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, TypeAlias, cast

from spaces import Float, Int, Parameter, Settings, Space, Value, place_of

_Condition: TypeAlias = tuple[str, list[Any]]


class Axes:
    """Translates between settings and the values of KerasTuner's hyperparameters.

    Continuous and whole ranges are declared as such. Everything that is a list of values
    (choices, switches, the steps of a continuous range, a grid's points) is declared as a whole
    number, the value's place in the list: KerasTuner's choices turn switches into numbers and
    refuse lists of several types, and its steps lose the last one to rounding (0.5 // 0.05 is 9).
    The oracles see no difference, since they place a choice's values on an even scale, too.

    Fixed parameters are not declared, nor what depends on a fixed one that switches it off.

    Args:
        space: what is declared.
        grid: declare no range but the points of its grid.
    """

    def __init__(self, space: Space, *, grid: bool = False) -> None:
        self._space = space
        self._listed = {
            parameter.name: parameter.grid() if grid else _listed(parameter)
            for parameter in space.searched()
        }
        self._conditions = {
            parameter.name: conditions
            for parameter in space.searched()
            if (conditions := self._conditions_of(parameter)) is not None
        }

    def declare(self, hyperparameters: Any) -> None:
        """Enter the searched parameters into empty `keras_tuner.HyperParameters`."""
        for name, conditions in self._conditions.items():
            with ExitStack() as scopes:
                for parent, places in conditions:
                    scopes.enter_context(hyperparameters.conditional_scope(parent, places))
                self._declare(hyperparameters, self._space[name])

    def setting(self, values: Mapping[str, Any]) -> Settings:
        """Return the complete setting that an oracle's values mean."""
        return self._space.decide(lambda parameter: self._value(parameter, values))

    def values(self, setting: Settings) -> dict[str, Any] | None:
        """Return a setting as an oracle's values, None where it has none for it."""
        places = {
            name: self._place(name, value)
            for name, value in setting.items()
            if name in self._conditions
        }
        return None if None in places.values() else places

    def _conditions_of(self, parameter: Parameter) -> list[_Condition] | None:
        """Return what must hold of searched parameters, the outermost first; None for never."""
        if parameter.when is None:
            return []
        name, wanted = parameter.when
        values: list[Any] = list(wanted) if isinstance(wanted, tuple) else [wanted]
        parent = self._space[name]
        outer = self._conditions_of(parent)
        if parent.fixed:
            return outer if place_of(parent.default, values) is not None else None
        listed = self._listed[name]
        places = values
        if listed is not None:
            places = [
                place for place, value in enumerate(listed) if place_of(value, values) is not None
            ]
        return [*outer, (name, places)] if outer is not None and places else None

    def _declare(self, hyperparameters: Any, parameter: Parameter) -> None:
        name, listed = parameter.name, self._listed[parameter.name]
        if listed is not None:
            default = self._place(name, parameter.default) or 0
            hyperparameters.Int(name, 0, len(listed) - 1, default=default)
            return
        match parameter:
            case Int(low=low, high=high, step=step, log=False):
                hyperparameters.Int(name, low, high, step=step, default=parameter.default)
            case Int(low=low, high=high):
                hyperparameters.Int(name, low, high, sampling="log", default=parameter.default)
            case Float(low=lowest, high=highest, log=log):
                sampling = "log" if log else "linear"
                default = float(parameter.default)
                hyperparameters.Float(name, lowest, highest, sampling=sampling, default=default)

    def _value(self, parameter: Parameter, values: Mapping[str, Any]) -> Value:
        if parameter.fixed:
            return cast("Value", parameter.default)
        value = values[parameter.name]
        listed = self._listed[parameter.name]
        if listed is not None:
            return listed[int(value)]
        return int(value) if isinstance(parameter, Int) else float(value)

    def _place(self, name: str, value: Value) -> Value | None:
        listed, parameter = self._listed[name], self._space[name]
        if listed is None:
            return value
        if isinstance(parameter, Int | Float):
            number = cast("float", value)
            return min(range(len(listed)), key=lambda i: abs(cast("float", listed[i]) - number))
        return place_of(value, listed)


def _listed(parameter: Parameter) -> tuple[Value, ...] | None:
    """Return a parameter's values where they are a list, None for a range."""
    match parameter:
        case Int() | Float(step=None):
            return None
        case _:
            return parameter.grid(sys.maxsize)  # every step
