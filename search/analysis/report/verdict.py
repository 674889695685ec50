"""The verdict on a study in words: the best trial, and whether it beats the baselines."""

import math
from collections.abc import Iterable
from itertools import combinations

from search.analysis.comparison.contenders import MOST
from search.analysis.comparison.evidence import (
    LEVEL,
    Evidence,
    are_confirmed_alike,
    is_afresh,
    paired_difference,
    rivals_of,
)
from search.analysis.comparison.statistics import Difference, holm, mean_interval
from search.analysis.measure import (
    fold_value,
    interval_texts,
    metric_name,
    objective_name,
    score_and_spread,
    score_text,
    unit_of,
)
from search.analysis.report.subject import Subject
from search.analysis.report.words import trial_name, trial_score_text
from search.data.folds import share_of
from search.tasks.metrics import limits_of
from tracking.history import TrialHistory
from tracking.objectives import Objective
from tracking.records import FoldEnded, TestSetOpened
from tracking.stages import confirmed_spread
from tracking.text import counted, listed


def paired(subject: Subject, first: TrialHistory, second: TrialHistory) -> Difference | None:
    """Compare two complete trials over the folds that both have; None if they share none.

    The difference is first minus second in the first objective's unit, with a sign such that the
    first is better above zero. If both were confirmed, only confirmation folds count; otherwise it
    allows for the number of trials that a sampled one was chosen from.
    """
    if not subject.first.fold:
        return None
    one, other = (_evidence(subject, trial) for trial in (first, second))
    confirmed = are_confirmed_alike([one, other])
    return paired_difference(one, other, subject.first, confirmed=confirmed)


def corrected_ps(subject: Subject) -> dict[int, float]:
    """Return the corrected p of the best trial against each other one, by trial number.

    As in `compare`: by Holm's method, over all pairs of the best trial, the complete baselines and,
    if a baseline is best, the best sampled trial.
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
    interval = interval_of_score(subject, best.finished_folds().values())
    score = f"{subject.name} {trial_score_text(subject.first, best)} over {folds}{interval}"
    told = [f"{_capital(trial_name(best))} is the best: {score}."]
    decision = subject.history.decision
    if decision is not None and best is not subject.history.leader():
        told.append(decision.text)
    elif rival is not None:
        told.append(_against(subject, rival))
    elif best in subject.baselines:
        told.append("It is a baseline, and the only complete one; no sampled trial beat it.")
    else:
        told.append("No baseline is complete, so there is no published model to compare it with.")
    return [*told, *_caution(subject), *_front(subject), *_openings(subject)]


def interval_of_score(subject: Subject, folds: Iterable[FoldEnded]) -> str:
    """Return `, 95 % interval 0.8376 to 0.8624` of a mean over folds; nothing where there is none.

    Of macro F1 of classes there is none: it is of all predictions together.
    """
    first = subject.first
    values = [fold_value(fold, first) for fold in folds] if first.name.startswith("cv_") else []
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) != len(values):
        return ""
    share = share_of(subject.history.known_study())
    ends = mean_interval(known, test_share=share, limits=limits_of(first.fold, subject.task))
    if ends is None:
        return ""
    return f", 95 % interval {' to '.join(score_text(first, end) for end in ends)}"


def interval_text(objective: Objective, difference: Difference) -> str:
    """Return `+0.61 points (95 % interval 0.20 to 1.02)`, as far as known.

    Where lower is better, it is `3.12 lower (95 % interval 2.10 to 4.14)` of a lead, and
    `3.12 higher` of the contrary; the interval is of the amount that is told.
    """
    ends = [end for end in (difference.low, difference.high) if end is not None]
    values, unit = [difference.mean, *ends], unit_of(objective)
    if not objective.larger:
        unit = f"{unit} {'lower' if difference.mean >= 0 else 'higher'}"
        if difference.mean < 0:
            values = [-value for value in (difference.mean, *reversed(ends))]
    mean, *texts = interval_texts(objective, *values, sign=objective.larger)
    if len(texts) < 2:
        return f"{mean}{unit} (one fold gives no interval)"
    return f"{mean}{unit} (95 % interval {' to '.join(texts)})"


def _evidence(subject: Subject, trial: TrialHistory) -> Evidence:
    return Evidence(subject.history, trial, rivals_of(subject.history, trial))


def _against(subject: Subject, rival: TrialHistory) -> str:
    difference = paired(subject, subject.best, rival)
    is_baseline = subject.best in subject.baselines
    name = f"the {'next best' if is_baseline else 'best'} baseline, {trial_name(rival)}"
    if difference is None:
        return f"It shares no finished fold with {name}."
    amount = interval_text(subject.first, difference)
    if not subject.first.larger:
        amount = f"its {subject.name} is {amount}"
    if difference.low is None or difference.high is None:
        return f"Against {name}: {amount}; this may or may not be more than chance."
    p = corrected_ps(subject).get(rival.number, 1.0)
    if difference.low > 0 and p >= 1 - LEVEL:
        return (
            f"No difference from {name} can be claimed: {amount}, but p, corrected for the number"
            f" of comparisons, is {p:.3f}."
        )
    if difference.low > 0:
        by = f", by {amount}," if subject.first.larger else f": {amount},"
        return f"It is better than {name}{by} {_on_which(subject, rival)}."
    if difference.high < 0:
        return f"It is worse than {name} on the folds both have: {amount}."
    return f"No difference from {name} can be claimed: {amount}."


def _on_which(subject: Subject, rival: TrialHistory) -> str:
    several = [_evidence(subject, trial) for trial in (subject.best, rival)]
    return "on the confirmation folds" if are_confirmed_alike(several) else "fold by fold"


def _caution(subject: Subject) -> list[str]:
    best = subject.best
    is_chosen = best is subject.history.leader()  # by its score
    confirmation_folds = best.confirmed_score(subject.first.name)
    if confirmation_folds is not None:
        deviation = confirmed_spread(best, subject.first)
        score, spread = score_and_spread(subject.first, confirmation_folds, deviation)
        told = f"{score} ± {spread}" if deviation is not None else score
        told += interval_of_score(subject, best.finished_confirmation_folds().values())
        folds = counted(len(best.finished_confirmation_folds()), "confirmation fold")
        return [
            f"On {folds}, {_whose(subject)}, it has {told}: the fairer number."
            f"{_overtaken(subject) if is_chosen else ''}"
        ]
    if len(subject.complete) > 1 and is_chosen:
        return [
            f"It is the best of {counted(len(subject.history.finished()), 'trial')} on the folds"
            " that chose it, so its score with its interval is a little lucky"
            f"{'; the interval and p of the difference allow for that.' if subject.rival else '.'}"
            " `--confirm` trains it and the best baseline on confirmation folds."
        ]
    return []


def _whose(subject: Subject) -> str:
    if is_afresh(subject.history):
        return "of samples that took no part in the search"
    return "which took no part in the search"


def _overtaken(subject: Subject) -> str:
    """Return a sentence if another trial has the best score on the study's own folds."""
    leader = subject.history.completed()[0]
    if leader is subject.best:
        return ""
    return (
        f" They chose it: on the study's own folds {trial_name(leader)} scored better,"
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
            f"The journal records {counted(len(openings), 'opening')} of the test set, but lines"
            " are missing: it was repaired."
        ]
    if not openings:
        return ["The test set has not been opened."]
    last = openings[-1]
    times = "once," if len(openings) == 1 else f"{len(openings)} times, the last"
    return [f"The test set was opened {times} for trial {last.trial}: {_tested(subject, last)}."]


def _tested(subject: Subject, opening: TestSetOpened) -> str:
    """Return the score on the test set by which the study is judged, else another it has."""
    if opening.accuracy is not None and not opening.scores:
        return f"accuracy {opening.accuracy:.4f}"
    for known in (subject.first, *subject.others):
        if known.fold in opening.scores:
            return f"{objective_name(known)} {score_text(known, opening.scores[known.fold])}"
    return listed(f"{metric_name(name)} {value:.4g}" for name, value in opening.scores.items())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
