"""The interface of pruners."""

import statistics
from collections.abc import Collection
from dataclasses import dataclass
from itertools import count, takewhile
from typing import ClassVar

from spaces import Params
from tracking.history import History, TrialHistory
from tracking.objectives import Objective, measure_text
from tracking.tally import rung_of


@dataclass(frozen=True)
class Rung:
    """Where trials pause and are compared: at the same share of their training.

    Attributes:
        fold: those before it are whole.
        share: of the trial's own epochs that are trained of this fold; 1 for all of them.
    """

    fold: int
    share: float = 1.0

    def epoch(self, params: Params) -> int:
        """Return the epoch of its fold after which a trial is there; see `rung_of`."""
        return rung_of(params, self.share)

    def is_reached(self, trial: TrialHistory) -> bool:
        """Say whether a trial has been there, with or without being let go on so far."""
        if any(n not in trial.folds or trial.folds[n].ended is None for n in range(1, self.fold)):
            return False
        fold = trial.folds.get(self.fold)
        if fold is None or self.share == 1.0:
            return fold is not None and fold.ended is not None
        epoch = self.epoch(trial.started.parameters)
        # One that is over has shown all that it ever will, also where it did not pause.
        return fold.has_reached(epoch) or (trial.ended is not None and epoch in fold.epochs)


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
        ended = history.epoch(epoch) if history else None
        value = ended.metrics.get(self.objective.epoch) if ended else None
        return None if value is None else self.objective.oriented(value)

    def at(self, trial: TrialHistory, rung: Rung) -> float | None:
        """Return what a trial showed at a rung; None if it has not been there, or is not known.

        It is the mean over the whole folds and, of a fold within which the rung is, the value after
        its epoch. A fold whose training ended before has that of its end.
        """
        if not rung.is_reached(trial):
            return None
        folds = self.folds(trial)
        values = [folds.get(number) for number in range(1, rung.fold)]
        within = None
        if rung.share < 1.0:
            within = self.epoch(trial, rung.fold, rung.epoch(trial.started.parameters))
        values.append(folds.get(rung.fold) if within is None else within)
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if len(known) == len(values) else None

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


class Pruner:
    """Decides which trials are trained further.

    Trials are compared by the study's first objective. A decision depends on the history alone, so
    that it is the same after an interruption. There are two kinds of pruners: one stops a trial for
    good after an epoch or a fold (`reason_to_stop`); with one that waits, trials pause at rungs,
    and go on from there when it says so.

    Attributes:
        waits: whether sampled trials pause at `rungs` and wait there.
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
        """Return the epoch of fold 1 after which a trial is compared first; 0: after any."""
        first = next(iter(self.rungs(1)), None)
        return first.epoch(params) if first else 0

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Return a sentence on why to prune `trial` now, after an epoch or a fold.

        An empty string lets it continue.
        """
        del trial, history
        return ""

    def rungs(self, folds: int) -> tuple[Rung, ...]:
        """Return where trials of a study of so many folds pause, in order, all before its end."""
        del folds
        return ()

    def places(self, rung: int, entered: int, folds: int) -> int:
        """Return how many trials go on from a rung, by its place in `rungs`, at least.

        Args:
            rung: which one.
            entered: how many trials have been at the first one.
            folds: of the study.
        """
        del rung, folds
        return entered

    def going_on(self, history: History, rung: int, *, final: bool = True) -> list[int]:
        """Return the numbers of the trials that go on from a rung, the best first.

        They are all those that should, of all that have been there, whether or not they have gone
        on since, or are over. When others have shown more it may name further ones: these are gone
        on with then.

        Args:
            history: the study's.
            rung: which one, by its place in `rungs`.
            final: whether all that are to come have been at the first rung.
        """
        del history, rung, final
        return []

    def standing(self, trial: TrialHistory, history: History) -> int:
        """Return the last rung that a trial has been at, by its place in `rungs`; -1 for none.

        Folds that began before it was let go on to them do not count until it is.
        """
        del trial, history
        return -1

    def reason(self, trial: TrialHistory, history: History) -> str:
        """Return a sentence on why a trial ends that waits and is not gone on with."""
        del trial, history
        return ""


class NoPruner(Pruner):
    """Lets every trial see all its folds."""
