"""How far a trial has come and how good it looks there."""

import statistics
from collections.abc import Collection
from dataclasses import dataclass
from itertools import count, takewhile

from tracking.history import TrialHistory
from tracking.objectives import Objective
from tracking.records import FoldEnded


def folds_text(count: int) -> str:
    """Return `1 fold`, `2 folds` and so on."""
    return "1 fold" if count == 1 else f"{count} folds"


@dataclass(frozen=True)
class Standing:
    """Reads a trial's values of one objective; larger is better in all it returns.

    Attributes:
        objective: one that folds have a part of.
    """

    objective: Objective

    def folds(self, trial: TrialHistory) -> dict[int, float]:
        """Return the value of each finished fold, by number, in order."""
        return {n: self._of(ended) for n, ended in trial.finished_folds().items()}

    def mean(self, trial: TrialHistory, folds: Collection[int]) -> float:
        """Return the mean over those of the given folds that are finished, at least one."""
        return statistics.fmean(v for n, v in self.folds(trial).items() if n in folds)

    def epoch(self, trial: TrialHistory, fold: int, epoch: int) -> float | None:
        """Return the value after an epoch of a fold, None where it is not known."""
        history = trial.folds.get(fold)
        ended = history.epochs.get(epoch) if history else None
        value = ended.metrics.get(self.objective.epoch) if ended else None
        return None if value is None else self.objective.oriented(value)

    def means(self, trial: TrialHistory) -> list[float]:
        """Return its mean over the first fold, over the first two, and so on.

        The list ends where a fold is missing.
        """
        folds = self.folds(trial)
        values = [folds[n] for n in takewhile(folds.__contains__, count(1))]
        return [statistics.fmean(values[:n]) for n in range(1, len(values) + 1)]

    def text(self, value: float) -> str:
        """Return an oriented value as people know it, with its name."""
        name = self.objective.fold.replace("_", " ")
        return f"{name} {self.objective.oriented(value):.4f}"

    def _of(self, ended: FoldEnded) -> float:
        return self.objective.oriented(float(getattr(ended, self.objective.fold)))
