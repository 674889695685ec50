"""Pruners that use only a trial's finished folds."""

import statistics

from search.study.pruners.base import Pruner
from tracking.history import History, TrialHistory
from tracking.objectives import Objective
from tracking.records import FoldEnded
from tracking.text import counted

WARM_UP_TRIALS = 4
# Optuna's defaults for its pruner of this name.
WILCOXON_P, WILCOXON_FOLDS = 0.1, 2


class MedianPruner(Pruner):
    """Prunes a trial whose mean so far is below the complete trials' median over the same folds.

    Source: the median stopping rule of Golovin et al., "Google Vizier", 2017, with folds as
    steps. The first complete trials, baselines included, are the warm-up.

    Args:
        objective: the objective to compare.
        winners: see `Pruner`.
        warm_up: number of complete trials needed before any is pruned.
    """

    trained_shares = (0.8, 0.4)

    def __init__(
        self, objective: Objective, *, winners: int = 1, warm_up: int = WARM_UP_TRIALS
    ) -> None:
        super().__init__(objective, winners=winners)
        self._warm_up = warm_up

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Compare means over the folds that `trial` has finished."""
        folds, scoreboard = trial.finished_folds(), self._scoreboard
        if not folds or not _has_just_finished(trial):
            return ""
        rivals = [scoreboard.mean(rival, folds) for rival in history.completed()]
        if len(rivals) < self._warm_up:
            return ""
        mean, median = scoreboard.mean(trial, folds), statistics.median(rivals)
        if mean >= median:
            return ""
        return (
            f"after {counted(len(folds), 'fold')} its {scoreboard.text(mean)} is worse than"
            f" {scoreboard.text(median)}, the median of {len(rivals)} complete trials on these"
            " folds"
        )


class WilcoxonPruner(Pruner):
    """Prunes a trial that is worse than the best complete one by a signed-rank test.

    The test is one-sided and paired by folds. With fewer than four folds it is never significant.

    Source: Wilcoxon, "Individual comparisons by ranking methods", 1945; the rule is that of
    Optuna's pruner of this name, with folds as instances.
    """

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Test the differences on the folds that both have finished."""
        from scipy.stats import wilcoxon

        best = next(iter(history.completed()), None)
        folds = self._scoreboard.folds(trial)
        if best is None or len(folds) < WILCOXON_FOLDS or not _has_just_finished(trial):
            return ""
        against = self._scoreboard.folds(best)
        differences = [value - against[n] for n, value in folds.items() if n in against]
        if statistics.fmean(differences) >= 0:
            return ""
        p = float(wilcoxon(differences, alternative="less", zero_method="zsplit").pvalue)
        if p >= WILCOXON_P:
            return ""
        return (
            f"after {counted(len(differences), 'fold')} it is worse than trial {best.number} by"
            f" {self._scoreboard.number(-statistics.fmean(differences))} on average"
            f" (signed-rank test: p = {p:.3f})"
        )


def _has_just_finished(trial: TrialHistory) -> bool:
    """Return whether the trial's last record is the end of a fold."""
    return isinstance(trial.last_report(), FoldEnded)
