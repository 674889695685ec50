"""Samplers such as users write, or get from OptunaHub."""

import random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial


class Unseeded(BaseSampler):
    """Proposes each parameter by itself, at random, differently in every process."""

    def __init__(self, *, low: float = 0.0, source: Any = None) -> None:
        self._low = low
        self._random = source or random.SystemRandom()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        sampler = optuna.samplers.RandomSampler(seed=self._random.randrange(2**32))
        return sampler.sample_independent(study, trial, param_name, param_distribution)


class Walker(Unseeded):
    """The same with a seed: what it proposes depends on all that it was asked before."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(source=random.Random(seed))  # noqa: S311 - no secret


def few_startup_trials(seed: int, n_startup_trials: int = 2) -> BaseSampler:
    """Return a sampler that a function puts together."""
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=n_startup_trials)


class Failing(Walker):
    """Cannot take conditional or any parameters."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        raise RuntimeError("only spaces of two numbers")


def no_sampler() -> str:
    """Return something else."""
    return "sampler"


class FailsLate(Walker):
    """Fails at its fifth trial."""

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if trial.number == 4:
            raise ValueError("no more")


TABLE: dict[str, str] = {}
