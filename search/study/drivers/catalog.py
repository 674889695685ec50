"""The drivers with their samplers; the first sampler is a driver's default."""

import os
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from search.environment import missing_extra
from search.errors import SettingsError, near_matches
from search.quiet import standard_error_to
from search.seeds import derive
from search.study.drivers.base import Driver, FixedDriver, Outcome
from search.study.drivers.samplers import OwnSampler, SamplerFailed, is_reference
from spaces import Identity, Parameter, Params, Space, Value
from tracking.text import Notify, unheard

ATTEMPTS = 3
DRAWS = 100
FINE = 10_000  # points of a range that may be drawn
TRIED = 3  # trials that a user's own sampler is asked for before a study begins


class DistinctDriver(Driver):
    """Passes on a sampler's new proposals: not proposed before, and no baselines.

    A known proposal is reported back to the sampler, which is asked again, a few times. Then params
    are drawn at random, ever farther from its last proposal, until they are new. If that fails, few
    are left, and the first new ones in the order of the grid are taken, until all are known.

    Each step depends only on seed, number and earlier outcomes, so it is the same after an
    interruption. A sampler that does not remember gets known proposals back as failed, which leaves
    no trace in it; one that remembers gets them back with their outcome, as if they had been
    evaluated again.

    Args:
        sampler: proposes.
        space: the parameters it decides.
        seed: the study's seed.
        attempts: how often it is asked for one trial. More than once is useless if it proposes
            the optimum of a model, which is the same with every seed.
        differs: called once with the number of the first trial for which a sampler that remembers
            makes another proposal than it did.
    """

    def __init__(
        self,
        sampler: Driver,
        space: Space,
        seed: int,
        *,
        attempts: int = ATTEMPTS,
        differs: Callable[[int], None] | None = None,
    ) -> None:
        self._differs = differs
        self._sampler = sampler
        self._space = space
        self._seed = seed
        self._attempts = attempts
        self.remembers, self.learns = sampler.remembers, sampler.learns
        self._known: dict[Identity, Outcome | None] = {}
        self._asked_as: dict[int, int] = {}

    def ask(self, number: int) -> Params | None:
        """Return new params, None if there are none left."""
        last: Params = {}
        for attempt in range(self._attempts):
            # Further attempts have numbers below zero, which no trial has.
            asked_as = -(number * self._attempts + attempt) if attempt else number
            proposal = self._sampler.ask(asked_as)
            if proposal is None:
                break
            if self._is_new(proposal):
                self._asked_as[number] = asked_as
                return self._note(proposal)
            self._give_back(asked_as, proposal)
            last = proposal
        params = self._draw(number, last) or self._first_new()
        if params is None:
            return None
        self._sampler.adopt(number, params, sampled=False)
        return self._note(params)

    def tell(self, number: int, params: Params, outcome: Outcome) -> None:
        """Pass the outcome on to the sampler."""
        self._known[self._space.identity(params)] = outcome
        self._sampler.tell(self._asked_as.get(number, number), params, outcome)

    def adopt(self, number: int, params: Params, *, sampled: bool) -> None:
        """Restore the sampler's state after this trial began.

        A sampler that remembers is asked again. If it makes a different proposal, as another
        version of its library may, that is reported as failed, and the params are added like any
        others.
        """
        if sampled and self._sampler.remembers:
            proposal = self.ask(number)
            if proposal is not None and self._is_same(proposal, params):
                return
            if self._differs is not None:
                self._differs(number)
                self._differs = None
            if proposal is not None:
                self._known.pop(self._space.identity(proposal))
                failed = Outcome("failed")
                self._sampler.tell(self._asked_as.pop(number, number), proposal, failed)
        self._known.setdefault(self._space.identity(params), None)
        self._sampler.adopt(number, params, sampled=sampled)

    def inform(self, place: int, params: Params, value: float) -> None:
        """Pass it on to the sampler."""
        self._sampler.inform(place, params, value)

    def _is_same(self, one: Params, other: Params) -> bool:
        return self._space.identity(one) == self._space.identity(other)

    def _is_new(self, params: Params) -> bool:
        return self._space.identity(params) not in self._known

    def _note(self, params: Params) -> Params:
        self._known.setdefault(self._space.identity(params), None)
        return params

    def _give_back(self, asked_as: int, params: Params) -> None:
        known = self._known[self._space.identity(params)] if self._sampler.remembers else None
        self._sampler.tell(asked_as, params, known or Outcome("failed"))

    def _draw(self, number: int, near: Params) -> Params | None:
        """Return new params near others, drawn at random."""
        source = random.Random(derive(self._seed, "unseen", number))  # noqa: S311 - no secret

        def choose(parameter: Parameter) -> Value:
            if parameter.name in near and source.random() > changed:
                return cast("Value", near[parameter.name])
            return source.choice(self._values[parameter.name])

        for draw in range(1, DRAWS + 1):
            changed = draw / DRAWS
            params = self._space.decide(choose)
            if self._is_new(params):
                return params
        return None

    def _first_new(self) -> Params | None:
        return next(filter(self._is_new, self._listed(self._space.parameters, {})), None)

    def _listed(self, parameters: tuple[Parameter, ...], chosen: Params) -> Iterator[Params]:
        """Yield all params that begin with the chosen values."""
        if not parameters:
            yield chosen
            return
        first, *rest = parameters
        values = self._values[first.name] if first.is_active(chosen) else ()
        if not values:
            yield from self._listed(tuple(rest), chosen)
        for value in values:
            yield from self._listed(tuple(rest), {**chosen, first.name: value})

    @cached_property
    def _values(self) -> dict[str, tuple[Value, ...]]:
        return {p.name: (p.default,) if p.fixed else p.grid(FINE) for p in self._space.parameters}


@contextmanager
def unnoticed() -> Iterator[None]:
    """Hide the output and the environment changes of imports.

    TensorFlow writes to standard error from C++ and sets variables that worker processes would
    inherit.
    """
    before = dict(os.environ)
    try:
        with standard_error_to(Path(os.devnull)):
            yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


DRIVERS: dict[str, tuple[str, ...]] = {
    "optuna": ("tpe", "random", "gp", "qmc", "cmaes", "grid"),
    "keras-tuner": ("bayesian", "random", "hyperband", "grid"),
    "fixed": ("baselines", "grid"),
}
# Other names of samplers, without punctuation, and each driver's sampler of that kind.
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
# Samplers that learn from the values of any trials, whoever proposed them.
LEARNING = frozenset({"tpe", "gp", "bayesian"})
_OPTIMIZE_A_MODEL = frozenset({"gp", "bayesian"})


def default_sampler(driver: str) -> str:
    """Return the sampler a driver uses where the user names none."""
    return DRIVERS[driver][0]


def sampler_hint(driver: str, name: str) -> str:
    """Return a hint for the name of a sampler that a driver does not have.

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


def make_driver(
    name: str,
    sampler: str,
    space: Space,
    seed: int,
    *,
    objectives: int = 1,
    arguments: Mapping[str, Any] | None = None,
    notify: Notify | None = None,
) -> Driver:
    """Return a driver over a narrowed space.

    Args:
        name: one of `DRIVERS`.
        sampler: one of that driver's samplers, or of Optuna's a reference to a class.
        space: the parameters to decide; fixed ones keep their defaults.
        seed: the study's seed.
        objectives: number of values of a trial.
        arguments: of a sampler that is given by its class.
        notify: takes notices on what the sampler means for continuing.

    Raises:
        SettingsError: the sampler needs a package that is not installed, does not support several
            objectives, or cannot search this space; or it cannot be found or made.
    """
    check_driver(name, sampler, space, objectives=objectives)
    if not space.searched():
        return FixedDriver([space.complete({})], space)  # there is only one set of params
    if sampler == "baselines":
        return FixedDriver((), space)  # the study evaluates the baselines before it asks
    if name == "keras-tuner":
        return _keras_tuner(sampler, space, seed)
    if sampler == "grid":
        return FixedDriver(space.grid(), space)
    from search.study.drivers.optuna import OptunaDriver

    tell = notify or unheard
    chosen: str | OwnSampler = sampler
    if is_reference(sampler):
        chosen = OwnSampler(sampler, arguments or {})
        if not chosen.takes_seed():
            tell(
                f"`--sampler {sampler}` takes no seed: the same command proposes other params, and"
                " a continued study goes on from its trials, but not as an uninterrupted one would"
            )
            tell = unheard  # said once
    driver = OptunaDriver(space, sampler=chosen, seed=seed, objectives=objectives)

    def differs(number: int) -> None:
        tell(
            f"`--sampler {sampler}`, asked again for trial {number}, proposes other params than it"
            " did: the study goes on from its trials, but not as an uninterrupted one would"
        )

    return _distinct(driver, sampler, space, seed, differs)


def check_driver(
    name: str,
    sampler: str,
    space: Space,
    *,
    objectives: int = 1,
    arguments: Mapping[str, Any] | None = None,
) -> None:
    """Check that a driver supports the study; imports no search library for a sampler of its own.

    A sampler that is given by its class is made, and asked for a few trials.

    Args:
        name: one of `DRIVERS`.
        sampler: one of that driver's samplers, or of Optuna's a reference to a class.
        space: the parameters to decide.
        objectives: number of values of a trial.
        arguments: of a sampler that is given by its class; None to check no more than its name.

    Raises:
        SettingsError: it does not; the message says what does.
    """
    if is_reference(sampler) and arguments is not None and space.searched():
        _try(OwnSampler(sampler, arguments), space, objectives)
    if sampler == "gp" and missing_extra("gp"):
        raise SettingsError(
            "`--sampler gp` needs PyTorch, which is not installed."
            f" Install it with `{missing_extra('gp')}`, or use `--sampler tpe`."
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


def _try(sampler: OwnSampler, space: Space, objectives: int) -> None:
    """Ask a new instance of a sampler for a few trials.

    Raises:
        SettingsError: it cannot be made, or cannot search this space by so many objectives.
    """
    from search.study.drivers.optuna import OptunaDriver

    driver = OptunaDriver(space, sampler=sampler, seed=0, objectives=objectives)
    try:
        for number in range(TRIED):
            params = driver.ask(number)
            driver.tell(number, params, Outcome("complete", (float(number),) * objectives))
    except SamplerFailed as error:
        raise SettingsError(f"{error}. It was tried before the study began") from error


def _check_epochs(space: Space) -> None:
    if "epochs" not in space.names() or not space["epochs"].fixed:
        got = f"a search over {space['epochs'].describe()}" if "epochs" in space.names() else "none"
        raise SettingsError(
            "`--sampler hyperband` decides each trial's epochs itself, up to one fixed number;"
            f" got {got}. Give one number with `--epochs`, or use another sampler."
        )


def _keras_tuner(sampler: str, space: Space, seed: int) -> Driver:
    with unnoticed():
        from search.study.drivers.keras_tuner import KerasTunerDriver, grid_params
    if sampler == "grid":
        return FixedDriver(grid_params(space), space)
    driver = KerasTunerDriver(space, sampler=sampler, seed=seed)
    return _distinct(driver, sampler, space, seed)


def _distinct(
    driver: Driver,
    sampler: str,
    space: Space,
    seed: int,
    differs: Callable[[int], None] | None = None,
) -> Driver:
    attempts = 1 if sampler in _OPTIMIZE_A_MODEL else ATTEMPTS
    return DistinctDriver(driver, space, seed, attempts=attempts, differs=differs)
