"""The seam to what ends trials early."""

from abc import ABC, abstractmethod

from search.study.pruners.standing import Standing
from spaces import Settings
from tracking.history import History, TrialHistory
from tracking.objectives import Objective


class Pruner(ABC):
    """Decides after each epoch and each fold whether a trial goes on.

    Trials are compared by the study's first objective. A verdict depends on the trial and on what
    the others had shown before, on nothing else, so that an interrupted study is judged alike when
    it goes on.

    Attributes:
        waits: whether sampled trials wait after their first fold until all have had one;
            they are then judged together, fold by fold, by `reason_to_drop`.
    """

    waits = False

    def __init__(self, objective: Objective, *, winners: int = 1) -> None:
        """Compare by an objective; so many trials at least should see all folds."""
        self._standing = Standing(objective)
        self._winners = winners

    def compared_after(self, setting: Settings) -> int:
        """Return the epoch of the first fold after which a trial is compared; 0 for any or none."""
        del setting
        return 0

    @abstractmethod
    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Return one sentence why `trial`, just after an epoch or a fold, should end here.

        An empty string lets it go on.
        """

    def reason_to_drop(self, trial: TrialHistory, history: History) -> str:
        """Return one sentence why `trial`, which waited, should get no further fold."""
        del trial, history
        return ""


class NoPruner(Pruner):
    """Lets every trial see all its folds."""

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Return an empty string."""
        return ""
