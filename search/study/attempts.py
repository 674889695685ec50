"""What becomes of a trial when a task of it broke off."""

import time

from search.data.folds import CONFIRMATIONS
from tracking.history import TrialHistory
from tracking.records import AttemptFailed, TrialConfirmed, TrialEnded

LOSSES = 3  # workers that one fold of a trial may cost before it is given up


def is_worth_repeating(trial: TrialHistory, failure: AttemptFailed) -> bool:
    """Say whether to try once more: with half the batch size, once, or with another worker."""
    alike = [known for known in trial.failures if known.cause == failure.cause]
    if failure.cause == "memory":
        return len(alike) == 1 and trial.setting != trial.started.parameters
    if failure.cause == "lost":
        return sum(known.at > trial.last_fold_at() for known in alike) < LOSSES
    return False


def failed(trial: TrialHistory, failure: AttemptFailed) -> TrialEnded:
    """Return the end of a trial that is given up."""
    return TrialEnded(
        at=time.time(),
        trial=trial.number,
        state="failed",
        value=None,
        reason=failure.reason,
        error=failure.error or failure.reason,
        train_seconds=sum(fold.seconds for fold in trial.finished_folds().values()),
        epochs_trained=sum(len(fold.epochs) for fold in trial.folds.values()),
    )


def failed_confirmation(failure: AttemptFailed) -> TrialConfirmed:
    """Return the end of a trial's confirmation that is given up."""
    return TrialConfirmed(
        at=time.time(),
        trial=failure.trial,
        repeats=CONFIRMATIONS,
        reason=failure.reason,
        error=failure.error or failure.reason,
    )
