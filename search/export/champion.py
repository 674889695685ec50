"""Whether a model that is exported takes the place of the present champion."""

from dataclasses import dataclass

from tracking.history import History, TrialHistory
from tracking.objectives import DEFAULT, OBJECTIVES, Objective
from tracking.records import ModelExported

CHAMPION, CHALLENGER = "champion", "challenger"

# By objective: what a difference is called (positive is good), its unit, how many of it make 1.
_WORDS = {
    "cv_accuracy": ("accuracy", " points", 100),
    "macro_f1": ("macro F1", " points", 100),
    "cv_loss": ("loss lower by", "", 1),
}


@dataclass(frozen=True)
class Decision:
    """What an exported model is called, and why.

    Attributes:
        alias: `champion` or `challenger`.
        reason: one sentence.
    """

    alias: str
    reason: str


def present_champion(history: History) -> ModelExported | None:
    """Return the last export that became champion, None where there is none."""
    champions = (e for e in reversed(history.exports) if e.alias == CHAMPION)
    return next(champions, None)


def decide(history: History, trial: TrialHistory, *, force: bool) -> Decision:
    """Decide what the model of a trial is called once it is exported.

    It becomes champion unless its setting is significantly worse than the present champion's: by
    the corrected resampled t-test, on the study's first objective (accuracy where folds have no
    part in that). It goes by the folds that confirmed both, else by the study's own, and takes into
    account that each was chosen from all trials of the study.

    Args:
        history: the study's.
        trial: whose setting is exported.
        force: make it champion whatever the test says.
    """
    present = present_champion(history)
    if present is None:
        return Decision(CHAMPION, "It is the first model exported from this study.")
    if present.trial == trial.number:
        reason = f"The champion before it has the setting of the same trial, {trial.number}."
        return Decision(CHAMPION, reason)
    verdict = _compared(history, trial, history.trials[present.trial])
    if force and verdict.alias != CHAMPION:
        told = verdict.reason.removesuffix(".")
        return Decision(CHAMPION, f"{told}; it was made champion with `--force`.")
    return verdict


def _compared(history: History, trial: TrialHistory, rival: TrialHistory) -> Decision:
    from search.analysis.comparison.evidence import (
        Evidence,
        are_confirmed_alike,
        paired_difference,
        rivals_of,
    )

    goal = history.objectives[0] if history.objectives[0].fold else OBJECTIVES[DEFAULT]
    ours, theirs = (
        Evidence(history, each, rivals_of(history, each, baselines=True)) for each in (trial, rival)
    )
    confirmed = are_confirmed_alike([ours, theirs])
    found = paired_difference(ours, theirs, goal, confirmed=confirmed)
    if found is None:
        return Decision(
            CHAMPION, f"It has no fold in common with the champion, trial {rival.number}."
        )
    versus = f"than the champion, trial {rival.number}"
    if found.low is None or found.high is None:
        return Decision(
            CHAMPION,
            f"With one fold it cannot be told whether it is worse {versus}"
            f" ({_told(goal, found.mean)}).",
        )
    interval = (
        f"{_told(goal, found.mean)}, 95 % interval {_number(goal, found.low)} to"
        f" {_number(goal, found.high)}, over {found.folds} {'further ' * confirmed}folds"
    )
    if found.high < 0:
        return Decision(CHALLENGER, f"It is worse {versus} ({interval}).")
    if found.low > 0:
        return Decision(CHAMPION, f"It is better {versus} ({interval}).")
    return Decision(CHAMPION, f"It is not significantly worse {versus} ({interval}).")


def _told(goal: Objective, difference: float) -> str:
    name, unit, _ = _WORDS[goal.name]
    return f"{name} {_number(goal, difference)}{unit}"


def _number(goal: Objective, difference: float) -> str:
    _, _, parts = _WORDS[goal.name]
    return f"{parts * difference:+.{4 if parts == 1 else 2}f}"
