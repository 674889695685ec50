"""Find a hypermodel's parameters, and when each is active, by building its models.

A parameter in a branch is not known until a build takes that branch. So a model is built with all
defaults, then once for each value of each parameter that has few values, with the others fixed; new
parameters are tried in the same way, with the values that revealed them. A parameter that appears
only after two changes together is not found; it keeps its default.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from spaces.declaring.parameters import Parameter
from spaces.declaring.values import Value
from spaces.keras_tuner.translation import (
    all_values,
    own_name,
    translate,
    trials_of,
    unique_name,
    valid_name,
)

BUILDS = 64

Setting: TypeAlias = dict[str, Value]
Scope: TypeAlias = tuple[tuple[str, tuple[Value, ...]], ...]
Key: TypeAlias = tuple[str, Scope]  # KerasTuner identifies hyperparameters by name and conditions


@dataclass(frozen=True)
class Built:
    """The result of one build.

    Attributes:
        params: the values that differ from defaults.
        active: the active hyperparameters, in the order of their use.
        values: of active ones, by name.
        complete: whether the build succeeded.
    """

    params: Setting
    active: tuple[Key, ...]
    values: Setting
    complete: bool


@dataclass
class Found:
    """A hyperparameter.

    Attributes:
        number: 0 for the first one found, and so on.
        key: its name and conditions in the hypermodel.
        parameter: without its condition.
        context: the values of the first complete build in which it was active; None before that.
        present: the other active hyperparameters of that build.
    """

    number: int
    key: Key
    parameter: Parameter
    context: Setting | None = None
    present: frozenset[Key] = frozenset()

    @property
    def original(self) -> str:
        """Its name in the hypermodel."""
        return self.key[0]


@dataclass
class Explorer:
    """Builds models until there is nothing left to try, or `BUILDS` models are built.

    Attributes:
        build: builds a model from a `HyperParameters`; may raise anything.
        new: returns a `HyperParameters` with the given values.
        found: the hyperparameters in order; one that depends on another comes after it.
        failures: values that cannot be built, with the exception.
        is_exhausted: whether nothing was left to try.
    """

    build: Callable[[Any], object]
    new: Callable[[Setting], Any]
    found: list[Found] = field(default_factory=list)
    builds: list[Built] = field(default_factory=list)
    failures: list[tuple[Setting, Exception]] = field(default_factory=list)
    is_exhausted: bool = False
    _waiting: deque[tuple[Setting, Found | None]] = field(default_factory=deque)
    _tried: set[frozenset[tuple[str, Value]]] = field(default_factory=set)
    _idle_scopes: dict[Scope, Setting] = field(default_factory=dict)
    _used_scopes: set[Scope] = field(default_factory=set)

    def explore(self) -> None:
        """Fill `found`.

        Raises:
            Exception: any exception of the build with all defaults.
        """
        self._observe({})
        if self.failures:
            raise self.failures[0][1]
        while (job := self._next()) is not None:
            if len(self.builds) == BUILDS:
                return
            params, swept = job
            shown = self._observe(params)
            if swept is not None and frozenset(shown.active) != swept.present:
                self._plan(swept, trials_of(swept.parameter)[1])
        self.is_exhausted = True

    def _next(self) -> tuple[Setting, Found | None] | None:
        if self._waiting:
            return self._waiting.popleft()
        for scope, params in list(self._idle_scopes.items()):
            del self._idle_scopes[scope]
            if scope not in self._used_scopes and self._is_new(params):
                return params, None
        return None

    def _plan(self, found: Found, values: Iterable[Value]) -> None:
        for value in values:
            params = {**(found.context or {}), found.original: value}
            if value != found.parameter.default and self._is_new(params):
                self._waiting.append((params, found))

    def _is_new(self, params: Setting) -> bool:
        signature = frozenset(params.items())
        is_new = signature not in self._tried
        self._tried.add(signature)
        return is_new

    def _observe(self, params: Setting) -> Built:
        hp = self.new(params)
        complete = True
        try:
            self.build(hp)
        except Exception as error:  # noqa: BLE001 # the hypermodel's code may raise anything
            self.failures.append((params, error))
            complete = False
        active = {key_of(each): each for each in hp.space if hp.is_active(each)}
        values = {name: hp.values[name] for name, _ in active}
        shown = Built(params, tuple(active), values, complete)
        self.builds.append(shown)
        self._note_scopes(hp, params)
        self._enter(shown, {key_of(each): each for each in hp.space})
        return shown

    def _note_scopes(self, hp: Any, params: Setting) -> None:
        self._used_scopes |= {_scope(conditions) for conditions in hp.active_scopes}
        for conditions in hp.inactive_scopes:
            wanted = {condition.name: condition.values[0] for condition in conditions}
            self._idle_scopes.setdefault(_scope(conditions), {**params, **wanted})

    def _enter(self, shown: Built, asked_for: dict[Key, Any]) -> None:
        order = [found.key for found in self.found]
        place = 0
        for key, hyperparameter in asked_for.items():
            if key not in order:  # it comes after all that this build used before
                order.insert(place, key)
                parameter = translate(hyperparameter, valid_name(key[0]))
                self.found.insert(place, Found(len(self.found), key, parameter))
            place = max(place, order.index(key) + 1)
            found = self.found[order.index(key)]
            if found.context is None and key in shown.active and shown.complete:
                found.context, found.present = shown.params, frozenset(shown.active)
                self._plan(found, trials_of(found.parameter)[0])


def key_of(hyperparameter: Any) -> Key:
    """Return KerasTuner's key of a hyperparameter."""
    return hyperparameter.name, _scope(hyperparameter.conditions)


def _scope(conditions: Iterable[Any]) -> Scope:
    return tuple((condition.name, tuple(condition.values)) for condition in conditions)


_When: TypeAlias = tuple[Key, tuple[Value, ...]]


def parameters_of(explorer: Explorer, *, compiled: bool) -> tuple[tuple[Parameter, str], ...]:
    """Return the parameters with their conditions, each with its name in the hypermodel.

    The same hyperparameter under several values of one parameter is one parameter.

    Args:
        explorer: after exploring.
        compiled: whether the models are compiled, so that names do not mean training choices.
    """
    firsts: dict[Key, Key] = {}  # of equal ones, the first
    known: dict[tuple[str, Parameter, Key | None], Key] = {}
    conditions: dict[Key, _When] = {}
    for place, found in enumerate(explorer.found):
        when = _condition(explorer, place)
        above = None if when is None else firsts[when[0]]
        alike = (found.original, found.parameter, above)
        first = firsts[found.key] = known.setdefault(alike, found.key)
        if when is not None and above is not None:
            before = conditions[first][1] if first in conditions else ()
            conditions[first] = (above, tuple(dict.fromkeys((*before, *when[1]))))
    kept = [found for found in explorer.found if firsts[found.key] == found.key]
    names = _names(explorer, firsts, set(conditions) if compiled else None)
    return tuple((_written(found, kept, conditions, names), found.original) for found in kept)


def _names(
    explorer: Explorer, firsts: dict[Key, Key], conditional: set[Key] | None
) -> dict[Key, str]:
    """Return a name for each kept hyperparameter; the first one found has the shortest.

    Args:
        explorer: after exploring.
        firsts: for every hyperparameter the one that represents it.
        conditional: those not always active, whose names must not mean training choices.
    """
    names: dict[Key, str] = {}
    for found in sorted(explorer.found, key=lambda found: found.number):
        first, name = firsts[found.key], found.parameter.name
        if first in names:
            continue
        if conditional is not None:
            name = own_name(name, conditional=first in conditional)
        names[first] = unique_name(name, names.values())
    return names


def _written(
    found: Found, kept: list[Found], conditions: dict[Key, _When], names: dict[Key, str]
) -> Parameter:
    when = None
    if found.key in conditions:
        parent, values = conditions[found.key]
        above = next(each for each in kept if each.key == parent)
        known = all_values(above.parameter) or values
        ordered = tuple(value for value in known if value in values)
        when = (names[parent], ordered[0] if len(ordered) == 1 else ordered)
    return replace(found.parameter, name=names[found.key], when=when)


def _condition(explorer: Explorer, place: int) -> _When | None:
    """Return the hyperparameter that one depends on, with the values it must have.

    Of the conditions that hold in every build in which the hyperparameter was active, it is the one
    that holds in the fewest other builds.
    """
    found, earlier = explorer.found[place], explorer.found[:place]
    best = _declared(found.key)
    fewest = _misses(explorer, found.key, best)
    for parent in earlier:
        candidate = _seen(explorer, found.key, parent)
        if candidate is not None and (misses := _misses(explorer, found.key, candidate)) < fewest:
            best, fewest = candidate, misses
    return best


def _declared(key: Key) -> _When | None:
    """Return the innermost `conditional_scope` around a hyperparameter."""
    if not key[1]:
        return None
    *outer, (name, values) = key[1]
    return (name, tuple(outer)), values  # in KerasTuner the parent is just outside


def _seen(explorer: Explorer, key: Key, parent: Found) -> _When | None:
    """Return the values of `parent` with which a hyperparameter is active, if they decide that.

    Values that were not tried count as such values.
    """
    values = all_values(parent.parameter)
    used = [shown for shown in explorer.builds if key in shown.active]
    unused = _without(explorer, key)
    if values is None or any(parent.key not in shown.active for shown in used):
        return None
    if not any(_differ_by(parent.original, one, other) for one in used for other in unused):
        return None
    name = parent.original
    held = {shown.values[name] for shown in used}
    refuted = {shown.values[name] for shown in unused if parent.key in shown.active} - held
    wanted = tuple(value for value in values if value not in refuted)
    return None if len(wanted) == len(values) else (parent.key, wanted)


def _differ_by(name: str, one: Built, other: Built) -> bool:
    return {**one.params, name: None} == {**other.params, name: None}


def _without(explorer: Explorer, key: Key) -> list[Built]:
    return [shown for shown in explorer.builds if shown.complete and key not in shown.active]


def _misses(explorer: Explorer, key: Key, condition: _When | None) -> int:
    """Return in how many builds the condition held, but the hyperparameter was not active."""
    unused = _without(explorer, key)
    if condition is None:
        return len(unused)
    parent, values = condition
    return sum(parent in shown.active and shown.values[parent[0]] in values for shown in unused)
