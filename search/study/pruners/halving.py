"""Successive halving in brackets, over folds and epochs together."""

import math
from zlib import crc32

from search.study.pruners.base import Pruner
from tracking.history import History, TrialHistory
from tracking.records import EpochEnded, FoldEnded
from tracking.text import counted

FACTOR = 3


class HyperbandPruner(Pruner):
    """Prunes a trial that is not in the best third of its bracket at one of the bracket's rungs.

    A rung is a number of trained epochs, 1, 3, 9, ..., over all folds together; rungs beyond the
    first fold are moved to the end of a fold. The first bracket uses all rungs, the next leaves out
    the first of them, and so on; the last prunes no trial. A trial's number decides its bracket;
    brackets that prune earlier have more trials.

    Source: Li et al., "Hyperband", 2018, in the asynchronous form of Li et al., "A system for
    massively parallel hyperparameter tuning", 2020, as in Optuna.
    """

    trained_shares = (0.8, 0.2)

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Compare with the trials of the same bracket at the same rung."""
        folds = history.study.folds if history.study else 1
        rungs = _rungs(folds, int(trial.started.parameters.get("epochs", 1)))
        bracket = _bracket(trial.number, len(rungs) + 1)
        reasons = (
            self._reason(trial, history, rung, bracket, len(rungs) + 1)
            for rung in _reached(trial)
            if rung in rungs[bracket:]
        )
        return next(filter(None, reasons), "")

    def _reason(
        self,
        trial: TrialHistory,
        history: History,
        rung: tuple[int, int],
        bracket: int,
        brackets: int,
    ) -> str:
        own = self._at(trial, rung)
        rivals = [
            value
            for number, rival in history.trials.items()
            if _bracket(number, brackets) == bracket
            and (value := self._at(rival, rung)) is not None
        ]
        if own is None:
            return ""
        limit = sorted(rivals, reverse=True)[max(1, len(rivals) // FACTOR) - 1]
        if own >= limit:
            return ""
        return (
            f"{_where(rung)} its {self._scoreboard.text(own)} is not in the best third of"
            f" {len(rivals)} trials of its bracket, {self._scoreboard.text(limit)} and better"
        )

    def _at(self, trial: TrialHistory, rung: tuple[int, int]) -> float | None:
        fold, epoch = rung
        if epoch:
            return self._scoreboard.epoch(trial, fold, epoch)
        folds = self._scoreboard.folds(trial)
        wanted = [folds[n] for n in range(1, fold + 1) if n in folds]
        return sum(wanted) / fold if len(wanted) == fold else None


def _rungs(folds: int, epochs: int) -> list[tuple[int, int]]:
    """Return (fold, epoch) of each rung; epoch 0 means the fold's end."""
    rungs: list[tuple[int, int]] = []
    trained = 1
    while trained < folds * epochs:
        rung = (1, trained) if trained < epochs else (trained // epochs, 0)
        if rung not in rungs:
            rungs.append(rung)
        trained *= FACTOR
    return rungs


def _bracket(number: int, brackets: int) -> int:
    """Return the bracket of a trial, the same on any machine."""
    shares = [math.ceil(brackets * FACTOR**left / (left + 1)) for left in range(brackets)][::-1]
    place = crc32(f"bracket {number}".encode()) % sum(shares)
    for bracket, share in enumerate(shares):
        place -= share
        if place < 0:
            return bracket
    raise AssertionError("unreachable: the place is below the sum of all shares")


def _reached(trial: TrialHistory) -> list[tuple[int, int]]:
    """Return the rungs to which its last report has brought a trial.

    The end of a fold counts once those before it are over, too: folds may end in any order.
    """
    last = trial.last_report()
    if isinstance(last, EpochEnded):
        return [(last.fold, last.epoch)]
    if isinstance(last, FoldEnded):
        return [(number, 0) for number in range(last.fold, trial.level + 1)]
    return []


def _where(rung: tuple[int, int]) -> str:
    fold, epoch = rung
    return f"in fold {fold} after epoch {epoch}" if epoch else f"after {counted(fold, 'fold')}"
