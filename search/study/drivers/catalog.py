"""Which drivers there are, with their samplers; the first sampler is a driver's default."""

import re
from importlib.util import find_spec

from search.errors import SettingsError, near_matches
from search.study.drivers.base import Driver
from search.study.drivers.distinct import ATTEMPTS, DistinctDriver
from search.study.drivers.fixed import FixedDriver
from search.study.drivers.loading import unnoticed
from spaces import Space

DRIVERS: dict[str, tuple[str, ...]] = {
    "optuna": ("tpe", "random", "gp", "qmc", "cmaes", "grid"),
    "keras-tuner": ("bayesian", "random", "hyperband", "grid"),
    "fixed": ("baselines", "grid"),
}
# What samplers are called elsewhere, without signs between the letters, and what each driver has of
# the kind.
_BAYES = {"optuna": "tpe", "keras-tuner": "bayesian"}
_OTHER_NAMES: tuple[tuple[tuple[str, ...], dict[str, str]], ...] = (
    (("bayes", "bayesian", "bayesopt", "bo", "smbo", "hyperopt"), _BAYES),
    (
        ("gaussian", "gp", "gpr", "gaussianprocess", "kriging"),
        {"optuna": "gp", "keras-tuner": "bayesian"},
    ),
    (("parzen", "treeparzen", "treestructuredparzenestimator"), {"optuna": "tpe"}),
    (("rand", "uniform", "rs"), {"optuna": "random", "keras-tuner": "random", "fixed": "grid"}),
    (
        ("gridsearch", "exhaustive", "bruteforce", "all"),
        {"optuna": "grid", "keras-tuner": "grid", "fixed": "grid"},
    ),
    (("cma", "evolution", "evolutionary"), {"optuna": "cmaes"}),
    (("sobol", "halton", "quasirandom", "quasimontecarlo"), {"optuna": "qmc"}),
)
_ENDINGS = re.compile(r"(search|sampler|oracle|optimi[sz]ation|optimi[sz]er|tuner|process)$")
_OPTIMIZE_A_MODEL = frozenset({"gp", "bayesian"})


def default_sampler(driver: str) -> str:
    """Return the sampler a driver uses where the user names none."""
    return DRIVERS[driver][0]


def sampler_hint(driver: str, name: str) -> str:
    """Return a phrase on what a sampler that is not one of a driver's may stand for.

    Args:
        driver: one of `DRIVERS`.
        name: as the user wrote it.
    """
    samplers = DRIVERS[driver]
    word = re.sub(r"[^a-z]", "", name.lower())
    short = _ENDINGS.sub("", word) or word
    for meant in (name.lower(), word, short):
        if meant in samplers:
            return f"did you mean {meant}?"
        for names, found in _OTHER_NAMES:
            if meant in names and driver in found:
                return f"did you mean {found[driver]}?"
    others = [other for other, known in DRIVERS.items() if {name, word, short} & {*known}]
    if others:
        return f"`--driver {others[0]}` has it; {driver} has {', '.join(samplers)}"
    if driver == "optuna" and short in ("hyperband", "asha", "successivehalving"):
        return f"that is a pruner here: `--pruner hyperband`; {driver} has {', '.join(samplers)}"
    return near_matches(name, samplers)


def make_driver(name: str, sampler: str, space: Space, seed: int, *, objectives: int = 1) -> Driver:
    """Return a driver over a narrowed space.

    Args:
        name: one of `DRIVERS`.
        sampler: one of that driver's samplers.
        space: the parameters to decide; fixed ones keep their defaults.
        seed: the study's seed.
        objectives: how many values a trial is told to have.

    Raises:
        SettingsError: the sampler needs a package that is not installed, cannot do with several
            objectives, or cannot search this space.
    """
    check_driver(name, sampler, space, objectives=objectives)
    if not space.searched():
        return FixedDriver([space.complete({})], space)  # there is one setting
    if sampler == "baselines":
        return FixedDriver((), space)  # the study evaluates the baselines before it asks
    if name == "keras-tuner":
        return _keras_tuner(sampler, space, seed)
    if sampler == "grid":
        return FixedDriver(space.grid(), space)
    from search.study.drivers.optuna import OptunaDriver

    driver = OptunaDriver(space, sampler=sampler, seed=seed, objectives=objectives)
    return _distinct(driver, sampler, space, seed)


def check_driver(name: str, sampler: str, space: Space, *, objectives: int = 1) -> None:
    """Check that a driver can do what is asked of it; imports no search library.

    Args:
        name: one of `DRIVERS`.
        sampler: one of that driver's samplers.
        space: the parameters to decide.
        objectives: how many values a trial has.

    Raises:
        SettingsError: it cannot, and what can.
    """
    if sampler == "gp" and find_spec("torch") is None:
        raise SettingsError(
            "`--sampler gp` needs PyTorch, which is not installed."
            " Install it with `pip install foldwise[gp]`, or use `--sampler tpe`."
        )
    if objectives > 1 and name == "keras-tuner":
        raise SettingsError(
            f"`--driver keras-tuner` searches by one objective; got {objectives}."
            " Name one objective, or use `--driver optuna`."
        )
    if objectives > 1 and sampler == "cmaes":
        raise SettingsError(
            f"`--sampler cmaes` searches by one objective; got {objectives}."
            " Name one objective, or use `--sampler tpe`."
        )
    if sampler == "hyperband":
        _check_epochs(space)


def _check_epochs(space: Space) -> None:
    if "epochs" not in space.names() or not space["epochs"].fixed:
        got = f"a search over {space['epochs'].describe()}" if "epochs" in space.names() else "none"
        raise SettingsError(
            "`--sampler hyperband` decides each trial's epochs itself, up to one fixed number;"
            f" got {got}. Give one number with `--epochs`, or use another sampler."
        )


def _keras_tuner(sampler: str, space: Space, seed: int) -> Driver:
    with unnoticed():
        from search.study.drivers.keras_tuner import KerasTunerDriver, grid_settings
    if sampler == "grid":
        return FixedDriver(grid_settings(space), space)
    driver = KerasTunerDriver(space, sampler=sampler, seed=seed)
    return _distinct(driver, sampler, space, seed)


def _distinct(driver: Driver, sampler: str, space: Space, seed: int) -> Driver:
    attempts = 1 if sampler in _OPTIMIZE_A_MODEL else ATTEMPTS
    return DistinctDriver(driver, space, seed, attempts=attempts)
