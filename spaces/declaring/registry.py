"""Find the space that a user names with `--space`, and narrow it as `--set` says.

`--set` takes `NAME=VALUE`, `NAME=LOW:HIGH` or `NAME=A,B,C`; `spaces.declaring.values` defines how
values are written.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from spaces.declaring.declarations import Notify, declaration
from spaces.declaring.fingerprint import Fingerprint, fingerprint
from spaces.declaring.importing import Code, find
from spaces.declaring.parameters import Boolean, Choice, Float, Int, Parameter, Params, SpaceError
from spaces.declaring.space import DataSpec, Identity, Space
from spaces.declaring.training import with_training
from spaces.declaring.values import QUOTING, Value, chosen, read, same, split, value_text
from spaces.keras_tuner.hypermodel import (
    Hypermodel,
    Replay,
    hypermodel_space,
    new_hyperparameters,
)

ENTRY_POINTS = "foldwise.spaces"

_BUILT_IN = {
    "bilstm": "spaces.bilstm:SPACE",
    "cnn": "spaces.cnn:SPACE",
    "convnet": "spaces.convnet:SPACE",
    "lenet": "spaces.lenet:SPACE",
    "mlp": "spaces.mlp:SPACE",
    "resnet152v2": "spaces.transfer:RESNET152V2",
    "vgg16": "spaces.transfer:VGG16",
}


def is_built_in(space: Space) -> bool:
    """Return whether a space is one of this project's own."""
    place = _BUILT_IN.get(space.name, "").partition(":")[0]
    build = getattr(space.build, "func", space.build)
    return bool(place) and getattr(build, "__module__", "") == place


def names() -> tuple[str, ...]:
    """Return the names of all spaces with a name: built-in ones, then entry points."""
    return tuple(_references())


def reference_to(space: Any, notify: Notify) -> str:
    """Return the reference of what a user gives as a space: a name, or an object.

    Args:
        space: a reference, which is returned, or a `Space`, a `keras_tuner.HyperModel` (class or
            instance) or a function `build(hp)`, which can be used by its reference from then on.
        notify: takes notices for the user.

    Raises:
        SpaceError: it is none of these, or cannot be sent to worker processes.
    """
    if isinstance(space, str):
        return space
    for name, target in _BUILT_IN.items():
        place, _, attribute = target.partition(":")
        module = sys.modules.get(place)
        if module is not None and space is getattr(module, attribute):
            return name
    from spaces.declaring.passing import pass_on  # with NumPy, which most commands do not need

    return pass_on(space, notify)


def get_space(
    reference: str,
    data: DataSpec | None = None,
    *,
    cache: Path | None = None,
    notify: Notify | None = None,
) -> Space:
    """Return the space a reference names, with the training choices added.

    A reference with a colon is imported in a separate process. If it is a KerasTuner hypermodel,
    its models are built there for `data` to find out its parameters.

    Args:
        reference: a name from `names()`, `package.module:attribute` or `path/file.py:attribute`.
            The latter two import, and so run, that code.
        data: the data models are built for. Without it, a hypermodel's space has name, inputs and
            dataset, but no parameters, and builds no models; other spaces do not need it.
        cache: folder that caches a hypermodel's parameters.
        notify: takes notices for the user.

    Raises:
        SpaceError: the reference cannot be found, is not a space, or its models cannot be built.
    """
    target = _references().get(reference, reference)
    if target in _BUILT_IN.values():
        return with_training(find(target))
    found = declaration(target, data, cache=cache, notify=notify or _unheard)
    if found.is_space:
        return with_training(find(target))
    name = reference if ":" not in reference else None
    return with_training(hypermodel_space(target, name, found, is_outline=data is None))


def run_code(reference: str, data: DataSpec) -> Iterator[None]:
    """Import a space's module, then build one of its models, yielding after each step.

    This registers the code's custom classes and functions with Keras, at import or during the
    build.

    Args:
        reference: as in `get_space`.
        data: the data the model is built for.

    Raises:
        SpaceError: the reference cannot be found or imported.
    """
    target = _references().get(reference, reference)
    found = find(target)
    yield
    if isinstance(found, Space):
        found.build(found.complete({}), data)
    else:
        Hypermodel(found, target, data).build(new_hyperparameters({}))
    yield


def code_of(reference: str) -> Code | None:
    """Return the code that a reference runs; None for a space that comes with this project."""
    target = _references().get(reference, reference)
    return None if target in _BUILT_IN.values() else Code(target)


@contextmanager
def run_anew(space: Space, code: Code | None) -> Iterator[Space]:
    """Yield a space all of whose functions belong to a new run of its code.

    Of a hypermodel, `build` and then `fit` are of one instance.

    Args:
        space: from `get_space`.
        code: its code; None yields the space unchanged.

    Raises:
        SpaceError: the code cannot be run.
    """
    if code is None:
        yield space
        return
    with code.running() as found:
        if isinstance(found, Space):
            named = ("build", "unfreeze", "fit", "callbacks")
            yield replace(space, **{name: getattr(found, name) for name in named})
        elif isinstance(space.build, Replay):
            played = space.build.of(found)
            yield replace(space, build=played.build, fit=played.fit if space.fit else None)
        else:
            raise SpaceError(f"{code.target} is no longer a spaces.Space: {type(found).__name__}")


def space_fingerprint(reference: str, data: DataSpec, *, cache: Path | None) -> Fingerprint:
    """Return the fingerprint of a space's code, as in `SessionStarted.code`.

    Args:
        reference: of the space.
        data: the data its models are built for.
        cache: folder of cached declarations.

    Raises:
        SpaceError: the reference cannot be found.
    """
    target = _references().get(reference, reference)
    if target in _BUILT_IN.values():
        return fingerprint(target)
    return fingerprint(target, declaration(target, data, cache=cache, notify=_unheard).files)


def absolute(reference: str) -> str:
    """Return the reference with an absolute path."""
    place, colon, attribute = reference.rpartition(":")
    if colon and place.endswith(".py"):
        return f"{Path(place).resolve()}:{attribute}"
    return reference


def _references() -> dict[str, str]:
    found = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return {**found, **_BUILT_IN}


def _unheard(notice: str) -> None:
    pass


@dataclass(frozen=True)
class NarrowedSpace:
    """A space after `--set`.

    Attributes:
        space: with the narrowed parameters.
        baselines: complete params of the baselines within the narrowed space, by name.
        skipped: for each other baseline, the reason why it is not.
        adapted: the names of those in `baselines` that got fixed values in place of their own, by
            the names they are declared by.
    """

    space: Space
    baselines: dict[str, Params]
    skipped: dict[str, str]
    adapted: dict[str, str] = field(default_factory=dict)


def narrow(space: Space, overrides: Mapping[str, str], *, adapts: bool = True) -> NarrowedSpace:
    """Return `space` with each named parameter narrowed by its text.

    A baseline that states another value than the one a parameter is fixed at gets the fixed one,
    and a name that says so, such as `small, dropout=0.2`.

    Args:
        space: to narrow.
        overrides: texts by parameter.
        adapts: put fixed values into baselines; otherwise such baselines are left out, as in
            studies of earlier versions.

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
    narrowed = replace(space, parameters=tuple(parameters), baselines={})
    return _with_baselines(narrowed, space, overrides if adapts else {})


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
    """Return why a narrowed parameter is never active; empty if it may be."""
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


def _with_baselines(
    narrowed: Space, declared: Space, overrides: Mapping[str, str]
) -> NarrowedSpace:
    found = NarrowedSpace(narrowed, {}, {})
    known: dict[Identity, str] = {}
    for name, stated in declared.baselines.items():
        changes = _fixed_otherwise(narrowed, stated, overrides)
        called = ", ".join([name, *(f"{n}={value_text(v)}" for n, v in changes.items())])
        try:
            params = narrowed.complete(_with_changes(narrowed, stated, changes))
        except SpaceError as error:
            found.skipped[name] = str(error)
            continue
        same_as = known.setdefault(narrowed.identity(params), called)
        if same_as != called:
            found.skipped[name] = f"it has the same params as {same_as}"
            continue
        found.baselines[called] = params
        if changes:
            found.adapted[name] = called
    return found


def _fixed_otherwise(
    narrowed: Space, stated: Mapping[str, Value], overrides: Mapping[str, str]
) -> Params:
    """Return the values that parameters are fixed at where a baseline states others."""
    return {
        parameter.name: parameter.default
        for parameter in narrowed.parameters
        if parameter.name in stated
        and parameter.name in overrides
        and parameter.fixed
        and not parameter.contains(parameter.canonical(stated[parameter.name]))
    }


def _with_changes(narrowed: Space, stated: Mapping[str, Value], changes: Params) -> Params:
    """Return a baseline's params with other values, without what is inactive because of these."""
    params = {**stated, **changes}
    if not changes:
        return params
    active = narrowed.decide(lambda parameter: params.get(parameter.name, parameter.default))
    return {name: value for name, value in params.items() if name in active}
