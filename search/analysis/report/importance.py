"""Importance of parameters: how much their values distinguish the best trials from all.

Optuna's measure is used for all drivers.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.analysis.report.words import Axis
from tracking.history import History, TrialHistory
from tracking.objectives import Objective

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

Ranks: TypeAlias = NDArray[np.int64]  # (n_trials,), 0 for the best

LEAST_COMPLETE = 4
_TOP_SHARE, _TOP_LEAST = 0.1, 5
_SHUFFLES, _QUANTILE = 40, 0.95


@dataclass(frozen=True)
class Importance:
    """One parameter's importance.

    Attributes:
        name: of the parameter.
        share: of the sum of all importances, 0 to 1.
        chance: the share that chance alone reaches: 19 of 20 shuffled studies stay below.
    """

    name: str
    share: float
    chance: float

    @property
    def beyond(self) -> float:
        """How much of the share chance does not explain; below 0 where it explains all."""
        return self.share - self.chance


def importances(
    history: History, axes: Sequence[Axis], objective: Objective | None = None
) -> list[Importance]:
    """Return the parameters' importances, empty if there are too few trials.

    That with most importance beyond what chance explains comes first; where chance explains all,
    that which comes nearest to its level.

    The measure is PED-ANOVA: how far the values of a parameter among the best trials differ from
    those among all trials. It only needs to know which trials are the best, not their scores. So
    pruned trials can count: they were pruned because they were not among the best, and rank below
    every complete trial. Regression on scores (fANOVA) would have to leave them out, with most of
    what a racing study learned, or to treat a score after one epoch like a score after all epochs.

    The best are a tenth of the trials, at least five, but at most the number of complete trials and
    half of all trials. Failed trials are left out. A parameter that is in use only under a
    condition is compared among the trials that use it, and weighted by how often the best and all
    use it.

    With few trials, any parameter looks important by chance. So importances are also computed for
    shuffled ranks, with a fixed seed, and returned as `chance`.

    Source: Watanabe, Bansal and Hutter, "PED-ANOVA: efficiently quantifying hyperparameter
    importance in arbitrary subspaces", 2023; with conditions as in Optuna's implementation.

    Args:
        history: of the study.
        axes: its searched parameters.
        objective: by which the best are; None: the first. By another one, trials without a value of
            it are left out.
    """
    ranked = _ranked(history, objective)
    complete = sum(trial.state == "complete" for trial in ranked)
    if complete < LEAST_COMPLETE or not axes:
        return []
    top = max(_TOP_LEAST, math.ceil(_TOP_SHARE * len(ranked)))
    top = max(1, min(top, complete, len(ranked) // 2))
    names = [axis.name for axis in axes]
    study = _study([_frozen(trial, axes) for trial in ranked])
    used = [name for name in names if any(name in trial.params for trial in ranked)]
    found = _measured(study, used, np.arange(len(ranked)), top)
    total = sum(found.values())
    if total <= 0:
        return []
    chance = _by_chance(study, used, len(ranked), top)
    return sorted(
        (Importance(name, found[name] / total, chance[name] / total) for name in used),
        key=lambda one: (min(0.0, -one.beyond), -one.share / max(one.chance, 1e-12)),
    )


def _ranked(history: History, objective: Objective | None) -> list[TrialHistory]:
    """Return the complete trials, the best first, then the pruned ones.

    The order of pruned trials does not matter: none of them can be among the best.
    """
    if objective is not None and objective != history.objectives[0]:
        known = [(t.score(objective.name), t) for t in history.completed()]
        scored = [(value, t) for value, t in known if value is not None and math.isfinite(value)]
        return [t for _, t in sorted(scored, key=lambda both: -objective.oriented(both[0]))]
    complete = [t for t in history.completed() if t.value is not None and math.isfinite(t.value)]
    return complete + [trial for trial in history.finished() if trial.state == "pruned"]


def _frozen(trial: TrialHistory, axes: Sequence[Axis]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a trial's params and distributions for Optuna."""
    used = [axis for axis in axes if axis.name in trial.params]
    values = {a.name: _value(a, trial.params[a.name]) for a in used}
    return values, {axis.name: _distribution(axis) for axis in used}


def _value(axis: Axis, value: Any) -> Any:
    if axis.choices:
        return int(axis.position(value))  # a categorical value may have any type
    return int(value) if axis.whole else float(value)


def _distribution(axis: Axis) -> "BaseDistribution":
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if axis.choices:
        return CategoricalDistribution(range(len(axis.choices)))
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _study(trials: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> "Study":
    import optuna
    from optuna.trial import create_trial

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    optuna.logging.set_verbosity(before)
    study.add_trials(
        [
            create_trial(params=values, distributions=distributions, value=0.0)
            for values, distributions in trials
        ]
    )
    return study


def _measured(study: "Study", names: list[str], ranks: Ranks, top: int) -> dict[str, float]:
    """Return the importances if trial `n` has rank `ranks[n]` and the first `top` are the best."""
    from optuna.importance import PedAnovaImportanceEvaluator

    share = (top - 0.5) / len(ranks)  # so that rounding up gives `top`
    # Its name in earlier versions of Optuna, 4.5 among them, is another.
    known = signature(PedAnovaImportanceEvaluator).parameters
    quantile = "target_quantile" if "target_quantile" in known else "baseline_quantile"
    asked: dict[str, Any] = {quantile: share}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few trials under a condition: `chance` allows for that
        evaluator = PedAnovaImportanceEvaluator(**asked)
        found = evaluator.evaluate(study, names, target=lambda trial: float(ranks[trial.number]))
    return {name: max(0.0, found[name]) for name in names}


def _by_chance(study: "Study", names: list[str], trials: int, top: int) -> dict[str, float]:
    """Return for each parameter the importance that 19 of 20 shuffles stay below."""
    random = np.random.default_rng(0)
    rounds = [_measured(study, names, random.permutation(trials), top) for _ in range(_SHUFFLES)]
    return {
        name: float(np.quantile([found[name] for found in rounds], _QUANTILE)) for name in names
    }
