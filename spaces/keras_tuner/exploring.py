"""Finding a hypermodel's parameters, and when each is in use, by building its models.

A parameter that is asked for only in a branch is not known before a build takes that branch. So a
model is built with all defaults, then once for each value of each parameter that has few, the
others held; parameters that appear are tried the same way, under the values that revealed them.
What appears only in combination with a second change is not found; it keeps its default.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from spaces.declaring.parameters import Parameter
from spaces.declaring.values import Value
from spaces.keras_tuner.translation import translate, trials_of, valid_name

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
