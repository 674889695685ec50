"""How much of a study is left: epochs from its records so far, seconds from the times of these."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from search.study.budget import NONE_CONFIRMED, Confirmation
from search.study.pruners.base import Rung
from tracking.history import FoldHistory, History, TrialHistory
from tracking.records import AttemptFailed, EpochEnded, FoldEnded, FoldPaused, FoldStarted, Record

_DOUBT = 2.0  # standard errors
_NEWEST = 500  # trials whose times count
_AT_ONCE = 2  # times a rung's places that go on at most where trials go on at once, as measured
_MINUTE, _HOUR = 60, 3600
_STEPS = ((_MINUTE, 5), (10 * _MINUTE, 30), (_HOUR, _MINUTE), (10 * _HOUR, 10 * _MINUTE))


@dataclass(frozen=True)
class Ahead:
    """Epochs that are still to be trained.

    Attributes:
        firsts: first epochs of trials that have none yet, which take longer: the model is built and
            its program traced.
        starts: first epochs of further folds, which begin with building it.
        further: all others.
    """

    firsts: float
    starts: float
    further: float

    @property
    def epochs(self) -> float:
        """All of them."""
        return self.firsts + self.starts + self.further


@dataclass(frozen=True)
class RemainingWork:
    """The work of a study, as far as its time depends on it.

    Attributes:
        trials: total number.
        baselines: how many of them are baselines, which see all folds.
        folds: number of folds.
        epochs: of a fold, until a trial says.
        rungs: where sampled trials pause and wait; empty where they do not.
        places: how many trials go on from each.
        prunes: whether sampled trials may be pruned at all.
        may_end: whether the driver may run out of proposals before the total is reached.
        confirm: which trials are confirmed.
    """

    trials: int
    baselines: int
    folds: int
    epochs: int
    rungs: tuple[Rung, ...] = ()
    places: tuple[int, ...] = ()
    prunes: bool = True
    may_end: bool = False
    confirm: Confirmation = NONE_CONFIRMED

    def least(self, history: History) -> Ahead:
        """Return what is left if all are pruned from now on, as early as those that were.

        Before any was, that is after an epoch. Of those that wait for a race so many go on as it
        has places.
        """
        return self._ahead(history, all_go_on=False)

    def most(self, history: History) -> Ahead:
        """Return what is left if every trial goes on for as long as the pruner's rule allows."""
        return self._ahead(history, all_go_on=True)

    def _ahead(self, history: History, *, all_go_on: bool) -> Ahead:
        trials = list(history.trials.values())
        epochs = fmean([_length(trial) for trial in trials] or [self.epochs])
        baselines = sum(trial.started.is_baseline for trial in trials)
        to_come = max(0, self.trials - len(trials))
        published = min(to_come, max(0, self.baselines - baselines))
        sampled = 0 if self.may_end and not all_go_on else to_come - published
        turn = self._turn(trials, epochs, all_go_on)
        left = published * epochs * self.folds + sampled * turn
        open_trials = [trial for trial in trials if trial.ended is None]
        left += sum(self._rest_of_turn(trial, turn, all_go_on) for trial in open_trials)
        of_race, begun_anew = self._race(history, sampled, epochs, all_go_on)
        left += of_race
        left += self._confirmation(history, all_go_on) * epochs
        starts = (left - of_race) / epochs + begun_anew
        if not all_go_on:
            left *= _share_trained(trials)
        unbegun = sum(not any(fold.epochs for fold in _folds(trial)) for trial in open_trials)
        firsts = min(left, float(published + sampled + unbegun))
        starts = min(left - firsts, max(0.0, starts - firsts))
        return Ahead(firsts, starts, left - firsts - starts)

    def _turn(self, trials: Sequence[TrialHistory], epochs: float, all_go_on: bool) -> float:
        """Return the epochs of a sampled trial that is still to come, without its race."""
        if self.rungs:
            return float(self.rungs[0].epoch({"epochs": round(epochs)}))
        whole = epochs * self.folds
        if all_go_on or not self.prunes:
            return whole
        seen = [min(whole, _trained(trial)) for trial in trials if trial.state == "pruned"]
        return fmean(seen) if seen else 1.0

    def _rest_of_turn(self, trial: TrialHistory, turn: float, all_go_on: bool) -> float:
        """Return the epochs that an unfinished trial has before it, without its race."""
        is_judged = self.prunes and not (trial.started.is_baseline or trial.reopened)
        if is_judged and self.rungs:
            if self.rungs[0].is_reached(trial):
                return 0.0
            return float(max(0, self.rungs[0].epoch(trial.started.parameters) - _trained(trial)))
        rest = _unfinished(trial, range(1, 1 + self.folds))
        if not is_judged or all_go_on:
            return rest
        return min(rest, max(0.0, turn - _trained(trial)))

    def _race(
        self, history: History, to_come: int, epochs: float, all_go_on: bool
    ) -> tuple[float, float]:
        """Return the epochs of trials beyond their own turns, and how often a fold begins anew.

        So many go on from each rung as it has places, of which baselines take none. Where trials go
        on before all are there, up to twice as many may go on within the first fold.
        """
        if not self.rungs:
            return 0.0, 0.0
        rivals = [t for t in history.trials.values() if not t.started.is_baseline]
        open_trials = [trial for trial in rivals if trial.ended is None]
        are_to_come = to_come or not all(map(self.rungs[0].is_reached, open_trials))
        left, begun_anew = 0.0, 0.0
        targets = [*self.rungs[1:], Rung(self.folds)]
        for rung, target, places in zip(self.rungs, targets, self.places, strict=True):
            possible = to_come + sum(not target.is_reached(trial) for trial in open_trials)
            beyond = sum(map(target.is_reached, rivals))
            is_free = all_go_on and are_to_come and rung.fold == 1 and rung.share < 1.0
            going = max(0, min(possible, _AT_ONCE * places if is_free else places - beyond))
            left += going * (target.fold + target.share - rung.fold - rung.share) * epochs
            begun_anew += going * max(1, target.fold - rung.fold)
        under_way = sum(self._under_way(trial) for trial in open_trials)
        return max(0.0, left - under_way), begun_anew

    def _under_way(self, trial: TrialHistory) -> int:
        """Return how many epochs a trial has trained beyond the last rung that it has reached."""
        reached = [rung for rung in (*self.rungs, Rung(self.folds)) if rung.is_reached(trial)]
        if not reached:
            return 0
        before = (reached[-1].fold - 1) * _length(trial)
        return max(0, _trained(trial) - before - reached[-1].epoch(trial.started.parameters))

    def _confirmation(self, history: History, all_go_on: bool) -> int:
        """Return the confirmation folds of the best trials and the best baseline."""
        of_one = self.confirm.repeats(history) * self.folds
        trials = list(history.trials.values())
        lost = sum(trial.state in ("pruned", "failed") for trial in trials)
        possible = max(self.trials, len(trials)) - lost
        if self.prunes and not all_go_on:
            sure = sum(t.started.is_baseline and t.state != "failed" for t in trials)
            sure = max(sure, self.baselines)
            complete = sum(t.state == "complete" for t in trials if not t.started.is_baseline)
            possible = min(possible, max(1, sure + complete))
        if self.confirm.is_auto and not all_go_on:
            possible = 0  # where a baseline is the best, nothing is confirmed
        best = self.confirm.best
        due = min(best, possible)
        chosen = self.confirm.trials(history)
        if len(chosen) > best or (self.baselines and due and len(chosen) < best):
            due = min(due + 1, possible)
        if self.confirm.is_auto and len(trials) >= self.trials and all(t.ended for t in trials):
            due = len(chosen)
        done = sum(
            of_one if _is_confirmed(trial, history) else len(trial.finished_confirmation_folds())
            for trial in chosen
        )
        return max(0, due * of_one - done)


def _is_confirmed(trial: TrialHistory, history: History) -> bool:
    """Return whether a confirmation is over; one that failed is tried again next session."""
    if trial.confirmed is None or not trial.confirmed.error:
        return trial.confirmed is not None
    return bool(history.sessions) and trial.confirmed.at > history.sessions[-1].at


def _folds(trial: TrialHistory) -> list[FoldHistory]:
    return list(trial.folds.values())


def _length(trial: TrialHistory) -> int:
    return int(trial.started.parameters.get("epochs", 1))


def _trained(trial: TrialHistory) -> int:
    return sum(len(fold.epochs) for fold in _folds(trial))


def _unfinished(trial: TrialHistory, numbers: range) -> float:
    """Return the epochs that some of a trial's folds have before them."""
    return float(sum(_left_of(trial, number) for number in numbers))


def _left_of(trial: TrialHistory, number: int) -> int:
    fold = trial.folds.get(number)
    if fold is not None and fold.ended is not None:
        return 0
    return max(0, _length(trial) - (len(fold.epochs) if fold else 0))


def _share_trained(trials: Sequence[TrialHistory]) -> float:
    """Return which share of their epochs finished folds were trained for; early stopping ends."""
    over = [(t, fold) for t in trials for fold in _folds(t) if fold.ended is not None]
    planned = sum(_length(trial) for trial, _ in over)
    trained = sum(len(fold.epochs) for _, fold in over)
    return min(1.0, trained / planned) if planned and trained else 1.0


class Pace:
    """The time that epochs take, by the records of a session.

    Trials differ in size, so a mean over those that were seen says only so much about the ones to
    come. It is given with the interval in which the mean of as many further ones is expected: two
    standard errors to each side.

    Attributes:
        workers: how many train side by side.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._firsts: dict[int, float] = {}  # seconds, by trial
        self._starts: dict[int, _Sum] = {}
        self._further: dict[int, _Sum] = {}
        self._opened: dict[tuple[int, int], bool] = {}  # of a fold: whether it is its trial's first
        self._reported: dict[tuple[int, int], float] = {}  # when a fold in training said something
        self._began = self._latest = self._busy = 0.0

    @property
    def is_known(self) -> bool:
        """Whether an epoch has ended."""
        return bool(self._firsts)

    @property
    def is_settled(self) -> bool:
        """Whether an epoch was seen that no start was part of."""
        return bool(self._further)

    def take(self, record: Record) -> None:
        """Take the next record."""
        if isinstance(record, FoldStarted):
            self._began = self._began or record.at
            self._reported[record.trial, record.fold] = record.at
            self.workers = max(self.workers, len(self._reported))
        elif isinstance(record, EpochEnded | FoldEnded):
            before = self._reported.get((record.trial, record.fold))
            if before is None:  # it began before anybody watched
                return
            self._latest = record.at
            self._count(record, record.at - before)
        if isinstance(record, AttemptFailed | FoldPaused):
            self._reported.pop((record.trial, record.fold), None)
            self._opened.pop((record.trial, record.fold), None)

    def leave(self, trial: int) -> None:
        """Forget the folds of a trial that is over, whether or not they have ended."""
        for key in [key for key in self._reported if key[0] == trial]:
            del self._reported[key]

    def _count(self, record: EpochEnded | FoldEnded, seconds: float) -> None:
        trial, key = record.trial, (record.trial, record.fold)
        is_epoch = isinstance(record, EpochEnded)
        self._busy += seconds
        if is_epoch and key in self._opened:
            self._further.setdefault(trial, _Sum()).add(seconds, 1)
        elif self._opened.setdefault(key, trial not in self._firsts):
            self._firsts[trial] = self._firsts.get(trial, 0.0) + seconds
        else:
            self._starts.setdefault(trial, _Sum()).add(seconds, is_epoch)
        if is_epoch:
            self._reported[key] = record.at
        else:
            self._reported.pop(key, None)
            self._opened.pop(key, None)

    def seconds(
        self, least: Ahead, most: Ahead, *, trials: int, fold: float
    ) -> tuple[float, float]:
        """Return the least and the most seconds that the work ahead is expected to take.

        With m workers a list of folds takes no longer than their sum over m, and (1 - 1/m) of the
        longest fold.

        Args:
            least: the least work.
            most: the most.
            trials: how many trials it is of.
            fold: epochs of a fold.

        Source: Graham, "Bounds on multiprocessing timing anomalies", 1969.
        """
        first_low, first_high = _expected(list(self._firsts.values()), trials)
        # What was not seen yet takes no longer than what it is a part of.
        low, high = 0.0, first_high
        further, starts = _means(self._further), _means(self._starts)
        if further:
            low, high = _expected(further, trials)
        start_low, start_high = _expected(starts, trials) if starts else (low, first_high)
        shortest = least.firsts * first_low + least.starts * start_low + least.further * low
        longest = most.firsts * first_high + most.starts * start_high + most.further * high
        if not most.epochs:
            return 0.0, 0.0
        tail = (1 - 1 / self.workers) * (start_high + max(0.0, min(fold, most.epochs) - 1) * high)
        return shortest / self.workers, longest * self._idle() / self.workers + tail

    def _idle(self) -> float:
        """Return by which factor the workers took longer than they trained."""
        waiting = sum(self._latest - at for at in list(self._reported.values()))
        trained = self._busy + max(0.0, waiting)
        return max(1.0, self.workers * (self._latest - self._began) / trained) if trained else 1.0


@dataclass
class _Sum:
    seconds: float = 0.0
    epochs: int = 0

    def add(self, seconds: float, epochs: int) -> None:
        self.seconds += seconds
        self.epochs += epochs


def _means(sums: dict[int, _Sum]) -> list[float]:
    return [one.seconds / one.epochs for one in list(sums.values()) if one.epochs]


def _expected(values: Sequence[float], more: int) -> tuple[float, float]:
    """Return between what the mean of so many further values is expected."""
    seen = values[-_NEWEST:]
    mean = fmean(seen)
    if len(seen) < 2:
        return mean, mean
    doubt = _DOUBT * stdev(seen) * math.sqrt(1 / len(seen) + 1 / max(1, more))
    return max(min(seen), mean - doubt), mean + doubt


def range_text(least: float, most: float) -> str:
    """Return a range of seconds for people: `2m to 9m`, `about 3h`, `up to 40s`."""
    low, high = _coarse(least, up=False), _coarse(most, up=True)
    if high <= low or most <= least * 1.1:
        return f"about {_coarse_text(_coarse((least + most) / 2, up=True))}"
    return f"{_coarse_text(low)} to {_coarse_text(high)}" if low else f"up to {_coarse_text(high)}"


def _coarse(seconds: float, *, up: bool) -> int:
    """Round seconds as far as an estimate is worth it."""
    step = next((step for limit, step in _STEPS if seconds < limit), _HOUR)
    steps = round(seconds / step, 6)
    return step * (math.ceil(steps) if up else math.floor(steps))


def _coarse_text(seconds: int) -> str:
    if seconds < _MINUTE:
        return f"{seconds}s"
    hours, rest = divmod(seconds, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return " ".join(f"{number}{unit}" for number, unit in parts if number)
