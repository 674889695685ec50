"""What becomes of a trial when a task of it broke off."""

import time

from search.data.folds import CONFIRMATIONS
from tracking.history import History, TrialHistory
from tracking.records import AttemptFailed, TrialConfirmed, TrialEnded, TrialReopened

LOSSES = 3  # attempts that one fold of a trial may cost before it is given up
NOT_ITS_OWN = ("lost", "machine")  # causes that another attempt may not meet


def is_worth_repeating(trial: TrialHistory, failure: AttemptFailed) -> bool:
    """Say whether to try once more: with half the batch size, once, or with another worker."""
    if failure.cause == "memory":
        alike = [known for known in trial.failures if known.cause == "memory"]
        return len(alike) == 1 and trial.setting != trial.started.parameters
    if failure.cause in NOT_ITS_OWN:
        since = max(trial.last_fold_at(), trial.retried_at)
        lost = [known for known in trial.failures if known.cause in NOT_ITS_OWN]
        return sum(known.at > since for known in lost) < LOSSES
    return False


def to_retry(history: History) -> list[TrialReopened]:
    """Return the records with which all failed trials are tried once more."""
    failed = [trial for trial in history.finished() if trial.state == "failed"]
    return [TrialReopened(at=time.time(), trial=trial.number) for trial in failed]


def failed(trial: TrialHistory, failure: AttemptFailed) -> TrialEnded:
    """Return the end of a trial that is given up."""
    return TrialEnded(
        at=time.time(),
        trial=trial.number,
        state="failed",
        value=None,
        reason=failure.reason + _remedy(failure),
        error=failure.error or failure.reason,
        train_seconds=sum(fold.seconds for fold in trial.finished_folds().values()),
        epochs_trained=sum(len(fold.epochs) for fold in trial.folds.values()),
    )


def _remedy(failure: AttemptFailed) -> str:
    if failure.cause != "machine":
        return ""
    return f" ({LOSSES} times); `run --retry-failed` tries the trial once more"


def failed_confirmation(failure: AttemptFailed) -> TrialConfirmed:
    """Return the end of a trial's confirmation that is given up."""
    return TrialConfirmed(
        at=time.time(),
        trial=failure.trial,
        repeats=CONFIRMATIONS,
        reason=failure.reason,
        error=failure.error or failure.reason,
    )
