"""Settings from Optuna's samplers; the only module that imports Optuna."""

import warnings
from collections.abc import Callable
from typing import cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from search.drivers.base import Driver, Outcome
from search.seeds import derive
from spaces import Choice, Float, Int, Parameter, Settings, Space, Value

_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def _tpe(seed: int, number: int) -> BaseSampler:
    return optuna.samplers.TPESampler(seed=derive(seed, "tpe", number))


def _random(seed: int, number: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=derive(seed, "random", number))


def _gp(seed: int, number: int) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=derive(seed, "gp", number))


def _qmc(seed: int, number: int) -> BaseSampler:
    # The sequence must be the same for all trials; conditional parameters, which it cannot
    # cover, are drawn at random.
    independent = optuna.samplers.RandomSampler(seed=derive(seed, "qmc", number))
    return optuna.samplers.QMCSampler(
        seed=derive(seed, "qmc"),
        scramble=True,
        independent_sampler=independent,
        warn_independent_sampling=False,
    )


def _cmaes(seed: int, number: int) -> BaseSampler:
    independent = optuna.samplers.RandomSampler(seed=derive(seed, "cmaes", number))
    return optuna.samplers.CmaEsSampler(
        seed=derive(seed, "cmaes"),
        independent_sampler=independent,
        warn_independent_sampling=False,
    )


_SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "tpe": _tpe,
    "random": _random,
    "gp": _gp,
    "qmc": _qmc,
    "cmaes": _cmaes,
}
_STATEFUL = frozenset({"qmc", "cmaes"})  # these keep notes in the study while they are asked


class OptunaDriver(Driver):
    """Asks one of Optuna's samplers, with a fresh one for every trial.

    A sampler is seeded with the trial's number, and the study holds nothing but told trials, so a
    proposal is a function of seed, number and history. Samplers that keep notes of their own in
    the study are shown a journal's trials by being asked for them once more.
    """

    def __init__(self, space: Space, *, sampler: str, seed: int, objectives: int = 1) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._objectives = objectives
        self._seed = seed
        self._make_sampler = _SAMPLERS[sampler]
        self._stateful = sampler in _STATEFUL
        self._study = optuna.create_study(
            directions=["maximize"] * objectives, sampler=_random(seed, 0)
        )
        self._open: dict[int, optuna.Trial] = {}

    def ask(self, number: int) -> Settings:
        """Return the sampler's proposal for trial `number`."""
        with warnings.catch_warnings():  # the user chose the sampler by name; it is documented
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = self._make_sampler(self._seed, number)
        trial = self._study.ask()
        self._open[number] = trial
        return self._space.decide(lambda parameter: _suggest(trial, parameter))

    def tell(self, number: int, setting: Settings, outcome: Outcome) -> None:
        """Enter the trial into the study, with its steps where there is one objective."""
        trial = self._open.pop(number, None)
        if trial is None:
            self._study.add_trial(self._frozen(setting, outcome))
            return
        for step, value in self._steps(outcome).items():
            trial.report(value, step)
        self._study.tell(trial, list(outcome.values) or None, state=_STATES[outcome.state])

    def adopt(self, number: int, setting: Settings, *, sampled: bool) -> None:
        """Bring a sampler with notes of its own to where it was after proposing `setting`."""
        if sampled and self._stateful and self.ask(number) != setting:
            # Another version of Optuna proposes otherwise: its notes stay, the setting is entered
            # as it was evaluated.
            trial = self._open.pop(number)
            self._study.tell(trial, state=TrialState.FAIL)

    def _frozen(self, setting: Settings, outcome: Outcome) -> optuna.trial.FrozenTrial:
        searched = [p for p in self._space.searched() if p.name in setting]
        return optuna.trial.create_trial(
            params={parameter.name: setting[parameter.name] for parameter in searched},
            distributions={parameter.name: distribution(parameter) for parameter in searched},
            values=list(outcome.values) or None,
            state=_STATES[outcome.state],
            intermediate_values=self._steps(outcome),
        )

    def _steps(self, outcome: Outcome) -> dict[int, float]:
        # Optuna keeps steps only of studies with one objective.
        return dict(outcome.steps) if self._objectives == 1 else {}


def distribution(parameter: Parameter) -> BaseDistribution:
    """Return Optuna's distribution of a parameter's values."""
    match parameter:
        case Int(low=low, high=high, step=step, log=log):
            return IntDistribution(low, high, step=step, log=log)
        case Float(low=lowest, high=highest, step=width, log=log):
            return FloatDistribution(lowest, highest, step=width, log=log)
        case Choice(values=values):
            return CategoricalDistribution(values)
        case _:
            return CategoricalDistribution((False, True))


def _suggest(trial: optuna.Trial, parameter: Parameter) -> Value:
    if parameter.fixed:
        return cast("Value", parameter.default)
    name = parameter.name
    match parameter:
        case Int(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case Float(low=low, high=high, step=step, log=log):
            return trial.suggest_float(name, low, high, step=step, log=log)
        case Choice(values=values):
            return cast("Value", trial.suggest_categorical(name, values))
        case _:
            return cast("Value", trial.suggest_categorical(name, (False, True)))
