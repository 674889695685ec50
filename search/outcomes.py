"""What a driver is told of a trial."""

import statistics

from search.drivers import Outcome
from search.pruners.standing import Standing
from tracking.history import History, TrialHistory


def outcome(trial: TrialHistory, history: History, *, waits: bool) -> Outcome:
    """Return what the driver is told of a trial that is over or waits.

    Trials that wait are told by the folds they have seen, and so later when they did not win:
    otherwise only the few that went on to the end would be there to learn from.

    Args:
        trial: the trial.
        history: the study's.
        waits: whether the study's pruner has trials wait.
    """
    objectives = history.objectives
    standing = Standing(objectives[0])
    if trial.state == "complete":
        scores = [trial.score(o.name) for o in objectives]
        values = [o.oriented(s) for o, s in zip(objectives, scores, strict=True) if s is not None]
        return Outcome("complete", tuple(values), standing.steps(trial))
    seen = list(standing.folds(trial).values())
    if waits and seen and trial.state != "failed":
        return Outcome("complete", (statistics.fmean(seen),), standing.steps(trial))
    return Outcome(trial.state, (), standing.steps(trial))
