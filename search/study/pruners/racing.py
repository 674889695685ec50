"""Racing: k-fold cross-validation for the best, a few epochs for the rest."""

import math
import statistics
from bisect import bisect_right
from dataclasses import dataclass

from search.study.pruners.base import Pruner
from spaces import Params
from tracking.history import History, TrialHistory
from tracking.records import EpochEnded
from tracking.tally import rung_of
from tracking.text import counted

KEEP = 0.45
LEAST = (4, 3, 2)  # trials that continue after one fold, after two, after more
COMPARED = 4
SURE = 2.0
# With fewer differences than this (beyond one for each trial), the noise cannot be estimated.
LEAST_FREEDOM = 3


class RacingPruner(Pruner):
    """Prunes weak trials at (fold, epoch) rungs.

    After a tenth of its epochs in its first fold (`rung_of`) a trial is pruned unless it is among
    the best 45 % of all trials at that rung. The others finish the fold and wait until every
    proposal has been tried. Then they race fold by fold: of the n trials that finished one fold,
    the best n / 4 continue, after two folds the best n / 16, and so on, but not fewer than four,
    three, and then two; and of these only trials that the leader does not clearly beat. This is
    judged by the differences between the best trials on the same folds: a mean over j of k folds
    differs from the mean over all k by a standard error of `s * sqrt(1/j - 1/k)`, and a gap of
    more than two standard errors prunes a trial.

    No rung is tuned to a dataset; decision 0013 has the rules that performed worse, and the reason
    why there are no rungs between that one and the end of the first fold.

    Source: successive halving as in Li et al., "A system for massively parallel hyperparameter
    tuning", 2020, with the stopping rule in the first fold; fold by fold as in
    Krueger et al., "Fast cross-validation via sequential testing", 2015, and Bergman et al.,
    "Don't waste your time: early stopping cross-validation", 2024.
    """

    waits = True
    trained_shares = (0.8, 0.1)
    _known_pool: "_Pool | None" = None

    def compared_after(self, params: Params) -> int:
        """Return the epoch of the trial's rung."""
        return rung_of(params)

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Compare with all trials that reached their rung in the first fold."""
        rung, epochs = trial.rung, int(trial.started.parameters.get("epochs", 1))
        own = self._scoreboard.epoch(trial, 1, rung)
        last = trial.last_report()
        is_there = isinstance(last, EpochEnded) and (last.fold, last.epoch) == (1, rung)
        if own is None or not is_there or rung >= epochs:
            return ""
        values = history.tally.at_rung
        limit = values[-math.ceil(len(values) * KEEP)]
        if own >= limit:
            return ""
        return (
            f"in fold 1 after epoch {rung} of {epochs}: {self._scoreboard.text(own)} is not among"
            f" the best {KEEP:.0%} of {len(values)} trials at the same share of their epochs,"
            f" {self._scoreboard.text(limit)} and better"
        )

    def reason_to_drop(self, trial: TrialHistory, history: History, level: int) -> str:
        """Compare over the first folds with all trials that finished them."""
        own = self._scoreboard.means(trial)[level - 1]
        pool = self._pool(history, level)
        ahead = len(pool.ascending) - bisect_right(pool.ascending, own)
        places = self._places(level, pool.entered)
        score_text = f"after {counted(level, 'fold')}: {self._scoreboard.text(own)}"
        if ahead >= places:
            rivals = len(pool.ascending)
            return f"{score_text} is behind {ahead} of {rivals} trials; the best {places} continue"
        gap = pool.ascending[-1] - own
        doubt = self._doubt(pool.best, level, history.known_study().folds)
        if ahead < self._winners or doubt is None or gap <= SURE * doubt:
            return ""
        number = self._scoreboard.number
        return (
            f"{score_text} is {number(gap)} behind trial {pool.best[0].number}, more than twice the"
            f" standard error of {number(doubt)}"
        )

    def _pool(self, history: History, level: int) -> "_Pool":
        """Return the trials that a trial with this many folds is compared with.

        They are the same for all trials that are judged together, and take a while to collect.
        """
        known = self._known_pool
        if (
            known is None
            or known.history is not history
            or (known.level, known.records) != (level, history.tally.records)
        ):
            found = [(self._scoreboard.means(t), t) for _, t in sorted(history.trials.items())]
            # A trial that failed later is included: the result must not depend on when it is
            # computed.
            rivals = [(means[level - 1], t) for means, t in found if len(means) >= level]
            rivals.sort(key=lambda rival: -rival[0])
            self._known_pool = known = _Pool(
                history=history,
                records=history.tally.records,
                level=level,
                entered=sum(bool(means) for means, _ in found),
                ascending=[mean for mean, _ in reversed(rivals)],
                best=[trial for _, trial in rivals[:COMPARED]],
            )
        return known

    def _places(self, level: int, entered: int) -> int:
        """Return how many trials of the race continue after `level` folds."""
        least = LEAST[min(level, len(LEAST)) - 1]
        return max(least, self._winners, math.ceil(entered / (1 << 2 * level)))

    def _doubt(self, best: list[TrialHistory], level: int, folds: int) -> float | None:
        """Return the standard error of a gap to the leader; None while it cannot be estimated."""
        leader, *rivals = [self._scoreboard.folds(trial) for trial in best]
        if len(rivals) * (level - 1) < LEAST_FREEDOM:
            return None
        shared = range(1, level + 1)
        variances = [statistics.variance(rival[n] - leader[n] for n in shared) for rival in rivals]
        return math.sqrt(statistics.fmean(variances) * (1 / level - 1 / folds))


@dataclass(frozen=True)
class _Pool:
    """The trials that finished a number of folds, at a certain length of the history.

    Attributes:
        entered: how many trials finished one fold.
        ascending: the trials' means over these folds, ascending.
        best: the best of these trials, the best first.
    """

    history: History
    records: int
    level: int
    entered: int
    ascending: list[float]
    best: list[TrialHistory]
