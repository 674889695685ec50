"""When a trial is not worth its remaining folds."""

import statistics
from abc import ABC, abstractmethod

from tracking.history import History, TrialHistory

PRUNERS = ("median", "none")

WARM_UP_TRIALS = 4


class Pruner(ABC):
    """Decides, after each finished fold, whether a trial goes on.

    A verdict depends on the trial and on the trials that ended before it, on nothing else.
    """

    @abstractmethod
    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Return one sentence why `trial` should end here, or an empty string."""


class NoPruner(Pruner):
    """Lets every trial see all its folds."""

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Return an empty string."""
        return ""


class MedianPruner(Pruner):
    """Stops a trial whose mean so far is below the complete trials' median over the same folds.

    Source: the median stopping rule of Golovin et al., "Google Vizier", 2017, with folds as
    steps. The first complete trials, baselines included, only warm it up.

    Args:
        warm_up: number of complete trials needed before any is stopped.
    """

    def __init__(self, warm_up: int = WARM_UP_TRIALS) -> None:
        self._warm_up = warm_up

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Compare means over the folds that `trial` has finished."""
        folds = trial.finished_folds()
        rivals = [_mean(rival, set(folds)) for rival in history.completed()]
        if len(rivals) < self._warm_up or not folds:
            return ""
        mean, median = _mean(trial, set(folds)), statistics.median(rivals)
        if mean >= median:
            return ""
        return (
            f"after {len(folds)} of its folds its mean accuracy {mean:.4f} is below {median:.4f},"
            f" the median of {len(rivals)} complete trials on the same folds"
        )


def make_pruner(name: str) -> Pruner:
    """Return the pruner of a name, one of `PRUNERS`."""
    return NoPruner() if name == "none" else MedianPruner()


def _mean(trial: TrialHistory, folds: set[int]) -> float:
    return statistics.fmean(
        ended.accuracy for fold, ended in trial.finished_folds().items() if fold in folds
    )
