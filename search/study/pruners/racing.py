"""Racing: k-fold cross-validation for the best, a few epochs for the rest."""

import math
import statistics
from bisect import bisect_left, insort
from dataclasses import dataclass, field

from search.study.pruners.base import Pruner, Rung
from tracking.history import History, TrialHistory
from tracking.objectives import Objective
from tracking.text import counted

# Where trials pause: a fold, the share of the trial's epochs that it has had of this fold, and how
# many go on from there: a share of all that entered, or a number.
RUNGS = ((1, 0.1, 0.5), (1, 0.25, 0.25), (1, 1.0, 3), (2, 1.0, 2), (3, 1.0, 1))
LEAST = 2  # go on from a rung within a fold, of three trials or more
# Trials that went on, at least, before another is gone on with by what they gained; and how many
# standard deviations of their gains it is trusted to gain more than they did on average.
LEAST_SEEN, TRUST = 3, 1.0


class RacingPruner(Pruner):
    """Lets trials pause at rungs, and the best of those that have been there go on.

    Of all trials half go on from a tenth of their epochs in the first fold (`rung_of`), a quarter
    from a quarter of them; three see a second fold, two a third, and one sees all, if not more are
    to win. `RUNGS` has these numbers, `winners` is the least of them; of equals the earlier go on.

    A trial that does not go on is not over: it waits there. It goes on once it is among so many of
    those that have been there; or when those that went on have come to the next rung and it might
    be ahead there of the last one that goes on from that: if it gained one standard deviation more
    than they did on average. No rung is tuned to a dataset.

    Source: successive halving as in Li et al., "A system for massively parallel hyperparameter
    tuning", 2020; trials that pause, and go on later, as in Swersky et al., "Freeze-thaw Bayesian
    optimization", 2014; fold by fold as in Krueger et al., "Fast cross-validation via sequential
    testing", 2015, and Bergman et al., "Don't waste your time: early stopping cross-validation",
    2024.
    """

    waits = True
    trained_shares = (0.7, 0.05)

    def __init__(self, objective: Objective, *, winners: int = 1) -> None:
        """Compare by an objective; at least `winners` trials should see all folds."""
        super().__init__(objective, winners=winners)
        self._known: tuple[History, tuple[_Ranking, ...]] | None = None
        self._records = 0  # that the history had when the rankings were brought up to date

    def rungs(self, folds: int) -> tuple[Rung, ...]:
        """Return those of `RUNGS` that are before the end of the last fold."""
        return tuple(Rung(fold, share) for fold, share, _ in _before_the_end(folds))

    def places(self, rung: int, entered: int, folds: int) -> int:
        """Return how many trials go on from a rung."""
        _, share, kept = _before_the_end(folds)[rung]
        count = math.floor(kept * entered) if isinstance(kept, float) else kept
        return max(count, self._winners, min(LEAST, (entered + 1) // 2) if share < 1.0 else 1)

    def going_on(self, history: History, rung: int, *, final: bool = True) -> list[int]:
        """Compare all trials that have been at the rung."""
        order, places = self._order(history, rung), self._places(history, rung)
        first = [number for _, number in order[:places]]
        if not final:
            return first
        return [*first, *self._thawed(history, rung, first, [n for _, n in order[places:]])]

    def standing(self, trial: TrialHistory, history: History) -> int:
        """Return the last rung at which the trial is compared."""
        rankings = self._rankings(history)
        return max((n for n in range(len(rankings)) if self._counts(trial, history, n)), default=-1)

    def reason(self, trial: TrialHistory, history: History) -> str:
        """Say how the trial stands at the last rung that it has reached."""
        place = self.standing(trial, history)
        ranking, order = self._rankings(history)[place], self._order(history, place)
        rung, own = ranking.rung, ranking.values[trial.number]
        shown = self._scoreboard.text(own) if own > -math.inf else "no number"
        standing = 1 + bisect_left(order, (-own, trial.number))
        at_rung = " at this share of their epochs" if rung.share < 1.0 else ""
        return (
            f"{_where(rung, trial)}: {shown} is number {standing} of"
            f" {counted(len(order), 'trial')}{at_rung}; the best {self._places(history, place)}"
            " go on"
        )

    def _thawed(
        self, history: History, rung: int, first: list[int], waiting: list[int]
    ) -> list[int]:
        """Return those that have gone on all the same, and one that might have been worth it.

        Args:
            history: the study's.
            rung: from which they go on.
            first: the best there.
            waiting: the others, the best first.
        """
        rankings = self._rankings(history)
        if rung + 1 == len(rankings):
            return []
        here, following = rankings[rung].values, rankings[rung + 1]
        there = {
            number: value
            for number, value in following.values.items()
            if number in here and (number not in following.ahead or number in first)
        }
        thawed = [number for number in waiting if number in there]
        is_awaited = any(n not in there and not history.trials[n].state.is_over for n in first)
        candidate = next((n for n in waiting if n not in there), None)
        gains = [value - here[n] for n, value in there.items() if math.isfinite(value - here[n])]
        if is_awaited or candidate is None or len(gains) < LEAST_SEEN:
            return thawed
        expected = here[candidate] + statistics.fmean(gains) + TRUST * statistics.stdev(gains)
        best = sorted(there.values(), reverse=True)
        last = best[min(self._places(history, rung + 1), len(best)) - 1]
        return [*thawed, candidate] if expected > last else thawed

    def _places(self, history: History, rung: int) -> int:
        entered = len(self._rankings(history)[0].order)
        return self.places(rung, entered, history.known_study().folds)

    def _counts(self, trial: TrialHistory, history: History, rung: int) -> bool:
        """Say whether a trial is compared at a rung; see `_Ranking.ahead`."""
        ranking = self._rankings(history)[rung]
        if trial.number not in ranking.values:
            return False
        return trial.number not in ranking.ahead or trial.number in self.going_on(history, rung - 1)

    def _order(self, history: History, rung: int) -> list[tuple[float, int]]:
        """Return the order of the trials that are compared at a rung."""
        ranking = self._rankings(history)[rung]
        if not ranking.ahead:
            return ranking.order
        out = ranking.ahead - set(self.going_on(history, rung - 1))
        return [each for each in ranking.order if each[1] not in out]

    def _rankings(self, history: History) -> "tuple[_Ranking, ...]":
        """Return the rankings at all rungs, brought up to date with what has changed."""
        if self._known is None or self._known[0] is not history:
            rungs = self.rungs(history.known_study().folds)
            self._known, self._records = (history, tuple(map(_Ranking, rungs))), 0
        rankings = self._known[1]
        for number in history.tally.changed_since(self._records):
            for ranking in rankings:
                self._rank(history.trials[number], ranking)
        self._records = history.tally.records
        return rankings

    def _rank(self, trial: TrialHistory, ranking: "_Ranking") -> None:
        """Put a trial where it belongs by what it showed at a rung.

        A trial that failed later is included: the result must not depend on when it is computed.
        One that earlier versions stopped before the first rung is behind all others. Baselines see
        all folds anyhow, and take nobody's place.
        """
        if trial.started.is_baseline:
            return
        rung = ranking.rung
        if rung.is_reached(trial):
            value = self._scoreboard.at(trial, rung)
            if value is None or math.isnan(value):
                value = -math.inf
            is_ahead = any(trial.folds[n].started.ahead for n in range(1, rung.fold + 1))
            ranking.put(trial.number, value, ahead=is_ahead)
        elif trial.state == "pruned" and rung == self.rungs(1)[0]:
            ranking.put(trial.number, -math.inf)
        else:
            ranking.leave(trial.number)


@dataclass
class _Ranking:
    """The trials that have been at a rung.

    Attributes:
        values: what they showed there, by number; larger is better.
        order: the same with a minus before it and their numbers, the best first, earlier ones first
            among equals.
        ahead: those that came there by folds which began before they were let go on to them. They
            are compared once they are.
    """

    rung: Rung
    values: dict[int, float] = field(default_factory=dict)
    order: list[tuple[float, int]] = field(default_factory=list)
    ahead: set[int] = field(default_factory=set)

    def put(self, number: int, value: float, *, ahead: bool = False) -> None:
        """Rank a trial, once."""
        self.leave(number)
        self.values[number] = value
        insort(self.order, (-value, number))
        if ahead:
            self.ahead.add(number)

    def leave(self, number: int) -> None:
        """Take a trial out, if it is there."""
        before = self.values.pop(number, None)
        if before is not None:
            del self.order[bisect_left(self.order, (-before, number))]
        self.ahead.discard(number)


def _before_the_end(folds: int) -> list[tuple[int, float, float]]:
    return [each for each in RUNGS if each[0] < folds or (each[0] == folds and each[1] < 1.0)]


def _where(rung: Rung, trial: TrialHistory) -> str:
    if rung.share == 1.0:
        return f"after {counted(rung.fold, 'fold')}"
    parameters = trial.started.parameters
    epochs = parameters.get("epochs", 1)
    return f"in fold {rung.fold} after epoch {rung.epoch(parameters)} of {epochs}"
