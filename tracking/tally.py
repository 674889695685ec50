"""What is asked of all trials again and again, counted as records come.

To look through ten thousand trials takes longer than to propose the next one.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tracking.objectives import Objective
from tracking.records import EpochEnded, FoldEnded, FoldStarted, TrialEnded, TrialStarted


@dataclass
class Tally:
    """Sums and orders over all trials of a history, which keeps it current.

    Attributes:
        records: how many records the history has taken in; another number, another history.
        over: how many trials are over.
        best: the best first objective of a complete trial, larger being better; None without any.
        folds: how many of the study's folds are over, further ones left out.
        fold_seconds: how long they took together.
        at_rest: sampled trials without an outcome all of whose folds are over, since nothing else
            began: their next folds may begin at once.
        waiting: those of them after whose last fold something else began.
        waits: the numbers of trials that began to wait, one after the other, of all times.
    """

    records: int = 0
    over: int = 0
    best: float | None = None
    folds: int = 0
    fold_seconds: float = 0.0
    at_rest: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    waits: list[int] = field(default_factory=list)
    _first: dict[int, float] = field(default_factory=dict)
    _ascending: list[float] = field(default_factory=list)

    @property
    def first_epochs(self) -> Sequence[float]:
        """The first objective after the first epoch of the first fold, of every trial, rising.

        Larger is better, whatever the objective.
        """
        return self._ascending

    def begin(self, record: TrialStarted | FoldStarted) -> None:
        """Count a trial or a fold that begins."""
        if isinstance(record, FoldStarted):
            self.leave(record.trial)
            if record.fold == 1:  # what its first try had shown is gone
                self._forget(record.trial)
        if self.at_rest:
            self.waiting |= self.at_rest
            self.waits += sorted(self.at_rest)
            self.at_rest = set()

    def first_epoch(self, record: EpochEnded, objective: Objective) -> None:
        """Count the first epoch of a trial's first fold."""
        self._forget(record.trial)
        known = record.metrics.get(objective.epoch)
        if known is not None and known == known:  # NaN has no place in an order
            self._first[record.trial] = objective.oriented(known)
            insort(self._ascending, self._first[record.trial])

    def fold(self, record: FoldEnded, *, rests: bool) -> None:
        """Count one of the study's folds that is over; `rests` tells if its trial is at rest."""
        self.folds += 1
        self.fold_seconds += record.seconds
        if rests:
            self.at_rest.add(record.trial)

    def end(self, record: TrialEnded, objective: Objective) -> None:
        """Count a trial that is over."""
        self.over += 1
        if record.state == "complete" and record.value is not None:
            value = objective.oriented(record.value)
            self.best = value if self.best is None else max(value, self.best)

    def reopen(self, values: Iterable[float], objective: Objective) -> None:
        """Take back that a trial is over; `values` are those of the complete ones that are left."""
        self.over -= 1
        self.best = max((objective.oriented(value) for value in values), default=None)

    def leave(self, trial: int) -> None:
        """Take note that a trial does not wait, or not any more."""
        self.at_rest.discard(trial)
        self.waiting.discard(trial)

    def _forget(self, trial: int) -> None:
        before = self._first.pop(trial, None)
        if before is not None:
            del self._ascending[bisect_left(self._ascending, before)]
