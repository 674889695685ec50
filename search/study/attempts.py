"""What becomes of a trial when one of its folds broke off."""

from spaces import Settings
from tracking.history import TrialHistory
from tracking.records import AttemptFailed

LOSSES = 3  # workers that one fold of a trial may cost before it is given up


def is_worth_repeating(trial: TrialHistory, failure: AttemptFailed, params: Settings) -> bool:
    """Say whether to train a fold once more: with half the batch size, or with another worker.

    Args:
        trial: whose fold it is; it knows of the failure.
        failure: why the fold broke off.
        params: what it was trained with.
    """
    if failure.cause == "memory":
        return trial.setting != params
    if failure.cause == "lost":
        return sum(_is_of_same_fold(trial, known, failure) for known in trial.failures) < LOSSES
    return False


def _is_of_same_fold(trial: TrialHistory, known: AttemptFailed, failure: AttemptFailed) -> bool:
    is_same = known.fold == failure.fold if known.fold else known.at > trial.last_fold_at()
    return known.cause == failure.cause and is_same
