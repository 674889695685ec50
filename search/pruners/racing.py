"""Racing: k-fold cross-validation for the best, a few epochs for the rest."""

import math
import statistics

from search.pruners.base import Pruner
from tracking.history import History, TrialHistory

LEAST = 4
SURE = 2.0


class RacingPruner(Pruner):
    """Sends trials up a ladder of (fold, epoch) rungs and takes the weaker half off at each.

    In the first fold the rungs are its epochs 1, 2, 4, 8, ...: a trial stops there unless it is
    in the better half of all trials that came as far. Trials that see the fold's end wait until
    every proposal has had its turn. Then they race fold by fold: after j folds, the best
    `max(4, n / 2^j)` of the n trials that finished one fold go on, and of these only such as the
    leader does not beat beyond doubt. What doubt is comes from the differences between trials
    on the same folds: a mean over j of k folds is off the mean over all k by a standard error of
    `s * sqrt(1/j - 1/k)`, and a gap of more than two of these ends a trial.

    Nothing is learned from a dataset beforehand and no rung is tuned to one; `docs/decisions`
    has the rules that lost.

    Source: successive halving as in Li et al., "A system for massively parallel hyperparameter
    tuning", 2020, with the stopping rule in the first fold; going on fold by fold as in
    Krueger et al., "Fast cross-validation via sequential testing", 2015, and Bergman et al.,
    "Don't waste your time: early stopping cross-validation", 2024.
    """

    waits = True

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Compare with all trials that trained as many epochs of the first fold."""
        fold, epoch = trial.position()
        if fold != 1 or epoch & (epoch - 1) or trial.folds[1].ended is not None:
            return ""
        own = self._standing.epoch(trial, 1, epoch)
        if own is None or epoch >= int(trial.started.parameters["epochs"]):
            return ""
        seen = [self._standing.epoch(rival, 1, epoch) for rival in history.trials.values()]
        values = sorted((value for value in seen if value is not None), reverse=True)
        limit = values[math.ceil(len(values) / 2) - 1]
        if own >= limit:
            return ""
        return (
            f"in fold 1 after epoch {epoch}: {self._standing.text(own)} is not in the better half"
            f" of {len(values)} trials there, {self._standing.text(limit)} and better"
        )

    def reason_to_drop(self, trial: TrialHistory, history: History) -> str:
        """Compare over the folds that `trial` has finished with all trials that finished them."""
        level = len(trial.finished_folds())
        shared = range(1, level + 1)
        pool = _with_folds(history, level)
        means = {rival.number: self._standing.mean(rival, shared) for rival in pool}
        own = means[trial.number]
        places = max(LEAST, math.ceil(len(_with_folds(history, 1)) / 2**level))
        ahead = sum(mean > own for mean in means.values())
        told = f"after {level} {'fold' if level == 1 else 'folds'}: {self._standing.text(own)}"
        if ahead >= places:
            return f"{told} is behind {ahead} of {len(pool)} trials; the best {places} go on"
        leader = max(means, key=lambda number: means[number])
        doubt = self._doubt(history.trials[leader], pool, level, history.known_study().folds)
        gap = means[leader] - own
        if doubt is None or gap <= SURE * doubt:
            return ""
        return (
            f"{told} is {gap:.4f} behind trial {leader}, more than twice the standard error"
            f" of {doubt:.4f}"
        )

    def _doubt(
        self, leader: TrialHistory, pool: list[TrialHistory], level: int, folds: int
    ) -> float | None:
        """Return the standard error of a gap to the leader; None where it cannot be known yet."""
        if level < 2 or len(pool) < 2:
            return None
        best = self._standing.folds(leader)
        variances = [
            statistics.variance(values[n] - best[n] for n in range(1, level + 1))
            for values in (self._standing.folds(rival) for rival in pool if rival is not leader)
        ]
        return math.sqrt(statistics.fmean(variances) * (1 / level - 1 / folds))


def _with_folds(history: History, count: int) -> list[TrialHistory]:
    """Return the trials that finished the first `count` folds and did not fail."""
    return [
        trial
        for _, trial in sorted(history.trials.items())
        if trial.state != "failed" and len(trial.finished_folds()) >= count
    ]
