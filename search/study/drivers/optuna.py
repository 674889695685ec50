"""Params from Optuna's samplers; the only driver that imports Optuna."""

import math
import warnings
from bisect import insort
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
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

from search.seeds import derive
from search.study.drivers.base import Driver, Outcome
from search.study.drivers.samplers import OwnSampler
from spaces import Choice, Float, Int, Parameter, Params, Space, Value, place_of

_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}

# The most trials that TPE sees, and how many of these are the best ones. It gives older trials less
# weight, and counts at most 25 as good (with two objectives a tenth of all). With ten thousand
# trials, each proposal would take half a second.
SHOWN, BEST = 300, 50
ELSEWHERE = -(10**9)  # below every number that a proposal may be asked for by
_STEP = 1  # for every pruned trial, because TPE ranks trials higher that reached a later step


class _Window(InMemoryStorage):
    """Presents the study's trials to samplers, in the order of their numbers.

    Attributes:
        most: the most trials to present: the best and the latest. None: all.
        everywhere: the searched parameters that every trial so far has; None before the first.
        asked: the number of the trial that is proposed next.
    """

    def __init__(self, most: int | None) -> None:
        super().__init__()
        self.most = most
        self.asked = 0
        self.everywhere: dict[str, BaseDistribution] | None = None
        self._trials: dict[int, FrozenTrial] = {}
        self._numbers: list[int] = []  # of finished trials, ascending
        self._running: set[int] = set()
        self._complete, self._pruned = _Ranking(), _Ranking()
        self._shown: list[FrozenTrial] | None = None

    def put(self, trial: FrozenTrial) -> None:
        """Add a trial, replacing an earlier version of it; a failed trial is not added."""
        self._shown = None
        before = self._trials.pop(trial.number, None)
        self._running.discard(trial.number)
        if before is not None and before.state.is_finished():
            self._numbers.remove(trial.number)
            self._ranking(before).remove(trial.number)
        if trial.state == TrialState.FAIL:  # no sampler uses these
            if before is not None and before.state.is_finished():
                self._find_what_is_everywhere()
            return
        self._trials[trial.number] = trial
        if not trial.state.is_finished():
            self._running.add(trial.number)
        if trial.state.is_finished():
            insort(self._numbers, trial.number)
            self._ranking(trial).add(trial.number, trial.values or _last_values(trial))
            shared = trial.distributions if self.everywhere is None else self.everywhere
            self.everywhere = {n: d for n, d in shared.items() if n in trial.distributions}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return the new trial; Optuna's numbers are not those of the study."""
        trial = copy(super().get_trial(trial_id))
        trial.number = self.asked
        return trial

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        del study_id, deepcopy  # there is one study, and finished trials never change
        if self._shown is None:
            self._shown = [self._trials[number] for number in sorted(self._choose())]
        return [trial for trial in self._shown if states is None or trial.state in states]

    def _choose(self) -> set[int]:
        if self.most is None or len(self._numbers) <= self.most:
            return set(self._trials)
        best = self._complete.best(BEST)
        best += self._pruned.best(BEST - len(best))
        return {*best, *self._numbers[-(self.most - BEST) :], *self._running}

    def _ranking(self, trial: FrozenTrial) -> "_Ranking":
        return self._complete if trial.state == TrialState.COMPLETE else self._pruned

    def _find_what_is_everywhere(self) -> None:
        over = [self._trials[number].distributions for number in self._numbers]
        names = set.intersection(*map(set, over)) if over else set()
        self.everywhere = {n: d for n, d in over[0].items() if n in names} if over else None


class _Ranking:
    """Orders trials as TPE does: first those that few others dominate."""

    def __init__(self) -> None:
        self._numbers = np.zeros(0, int)
        self._values = np.zeros((0, 0))
        self._beaten = np.zeros(0, int)  # by how many

    def add(self, number: int, values: Sequence[float]) -> None:
        row = np.array([values], float)
        known = self._values if len(self._values) else np.zeros((0, row.shape[1]))
        self._beaten = np.append(
            self._beaten + (row > known).all(axis=1), (known > row).all(axis=1).sum()
        )
        self._values = np.concatenate([known, row])
        self._numbers = np.append(self._numbers, number)

    def remove(self, number: int) -> None:
        stays = self._numbers != number
        gone = self._values[~stays]
        self._numbers, self._values = self._numbers[stays], self._values[stays]
        self._beaten = self._beaten[stays] - (gone > self._values).all(axis=1)

    def best(self, count: int) -> list[int]:
        order = np.lexsort((self._numbers, self._beaten))[: max(0, count)]
        return [int(number) for number in self._numbers[order]]


def _last_values(trial: FrozenTrial) -> list[float]:
    return [trial.intermediate_values.get(_STEP, -math.inf)]


class _Tpe(optuna.samplers.TPESampler):
    """TPE that is given the parameters it can sample together, instead of searching for them."""

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
# Samplers that store state in the study when they propose.
_REMEMBER = frozenset({"qmc", "cmaes"})
_DO_NOT_LEARN = frozenset({"random", "qmc"})
# Samplers that see only a part of the trials.
_LOOK_THROUGH_A_WINDOW = frozenset({"tpe", "random"})
# Samplers that use only complete trials. Racing prunes most trials, so for these samplers a pruned
# trial counts as complete with its estimated value. TPE ranks complete trials above pruned ones;
# random and qmc do not learn.
_SEE_COMPLETE = frozenset({"gp", "cmaes"})


def _one(sampler: OwnSampler, seed: int) -> Callable[[int, int], BaseSampler]:
    """Return a function that returns the same instance for all trials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        made = sampler.make(seed)
    return lambda *_: made


class OptunaDriver(Driver):
    """Asks one of Optuna's samplers, with a fresh one for every trial.

    A sampler's seed depends on the trial's number, and it sees the finished and the running trials
    by their numbers; so a proposal is a function of seed, number and history. The samplers that
    store state in Optuna's study are the ones that `remember`. A user's own sampler may do so, so
    it counts as one, and the same instance is asked for all trials.
    """

    def __init__(
        self, space: Space, *, sampler: str | OwnSampler, seed: int, objectives: int = 1
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._seed = seed
        self._own: OwnSampler | None = None if isinstance(sampler, str) else sampler
        name = sampler if isinstance(sampler, str) else ""
        self._make_sampler = _SAMPLERS[name] if self._own is None else _one(self._own, seed)
        self._sees_complete = self._own is not None or name in _SEE_COMPLETE
        self._has_steps = objectives == 1  # with several objectives, Optuna stores none
        self.remembers = self._own is not None or name in _REMEMBER
        self.learns = name not in _DO_NOT_LEARN
        self._window = _Window(SHOWN if name in _LOOK_THROUGH_A_WINDOW else None)
        self._study = optuna.create_study(
            storage=InMemoryStorage() if self.remembers else self._window,
            directions=["maximize"] * objectives,
            sampler=_random(seed, 0),
        )
        self._open: dict[int, optuna.Trial] = {}  # for a sampler that remembers
        self._over: set[int] = set()

    def ask(self, number: int) -> Params:
        """Return the sampler's proposal for trial `number`."""
        with warnings.catch_warnings():  # the user chose the sampler by name; that is documented
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = self._make_sampler(self._seed, number)
        self._window.asked = number
        with self._at_work(f"it was asked for trial {abs(number)}"):
            trial = self._study.ask()
            params = self._space.decide(lambda parameter: _suggest(trial, parameter))
        if self.remembers:
            self._open[number] = trial
        else:
            self._window.put(self._frozen(number, params, TrialState.RUNNING))
        return params

    def tell(self, number: int, params: Params, outcome: Outcome) -> None:
        """Add the trial to the study."""
        state, values = _STATES[outcome.state], outcome.values
        if self._sees_complete and state == TrialState.PRUNED and values:
            state = TrialState.COMPLETE
        if not self.remembers:
            self._window.put(self._frozen(number, params, state, values))
        elif number not in self._over:
            self._over.add(number)
            trial = self._open.pop(number, None)
            if trial is None:
                self._study.add_trial(self._frozen(number, params, state, values))
            else:
                final_values = list(values) if state == TrialState.COMPLETE else None
                with self._at_work(f"it was told of trial {abs(number)}"):
                    self._study.tell(trial, final_values, state=state)

    def adopt(self, number: int, params: Params, *, sampled: bool) -> None:
        """Add the trial as running."""
        if not self.remembers:
            self._window.put(self._frozen(number, params, TrialState.RUNNING))

    def inform(self, place: int, params: Params, value: float) -> None:
        """Add a complete trial, earlier than all of the study's own."""
        if not self.remembers and self._has_steps:
            told = self._frozen(ELSEWHERE + place, params, TrialState.COMPLETE, (value,))
            self._window.put(told)

    def _at_work(self, doing: str) -> AbstractContextManager[None]:
        return nullcontext() if self._own is None else self._own.at_work(doing)

    def _frozen(
        self, number: int, params: Params, state: TrialState, values: Sequence[float] = ()
    ) -> FrozenTrial:
        searched = [p for p in self._space.searched() if p.name in params]
        is_complete = state == TrialState.COMPLETE
        has_step = bool(values) and not is_complete and self._has_steps
        trial = optuna.trial.create_trial(
            params={
                parameter.name: _internal(parameter, params[parameter.name])
                for parameter in searched
            },
            distributions={parameter.name: distribution(parameter) for parameter in searched},
            values=list(values) if is_complete else None,
            state=state,
            intermediate_values={_STEP: values[0]} if has_step else {},
        )
        trial.number = number
        return trial


def distribution(parameter: Parameter) -> BaseDistribution:
    """Return Optuna's distribution of a parameter's values, or of a choice's indices.

    Optuna looks values up by `==`, for which 0 equals False, and accepts no tuples.
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
    """Return a parameter's value as it is in its distribution."""
    return place_of(value, parameter.values) if isinstance(parameter, Choice) else value


def _last_step(parameter: Float, low: float, high: float, width: float) -> float:
    """Return the upper bound, or the last step below it, because Optuna warns of other bounds."""
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
