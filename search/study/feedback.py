"""What a driver is told of the trials: values that can be compared, whatever each trial has seen.

Folds are not equally hard, and what an epoch shows is not what the end of training will. So what
is known of a trial that did not see all folds is carried to the scale of those that did, as racing
compares: on what both have seen. The model is additive, a trial's value plus an effect of where it
stands, fitted by least squares. Stands are the rungs at which trials pause, and the ends of folds.
As they come in the same order for all, the fit has a closed form: the step from one stand to the
next is the mean over the trials that took it, and a trial that stopped is given the steps it did
not take.

Source: the two-way additive model with missing cells, Little and Rubin, "Statistical analysis with
missing data", 2002, chapter 2 and, for cells that go missing one after the other, chapter 7.
"""

import math
import statistics
from bisect import bisect_left, insort
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from search.study.drivers import Driver, Outcome
from search.study.pruners.base import Rung, Scoreboard
from tracking.history import History, TrialHistory

PEERS = 32  # so many trials tell how much is gained by going on


class Feedback:
    """Keeps a driver informed, each time before it is asked.

    What a trial is told as changes while others show how the folds differ; so trials are told
    again when it did. It depends on the study's rungs reached, finished folds and ended trials
    alone, whenever and in whichever order they were noted: an interrupted study tells what an
    uninterrupted one does.

    A trial that waits after a whole fold, or was dropped from a race there, is told as complete:
    otherwise only the few that went on to the end would be there to learn from. One that waits or
    was stopped before is told as pruned, with the value that it would have come to.

    Args:
        driver: is told.
        history: the study's; trials that change are to be noted.
        rungs: where the study's pruner has trials wait; empty where it has not.
    """

    def __init__(self, driver: Driver, history: History, rungs: Sequence[Rung] = ()) -> None:
        self._driver = driver
        self._history = history
        self._waits = bool(rungs)
        self._scale = _Scale(history, rungs)
        self._new = set(history.trials)
        self._told: dict[int, Outcome] = {}
        self._partial: set[int] = set()  # told without having seen all folds
        for number in self._new:
            self._scale.note(number)

    def note(self, number: int) -> None:
        """Take in that a fold of the trial has paused or is over, or the trial is."""
        self._new.add(number)
        self._scale.note(number)

    def give(self) -> None:
        """Tell the driver what is new, and what is known better by now."""
        numbers = self._new | self._partial if self._scale.take_change() else self._new
        for number in sorted(numbers):
            outcome = self.outcome(self._history.trials[number])
            if outcome is not None and outcome != self._told.get(number):
                self._told[number] = outcome
                params = self._history.trials[number].started.parameters
                self._driver.tell(number, params, outcome)
        self._new = set()

    def outcome(self, trial: TrialHistory) -> Outcome | None:
        """Return what a trial is told as; None while it trains."""
        self._partial.discard(trial.number)
        if trial.state == "failed":
            return Outcome("failed")
        if trial.state == "complete":
            objectives = self._history.objectives
            scores = [(o, trial.score(o.name)) for o in objectives]
            return Outcome("complete", tuple(o.oriented(s) for o, s in scores if s is not None))
        is_waiting = trial.ended is None and self._waits and not trial.started.is_baseline
        if trial.ended is None and not (is_waiting and self._scale.has_stood(trial)):
            return None
        value = self._scale.value(trial)
        if value is None:
            return Outcome("pruned")
        self._partial.add(trial.number)
        is_dropped = self._waits and self._scale.has_folds(trial)
        return Outcome("complete" if is_dropped else "pruned", (value,))


class _Scale:
    """Carries what trials showed to what they would have scored over all folds.

    `_gains` has, for each stand, what the first trials gained by going on to the next, and from all
    folds to the score, which is another number where it is taken over all folds' predictions
    together. What is gained within the first fold from where no rung is, to its end, is that of the
    first trials that saw this end.
    """

    def __init__(self, history: History, rungs: Sequence[Rung]) -> None:
        self._history = history
        self._scoreboard = Scoreboard(history.objectives[0])
        folds = {Rung(fold) for fold in range(1, history.known_study().folds + 1)}
        self._stands = sorted({*rungs, *folds}, key=lambda rung: (rung.fold, rung.share))
        self._first_end = self._stands.index(Rung(1))
        self._gains: dict[int, dict[int, float]] = {}
        self._gain_from = cache(self._sum_from)
        self._shown: dict[int, list[float]] = {}  # by trial: at each stand it has come to
        self._peers: list[int] = []
        self._within_fold: dict[tuple[int, int], float] = {}  # by epoch and of how many
        self._changed = False

    def note(self, number: int) -> None:
        """Take in what a trial has shown so far."""
        trial = self._history.trials[number]
        self._shown[number] = shown = self._collected(trial)
        score = trial.score(self._scoreboard.objective.name)
        if score is not None:
            shown = [*shown, self._scoreboard.objective.oriented(score)]
        for stand, (before, then) in enumerate(pairwise(shown)):
            self._note_gain(stand, number, then - before)
        if len(shown) > self._first_end:
            self._note_peer(number)

    def take_change(self) -> bool:
        """Say whether values are others than when this was asked before."""
        changed, self._changed = self._changed, False
        return changed

    def has_folds(self, trial: TrialHistory) -> bool:
        """Say whether the trial has finished a fold."""
        return len(self._shown.get(trial.number, ())) > self._first_end

    def has_stood(self, trial: TrialHistory) -> bool:
        """Say whether the trial has come to a stand."""
        return bool(self._shown.get(trial.number))

    def value(self, trial: TrialHistory) -> float | None:
        """Return what a trial would have scored; None where it showed nothing."""
        shown = self._shown.get(trial.number)  # None in its first fold's training
        if shown:
            is_number = math.isfinite(shown[-1])
            return shown[-1] + self._gain_from(len(shown) - 1) if is_number else None
        epoch = max(trial.folds[1].epochs, default=0) if 1 in trial.folds else 0
        value = self._scoreboard.epoch(trial, 1, epoch)
        if value is None or not math.isfinite(value):
            return None
        return value + self._gain_within_fold(trial, epoch) + self._gain_from(self._first_end)

    def _collected(self, trial: TrialHistory) -> list[float]:
        """Return what a trial showed at each stand, up to the first that it has not come to.

        Whoever has finished folds has passed the stands before, whether or not it paused there.
        """
        shown: list[float] = []
        for stand in self._stands:
            value = self._scoreboard.at(trial, stand)
            if value is None:
                break
            shown.append(value)
        return shown

    def _note_gain(self, stand: int, number: int, gain: float) -> None:
        gains = self._gains.setdefault(stand, {})
        if not math.isfinite(gain) or gains.get(number) == gain:
            return
        gains[number] = gain
        if len(gains) > PEERS:
            last = max(gains)
            del gains[last]
            if last == number:
                return
        self._changed = True
        self._gain_from.cache_clear()

    def _note_peer(self, number: int) -> None:
        at = bisect_left(self._peers, number)
        if number in self._peers[at : at + 1] or at >= PEERS:
            return
        insort(self._peers, number)
        del self._peers[PEERS:]
        self._within_fold.clear()
        self._changed = True

    def _sum_from(self, stand: int) -> float:
        return sum(
            statistics.fmean(gains.values())
            for before, gains in sorted(self._gains.items())
            if before >= stand and gains
        )

    def _gain_within_fold(self, trial: TrialHistory, epoch: int) -> float:
        """Return what the peers gained from the same share of their epochs to the fold's end."""
        epochs = _epochs(trial)
        # Rungs are the same share, but for what rounding makes of it.
        place = (0, 0) if epoch == trial.rung else (epoch, epochs)
        if place not in self._within_fold:
            gains = [
                self._scoreboard.means(peer)[0] - then
                for peer in (self._history.trials[number] for number in self._peers)
                if (then := self._scoreboard.epoch(peer, 1, _same_share(peer, *place))) is not None
            ]
            self._within_fold[place] = statistics.fmean(gains) if gains else 0.0
        return self._within_fold[place]


def _same_share(trial: TrialHistory, epoch: int, epochs: int) -> int:
    return trial.rung if not epoch else math.ceil(_epochs(trial) * epoch / epochs)


def _epochs(trial: TrialHistory) -> int:
    return int(trial.started.parameters.get("epochs", 1))
