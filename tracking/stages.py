"""Where a trial stands: what waits, where a pruned one stopped, what is known of it there."""

from collections.abc import Iterable, Mapping
from statistics import fmean, stdev

from tracking.history import History, TrialHistory
from tracking.objectives import Objective
from tracking.records import FoldEnded


def waiting(history: History) -> list[TrialHistory]:
    """Return the trials that wait for the others, by number; there are some in races only.

    Each has no outcome yet, trains on no fold now, and something else began after its last fold.
    Baselines never wait: they are trained on all folds at once.
    """
    if not history.races:
        return []
    return [history.trials[number] for number in sorted(history.tally.waiting)]


def newly_waiting(history: History, seen: int) -> list[TrialHistory]:
    """Return the trials that wait, and began to after the first `seen` of `Tally.waits`."""
    if not history.races:
        return []
    tally = history.tally
    new = {number for number in tally.waits[seen:] if number in tally.waiting}
    return [history.trials[number] for number in sorted(new)]


def count_waiting(history: History) -> int:
    """Return how many trials wait."""
    return len(history.tally.waiting) if history.races else 0


def stages(history: History) -> dict[int, str]:
    """Return what each trial's state is called, by its number."""
    return {number: trial.state.shown for number, trial in history.trials.items()}


def count_stages(history: History) -> dict[str, int]:
    """Return how many trials are in each state that any is in, outcomes first."""
    found = list(stages(history).values())
    known = ("complete", "pruned", "failed", "waiting", "running")
    return {stage: found.count(stage) for stage in known if stage in found}


def stopping_point(trial: TrialHistory) -> tuple[int, int]:
    """Return the fold and the epoch of it after which a pruned trial stopped; else zeros.

    A session may have ended inside a fold that no later one began again, because the trial was
    dropped first. That fold did not stop it: its epochs are not among those `TrialEnded` counts.
    """
    if trial.ended is None or trial.state != "pruned" or not trial.folds:
        return 0, 0
    finished = trial.finished_folds()
    if trial.ended.compared_folds:
        last = trial.ended.compared_folds
        return last, max(trial.folds[last].epochs, default=0)
    counted = sum(fold.epochs for fold in finished.values())
    if finished and trial.ended.epochs_trained <= counted:
        last = max(finished)
        return last, max(trial.folds[last].epochs, default=0)
    return trial.position()


def compared_after(trial: TrialHistory) -> int:
    """Return after how many epochs of its first fold racing compared a trial; 0 if it did not."""
    planned, first = trial.started.compared_after, trial.folds.get(1)
    return planned if first is not None and planned in first.epochs else 0


def stopped_at(trial: TrialHistory) -> str:
    """Return where a pruned trial stopped, `fold 3` or `fold 1, epoch 2`; else nothing."""
    fold, epoch = stopping_point(trial)
    if not fold:
        return ""
    is_over = trial.folds[fold].ended is not None
    return f"fold {fold}" if is_over else f"fold {fold}, epoch {epoch}"


def score_so_far(trial: TrialHistory, objective: Objective) -> float | None:
    """Return what is known of a trial without a score: over its folds, else at its last epoch."""
    if trial.ended is not None and trial.ended.value is not None:
        return trial.ended.value
    values = fold_scores(trial.finished_folds().values(), objective)
    if values:
        return fmean(values)
    fold, epoch = trial.position()
    if not epoch:
        return None
    return trial.folds[fold].epochs[epoch].metrics.get(objective.epoch)


def fold_scores(folds: Iterable[FoldEnded], objective: Objective) -> list[float]:
    """Return each fold's part of an objective; nothing where folds have none."""
    values = (fold.metric(objective.fold) for fold in folds)
    return [value for value in values if value is not None]


def spread(trial: TrialHistory, objective: Objective) -> float | None:
    """Return the sample standard deviation over a trial's folds.

    It is None for fewer than two folds, and where folds have no part of the objective.
    """
    known = trial.score(f"{objective.name}_std")
    return _deviation(trial.finished_folds(), objective, known)


def confirmed_spread(trial: TrialHistory, objective: Objective) -> float | None:
    """Return the same over the folds the trial was confirmed on."""
    known = trial.confirmed_score(f"{objective.name}_std")
    return _deviation(trial.finished_confirmation_folds(), objective, known)


def _deviation(
    folds: Mapping[int, FoldEnded], objective: Objective, known: float | None
) -> float | None:
    values = fold_scores(folds.values(), objective)
    if len(values) < 2:
        return None
    return stdev(values) if known is None else known


def retries(trial: TrialHistory) -> list[str]:
    """Return one sentence for each task of a trial that broke off and was tried again."""
    tried = trial.failures[:-1] if _gave_up(trial) else trial.failures
    halved = trial.params.get("batch_size")
    return [
        f"{failure.reason}; tried again"
        + (f" with batch_size {halved}" if failure.cause == "memory" and halved else "")
        for failure in tried
    ]


def _gave_up(trial: TrialHistory) -> bool:
    ends = (trial.ended, trial.confirmed)
    last = trial.failures[-1].reason if trial.failures else None
    return last is not None and any(end is not None and end.reason.startswith(last) for end in ends)
