"""What is asked of all trials again and again, counted as records come.

To look through ten thousand trials takes longer than to propose the next one.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracking.objectives import Objective
from tracking.records import FoldEnded, FoldStarted, TrialEnded, TrialStarted

RUNG = 10  # a trial is compared after this part of its epochs


def rung_of(parameters: Mapping[str, Any]) -> int:
    """Return the epoch of the first fold after which racing compares a trial with the others.

    It is a tenth of its epochs, rounded up, so that trials of few and of many epochs are compared
    at the same share of their training, and of their learning rate's schedule. Epochs in which a
    part of the model is frozen come before: they do not show yet what the whole of it learns.
    """
    epochs, frozen = int(parameters.get("epochs", 1)), int(parameters.get("frozen_epochs", 0))
    if frozen >= epochs:
        frozen = 0
    return frozen + math.ceil((epochs - frozen) / RUNG)


@dataclass(repr=False)
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
    _at_rung: dict[int, float] = field(default_factory=dict)
    _ascending: list[float] = field(default_factory=list)

    @property
    def at_rung(self) -> Sequence[float]:
        """The first objective of every trial that came to its rung in the first fold, rising.

        Larger is better, whatever the objective. A trial whose training was over before has its
        fold's value; one that was stopped before, as in journals that compared after the first
        epoch, is behind all others.
        """
        return self._ascending

    def begin(self, record: TrialStarted | FoldStarted) -> set[int]:
        """Count a trial or a fold that begins; return the trials that were at rest until now."""
        if isinstance(record, FoldStarted):
            self.leave(record.trial)
            if record.fold == 1:  # what its first try had shown is gone
                self._forget(record.trial)
        rested, self.at_rest = self.at_rest, set()
        self.waiting |= rested
        self.waits += sorted(rested)
        return rested

    def reach_rung(self, trial: int, value: float) -> None:
        """Count what a trial shows at its rung; larger is better."""
        self._forget(trial)
        self._at_rung[trial] = value
        insort(self._ascending, value)

    def stop_below_rung(self, trial: int) -> None:
        """Count a trial that was stopped in its first fold as behind, unless it was at its rung."""
        if trial not in self._at_rung:
            self.reach_rung(trial, -math.inf)

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

    def begin_anew(self, trial: int) -> None:
        """Forget what a trial's folds have shown."""
        self.leave(trial)
        self._forget(trial)

    def reopen(self, values: Iterable[float], objective: Objective) -> None:
        """Take back that a trial is over; `values` are those of the complete ones that are left."""
        self.over -= 1
        self.best = max((objective.oriented(value) for value in values), default=None)

    def leave(self, trial: int) -> None:
        """Take note that a trial does not wait, or not any more."""
        self.at_rest.discard(trial)
        self.waiting.discard(trial)

    def _forget(self, trial: int) -> None:
        before = self._at_rung.pop(trial, None)
        if before is not None:
            del self._ascending[bisect_left(self._ascending, before)]
