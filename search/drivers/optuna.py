"""Settings from Optuna's samplers; the only module that imports Optuna."""

import math
import warnings
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from search.drivers.base import Driver, Outcome
from search.seeds import derive
from spaces import Choice, Float, Int, Parameter, Settings, Space, Value, place_of

_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}

# What TPE is shown at most, and how many of these are the best. It weighs a trial the less the
# older it is, and takes 25 for good ones (of two objectives a tenth of all). To look through ten
# thousand for each proposal takes it half a second.
SHOWN, BEST = 300, 50
_SLACK = 25  # trials; so that not every one that ends has to be ranked


class _Window(InMemoryStorage):
    """Shows samplers the best and the latest of the trials that are over.

    Attributes:
        everywhere: the searched parameters that every trial so far has had; None before the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.everywhere: dict[str, BaseDistribution] | None = None
        self._over: list[FrozenTrial] = []
        self._open: dict[int, None] = {}

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        self._open[trial_id] = None
        self._look_at(trial_id)
        return trial_id

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        is_set = super().set_trial_state_values(trial_id, state, values)
        self._look_at(trial_id)
        return is_set

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        del study_id, deepcopy  # there is one study, and nobody changes what was told
        shown = [*self._over, *map(self.get_trial, self._open)]
        wanted = [trial for trial in shown if states is None or trial.state in states]
        return sorted(wanted, key=lambda trial: trial.number)

    def _look_at(self, trial_id: int) -> None:
        trial = self.get_trial(trial_id)
        if not trial.state.is_finished():
            return
        self._open.pop(trial_id, None)
        if trial.state == TrialState.FAIL:  # no sampler looks at these
            return
        shared = trial.distributions if self.everywhere is None else self.everywhere
        self.everywhere = {n: d for n, d in shared.items() if n in trial.distributions}
        self._over.append(trial)
        if len(self._over) >= SHOWN + _SLACK:
            self._hide()

    def _hide(self) -> None:
        ranks = _ranks(self._over)
        best = set(sorted(range(len(ranks)), key=lambda place: ranks[place])[:BEST])
        latest = len(ranks) - (SHOWN - BEST)
        self._over = [t for place, t in enumerate(self._over) if place in best or place >= latest]


def _ranks(trials: Sequence[FrozenTrial]) -> list[tuple[float, ...]]:
    """Return what orders trials as TPE does, the best first.

    Of complete trials counts how many are better in all objectives. Pruned ones come after them,
    those that went farther first.
    """
    complete = np.array([t.values for t in trials if t.state == TrialState.COMPLETE])
    ranks: list[tuple[float, ...]] = []
    for trial in trials:
        steps = trial.intermediate_values
        last = max(steps, default=0)
        if trial.state == TrialState.COMPLETE:
            ranks.append((0.0, float((complete > trial.values).all(axis=1).sum())))
        else:
            ranks.append((1.0, -last, -steps[last]) if steps else (2.0,))
    return ranks


class _Tpe(optuna.samplers.TPESampler):
    """TPE that is told which parameters it can draw together, and does not look for them."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        window = study._storage
        if not isinstance(window, _Window) or len(study.directions) > 1:
            return super().infer_relative_search_space(study, trial)
        shared = sorted((window.everywhere or {}).items())
        return {name: distribution for name, distribution in shared if not distribution.single()}


def _tpe(seed: int, number: int) -> BaseSampler:
    return _Tpe(seed=derive(seed, "tpe", number))


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
# Which keep notes in the study while they are asked.
_REMEMBER = frozenset({"qmc", "cmaes"})
# Which are shown a part of the trials.
_LOOK_THROUGH_A_WINDOW = frozenset({"tpe", "random"})
# Which see nothing but complete trials. A racing study prunes most of its trials, so these are
# told that a pruned trial completed with the value it had reached: it was pruned because that was
# a poor one. TPE looks at a pruned trial's steps itself; random and qmc do not learn.
_SEE_COMPLETE = frozenset({"gp", "cmaes"})


class OptunaDriver(Driver):
    """Asks one of Optuna's samplers, with a fresh one for every trial.

    A sampler is seeded with the trial's number, and the study holds nothing but told trials, so a
    proposal is a function of seed, number and history. The samplers that keep notes of their own
    in the study are the ones that `remember`.
    """

    def __init__(self, space: Space, *, sampler: str, seed: int, objectives: int = 1) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._objectives = objectives
        self._seed = seed
        self._make_sampler = _SAMPLERS[sampler]
        self._sees_complete = sampler in _SEE_COMPLETE
        self.remembers = sampler in _REMEMBER
        self._study = optuna.create_study(
            storage=_Window() if sampler in _LOOK_THROUGH_A_WINDOW else None,
            directions=["maximize"] * objectives,
            sampler=_random(seed, 0),
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
        outcome = self._as_seen(outcome)
        if trial is None:
            self._study.add_trial(self._frozen(setting, outcome))
            return
        for step, value in outcome.steps.items():
            trial.report(value, step)
        self._study.tell(trial, list(outcome.values) or None, state=_STATES[outcome.state])

    def _as_seen(self, outcome: Outcome) -> Outcome:
        if self._objectives > 1 or outcome.state == "complete":
            # Of two objectives Optuna keeps no steps, and of complete trials no sampler reads any.
            return replace(outcome, steps={})
        if self._sees_complete and outcome.state == "pruned" and outcome.steps:
            return replace(outcome, state="complete", values=(outcome.steps[max(outcome.steps)],))
        return outcome

    def _frozen(self, setting: Settings, outcome: Outcome) -> optuna.trial.FrozenTrial:
        searched = [p for p in self._space.searched() if p.name in setting]
        return optuna.trial.create_trial(
            params={
                parameter.name: _internal(parameter, setting[parameter.name])
                for parameter in searched
            },
            distributions={parameter.name: distribution(parameter) for parameter in searched},
            values=list(outcome.values) or None,
            state=_STATES[outcome.state],
            intermediate_values=dict(outcome.steps),
        )


def distribution(parameter: Parameter) -> BaseDistribution:
    """Return Optuna's distribution of a parameter's values; of a choice, of their places.

    Optuna looks a value up by `==`, to which 0 and False are one, and takes no tuples.
    """
    match parameter:
        case Int(low=low, high=high, step=step, log=log):
            return IntDistribution(low, high - (high - low) % step, step=step, log=log)
        case Float(low=lowest, high=highest, step=None, log=log):
            return FloatDistribution(lowest, highest, log=log)
        case Float(low=lowest, high=highest, step=int() | float() as width):
            last = _last_step(parameter, lowest, highest, width)
            return FloatDistribution(lowest, last, step=width)
        case Choice(values=values):
            return CategoricalDistribution(range(len(values)))
        case _:
            return CategoricalDistribution((False, True))


def _internal(parameter: Parameter, value: Value) -> Value:
    """Return what stands for a value of a parameter in its distribution."""
    return place_of(value, parameter.values) if isinstance(parameter, Choice) else value


def _last_step(parameter: Float, low: float, high: float, width: float) -> float:
    """Return the upper bound, or the last step below it: Optuna would warn of the first."""
    if parameter.contains(high):
        return high
    return round(low + math.floor((high - low) / width) * width, 12)


def _suggest(trial: optuna.Trial, parameter: Parameter) -> Value:
    if parameter.fixed:
        return cast("Value", parameter.default)
    match distribution(parameter):
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(parameter.name, low, high, step=step, log=log)
        case FloatDistribution(low=lowest, high=highest, step=width, log=log):
            return trial.suggest_float(parameter.name, lowest, highest, step=width, log=log)
        case CategoricalDistribution(choices=choices):
            found = trial.suggest_categorical(parameter.name, choices)
            is_place = isinstance(parameter, Choice)
            return parameter.grid()[cast("int", found)] if is_place else cast("Value", found)
        case unknown:
            raise TypeError(f"no distribution of a parameter: {unknown!r}")
