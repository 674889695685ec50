"""Narrowing a space from text: `--set NAME=VALUE`, `NAME=LOW:HIGH` or `NAME=A,B,C`.

`spaces.declaring.values` defines how values are written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from spaces.declaring.parameters import Boolean, Choice, Float, Int, Parameter, Params, SpaceError
from spaces.declaring.space import Space
from spaces.declaring.values import QUOTING, Value, chosen, read, same, split, value_text


@dataclass(frozen=True)
class NarrowedSpace:
    """A space after `--set`.

    Attributes:
        space: with the narrowed parameters.
        baselines: complete params of the baselines within the narrowed space, by name.
        skipped: for each other baseline, the reason why it is not.
    """

    space: Space
    baselines: dict[str, Params]
    skipped: dict[str, str]


def narrow(space: Space, overrides: Mapping[str, str]) -> NarrowedSpace:
    """Return `space` with each named parameter narrowed by its text.

    Raises:
        SpaceError: the message has all faults, one a line.
    """
    faults = []
    parameters = []
    for parameter in space.parameters:
        try:
            text = overrides.get(parameter.name)
            parameters.append(parameter if text is None else narrow_parameter(parameter, text))
        except SpaceError as error:
            faults.append(str(error))
    for name in overrides:
        if name not in space.names():
            faults.append(
                f"`--set {name}`: {space.name} has no such parameter; {_known(space, name)}"
            )
    if not faults:
        faults = [fault for name in overrides if (fault := _idle(parameters, name))]
    if faults:
        raise SpaceError("\n".join(faults))
    return _with_baselines(replace(space, parameters=tuple(parameters), baselines={}), space)


def narrow_parameter(parameter: Parameter, text: str) -> Parameter:
    """Return `parameter` fixed at one value, or searched over a part of its range.

    Args:
        parameter: the parameter to narrow.
        text: `VALUE`, `LOW:HIGH` (both inclusive) or `A,B,C`.

    Raises:
        SpaceError: the text is not such a value or range, or is outside the declared range.
    """
    if isinstance(parameter, Choice) and parameter.or_file and parameter.of_file(text) is not None:
        return replace(parameter, default=parameter.of_file(text), fixed=True)
    if isinstance(parameter, Int | Float) and ":" in text:
        return _narrow_to_range(parameter, text)
    values = tuple(_value(parameter, item) for item in _items(parameter, text))
    if len(values) > 1:
        return Choice(parameter.name, values, default=_kept(parameter, values), when=parameter.when)
    return replace(_narrowest(parameter, values[0]), fixed=True)


def _items(parameter: Parameter, text: str) -> list[str]:
    """Return the texts of the values; a tuple means several values if it cannot be one."""
    try:
        items = split(text)
        alone = read(items[0]) if len(items) == 1 else None
    except ValueError as error:
        raise _refused(parameter, text, f"{error}; {QUOTING}") from error
    if isinstance(alone, tuple) and alone and not _has_tuples(parameter):
        return [value_text(value) for value in alone]
    return items


def _has_tuples(parameter: Parameter) -> bool:
    is_choice = isinstance(parameter, Choice)
    return is_choice and any(isinstance(value, tuple) for value in parameter.grid())


def _idle(parameters: list[Parameter], name: str) -> str:
    """Return why a narrowed parameter is never active, or None."""
    known = {parameter.name: parameter for parameter in parameters}
    when = known[name].when
    if when is None or not known[when[0]].fixed or known[name].is_active(_held(known[when[0]])):
        return ""
    wanted = when[1][0] if isinstance(when[1], tuple) else when[1]
    return f"`--set {name}` is active only with `--set {when[0]}={value_text(wanted)}`: add that"


def _held(parameter: Parameter) -> Params:
    return {parameter.name: parameter.default}


def _known(space: Space, name: str) -> str:
    close = get_close_matches(name, space.names(), n=2)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"its parameters: {', '.join(space.names())}"


def _narrow_to_range(parameter: Int | Float, text: str) -> Parameter:
    low_text, _, high_text = text.partition(":")
    low: Any = _value(parameter, low_text.strip())
    high: Any = _value(parameter, high_text.strip())
    if low > high:
        raise SpaceError(
            f"`--set {parameter.name}={text}`: low must not be above high; write {high}:{low}"
        )
    inside = low <= parameter.default <= high
    default = parameter.default if inside else low
    return replace(parameter, low=low, high=high, default=default, fixed=False)


def _value(parameter: Parameter, text: str) -> Value:
    """Return a parameter's value from its text.

    Raises:
        SpaceError: the text is not a value of the parameter.
    """
    if isinstance(parameter, Choice | Boolean):
        found = _choice(parameter, text)
        if found:
            return found[0]
        if ":" in text and not text.startswith('"'):
            raise SpaceError(
                f"`--set {parameter.name}={text}`: a {parameter.kind} has no range;"
                f" name values of {parameter.describe()}, separated by commas"
            )
    else:
        number = _number(int if isinstance(parameter, Int) else float, text)
        if number is not None and parameter.contains(number):
            return number
    needs_rule = isinstance(parameter, Choice) and any(
        value_text(value)[:1] in ('"', "(") for value in parameter.values
    )
    raise _refused(parameter, text, QUOTING if needs_rule else "")


def _choice(parameter: Choice | Boolean, text: str) -> tuple[Value, ...]:
    try:
        return chosen(text, parameter.grid())
    except ValueError as error:
        raise _refused(parameter, text, f"{error}; {QUOTING}") from error


def _refused(parameter: Parameter, text: str, more: str) -> SpaceError:
    return SpaceError(
        f"`--set {parameter.name}`: a value must be within {parameter.describe()};"
        f" got {text or 'nothing'}{f' ({more})' if more else ''}"
    )


def _number(kind: type[int] | type[float], text: str) -> int | float | None:
    try:
        meant = read(text) if text.startswith('"') else text  # "32" in a list of texts
        return kind(str(meant))
    except ValueError:
        return None


def _narrowest(parameter: Parameter, value: Any) -> Parameter:
    match parameter:
        case Int() | Float():
            return replace(parameter, low=value, high=value, default=value)
        case _:
            return Choice(parameter.name, (value,), default=value, when=parameter.when)


def _kept(parameter: Parameter, values: tuple[Value, ...]) -> Value:
    is_among = any(same(parameter.default, value) for value in values)
    return parameter.default if is_among else values[0]


def _with_baselines(narrowed: Space, declared: Space) -> NarrowedSpace:
    kept: dict[str, Params] = {}
    skipped: dict[str, str] = {}
    for name, params in declared.baselines.items():
        try:
            kept[name] = narrowed.complete(params)
        except SpaceError as error:
            skipped[name] = str(error)
    return NarrowedSpace(narrowed, kept, skipped)
