"""Racing: k-fold cross-validation for the best, a few epochs for the rest."""

import math
import statistics
from bisect import bisect_right
from dataclasses import dataclass

from search.study.pruners.base import Pruner
from search.text import counted
from spaces import Settings
from tracking.history import History, TrialHistory
from tracking.records import EpochEnded
from tracking.tally import rung_of

KEEP = 0.45
LEAST = (4, 3, 2)  # trials that go on after one fold, after two, after more
COMPARED = 4
SURE = 2.0
# Fewer differences than this (beyond one a trial) do not tell how large chance is.
LEAST_FREEDOM = 3


class RacingPruner(Pruner):
    """Sends trials up a ladder of (fold, epoch) rungs and takes the weaker ones off at each.

    After a tenth of its epochs in its first fold (`rung_of`) a trial stops unless it is among the
    best 45 % of all that came as far. The others see that fold's end and wait until every proposal
    has had its turn. Then they race fold by fold: of the n trials that finished one fold, the best
    n / 4 go on, after two folds the best n / 16, and so on, but not fewer than four, three, and
    then two; and of these only such as the leader does not beat beyond doubt. What doubt is comes
    from the differences between the best trials on the same folds: a mean over j of k folds is off
    the mean over all k by a standard error of `s * sqrt(1/j - 1/k)`, and a gap of more than two of
    these ends a trial.

    No rung is tuned to a dataset; decision 0013 has the rules that lost, and why there are no rungs
    between that one and the first fold's end.

    Source: successive halving as in Li et al., "A system for massively parallel hyperparameter
    tuning", 2020, with the stopping rule in the first fold; going on fold by fold as in
    Krueger et al., "Fast cross-validation via sequential testing", 2015, and Bergman et al.,
    "Don't waste your time: early stopping cross-validation", 2024.
    """

    waits = True
    _known_pool: "_Pool | None" = None

    def compared_after(self, setting: Settings) -> int:
        """Return the epoch of the trial's rung."""
        return rung_of(setting)

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Compare with all trials that came to their rung in the first fold."""
        rung, epochs = trial.rung, int(trial.started.parameters.get("epochs", 1))
        own = self._standing.epoch(trial, 1, rung)
        last = trial.last_report()
        is_there = isinstance(last, EpochEnded) and (last.fold, last.epoch) == (1, rung)
        if own is None or not is_there or rung >= epochs:
            return ""
        values = history.tally.at_rung
        limit = values[-math.ceil(len(values) * KEEP)]
        if own >= limit:
            return ""
        return (
            f"in fold 1 after epoch {rung} of {epochs}: {self._standing.text(own)} is not among the"
            f" best {KEEP:.0%} of {len(values)} trials at the same share of their epochs,"
            f" {self._standing.text(limit)} and better"
        )

    def reason_to_drop(self, trial: TrialHistory, history: History, level: int) -> str:
        """Compare over the first folds with all trials that finished them."""
        own = self._standing.means(trial)[level - 1]
        pool = self._pool(history, level)
        ahead = len(pool.ascending) - bisect_right(pool.ascending, own)
        places = self._places(level, pool.entered)
        told = f"after {counted(level, 'fold')}: {self._standing.text(own)}"
        if ahead >= places:
            rivals = len(pool.ascending)
            return f"{told} is behind {ahead} of {rivals} trials; the best {places} go on"
        gap = pool.ascending[-1] - own
        doubt = self._doubt(pool.best, level, history.known_study().folds)
        if ahead < self._winners or doubt is None or gap <= SURE * doubt:
            return ""
        return (
            f"{told} is {gap:.4f} behind trial {pool.best[0].number}, more than twice the standard"
            f" error of {doubt:.4f}"
        )

    def _pool(self, history: History, level: int) -> "_Pool":
        """Return whom a trial of so many folds is compared with.

        It is the same for all trials that are judged together, and takes a while to gather.
        """
        known = self._known_pool
        if (
            known is None
            or known.history is not history
            or (known.level, known.records) != (level, history.tally.records)
        ):
            found = [(self._standing.means(t), t) for _, t in sorted(history.trials.items())]
            # One that failed later is among them: what it had shown stands, whenever it is asked.
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
        """Return how many trials go on after `level` folds, of those that entered the race."""
        least = LEAST[min(level, len(LEAST)) - 1]
        return max(least, self._winners, math.ceil(entered / (1 << 2 * level)))

    def _doubt(self, best: list[TrialHistory], level: int, folds: int) -> float | None:
        """Return the standard error of a gap to the leader; None where it cannot be known yet."""
        leader, *rivals = [self._standing.folds(trial) for trial in best]
        if len(rivals) * (level - 1) < LEAST_FREEDOM:
            return None
        shared = range(1, level + 1)
        variances = [statistics.variance(rival[n] - leader[n] for n in shared) for rival in rivals]
        return math.sqrt(statistics.fmean(variances) * (1 / level - 1 / folds))


@dataclass(frozen=True)
class _Pool:
    """The trials that finished so many folds, after so many records of a history.

    Attributes:
        entered: how many trials finished one fold.
        ascending: the trials' means over these folds.
        best: the first of them, the best first.
    """

    history: History
    records: int
    level: int
    entered: int
    ascending: list[float]
    best: list[TrialHistory]
