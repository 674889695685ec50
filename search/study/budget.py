"""How much a session is to do, and how much of its time is left."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from spaces import Params
from tracking.history import History, TrialHistory

# At the end of a session's time some is kept for the race of the waiting trials: from fold to fold
# a quarter of them go on, but about this many at least.
FINALISTS, MARGIN = 4, 1.25


@dataclass(frozen=True)
class Budget:
    """How much a session is to do.

    Attributes:
        baselines: complete settings by name, evaluated first.
        trials: total number of trials, those of the history included.
        confirm: number of best trials to evaluate once more on confirmation folds, and with
            them the best baseline, which they are measured by.
        retry_failed: whether failed trials are tried once more.
        deadline: `time.monotonic()` at which to stop, None for never.
    """

    trials: int
    baselines: Mapping[str, Params] = field(default_factory=dict)
    confirm: int = 0
    retry_failed: bool = False
    deadline: float | None = None

    def is_done(self, history: History) -> bool:
        """Say whether nothing is left to do."""
        finished = len(history.finished())
        all_over = finished >= self.trials and finished == len(history.trials)
        to_retry = self.retry_failed and any(t.state == "failed" for t in history.finished())
        return all_over and not to_retry and not self.to_confirm(history)

    def to_confirm(self, history: History) -> list[TrialHistory]:
        """Return the trials that are still to be confirmed, the best first.

        One whose confirmation failed is among them: a later session tries again.
        """
        due = confirmed_by(history, self.confirm)
        return [t for t in due if t.confirmed is None or t.confirmed.error]

    def is_used_up(self, reserve: float = 0.0) -> bool:
        """Say whether the time is up, or will be within `reserve` seconds."""
        return self.deadline is not None and time.monotonic() + reserve >= self.deadline


def confirmed_by(history: History, confirm: int) -> list[TrialHistory]:
    """Return the trials that `--confirm` is about: so many of the best, and the best baseline."""
    if not confirm:
        return []
    completed = history.completed()
    best, rest = completed[:confirm], completed[confirm:]
    if any(t.started.is_baseline for t in best):
        return best
    return [*best, *(t for t in rest if t.started.is_baseline)][: confirm + 1]


def seconds_to_race(history: History, waiting: int) -> float:
    """Return about the time of one more turn and then of the race of so many waiting trials."""
    tally = history.tally
    if not waiting or not tally.folds:
        return 0.0
    folds = 1 + sum(
        min(waiting, max(FINALISTS, waiting >> 2 * level))
        for level in range(1, history.known_study().folds)
    )
    return folds * tally.fold_seconds / tally.folds * MARGIN
