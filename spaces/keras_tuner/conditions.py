"""When each parameter of a hypermodel is in use, concluded from the builds that were tried."""

from dataclasses import replace
from typing import TypeAlias

from spaces.declaring.parameters import Parameter
from spaces.declaring.values import Value
from spaces.keras_tuner.exploring import Built, Explorer, Found, Key
from spaces.keras_tuner.translation import all_values, own_name, unique_name

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
