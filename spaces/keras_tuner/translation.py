"""Translate KerasTuner's hyperparameters to parameters, without importing KerasTuner.

`reverse_log` has no counterpart and becomes a linear range. A range with a multiplicative step
becomes the choice of its values.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

from spaces.declaring.parameters import Boolean, Choice, Float, Int, Parameter
from spaces.declaring.training import AUGMENTING, FITTING
from spaces.declaring.values import Value

FEW_VALUES = 16
MOST_FACTORS = 64

# Training choices that apply even to compiled models.
_TAKEN = {parameter.name for parameter in (*FITTING, *AUGMENTING)} | {"schedule"}
_SHARED = frozenset({"batch_size", "epochs"})
OWN = "model."


def translate(hyperparameter: Any, name: str) -> Parameter:
    """Return a hyperparameter as a parameter without its condition.

    Args:
        hyperparameter: a `keras_tuner.engine.hyperparameters.HyperParameter`.
        name: a valid name for the parameter.

    Raises:
        SpaceError: no parameter can have its range or a value.
    """
    match type(hyperparameter).__name__:
        case "Boolean":
            return Boolean(name, default=bool(hyperparameter.default))
        case "Fixed":
            return Choice(name, (hyperparameter.value,), fixed=True)
        case "Choice":
            return _choice(name, hyperparameter.values, hyperparameter.default)
        case kind:
            return _number(name, hyperparameter, int if kind == "Int" else float)


def valid_name(original: str) -> str:
    """Return the valid name of a parameter that is closest to the original."""
    parts = [_valid_part(part) for part in original.split("/")]
    name = "/".join(part for part in parts if part)
    return name if re.match(r"[^\W\d]", name) else f"_{name}"


def unique_name(name: str, taken: Iterable[str]) -> str:
    """Return the name, with a number if it is taken."""
    used = set(taken)
    candidates = (name, *(f"{name}.{number}" for number in range(2, len(used) + 3)))
    return next(candidate for candidate in candidates if candidate not in used)


def own_name(name: str, *, conditional: bool) -> str:
    """Return a name for a compiled model's parameter that does not mean a training choice.

    Args:
        name: a valid name.
        conditional: whether the parameter is not always active, as training choices must be.
    """
    shared = name in _SHARED and not conditional
    return f"{OWN}{name}" if name in _TAKEN and not shared else name


def is_shared(name: str) -> bool:
    """Return whether an always active hyperparameter of that name is a training choice."""
    return name in _SHARED


def trials_of(parameter: Parameter) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    """Return the values to build models with.

    The first part is always tried, the second if the first makes a difference; together they are
    all values, except for long ranges.
    """
    match parameter:
        case Boolean():
            return (False, True), ()
        case Choice(values=values):
            ordered = not any(isinstance(value, str) for value in values)
            return _ends_first(values) if ordered else (values, ())
        case Int(low=low, high=high, step=step, log=log):
            values = tuple(range(low, high + 1, step))
            if log or len(values) > FEW_VALUES:
                return _ends_first(values)[0], ()
            return _ends_first(values)
        case _:
            return (), ()


def all_values(parameter: Parameter) -> tuple[Value, ...] | None:
    """Return the parameter's values if each of them can be tried, else None."""
    match parameter:
        case Boolean() | Choice():
            return parameter.grid()
        case Int(low=low, high=high, step=step, log=log):
            values = tuple(range(low, high + 1, step))
            return None if log or len(values) > FEW_VALUES else values
        case _:
            return None


def _valid_part(part: str) -> str:
    cleaned = re.sub(r"[^\w .-]", "_", part).strip()
    return re.sub(r"^\.", "_", cleaned)


def _choice(name: str, values: Iterable[Value], default: Value) -> Choice:
    distinct = tuple({repr(value): value for value in values}.values())
    return Choice(name, distinct, default=default, fixed=len(distinct) == 1)


def _number(name: str, given: Any, kind: type[int] | type[float]) -> Parameter:
    low, high, step = kind(given.min_value), kind(given.max_value), given.step
    if given.sampling != "linear" and step is not None:
        values = _factors(low, high, float(step))
        if len(values) <= MOST_FACTORS:
            mirrored = given.sampling == "reverse_log"
            made = tuple(kind(high + low - v if mirrored else v) for v in values)
            return _choice(name, sorted(set(made)), _nearest(made, given.default))
        step = None
    log = given.sampling == "log" and low < high
    if kind is int:
        return _int(name, int(low), int(high), 1 if step is None else int(step), log, given.default)
    return _float(name, float(low), float(high), step, log, float(given.default))


def _int(name: str, low: int, high: int, step: int, log: bool, default: float) -> Int:
    high -= (high - low) % step
    inside = low + round((min(max(default, low), high) - low) / step) * step
    return Int(name, low, high, step=step, log=log, default=int(min(inside, high)))


def _float(
    name: str, low: float, high: float, step: float | None, log: bool, default: float
) -> Float:
    inside = min(max(default, low), high)
    if step is None:
        return Float(name, low, high, log=log, default=inside)
    steps = math.floor((high - low) / step + 1e-6)  # like KerasTuner, which drops the rest
    if not math.isclose(low + steps * step, high):
        high = round(low + steps * step, 12)
    exact = (inside - low) / step
    if not math.isclose(exact, round(exact), abs_tol=1e-6):
        inside = round(low + min(round(exact), steps) * step, 12)
    return Float(name, low, high, step=step, default=min(inside, high))


def _factors(low: float, high: float, factor: float) -> list[float]:
    count = int(math.log(high / low, factor) + 1e-8) + 1  # as in KerasTuner
    return [low * factor**power for power in range(count)]


def _nearest(values: Iterable[float], wanted: float) -> float:
    return min(values, key=lambda value: abs(value - wanted))


def _ends_first(values: tuple[Value, ...]) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    first = dict.fromkeys((values[0], values[-1], values[len(values) // 2]))
    return tuple(first), tuple(value for value in values if value not in first)
