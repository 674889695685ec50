"""Params from KerasTuner's oracles; the only driver that imports KerasTuner.

KerasTuner imports TensorFlow; `search.study.drivers.catalog` hides its output.
"""

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias, cast

import keras_tuner
import numpy as np
from keras_tuner import oracles
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from search.seeds import derive
from search.study.drivers.base import Driver, Outcome
from spaces import Float, Int, Parameter, Params, Space, Value, place_of

_Condition: TypeAlias = tuple[str, list[Any]]


class Axes:
    """Translates between params and the values of KerasTuner's hyperparameters.

    Continuous and whole ranges are declared as such. Every list of values (choices, switches, the
    steps of a continuous range, a grid's points) is declared as a whole number, the value's index:
    KerasTuner's choices turn switches into numbers and refuse lists of several types, and its steps
    lose the last one to rounding (0.5 // 0.05 is 9). For the oracles this makes no difference,
    because they put a choice's values on an even scale, too.

    Fixed parameters are not declared, nor are parameters that a fixed one makes inactive.

    Args:
        space: the space to declare.
        grid: declare the points of the grid instead of ranges.
    """

    def __init__(self, space: Space, *, grid: bool = False) -> None:
        self._space = space
        self._listed = {
            parameter.name: parameter.grid() if grid else _listed(parameter)
            for parameter in space.searched()
        }
        self._conditions = {
            parameter.name: conditions
            for parameter in space.searched()
            if (conditions := self._conditions_of(parameter)) is not None
        }

    def declare(self, hyperparameters: Any) -> None:
        """Add the searched parameters to empty `keras_tuner.HyperParameters`."""
        for name, conditions in self._conditions.items():
            with ExitStack() as scopes:
                for parent, places in conditions:
                    scopes.enter_context(hyperparameters.conditional_scope(parent, places))
                self._declare(hyperparameters, self._space[name])

    def params(self, values: Mapping[str, Any]) -> Params:
        """Return the complete params for an oracle's values."""
        return self._space.decide(lambda parameter: self._value(parameter, values))

    def values(self, params: Params) -> dict[str, Any] | None:
        """Return an oracle's values for params, None if it cannot express them."""
        places = {
            name: self._place(name, value)
            for name, value in params.items()
            if name in self._conditions
        }
        return None if None in places.values() else places

    def _conditions_of(self, parameter: Parameter) -> list[_Condition] | None:
        """Return the conditions on searched parameters, the outermost first; None: never active."""
        if parameter.when is None:
            return []
        name, wanted = parameter.when
        values: list[Any] = list(wanted) if isinstance(wanted, tuple) else [wanted]
        parent = self._space[name]
        outer = self._conditions_of(parent)
        if parent.fixed:
            return outer if place_of(parent.default, values) is not None else None
        listed = self._listed[name]
        places = values
        if listed is not None:
            places = [
                place for place, value in enumerate(listed) if place_of(value, values) is not None
            ]
        return [*outer, (name, places)] if outer is not None and places else None

    def _declare(self, hyperparameters: Any, parameter: Parameter) -> None:
        name, listed = parameter.name, self._listed[parameter.name]
        if listed is not None:
            default = self._place(name, parameter.default) or 0
            hyperparameters.Int(name, 0, len(listed) - 1, default=default)
            return
        match parameter:
            case Int(low=low, high=high, step=step, log=False):
                hyperparameters.Int(name, low, high, step=step, default=parameter.default)
            case Int(low=low, high=high):
                hyperparameters.Int(name, low, high, sampling="log", default=parameter.default)
            case Float(low=lowest, high=highest, log=log):
                sampling = "log" if log else "linear"
                default = float(parameter.default)
                hyperparameters.Float(name, lowest, highest, sampling=sampling, default=default)

    def _value(self, parameter: Parameter, values: Mapping[str, Any]) -> Value:
        if parameter.fixed:
            return cast("Value", parameter.default)
        value = values[parameter.name]
        listed = self._listed[parameter.name]
        if listed is not None:
            return listed[int(value)]
        return int(value) if isinstance(parameter, Int) else float(value)

    def _place(self, name: str, value: Value) -> Value | None:
        listed, parameter = self._listed[name], self._space[name]
        if listed is None:
            return value
        if isinstance(parameter, Int | Float):
            number = cast("float", value)
            return min(range(len(listed)), key=lambda i: abs(cast("float", listed[i]) - number))
        return place_of(value, listed)


def _listed(parameter: Parameter) -> tuple[Value, ...] | None:
    """Return a parameter's values if they are a list, None for a range."""
    match parameter:
        case Int() | Float(step=None):
            return None
        case _:
            return parameter.grid(sys.maxsize)  # every step


ELSEWHERE = -(10**9)  # below every number that a proposal may be asked for by
_SCORE = "score"
_RUNNING, _COMPLETED, _FAILED = "RUNNING", "COMPLETED", "FAILED"
_WITHOUT_LIMITS = {
    "objective": keras_tuner.Objective(_SCORE, "max"),
    "max_retries_per_trial": 0,
    "max_consecutive_failed_trials": sys.maxsize,  # the study counts failures
}


class _Guided(keras_tuner.Oracle):  # type: ignore[misc] # KerasTuner has no types
    """An oracle that gets a new seed for each trial, accepts given trials, and writes no files.

    Attributes:
        given: the values of the next trial if the oracle does not choose them.
    """

    given: dict[str, Any] | None = None

    def reseed(self, seed: int) -> None:
        self._seed_state = seed

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if self.given is not None:
            values, self.given = self.given, None
            return {"status": _RUNNING, "values": values}
        response: dict[str, Any] = super().populate_space(trial_id)
        values = response.get("values") or {}
        for parameter in self.hyperparameters.space:
            if parameter.name in values:  # on a log scale, its upper end is one too high
                within = max(parameter.min_value, values[parameter.name])
                values[parameter.name] = min(within, parameter.max_value)
        return response

    def save(self) -> None:
        """Write nothing: the journal has everything."""

    def _save_trial(self, trial: Any) -> None:
        """Write nothing."""


class _Random(_Guided, oracles.RandomSearchOracle):  # type: ignore[misc]
    pass


class _Bayesian(_Guided, oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    def reseed(self, seed: int) -> None:
        super().reseed(seed)
        self._random_state = np.random.RandomState(seed)


class _Hyperband(_Guided, oracles.HyperbandOracle):  # type: ignore[misc]
    pass


class _Grid(_Guided, oracles.GridSearchOracle):  # type: ignore[misc]
    pass


class KerasTunerDriver(Driver):
    """Asks one of KerasTuner's oracles: random, bayesian or hyperband.

    The oracle's seed depends on the trial's number, and it knows the finished trials, so a proposal
    of random or bayesian is a function of seed, number and history. These two accept any trials.
    Bayesian draws at random until it knows three complete trials for each searched parameter.

    Hyperband updates its brackets with each `ask`, so it `remembers`, and ignores trials that it
    did not propose. The epochs of a round become the params' `epochs`; their maximum is that of the
    study. A trial of a later round trains from its first epoch, because the models of the earlier
    round, one for each fold, are gone. The brackets are repeated until the study has its trials.

    A pruned trial counts as complete with its estimated value: KerasTuner has no other state for
    it.
    """

    def __init__(self, space: Space, *, sampler: str, seed: int) -> None:
        self._axes = Axes(space)
        self._purpose = sampler
        self._seed = seed
        self.remembers, self.learns = sampler == "hyperband", sampler != "random"
        self._oracle = _make_oracle(sampler, space, self._axes, seed)
        self._open: dict[int, Any] = {}
        self._over: dict[int, str] = {}

    def ask(self, number: int) -> Params | None:
        """Return the oracle's proposal, None if it finds nothing new."""
        self._oracle.reseed(derive(self._seed, self._purpose, number))
        trial = self._begin(number)
        if trial.status != _RUNNING:  # finished, or idle until another trial ends
            return None
        self._open[number] = trial
        values = trial.hyperparameters.values
        params = self._axes.params(values)
        return {**params, "epochs": values["tuner/epochs"]} if self.remembers else params

    def tell(self, number: int, params: Params, outcome: Outcome) -> None:
        """End the oracle's trial, or give it another score."""
        score = outcome.values[0] if outcome.values else None
        trial = self._open.pop(number, None)
        if trial is not None:
            _end(self._oracle, trial, score)
            self._over[number] = trial.trial_id
        elif number in self._over and not self.remembers:
            oracle_trial = self._oracle.trials[self._over[number]]
            oracle_trial.status, oracle_trial.score = (
                _FAILED if score is None else _COMPLETED,
                score,
            )

    def adopt(self, number: int, params: Params, *, sampled: bool) -> None:
        """Add the trial to an oracle that accepts it."""
        values = self._axes.values(params)
        if not self.remembers and values is not None:
            self._oracle.given = values
            self._open[number] = self._begin(number)

    def inform(self, place: int, params: Params, value: float) -> None:
        """Add a complete trial to an oracle that accepts it."""
        values = self._axes.values(params)
        if not self.remembers and values is not None:
            self._oracle.given = values
            _end(self._oracle, self._begin(ELSEWHERE + place), value)

    def _begin(self, number: int) -> Any:
        # The regression's matrices are so small that threads slow each other down: by a factor of
        # nine with two threads on a busy machine.
        with _unheard(), threadpool_limits(1):
            return self._oracle.create_trial(f"trial {number}")


def grid_params(space: Space) -> Iterator[Params]:
    """Yield the params of KerasTuner's grid search over the points of the space's grid.

    The defaults come first. Each trial is ended as soon as it is created: the order does not depend
    on outcomes.
    """
    axes = Axes(space, grid=True)
    oracle = _make_oracle("grid", space, axes, 1)
    while True:
        with _unheard():
            trial = oracle.create_trial("grid")
        if trial.status != _RUNNING:
            return
        _end(oracle, trial, 0.0)
        yield axes.params(trial.hyperparameters.values)


def _make_oracle(sampler: str, space: Space, axes: Axes, seed: int) -> Any:
    hyperparameters = keras_tuner.HyperParameters()
    axes.declare(hyperparameters)
    common = {**_WITHOUT_LIMITS, "hyperparameters": hyperparameters}
    match sampler:
        case "random":
            oracle = _Random(max_trials=None, seed=1, **common)
        case "bayesian":
            # Its regression starts from this seed each time.
            oracle = _Bayesian(max_trials=None, seed=derive(seed, "bayesian") or 1, **common)
        case "hyperband":
            epochs = int(space["epochs"].default)
            oracle = _Hyperband(
                max_epochs=epochs, hyperband_iterations=sys.maxsize, seed=1, **common
            )
        case _:
            oracle = _Grid(max_trials=None, seed=1, **common)
    oracle.verbose = 0
    return oracle


def _end(oracle: Any, trial: Any, score: float | None) -> None:
    with _unheard():
        if score is not None:
            oracle.update_trial(trial.trial_id, {_SCORE: score})
        trial.status = _FAILED if score is None else _COMPLETED
        oracle.end_trial(trial)


@contextmanager
def _unheard() -> Iterator[None]:
    """Ignore warnings about Python's threads and about regressions that do not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
