"""Finding a hypermodel's parameters, and when each is in use, by building its models.

A parameter that is asked for only in a branch is not known before a build takes that branch. So a
model is built with all defaults, then once for each value of each parameter that has few, the
others held; parameters that appear are tried the same way, under the values that revealed them.
What appears only in combination with a second change is not found; it keeps its default.
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
Key: TypeAlias = tuple[str, Scope]  # KerasTuner tells hyperparameters apart by name and conditions


@dataclass(frozen=True)
class Built:
    """What one build showed.

    Attributes:
        setting: the values that were not left to their defaults.
        active: the hyperparameters that were in use, in the order they were asked for.
        values: of those in use, by name.
        complete: the build came to its end.
    """

    setting: Setting
    active: tuple[Key, ...]
    values: Setting
    complete: bool


@dataclass
class Found:
    """A hyperparameter.

    Attributes:
        number: 0 for the one that was met first, and so on.
        key: its name and conditions in the hypermodel.
        parameter: without its condition.
        context: the setting of the first complete build it was in use in; None before that.
        present: what else was in use in that build.
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
    """Builds models until nothing new is to be expected, or `BUILDS` of them are built.

    Attributes:
        build: builds a model from a `HyperParameters`; may raise anything.
        new: returns a `HyperParameters` with the given values.
        found: the hyperparameters in order; one that depends on another comes after it.
        failures: settings that cannot be built, with the exception.
        is_exhausted: nothing was left to try.
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
            Exception: whatever the build with all defaults raises.
        """
        self._observe({})
        if self.failures:
            raise self.failures[0][1]
        while (job := self._next()) is not None:
            if len(self.builds) == BUILDS:
                return
            setting, swept = job
            shown = self._observe(setting)
            if swept is not None and frozenset(shown.active) != swept.present:
                self._plan(swept, trials_of(swept.parameter)[1])
        self.is_exhausted = True

    def _next(self) -> tuple[Setting, Found | None] | None:
        if self._waiting:
            return self._waiting.popleft()
        for scope, setting in list(self._idle_scopes.items()):
            del self._idle_scopes[scope]
            if scope not in self._used_scopes and self._is_new(setting):
                return setting, None
        return None

    def _plan(self, found: Found, values: Iterable[Value]) -> None:
        for value in values:
            setting = {**(found.context or {}), found.original: value}
            if value != found.parameter.default and self._is_new(setting):
                self._waiting.append((setting, found))

    def _is_new(self, setting: Setting) -> bool:
        signature = frozenset(setting.items())
        is_new = signature not in self._tried
        self._tried.add(signature)
        return is_new

    def _observe(self, setting: Setting) -> Built:
        hp = self.new(setting)
        complete = True
        try:
            self.build(hp)
        except Exception as error:  # noqa: BLE001 # the hypermodel's code may raise anything
            self.failures.append((setting, error))
            complete = False
        active = {key_of(each): each for each in hp.space if hp.is_active(each)}
        values = {name: hp.values[name] for name, _ in active}
        shown = Built(setting, tuple(active), values, complete)
        self.builds.append(shown)
        self._note_scopes(hp, setting)
        self._enter(shown, {key_of(each): each for each in hp.space})
        return shown

    def _note_scopes(self, hp: Any, setting: Setting) -> None:
        self._used_scopes |= {_scope(conditions) for conditions in hp.active_scopes}
        for conditions in hp.inactive_scopes:
            wanted = {condition.name: condition.values[0] for condition in conditions}
            self._idle_scopes.setdefault(_scope(conditions), {**setting, **wanted})

    def _enter(self, shown: Built, asked_for: dict[Key, Any]) -> None:
        order = [found.key for found in self.found]
        place = 0
        for key, hyperparameter in asked_for.items():
            if key not in order:  # it comes after all that this build asked for before
                order.insert(place, key)
                parameter = translate(hyperparameter, valid_name(key[0]))
                self.found.insert(place, Found(len(self.found), key, parameter))
            place = max(place, order.index(key) + 1)
            found = self.found[order.index(key)]
            if found.context is None and key in shown.active and shown.complete:
                found.context, found.present = shown.setting, frozenset(shown.active)
                self._plan(found, trials_of(found.parameter)[0])


def key_of(hyperparameter: Any) -> Key:
    """Return what KerasTuner tells a hyperparameter by."""
    return hyperparameter.name, _scope(hyperparameter.conditions)


def _scope(conditions: Iterable[Any]) -> Scope:
    return tuple((condition.name, tuple(condition.values)) for condition in conditions)


_When: TypeAlias = tuple[Key, tuple[Value, ...]]


def parameters_of(explorer: Explorer, *, compiled: bool) -> tuple[tuple[Parameter, str], ...]:
    """Return the parameters with their conditions, each with its name in the hypermodel.

    What is asked for alike under several values of one parameter is one parameter.

    Args:
        explorer: after it has explored.
        compiled: the models come compiled, so that names do not mean the harness's own choices.
    """
    firsts: dict[Key, Key] = {}  # of those asked for alike, the first
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
    """Return a name for each kept hyperparameter; the one met first has the shortest.

    Args:
        explorer: after it has explored.
        firsts: for every hyperparameter the one that is kept for it.
        conditional: those not always in use, where names must not mean the harness's choices.
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

    Of the conditions that hold in every build in which the hyperparameter was in use, that is the
    one which also holds in the fewest others.
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
    return (name, tuple(outer)), values  # KerasTuner has the parent stand just outside


def _seen(explorer: Explorer, key: Key, parent: Found) -> _When | None:
    """Return the values of `parent` that go with a hyperparameter, where it makes the difference.

    Values that were not tried count as going with it.
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
    return {**one.setting, name: None} == {**other.setting, name: None}


def _without(explorer: Explorer, key: Key) -> list[Built]:
    return [shown for shown in explorer.builds if shown.complete and key not in shown.active]


def _misses(explorer: Explorer, key: Key, condition: _When | None) -> int:
    """Return in how many builds the condition held and the hyperparameter was not in use."""
    unused = _without(explorer, key)
    if condition is None:
        return len(unused)
    parent, values = condition
    return sum(parent in shown.active and shown.values[parent[0]] in values for shown in unused)
