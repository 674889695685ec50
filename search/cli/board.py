"""What the displays of a running study know: its history and where training stands."""

import time
from dataclasses import dataclass

from search.cli.estimate import Ahead
from search.data.folds import further_numbers
from search.study.budget import FINALISTS
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


@dataclass
class Place:
    """Where a trial stands that is evaluated now.

    Attributes:
        fold: its fold, from 1; those above the study's confirm the trial.
        epoch: of that fold, 0 before the first is over.
        epochs: how many there will be.
    """

    trial: int
    fold: int
    epoch: int
    epochs: int


class Board:
    """Takes in records and says where the study stands.

    Args:
        history: what is known so far, kept current by others.
        start: the study's first record, whether or not `history` has it yet.
        trials: the total that this session goes for.
        confirm: how many trials are evaluated once more.
        baselines: how many of the trials are baselines.

    Attributes:
        history: the running study's, kept current by who runs it.
        newly_waiting: trials that began to wait with the last record.
        has_begun: whether any trial was begun or gone on with.
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
        self.objectives = objectives_of(start.settings)
        self.total = trials
        self.folds = start.folds
        self.searched = [p["name"] for p in start.parameters if p["searched"]]
        self._places: dict[int, Place] = {}
        self.newly_waiting: list[TrialHistory] = []
        self.has_begun = False
        self._waits_seen = len(history.tally.waits)
        self._began = 0.0
        self._epochs_trained = 0
        self._is_warm = False
        self._ahead = Ahead(
            trials=trials,
            baselines=baselines,
            folds=start.folds,
            epochs=int(start.parameter("epochs").get("default") or start.settings["epochs"]),
            waits=make_pruner(start.settings.get("pruner") or "none", self.objectives[0]).waits,
            finalists=max(FINALISTS, confirm),
            confirm=confirm,
        )

    def take(self, record: Record) -> None:
        """Take in a record that the history has taken in."""
        self.newly_waiting = []
        if isinstance(record, FoldStarted) and not self._began:
            self._began = time.monotonic()  # importing TensorFlow is not part of the estimate
        if isinstance(record, TrialStarted | FoldStarted | EpochEnded):
            self._go_on(record)
        if isinstance(record, TrialEnded | TrialConfirmed | AttemptFailed):
            self._places.pop(record.trial, None)
        if isinstance(record, TrialStarted | FoldStarted):
            self._see_who_waits()
        self._epochs_trained += isinstance(record, EpochEnded)
        self._is_warm = self._is_warm or isinstance(record, FoldEnded | TrialEnded)

    @property
    def waiting(self) -> int:
        """The number of trials that wait for the others."""
        return count_waiting(self.history)

    @property
    def further_folds(self) -> range:
        """The numbers of the folds that confirm a trial."""
        return further_numbers(self.folds)

    @property
    def places(self) -> list[Place]:
        """Where the trials stand that are evaluated now, the one begun first first."""
        return list(self._places.values())

    def is_confirming(self, fold: int) -> bool:
        """Say whether a fold confirms a trial that is complete."""
        return fold > self.folds

    def count(self, state: str) -> int:
        """Return the number of trials in a state."""
        return sum(trial.state == state for trial in self.history.trials.values())

    def seconds_left(self) -> float | None:
        """Return the estimated time to the end, None before the first fold or trial is over."""
        if not self._is_warm or not self._epochs_trained:
            return None
        epoch_seconds = (time.monotonic() - self._began) / self._epochs_trained
        return self._ahead.epochs_ahead(self.history) * epoch_seconds

    def _go_on(self, record: TrialStarted | FoldStarted | EpochEnded) -> None:
        self.has_begun = True
        fold = 1 if isinstance(record, TrialStarted) else record.fold
        epoch = record.epoch if isinstance(record, EpochEnded) else 0
        epochs = int(self.history.trials[record.trial].started.parameters["epochs"])
        self._places[record.trial] = Place(record.trial, fold, epoch, epochs)

    def _see_who_waits(self) -> None:
        self.newly_waiting = newly_waiting(self.history, self._waits_seen)
        self._waits_seen = len(self.history.tally.waits)
        for trial in self.newly_waiting:
            self._places.pop(trial.number, None)
