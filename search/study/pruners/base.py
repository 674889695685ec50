"""The interface of pruners."""

import statistics
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from itertools import count, takewhile
from typing import ClassVar

from spaces import Params
from tracking.history import History, TrialHistory
from tracking.objectives import Objective, measure_text


@dataclass(frozen=True)
class Scoreboard:
    """Reads a trial's values of one objective; all returned values are oriented: larger is better.

    Attributes:
        objective: an objective that single folds have.
    """

    objective: Objective

    def folds(self, trial: TrialHistory) -> dict[int, float]:
        """Return the value of each finished fold, by number, in order."""
        known = {n: f.metric(self.objective.fold) for n, f in trial.finished_folds().items()}
        return {n: self.objective.oriented(v) for n, v in known.items() if v is not None}

    def mean(self, trial: TrialHistory, folds: Collection[int]) -> float:
        """Return the mean over the finished ones of the given folds, of which there must be one."""
        return statistics.fmean(v for n, v in self.folds(trial).items() if n in folds)

    def epoch(self, trial: TrialHistory, fold: int, epoch: int) -> float | None:
        """Return the value after an epoch of a fold; None if unknown."""
        history = trial.folds.get(fold)
        ended = history.epochs.get(epoch) if history else None
        value = ended.metrics.get(self.objective.epoch) if ended else None
        return None if value is None else self.objective.oriented(value)

    def means(self, trial: TrialHistory) -> list[float]:
        """Return the mean over the first fold, over the first two, and so on.

        The list ends before the first missing fold.
        """
        folds = self.folds(trial)
        values = [folds[n] for n in takewhile(folds.__contains__, count(1))]
        return [statistics.fmean(values[:n]) for n in range(1, len(values) + 1)]

    def text(self, value: float) -> str:
        """Return an oriented value as text in the objective's own sign, with its name."""
        name = self.objective.fold.replace("_", " ")
        return f"{name} {self.number(self.objective.oriented(value))}"

    def number(self, value: float) -> str:
        """Return a value, or a difference of two, as text."""
        return measure_text(self.objective.fold, value)


class Pruner(ABC):
    """Decides after each epoch and each fold whether a trial continues.

    Trials are compared by the study's first objective. A decision depends only on the trial and on
    earlier values of the others, so that it is the same after an interruption.

    Attributes:
        waits: whether sampled trials wait after their first fold until all have finished one;
            they are then judged together, fold by fold, by `reason_to_drop`.
        trained_shares: about which share of its folds is trained of a trial that is among the best
            few, and of any other one; for estimates of how long a study takes.
    """

    waits: ClassVar[bool] = False
    trained_shares: ClassVar[tuple[float, float]] = (1.0, 1.0)

    def __init__(self, objective: Objective, *, winners: int = 1) -> None:
        """Compare by an objective; at least `winners` trials should see all folds."""
        self._scoreboard = Scoreboard(objective)
        self._winners = winners

    def compared_after(self, params: Params) -> int:
        """Return the epoch of fold 1 after which a trial is compared; 0: every one or none."""
        del params
        return 0

    @abstractmethod
    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Return a sentence on why to prune `trial` now, after an epoch or a fold.

        An empty string lets it continue.
        """

    def reason_to_drop(self, trial: TrialHistory, history: History, level: int) -> str:
        """Return a sentence on why to prune `trial`, which waits; empty to train its next fold.

        Only the first `level` folds of it and of others count.
        """
        del trial, history, level
        return ""


class NoPruner(Pruner):
    """Lets every trial see all its folds."""

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Return an empty string."""
        return ""
