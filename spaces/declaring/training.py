"""The training choices that every space has, fixed at defaults unless `--set` changes them.

`--set batch_size=32,64,128` searches a batch size, `--set optimizer=sgd` changes the optimizer. A
space may declare a parameter with one of these names, which replaces the training choice; it must
have the same meaning. The parameters of a choice that is off are inactive.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from spaces.declaring.parameters import Boolean, Choice, Float, Int, Parameter, SpaceError
from spaces.declaring.space import Space
from spaces.declaring.values import Value, value_text

# Only for models that this project compiles.
COMPILING: tuple[Parameter, ...] = (
    Choice("optimizer", ("adam", "adamw", "sgd", "rmsprop"), default="adam", fixed=True),
    Float("learning_rate", 1e-6, 1.0, log=True, default=1e-3, fixed=True),
    Float("momentum", 0.0, 0.999, default=0.9, when=("optimizer", "sgd"), fixed=True),
    Float(
        "weight_decay", 1e-6, 1.0, log=True, default=4e-3, when=("optimizer", "adamw"), fixed=True
    ),
    Choice("schedule", ("constant", "cosine", "plateau"), fixed=True),
    Float("warmup", 0.0, 0.5, default=0.1, when=("schedule", "cosine"), fixed=True),
    Float("ema", 0.0, 0.5, fixed=True),  # mean age in the average, as a fraction of the steps
    Float("l2", 0.0, 0.1, fixed=True),
    Float("label_smoothing", 0.0, 0.5, fixed=True),
)
FITTING: tuple[Parameter, ...] = (
    Int("batch_size", 1, 4096, log=True, default=32, fixed=True),
    Int("epochs", 1, 1000, default=10, fixed=True),
    Boolean("early_stopping", fixed=True),
    Int("patience", 1, 100, default=3, when=("early_stopping", True), fixed=True),
    Boolean("class_weights", fixed=True),
)
# Only for images. Fractions of the image's size, except for `rotation`, which is in degrees.
AUGMENTING: tuple[Parameter, ...] = (
    Boolean("augmentation", fixed=True),
    Float("shift", 0.0, 0.5, default=0.1, when=("augmentation", True), fixed=True),
    Float("rotation", 0.0, 180.0, when=("augmentation", True), fixed=True),
    Float("zoom", 0.0, 0.5, when=("augmentation", True), fixed=True),
    Boolean("flip", when=("augmentation", True), fixed=True),
)
# Only where classes are predicted.
OF_CLASSES = frozenset({"label_smoothing", "class_weights"})
# What a `fit` of one's own is given, and what only the built-in training does.
GIVEN_TO_FIT = ("batch_size", "epochs")
_OF_THE_LOOP = ("schedule", "warmup", "ema")
# What came with later versions: studies that began before go on without it.
_LATER = frozenset({"ema"})
# Every trial must have a value of these.
_NEEDED = ("optimizer", "learning_rate", "batch_size", "epochs")
# Bounds of valid numbers, if those above are narrower.
_BOUNDS = {
    **dict.fromkeys(("learning_rate", "weight_decay", "l2"), (0.0, math.inf)),
    **dict.fromkeys(("momentum", "warmup", "label_smoothing", "shift", "zoom"), (0.0, 1.0)),
}


def with_training(space: Space) -> Space:
    """Return the space with the training choices it does not declare itself.

    Raises:
        SpaceError: a parameter that it declares has another meaning, or a baseline is not valid in
            the complete space.
    """
    space.check_conditions()
    shared = _shared(space)
    for choice in shared:
        if choice.name in space.names():
            _check_own(space, space[choice.name], choice)
    own = {parameter.name for parameter in space.parameters}
    missing = tuple(choice for choice in shared if choice.name not in own)
    complete = replace(space, parameters=_parents_first((*space.parameters, *missing)))
    complete.check_baselines()
    return complete


def _shared(space: Space) -> list[Parameter]:
    """Return the training choices that mean something for a space's models."""
    compiling = [] if space.compiled else [*COMPILING]
    if space.fit is not None:  # the rest is for it to do
        given = [choice for choice in FITTING if choice.name in GIVEN_TO_FIT]
        taken = [choice for choice in given if choice.name not in space.set_by_fit]
        return [*(choice for choice in compiling if choice.name not in _OF_THE_LOOP), *taken]
    return [*compiling, *FITTING, *(AUGMENTING if "image" in space.kinds else ())]


def without_augmentation(space: Space) -> Space:
    """Return the space without the choices that are only for images."""
    return _without(space, AUGMENTING)


def without_classes(space: Space) -> Space:
    """Return the space without the choices that are only for classes."""
    return _without(space, [c for c in (*COMPILING, *FITTING) if c.name in OF_CLASSES])


def as_began(space: Space, names: Sequence[str]) -> Space:
    """Return the space as a study of an earlier version began with it.

    Args:
        space: with all training choices.
        names: of the parameters that the study began with.
    """
    shared = (*COMPILING, *FITTING, *AUGMENTING)
    return _without(space, [c for c in shared if c.name in _LATER - {*names}])


def _without(space: Space, choices: Sequence[Parameter]) -> Space:
    kept = tuple(parameter for parameter in space.parameters if parameter not in choices)
    names = {choice.name for choice in choices} - {parameter.name for parameter in kept}
    baselines = {
        name: {key: value for key, value in params.items() if key not in names}
        for name, params in space.baselines.items()
    }
    return replace(space, parameters=kept, baselines=baselines)


def _check_own(space: Space, own: Parameter, shared: Parameter) -> None:
    """Check that a space's parameter can replace the training choice of its name.

    Raises:
        SpaceError: it cannot.
    """
    rule = _broken_rule(own, shared)
    if rule:
        raise SpaceError(
            f"space {space.name} declares `{own.name}`, which is a training choice here and {rule};"
            f" got the {own.kind} {own.describe()}. Declare it so, or give it another name"
        )


def _broken_rule(own: Parameter, shared: Parameter) -> str:
    """Return the rule of a training choice that a parameter breaks; empty if it breaks none."""
    name, values = own.name, _extremes(own)
    if own.when is not None and name in _NEEDED:
        return f"must always be active, not only with `{own.when[0]}`"
    match shared:
        case Boolean():
            return "" if all(isinstance(v, bool) for v in values) else "must be off or on"
        case Choice(values=known) if name == "optimizer":
            fits = all(isinstance(value, str) for value in values)
            return "" if fits else f"must be the name of an optimizer, as in {known[0]}"
        case Choice(values=known):
            fits = all(map(shared.contains, values))
            return "" if fits else f"must be one of {', '.join(map(value_text, known))}"
        case Int(low=low):
            whole = all(isinstance(v, int) and not isinstance(v, bool) and v >= low for v in values)
            return "" if whole else f"must be a whole number from {low}"
        case _:
            return _broken_bounds(values, shared)


def _broken_bounds(values: tuple[Value, ...], shared: Parameter) -> str:
    within = (shared.low, shared.high) if isinstance(shared, Float) else (-math.inf, math.inf)
    low, high = _BOUNDS.get(shared.name, within)
    fits = all(
        isinstance(v, int | float) and not isinstance(v, bool) and low <= v <= high for v in values
    )
    return "" if fits else f"must be a number from {low:g} to {high:g}"


def _extremes(parameter: Parameter) -> tuple[Value, ...]:
    """Return the values of a parameter, or the bounds of a range."""
    if isinstance(parameter, Int | Float):
        return (parameter.low, parameter.high)
    return parameter.grid()


def _parents_first(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Return the parameters in order, with a training choice after the parameter it depends on."""
    names = {parameter.name for parameter in parameters}
    waiting, done = list(parameters), dict[str, Parameter]()
    while waiting:
        ready = next(
            parameter
            for parameter in waiting
            if parameter.when is None
            or parameter.when[0] in done
            or parameter.when[0] not in names  # as declared by its space
        )
        waiting.remove(ready)
        done[ready.name] = ready
    return tuple(done.values())
