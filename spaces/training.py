"""The training choices every space accepts, held at shared defaults until a user frees them.

`--set batch_size=32,64,128` searches a batch size, `--set optimizer=sgd` changes the optimizer. A
space that declares one of these names itself replaces the shared one.
"""

from dataclasses import replace

from spaces.parameters import Choice, Float, Int, Parameter
from spaces.space import Space

TRAINING: tuple[Parameter, ...] = (
    Choice("optimizer", ("adam", "adamw", "sgd", "rmsprop"), default="adam", fixed=True),
    Float("learning_rate", 1e-6, 1.0, log=True, default=1e-3, fixed=True),
    Int("batch_size", 1, 4096, log=True, default=32, fixed=True),
    Int("epochs", 1, 1000, default=10, fixed=True),
)


def with_training(space: Space) -> Space:
    """Return the space with the training choices it does not declare itself.

    Raises:
        SpaceError: a baseline is not a setting of the complete space.
    """
    declared = set(space.names())
    missing = tuple(choice for choice in TRAINING if choice.name not in declared)
    complete = replace(space, parameters=(*space.parameters, *missing))
    complete.check_baselines()
    return complete
