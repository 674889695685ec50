"""What a study found, in plain words: the best trial, and whether it beats the baselines."""

from collections.abc import Mapping
from itertools import combinations

from search.comparison.contenders import MOST
from search.comparison.entries import LEVEL
from search.comparison.statistics import Difference, corrected_difference, holm
from search.folds import validation_share
from search.report.subject import Subject
from search.report.words import (
    counted,
    difference_text,
    objective_name,
    score_text,
    trial_name,
    trial_score_text,
    unit_of,
)
from tracking.history import TrialHistory
from tracking.objectives import Objective
from tracking.records import FoldEnded
from tracking.stages import confirmed_spread


def paired(subject: Subject, first: TrialHistory, second: TrialHistory) -> Difference | None:
    """Compare two complete trials over the folds that both have; None where they share none.

    The difference is first minus second in the first objective's unit, turned so that above zero
    the first is better. Where both were confirmed, the further folds join.
    """
    objective = subject.first
    if not objective.fold:
        return None
    folds = subject.history.known_study().folds
    one, other = _values(first, objective), _values(second, objective)
    shared = sorted(set(one) & set(other))
    if not shared:
        return None
    return corrected_difference(
        [objective.oriented(one[fold]) for fold in shared],
        [objective.oriented(other[fold]) for fold in shared],
        test_share=validation_share(folds),
    )


def corrected_ps(subject: Subject) -> dict[int, float]:
    """Return p of the best against each it is measured by, corrected for their number, by number.

    As `compare` does: after Holm, over all pairs of the best, the complete baselines and, where a
    baseline is best, the best sampled trial.
    """
    best, baselines = subject.best, [t for t in subject.baselines if t is not subject.best]
    sampled = [t for t in subject.history.completed() if t not in (best, *subject.baselines)]
    measured = sampled[:1] if best in subject.baselines or not baselines else []
    group = [best, *measured, *baselines][:MOST]
    found = {
        (one.number, other.number): difference.p
        for one, other in combinations(group, 2)
        if (difference := paired(subject, one, other)) is not None and difference.p is not None
    }
    corrected = dict(zip(found, holm([p for p in found.values() if p is not None]), strict=True))
    return {other: p for (one, other), p in corrected.items() if one == best.number}


def sentences(subject: Subject) -> list[str]:
    """Return the verdict, the most important sentence first."""
    best, rival = subject.best, subject.rival
    folds = counted(len(best.finished_folds()), "fold")
    score = f"{subject.name} {trial_score_text(subject.first, best)} over {folds}"
    told = [f"{_capital(trial_name(best))} is the best: {score}."]
    if rival is not None:
        told.append(_against(subject, rival))
    elif best in subject.baselines:
        told.append("It is a baseline, and the only complete one; no sampled trial beat it.")
    else:
        told.append("No baseline is complete, so there is nothing published to compare it with.")
    return [*told, *_caution(subject), *_front(subject), *_openings(subject)]


def interval_text(objective: Objective, difference: Difference) -> str:
    """Return `+0.61 points (95 % interval 0.20 to 1.02)`, as much of it as is known."""
    unit = unit_of(objective)
    mean = f"{difference_text(objective, difference.mean, sign=True)}{unit}"
    if difference.low is None or difference.high is None:
        return f"{mean} (one fold tells no interval)"
    low, high = (difference_text(objective, end) for end in (difference.low, difference.high))
    return f"{mean} (95 % interval {low} to {high})"


def _values(trial: TrialHistory, objective: Objective) -> dict[int, float]:
    folds: Mapping[int, FoldEnded] = {**trial.finished_folds(), **trial.finished_more_folds()}
    return {n: float(getattr(fold, objective.fold)) for n, fold in folds.items()}


def _against(subject: Subject, rival: TrialHistory) -> str:
    difference = paired(subject, subject.best, rival)
    is_baseline = subject.best in subject.baselines
    name = f"the {'next best' if is_baseline else 'best'} baseline, {trial_name(rival)}"
    if difference is None:
        return f"It shares no finished fold with {name}."
    amount = interval_text(subject.first, difference)
    if difference.low is None or difference.high is None:
        return f"Against {name}: {amount}; whether that is more than chance cannot be told."
    p = corrected_ps(subject).get(rival.number, 1.0)
    if difference.low > 0 and p >= 1 - LEVEL:
        return (
            f"No difference from {name} can be claimed: {amount}, but corrected for the number of"
            f" comparisons p is {p:.3f}."
        )
    if difference.low > 0:
        return f"It is better than {name}, by {amount}, fold by fold."
    if difference.high < 0:
        return f"It is worse than {name} on the folds both have: {amount}."
    return f"No difference from {name} can be claimed: {amount}."


def _caution(subject: Subject) -> list[str]:
    best = subject.best
    further = best.confirmed_score(subject.first.name)
    if further is not None:
        deviation = confirmed_spread(best, subject.first)
        spread = f" ± {score_text(subject.first, deviation)}" if deviation is not None else ""
        folds = counted(len(best.finished_more_folds()), "further fold")
        return [
            f"On {folds}, which took no part in the search, it has"
            f" {score_text(subject.first, further)}{spread}: the fairer number."
            f"{_overtaken(subject)}"
        ]
    if len(subject.complete) > 1:
        return [
            f"It is the best of {counted(len(subject.history.finished()), 'trial')} on the folds"
            " that chose it, so its score is a little lucky; with --confirm it is trained on"
            " further folds."
        ]
    return []


def _overtaken(subject: Subject) -> str:
    """Return a sentence where another trial has the best score on the study's own folds."""
    leader = subject.history.completed()[0]
    if leader is subject.best:
        return ""
    return (
        f" It was chosen by these: on the study's own folds {trial_name(leader)} scored better,"
        f" {score_text(subject.first, leader.value)}."
    )


def _front(subject: Subject) -> list[str]:
    objectives = subject.history.objectives
    if len(objectives) < 2:
        return []
    count = counted(len(subject.history.front()), "trial")
    names = " and ".join(objective_name(objective) for objective in objectives)
    return [f"By {names} together, {count} cannot be beaten: the Pareto front."]


def _openings(subject: Subject) -> list[str]:
    openings = subject.history.test_openings
    if any(repaired.gaps for repaired in subject.history.repairs):
        return [
            f"The journal tells of {counted(len(openings), 'opening')} of the test set, but lines"
            " are missing in it: it was repaired."
        ]
    if not openings:
        return ["The test set has not been opened."]
    last = openings[-1]
    times = "once," if len(openings) == 1 else f"{len(openings)} times, the last"
    told = f"for trial {last.trial}: accuracy {last.accuracy:.4f}"
    return [f"The test set was opened {times} {told}."]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
