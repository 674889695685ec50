"""What tests of drivers share: spaces, outcomes, and a study's loop in small."""

from pathlib import Path

from search.study.drivers import DRIVERS, Driver, Outcome
from spaces import Boolean, Choice, Float, Int, Parameter, Params, Space, get_space, narrow
from tests.fakes import toy_space

EPOCHS = 9


def space_of(*parameters: Parameter) -> Space:
    """A space with the one parameter that every space has."""
    return toy_space(*parameters, Int("epochs", 1, 1000, default=EPOCHS, fixed=True))


SPACES = {
    "conditional": get_space("lenet"),
    "narrowed": narrow(
        get_space("lenet"),
        {
            "conv_1_filters": "40:48",
            "extra_conv": "on",
            "conv_2_filters": "64",
            "batch_size": "32,64",
            "learning_rate": "1e-4:1e-3",
            "epochs": str(EPOCHS),
        },
    ).space,
    "numbers": space_of(
        Int("a", 1, 512, log=True), Float("b", -1.0, 1.0), Float("c", 0.0, 1.0, step=0.25)
    ),
    "finite": space_of(Boolean("a"), Choice("b", (1, 2, 3)), Int("c", 1, 2, when=("a", True))),
    # Odd names, values of several types, steps that miss the upper bound or suffer from rounding,
    # conditions on conditions, on several values, and on fixed parameters.
    "nested": space_of(
        Choice("kind of", ("a", "b", 3)),
        Boolean("x/y.z", when=("kind of", ("a", 3)), default=True),
        Int("n-1", 1, 10, step=4, when=("x/y.z", True)),
        Float("rate", 0.0, 0.35, step=0.1, when=("n-1", (1, 9)), default=0.2),
        Choice("mode", ("u", "v"), fixed=True),
        Int("w", 1, 1, when=("mode", "u")),
        Int("never", 1, 2, when=("mode", "v")),
    ),
}
SIZES = {"finite": 9, "nested": 21}
# Gaussian processes take seconds a proposal. These two spaces tell most: one has parameters that
# not every trial has and no end, of the other each setting is proposed in the end.
SPACES_OF = {"gp": ("conditional", "finite")}
OWN = Path(__file__).with_name("own_samplers.py")
SAMPLERS = [
    (driver, sampler)
    for driver, samplers in DRIVERS.items()
    for sampler in samplers
    if sampler != "baselines"
]
# Classes of samplers, as users name them.
CLASSES = [
    ("optuna", "optuna.samplers:TPESampler"),
    ("optuna", "optuna.samplers:CmaEsSampler"),  # keeps its state in the study
    ("optuna", f"{OWN}:Walker"),  # keeps its state in itself
    ("optuna", f"{OWN}:few_startup_trials"),  # a function
]
CASES = [
    (driver, sampler, space)
    for driver, sampler in [*SAMPLERS, *CLASSES]
    for space in SPACES_OF.get(sampler, SPACES)
]


def outcome(params: Params, number: int) -> Outcome:
    """A deterministic outcome of every kind in turn."""
    score = sum(float(v) if not isinstance(v, str) else len(v) for v in params.values())
    if number % 7 == 3:
        return Outcome("pruned", (score,))
    if number % 7 == 5:
        return Outcome("failed")
    return Outcome("complete", (score + 1.0,))


def run(driver: Driver, numbers: range) -> list[Params]:
    """Ask and tell until the driver has nothing left."""
    proposals = []
    for number in numbers:
        params = driver.ask(number)
        if params is None:
            break
        proposals.append(params)
        driver.tell(number, params, outcome(params, number))
    return proposals


def same(one: Params, other: Params) -> bool:
    """Say whether two settings are the same, down to the types of their values."""
    return one == other and all(type(one[name]) is type(other[name]) for name in one)
