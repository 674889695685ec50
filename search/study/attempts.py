"""What becomes of a trial when one of its folds broke off."""

import time

from spaces import Params
from tracking.history import History, TrialHistory
from tracking.records import AttemptFailed, TrialReopened
from tracking.states import TrialState

LOSSES = 3  # attempts that one fold of a trial may cost before it is given up
_NOT_ITS_OWN = ("lost", "machine")  # causes that another attempt may not meet


def is_worth_repeating(trial: TrialHistory, failure: AttemptFailed, params: Params) -> bool:
    """Say whether to train a fold once more: with half the batch size, or with another worker.

    Args:
        trial: whose fold it is; it knows of the failure.
        failure: why the fold broke off.
        params: what it was trained with.
    """
    if failure.cause == "memory":
        return trial.params != params
    if failure.cause in _NOT_ITS_OWN:
        return sum(_is_of_same_fold(trial, known, failure) for known in trial.failures) < LOSSES
    return False


def why_given_up(failure: AttemptFailed) -> str:
    """Return why a trial failed whose fold is not trained once more, and what can be done."""
    if failure.cause != "machine":
        return failure.reason
    return f"{failure.reason} ({LOSSES} times); `run --retry-failed` tries the trial once more"


def to_retry(history: History) -> list[TrialReopened]:
    """Return the records with which all failed trials are tried once more."""
    failed = [trial for trial in history.finished() if trial.state is TrialState.FAILED]
    return [TrialReopened(at=time.time(), trial=trial.number) for trial in failed]


def _is_of_same_fold(trial: TrialHistory, known: AttemptFailed, failure: AttemptFailed) -> bool:
    is_same = known.fold == failure.fold if known.fold else known.at > trial.last_fold_at()
    return known.cause in _NOT_ITS_OWN and is_same and known.at > trial.retried_at
