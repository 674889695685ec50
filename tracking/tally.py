"""What is asked of all trials again and again, counted as records come.

To look through ten thousand trials takes longer than to propose the next one.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from tracking.objectives import Objective
from tracking.records import FoldStarted, TrialEnded, TrialStarted

RUNG = 0.1  # a trial is compared first after this part of its epochs


def rung_of(parameters: Mapping[str, Any], share: float = RUNG) -> int:
    """Return the epoch of a fold after which a trial has had a share of its training.

    It is rounded up, so that trials of few and of many epochs are compared at the same share of
    their training, and of their learning rate's schedule. Epochs in which a part of the model is
    frozen come before: they do not show yet what the whole of it learns.

    Args:
        parameters: of the trial.
        share: of its epochs; 1 for all.
    """
    epochs, frozen = int(parameters.get("epochs", 1)), int(parameters.get("frozen_epochs", 0))
    if frozen >= epochs:
        frozen = 0
    # Shares such as 0.07 are not exact: 0.07 * 100 is a little more than 7.
    return frozen + max(1, math.ceil(round(share * (epochs - frozen), 9)))


@dataclass(repr=False)
class Tally:
    """Sums and orders over all trials of a history, which keeps it current.

    Attributes:
        records: how many records the history has taken in; another number, another history.
        changed: of each trial the number of records that the history had when it last changed, in
            that order.
        over: how many trials are over.
        best: the best first objective of a complete trial, larger being better; None without any.
        folds: how many of the study's folds were trained, of paused ones the share of their epochs.
        fold_seconds: how long that took.
        at_rest: sampled trials without an outcome all of whose folds are over or have paused, since
            nothing else began: they may go on at once.
        waiting: those of them after whose last fold something else began.
        waits: the numbers of trials that began to wait, one after the other, of all times.
    """

    records: int = 0
    changed: dict[int, int] = field(default_factory=dict)
    over: int = 0
    best: float | None = None
    folds: float = 0.0
    fold_seconds: float = 0.0
    at_rest: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    waits: list[int] = field(default_factory=list)

    def touch(self, trial: int) -> None:
        """Take note that a trial changes with the record that is taken in."""
        self.changed.pop(trial, None)
        self.changed[trial] = self.records + 1

    def changed_since(self, records: int) -> Iterator[int]:
        """Yield the trials that have changed since the history had so many records."""
        return takewhile(lambda trial: self.changed[trial] > records, reversed(self.changed))

    def begin(self, record: TrialStarted | FoldStarted) -> set[int]:
        """Count a trial or a fold that begins; return the trials that were at rest until now."""
        if isinstance(record, FoldStarted):
            self.leave(record.trial)
        rested, self.at_rest = self.at_rest, set()
        self.waiting |= rested
        self.waits += sorted(rested)
        return rested

    def train(self, seconds: float, share: float) -> None:
        """Count what was trained of one of the study's folds: how long, and which share of it."""
        self.folds += share
        self.fold_seconds += seconds

    def rest(self, trial: int) -> None:
        """Count a trial that is not trained any further for now."""
        self.at_rest.add(trial)

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
