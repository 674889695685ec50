"""The kinds of parameters: ranges with inclusive bounds, a step or a log scale, and conditions.

They have only features with the same meaning in Optuna and KerasTuner. See `values` for values.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from spaces.declaring.values import Value, key, place_of, plain, value_text

Params: TypeAlias = dict[str, Any]  # name to `Value`
Condition: TypeAlias = tuple[str, Value]  # a tuple: any one of several values

GRID_POINTS = 10
_FIRST = object()  # marks a choice without a default, because None may be a value
NAME_RULE = (
    "begin with a letter or `_`, hold letters, digits, spaces and `_` `-` `.` `/`, and no part"
    " between slashes may be empty, begin with a dot or end with a space"
)

# Names that both MLflow and `--set NAME=VALUE` accept.
_NAME = re.compile(r"[^\W\d](?:[\w .-]*[\w.-])?(?:/[\w -](?:[\w .-]*[\w.-])?)*")


class SpaceError(ValueError):
    """A space, a parameter or a trial's params break a rule."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What all kinds of parameters share.

    Attributes:
        name: unique within the space; follows `NAME_RULE`.
        default: the value unless a baseline or the user gives another.
        when: `(name of an earlier parameter, value or tuple of values)`; the parameter
            is active only if that one has such a value. `None`: always active. A tuple is taken as
            one value if the earlier parameter has it, else as several values.
        fixed: fixed at `default` and not searched, unless `--set` changes that.
    """

    name: str = field(kw_only=False)
    default: Any = None
    when: Condition | None = None
    fixed: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SpaceError(f"a parameter's name must {NAME_RULE}; got {self.name!r}")

    @property
    def kind(self) -> str:
        """The word for this kind of parameter in listings: int, float, choice or boolean."""
        return type(self).__name__.lower()

    def contains(self, value: object) -> bool:
        """Return whether `value` has the parameter's type and is within its range."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return the range in one short phrase, for example `32..64` or `3 | 5`."""
        raise NotImplementedError

    def grid(self, points: int = GRID_POINTS) -> tuple[Value, ...]:
        """Return the values a grid search tries, at most `points` of a continuous range.

        Points are evenly spaced on the parameter's scale and include both bounds.
        """
        raise NotImplementedError

    def is_active(self, values: Mapping[str, Value]) -> bool:
        """Return whether the parameter is active, given the values of the earlier ones."""
        if self.when is None:
            return True
        parent, wanted = self.when
        if parent not in values:
            return False
        alternatives = wanted if isinstance(wanted, tuple) else (wanted,)
        return place_of(values[parent], alternatives) is not None

    def canonical(self, value: Value) -> Value:
        """Return a value in the parameter's type: a float for a real number."""
        return value


def _check_range(parameter: "Int | Float") -> None:
    name, low, high, step = parameter.name, parameter.low, parameter.high, parameter.step
    if low > high:
        raise SpaceError(f"`{name}`: low must not be above high; got {low}:{high}")
    if parameter.log and low <= 0:
        raise SpaceError(f"`{name}`: a log scale needs a low above 0; got {low}")
    if step is not None and step <= 0:
        raise SpaceError(f"`{name}`: step must be above 0; got {step}")
    if not parameter.contains(parameter.default):
        raise SpaceError(
            f"`{name}`: default must be within {parameter.describe()}; got {parameter.default!r}"
        )


@dataclass(frozen=True, kw_only=True)
class Int(Parameter):
    """A whole number in `low..high`, both inclusive, in steps from `low` or on a log scale."""

    low: int = field(kw_only=False)
    high: int = field(kw_only=False)
    step: int = 1
    log: bool = False
    default: Any = None  # becomes `low`

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.default is None:
            object.__setattr__(self, "default", self.low)
        if self.log and self.step != 1:
            raise SpaceError(f"`{self.name}`: step and log exclude each other")
        _check_range(self)

    def contains(self, value: object) -> bool:
        """Return whether `value` is a whole number on one of the range's steps."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def describe(self) -> str:
        """Return for example `32..64`, `1..512 log` or `16..128 step 16`."""
        if self.low == self.high:
            return str(self.low)
        scale = " log" if self.log else f" step {self.step}" if self.step != 1 else ""
        return f"{self.low}..{self.high}{scale}"

    def grid(self, points: int = GRID_POINTS) -> tuple[Value, ...]:
        """Return every value of a short range, `points` evenly spaced ones of a long range."""
        values = range(self.low, self.high + 1, self.step)
        if len(values) <= points:
            return tuple(values)
        if self.log:
            return tuple(dict.fromkeys(round(x) for x in _log_points(self.low, self.high, points)))
        last = len(values) - 1
        return tuple(values[round(i * last / (points - 1))] for i in range(points))


@dataclass(frozen=True, kw_only=True)
class Float(Parameter):
    """A real number in `low..high`, both inclusive, in steps from `low` or on a log scale."""

    low: float = field(kw_only=False)
    high: float = field(kw_only=False)
    step: float | None = None
    log: bool = False
    default: Any = None  # becomes `low`

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.default is None:
            object.__setattr__(self, "default", float(self.low))
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise SpaceError(f"`{self.name}`: bounds must be finite; got {self.low}:{self.high}")
        if self.log and self.step is not None:
            raise SpaceError(f"`{self.name}`: step and log exclude each other")
        _check_range(self)

    def contains(self, value: object) -> bool:
        """Return whether `value` is a number in the range; with a step, on one of the steps."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-6)

    def canonical(self, value: Value) -> Value:
        """Return a number as a float: 0 and 0.0 are the same value of a range."""
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def describe(self) -> str:
        """Return for example `0.0001..0.01 log` or `0.0..0.5 step 0.05`."""
        if self.low == self.high:
            return f"{self.low:g}"
        scale = " log" if self.log else f" step {self.step:g}" if self.step is not None else ""
        return f"{self.low:g}..{self.high:g}{scale}"

    def grid(self, points: int = GRID_POINTS) -> tuple[Value, ...]:
        """Return `points` evenly spaced values; in a stepped range, only values on a step."""
        if self.low == self.high:
            return (self.low,)
        if self.log:
            return tuple(_log_points(self.low, self.high, points))
        if self.step is None:
            width = self.high - self.low
            return tuple(self.low + width * i / (points - 1) for i in range(points))
        last = math.floor((self.high - self.low) / self.step + 1e-6)
        picked = range(last + 1) if last < points else _even_indices(last, points)
        return tuple(round(self.low + i * self.step, 12) for i in picked)


@dataclass(frozen=True, kw_only=True)
class Choice(Parameter):
    """One of a few values without an order.

    Values are numbers, texts, True, False, None, or tuples of these. Values that are equal in
    Python (0, 0.0, False) are different if their types differ.

    Attributes:
        default: the first value unless given.
        or_file: whether the path of any file is also a value; it is never searched.
    """

    values: tuple[Value, ...] = field(kw_only=False)
    default: Any = _FIRST
    or_file: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.values, list | tuple) or not self.values:
            raise SpaceError(
                f"`{self.name}`: a choice needs a tuple of at least one value; got {self.values!r}"
            )
        object.__setattr__(self, "values", tuple(map(self._plain, self.values)))
        self._check_distinct()
        default = self.values[0] if self.default is _FIRST else self._plain(self.default)
        object.__setattr__(self, "default", default)
        if not self.contains(self.default):
            raise SpaceError(
                f"`{self.name}`: default must be one of {self.describe()}; got {self.default!r}"
            )

    def contains(self, value: object) -> bool:
        """Return whether `value` is one of the values and has the same type."""
        if place_of(value, self.values) is not None:
            return True
        return self.or_file and isinstance(value, str) and self.of_file(value) is not None

    def of_file(self, text: str) -> str | None:
        """Return the absolute path of the file called `text`, None if there is none."""
        path = Path(text).expanduser()
        return str(path.resolve()) if text not in self.values and path.is_file() else None

    def describe(self) -> str:
        """Return for example `3 | 5`, with values as `--set` takes them."""
        return " | ".join([*map(value_text, self.values), *["FILE"] * self.or_file])

    def grid(self, points: int = GRID_POINTS) -> tuple[Value, ...]:
        """Return all values, however many."""
        return self.values

    def _plain(self, value: object) -> Value:
        try:
            return plain(value)
        except ValueError as error:
            raise SpaceError(f"`{self.name}`: {error}") from error

    def _check_distinct(self) -> None:
        seen = set()
        for value in self.values:
            if key(value) in seen:
                raise SpaceError(
                    f"`{self.name}`: the value {value_text(value)} occurs twice in"
                    f" {self.describe()}; name each value once"
                )
            seen.add(key(value))


@dataclass(frozen=True, kw_only=True)
class Boolean(Parameter):
    """On or off."""

    default: Any = False

    def contains(self, value: object) -> bool:
        """Return whether `value` is True or False."""
        return isinstance(value, bool)

    def describe(self) -> str:
        """Return `off | on`."""
        return "off | on"

    def grid(self, points: int = GRID_POINTS) -> tuple[Value, ...]:
        """Return both values."""
        return (False, True)


def _log_points(low: float, high: float, points: int) -> list[float]:
    ratio = math.log(high / low)
    inner = [low * math.exp(ratio * i / (points - 1)) for i in range(1, points - 1)]
    return [low, *inner, high]


def _even_indices(last: int, points: int) -> list[int]:
    return [round(i * last / (points - 1)) for i in range(points)]
