"""The training choices every space accepts, held at shared defaults until a user frees them.

`--set batch_size=32,64,128` searches a batch size, `--set optimizer=sgd` changes the optimizer. A
space that declares one of these names itself replaces the shared one. A choice that is off costs
nothing: its own parameters take no part.
"""

from dataclasses import replace

from spaces.parameters import Boolean, Choice, Float, Int, Parameter
from spaces.space import Space

# What only a model that the harness compiles can take.
COMPILING: tuple[Parameter, ...] = (
    Choice("optimizer", ("adam", "adamw", "sgd", "rmsprop"), default="adam", fixed=True),
    Float("learning_rate", 1e-6, 1.0, log=True, default=1e-3, fixed=True),
    Float("momentum", 0.0, 0.999, default=0.9, when=("optimizer", "sgd"), fixed=True),
    Float(
        "weight_decay", 1e-6, 1.0, log=True, default=4e-3, when=("optimizer", "adamw"), fixed=True
    ),
    Choice("schedule", ("constant", "cosine", "plateau"), fixed=True),
    Float("warmup", 0.0, 0.5, default=0.1, when=("schedule", "cosine"), fixed=True),
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
# What only images can take. Fractions of the picture's size, except for `rotation`, in degrees.
AUGMENTING: tuple[Parameter, ...] = (
    Boolean("augmentation", fixed=True),
    Float("shift", 0.0, 0.5, default=0.1, when=("augmentation", True), fixed=True),
    Float("rotation", 0.0, 180.0, when=("augmentation", True), fixed=True),
    Float("zoom", 0.0, 0.5, when=("augmentation", True), fixed=True),
    Boolean("flip", when=("augmentation", True), fixed=True),
)


def with_training(space: Space) -> Space:
    """Return the space with the training choices it does not declare itself.

    Raises:
        SpaceError: a baseline is not a setting of the complete space.
    """
    shared = [*FITTING]
    if not space.compiled:
        shared = [*COMPILING, *shared]
    if "image" in space.kinds:
        shared = [*shared, *AUGMENTING]
    own = {parameter.name for parameter in space.parameters}
    missing = tuple(choice for choice in shared if choice.name not in own)
    complete = replace(space, parameters=_parents_first((*space.parameters, *missing)))
    complete.check_conditions()
    complete.check_baselines()
    return complete


def without_augmentation(space: Space) -> Space:
    """Return the space without what only images can take."""
    names = {choice.name for choice in AUGMENTING}
    kept = tuple(parameter for parameter in space.parameters if parameter.name not in names)
    baselines = {
        name: {key: value for key, value in setting.items() if key not in names}
        for name, setting in space.baselines.items()
    }
    return replace(space, parameters=kept, baselines=baselines)


def _parents_first(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Return the parameters in their order, a shared one behind the own one it depends on."""
    names = {parameter.name for parameter in parameters}
    waiting, done = list(parameters), dict[str, Parameter]()
    while waiting:
        ready = next(
            parameter
            for parameter in waiting
            if parameter.when is None
            or parameter.when[0] in done
            or parameter.when[0] not in names  # its space says so
        )
        waiting.remove(ready)
        done[ready.name] = ready
    return tuple(done.values())
