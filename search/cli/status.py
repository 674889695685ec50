"""The state of a running study for its displays: history, progress, remaining time."""

import time
from dataclasses import dataclass
from statistics import fmean

from search.data.folds import CONFIRMATIONS, confirmation_numbers
from search.study.budget import FINALISTS, confirmed_by
from search.study.pruners import make_pruner
from tracking.history import History, TrialHistory
from tracking.objectives import objectives_of
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldStarted,
    Record,
    StudyStarted,
    TrialConfirmed,
    TrialEnded,
    TrialStarted,
)
from tracking.stages import count_waiting, newly_waiting


@dataclass(frozen=True)
class RemainingWork:
    """The work of a study, as far as its time depends on it.

    Attributes:
        trials: total number.
        baselines: how many of them are baselines, which see all folds.
        folds: number of folds.
        epochs: of a fold, until a trial says.
        waits: whether sampled trials wait for a race after their first fold.
        finalists: about how many trials, at least, go on after each fold of a race.
        confirm: number of trials to confirm.
    """

    trials: int
    baselines: int
    folds: int
    epochs: int
    waits: bool
    finalists: int
    confirm: int

    def remaining_epochs(self, history: History) -> float:
        """Return the epochs still to train, estimated from those trained so far."""
        trials = list(history.trials.values())
        lengths = [int(trial.started.parameters.get("epochs", 1)) for trial in trials]
        epochs = fmean(lengths or [self.epochs])
        turn = self._turn(history, epochs)
        full = epochs * self.folds
        baselines = sum(t.started.is_baseline for t in trials)
        still = max(0, self.trials - len(trials))
        remaining_baselines = min(still, max(0, self.baselines - baselines))
        ahead = remaining_baselines * full + (still - remaining_baselines) * turn
        for trial in trials:
            if trial.ended is None and not self._is_through(trial):
                whole = full if trial.started.is_baseline else turn
                ahead += max(0.0, whole - _trained(trial))
        return ahead + (self._race(history) + self._confirmation(history)) * epochs

    def _turn(self, history: History, epochs: float) -> float:
        """Return the epochs of a sampled trial before the race."""
        over = [
            min(_trained(trial), epochs) if self.waits else _trained(trial)
            for trial in history.trials.values()
            if not trial.started.is_baseline
            and (trial.ended is not None or self._is_through(trial))
        ]
        return fmean(over) if over else epochs * (1 if self.waits else self.folds)

    def _race(self, history: History) -> float:
        """Return the remaining folds of trials that wait, or will."""
        if not self.waits or self.folds < 2:
            return 0.0
        sampled = [t for t in history.trials.values() if not t.started.is_baseline]
        racing = [t for t in sampled if t.ended is None and self._is_through(t)]
        tried = [t for t in sampled if t.ended is not None or self._is_through(t)]
        wanted = self.trials - (len(history.trials) - len(sampled))
        more = max(1.0, wanted / len(tried)) if tried else 0.0
        contenders = len(racing) * more
        entered = sum(bool(t.finished_folds()) for t in sampled) * more
        level = min((trial.level for trial in racing), default=1)
        return sum(
            min(contenders, max(self.finalists, entered / 4.0**after))
            for after in range(level, self.folds)
        )

    def _confirmation(self, history: History) -> int:
        """Return the confirmation folds of the best trials and the best baseline."""
        of_one = CONFIRMATIONS * self.folds
        trials = list(history.trials.values())
        lost = sum(trial.state in ("pruned", "failed") for trial in trials)
        possible = max(self.trials, len(trials)) - lost
        due = min(self.confirm, possible)
        chosen = confirmed_by(history, self.confirm)
        if len(chosen) > self.confirm or (self.baselines and due and len(chosen) < self.confirm):
            due = min(due + 1, possible)
        done = sum(
            of_one if _is_confirmed(trial, history) else len(trial.finished_confirmation_folds())
            for trial in chosen
        )
        return max(0, due * of_one - done)

    def _is_through(self, trial: TrialHistory) -> bool:
        takes_turns = not (trial.started.is_baseline or trial.reopened)
        return self.waits and takes_turns and trial.level > 0


def _is_confirmed(trial: TrialHistory, history: History) -> bool:
    """Return whether a confirmation is over; one that failed is tried again next session."""
    if trial.confirmed is None or not trial.confirmed.error:
        return trial.confirmed is not None
    return bool(history.sessions) and trial.confirmed.at > history.sessions[-1].at


def _trained(trial: TrialHistory) -> int:
    return sum(len(fold.epochs) for fold in trial.folds.values())


@dataclass
class Place:
    """How far a running trial is.

    Attributes:
        fold: its fold, from 1; numbers above the study's folds are confirmation folds.
        epoch: of that fold; 0 until the first ends.
        epochs: of that fold in all.
    """

    trial: int
    fold: int
    epoch: int
    epochs: int


class Board:
    """Takes records and gives the progress of the study.

    Args:
        history: the running study's, kept current by others.
        start: the study's first record, which `history` may not have yet.
        trials: the total that this session aims for.
        confirm: number of trials to confirm.
        baselines: how many of the trials are baselines.

    Attributes:
        history: the running study's.
        newly_waiting: trials that the last record made wait.
        has_begun: whether any trial has started or resumed.
    """

    def __init__(
        self,
        history: History,
        start: StudyStarted,
        *,
        trials: int,
        confirm: int = 0,
        baselines: int = 0,
    ) -> None:
        self.history = history
        self.objectives = objectives_of(start)
        self.total = trials
        self.folds = start.folds
        self.searched = [p["name"] for p in start.parameters if p["searched"]]
        self._places: dict[tuple[int, int], Place] = {}  # by trial and fold
        self.newly_waiting: list[TrialHistory] = []
        self.has_begun = False
        self._waits_seen = len(history.tally.waits)
        self._began = 0.0
        self._epochs_trained = 0
        self._is_warm = False
        self._ahead = RemainingWork(
            trials=trials,
            baselines=baselines,
            folds=start.folds,
            epochs=int(
                start.parameter("epochs").get("default") or start.settings.get("epochs") or 1
            ),
            waits=make_pruner(start.settings.get("pruner") or "none", self.objectives[0]).waits,
            finalists=max(FINALISTS, confirm),
            confirm=confirm,
        )

    def take(self, record: Record) -> None:
        """Take a record that the history already has."""
        self.newly_waiting = []
        if isinstance(record, FoldStarted) and not self._began:
            self._began = time.monotonic()  # importing TensorFlow is not part of the estimate
        if isinstance(record, TrialStarted | FoldStarted | EpochEnded):
            self._go_on(record)
        if isinstance(record, TrialEnded | TrialConfirmed | AttemptFailed):
            self._leave(record.trial, record.fold if isinstance(record, AttemptFailed) else 0)
        if isinstance(record, FoldStarted | FoldEnded):
            self._tidy(record)
        if isinstance(record, TrialStarted | FoldStarted):
            self._see_who_waits()
        self._epochs_trained += isinstance(record, EpochEnded)
        self._is_warm = self._is_warm or isinstance(record, FoldEnded | TrialEnded)

    @property
    def waiting(self) -> int:
        """The number of trials that wait for the others."""
        return count_waiting(self.history)

    @property
    def confirmation_folds(self) -> range:
        """The numbers of the confirmation folds."""
        return confirmation_numbers(self.folds)

    @property
    def places(self) -> list[Place]:
        """How far the running trials are, in the order they started."""
        return list(self._places.values())

    def is_confirming(self, fold: int) -> bool:
        """Return whether a fold confirms a complete trial."""
        return fold > self.folds

    def count(self, state: str) -> int:
        """Return the number of trials in a state."""
        return sum(trial.state == state for trial in self.history.trials.values())

    def seconds_left(self) -> float | None:
        """Return the estimated seconds to the end; None until the first fold or trial ends."""
        if not self._is_warm or not self._epochs_trained:
            return None
        epoch_seconds = (time.monotonic() - self._began) / self._epochs_trained
        return self._ahead.remaining_epochs(self.history) * epoch_seconds

    def _go_on(self, record: TrialStarted | FoldStarted | EpochEnded) -> None:
        self.has_begun = True
        fold = 1 if isinstance(record, TrialStarted) else record.fold
        epoch = record.epoch if isinstance(record, EpochEnded) else 0
        parameters = self.history.trials[record.trial].started.parameters
        epochs = int(parameters.get("epochs", 1))
        self._places[record.trial, fold] = Place(record.trial, fold, epoch, epochs)

    def _leave(self, trial: int, fold: int = 0) -> None:
        for key in [key for key in self._places if key == (trial, fold or key[1])]:
            del self._places[key]

    def _tidy(self, record: FoldStarted | FoldEnded) -> None:
        """Forget folds of a trial that are over, where another of it is in training."""
        folds = self.history.folds_of(record)
        known = [key for key in self._places if key[0] == record.trial]
        training = [key for key in known if key[1] in folds and not folds[key[1]].ended]
        for key in known if training else ():
            if key not in training:
                del self._places[key]

    def _see_who_waits(self) -> None:
        self.newly_waiting = newly_waiting(self.history, self._waits_seen)
        self._waits_seen = len(self.history.tally.waits)
        for trial in self.newly_waiting:
            self._leave(trial.number)
