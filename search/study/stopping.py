"""When to stop: once what more trials would gain is below what the folds can tell.

The gain is estimated from the values of the trials themselves. The best quarter of them exceed the
value behind them by `excess` on average; beyond there, values are taken to fall off exponentially,
as the tail of most distributions does. So of `to_come` further draws a Poisson number J beats the
best so far, with the mean `to_come * share * exp(-lead / excess)`, and the best of J exceeds it by
`excess` times the J-th harmonic number on average. That holds for proposals drawn at random, and is
too little for a sampler that still learns, as its later proposals are better than its earlier ones.
Of 30 draws it is a quarter too low where the tail is exponential and a third too high where it is
normal.

The doubt is the standard error of a cross-validated mean, by which the folds tell what the best
setting would score elsewhere. Stopping at a gain as large as that costs far too much, so it is a
tenth of it; decision 0032 has what was compared, Makarova's regret bound among it.

Source: Makarova et al., "Automatic termination for hyperparameter optimization", 2022 (the idea,
and the standard error); Pickands, "Statistical inference using extreme order statistics", 1975
(the tail); Nadeau and Bengio, "Inference for the generalization error", 2003 (the error).
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search.data.folds import share_of
from search.study.drivers import Outcome
from search.study.pruners.base import Scoreboard
from tracking.history import History, TrialHistory
from tracking.text import counted

LEAST = 15  # trials with a value, below which nothing is estimated
PART = 4  # the best n / PART trials tell of the tail
TENTH = 0.1  # of the doubt: a gain below it ends the study
JUDGED = 4  # best trials whose folds tell of the doubt


@dataclass(frozen=True)
class Prospect:
    """What more trials promise, in the unit of the values.

    Attributes:
        gain: by how much the best value is expected to grow.
        doubt: standard error of a cross-validated mean.
    """

    gain: float
    doubt: float

    @property
    def is_enough(self) -> bool:
        """Whether the gain is not worth the trials."""
        return self.gain < TENTH * self.doubt


def expected_gain(values: Sequence[float], to_come: int) -> float:
    """Return by how much the best of further draws is expected to exceed the best of these.

    Args:
        values: of two or more draws; larger is better.
        to_come: number of further draws.
    """
    ordered = sorted(values, reverse=True)
    count = min(max(3, len(ordered) // PART), len(ordered) - 1)
    behind = ordered[count]
    excess = statistics.fmean(value - behind for value in ordered[:count])
    if excess <= 0:
        return 0.0
    winners = to_come * count / len(ordered) * math.exp(-(ordered[0] - behind) / excess)
    return excess * _mean_harmonic(winners)


def _mean_harmonic(mean: float) -> float:
    """Return the mean J-th harmonic number of a Poisson number J."""
    from scipy.special import exp1  # which takes a while to import

    if mean < 1e-6:
        return mean  # where the difference below has no digits left
    return float(math.log(mean) + exp1(mean)) + 0.5772156649015329


class Stopping:
    """Says when a study has enough trials.

    Args:
        history: the study's.
        outcome: a trial's value as the driver is told it, which compares whatever the trial saw.
        trials: the total that the session aims at.
    """

    def __init__(
        self, history: History, outcome: Callable[[TrialHistory], Outcome | None], trials: int
    ) -> None:
        self._history = history
        self._outcome = outcome
        self._trials = trials
        self._scoreboard = Scoreboard(history.objectives[0])

    def reason(self) -> str:
        """Return a sentence on why no further trial is worth it; empty where one may be."""
        found = self.prospect()
        if found is None or not found.is_enough:
            return ""
        begun, number = len(self._history.trials), self._scoreboard.number
        return (
            f"After {counted(begun, 'trial')}, {self._trials - begun} more are expected to gain"
            f" about {number(found.gain)}, less than a tenth of the {number(found.doubt)} by which"
            f" {self._scoreboard.objective.fold} is in doubt with these folds."
        )

    def prospect(self) -> Prospect | None:
        """Return what the trials to come promise; None while too little is known."""
        trials = [t for _, t in sorted(self._history.trials.items())]
        drawn = [value for t in trials if not t.started.is_baseline for value in self._values(t)]
        doubt = self._doubt(trials)
        if len(drawn) < LEAST or doubt is None:
            return None
        return Prospect(expected_gain(drawn, self._trials - len(trials)), doubt)

    def _values(self, trial: TrialHistory) -> list[float]:
        outcome = self._outcome(trial)
        return [v for v in (outcome.values[:1] if outcome else ()) if math.isfinite(v)]

    def _doubt(self, trials: Sequence[TrialHistory]) -> float | None:
        """Return the standard error by the best trials that saw all folds; None without any."""
        study = self._history.known_study()
        seen = [list(self._scoreboard.folds(trial).values()) for trial in trials]
        whole = [folds for folds in seen if len(folds) == study.folds and study.folds > 1]
        best = sorted(whole, key=statistics.fmean, reverse=True)[:JUDGED]
        if not best:
            return None
        spread = statistics.fmean(statistics.stdev(folds) for folds in best)
        return spread * math.sqrt(1 / study.folds + share_of(study))
