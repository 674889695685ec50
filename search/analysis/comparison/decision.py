"""Which trial is the best where there are baselines: one of them, unless another trial beats it.

The best of many scores is partly luck. A baseline was named before there was a score, so it stays
the best until the leader's lead is larger than what choosing it from so many trials gives in half
of all cases where none is better (`typical_luck`): what is left of the lead is then more likely
real than not. Decision 0032 has the levels that were compared.
"""

from search.analysis.comparison.evidence import (
    Evidence,
    are_confirmed_alike,
    paired_difference,
    rivals_of,
)
from search.analysis.comparison.statistics import Difference
from search.analysis.measure import interval_texts, objective_name, unit_of
from tracking.history import Decision, History, TrialHistory
from tracking.objectives import Objective
from tracking.text import counted


def decide(history: History) -> Decision | None:
    """Return which trial is the best, and why; None where the best score decides.

    It does where no baseline is complete, with two objectives, and in studies from before this
    rule.
    """
    leader, first = history.leader(), history.objectives[0]
    baseline = next((t for t in history.ranked() if t.started.is_baseline), None)
    is_open = history.known_study().baseline_first and len(history.objectives) == 1
    if leader is None or baseline is None or not is_open or not first.fold:
        return None
    if leader.started.is_baseline:
        return Decision(
            leader.number, f"{_capital(leader)} is the best: no complete trial scores better."
        )
    ours = Evidence(history, leader, rivals_of(history, leader))
    theirs = Evidence(history, baseline)
    confirmed = are_confirmed_alike([ours, theirs])
    found = paired_difference(ours, theirs, first, confirmed=confirmed)
    if found is None or found.p is None:
        return Decision(
            leader.number,
            f"{_capital(leader)} has the best score; one fold cannot tell whether that is luck.",
        )
    lead = _lead_text(first, found, ours.rivals, confirmed=confirmed)
    if found.mean > found.luck:
        text = f"{_capital(leader)} is the best: it leads {_name(baseline)} {lead}."
        return Decision(leader.number, text)
    text = f"{_capital(baseline)} stays the best: {_name(leader)} leads it {lead}."
    return Decision(baseline.number, text)


def with_decision(history: History) -> History:
    """Decide in a history whose last session is under way or was killed; return the history."""
    if history.decision is None:
        history.decision = decide(history)
    return history


def _name(trial: TrialHistory) -> str:
    kind, _, name = trial.started.origin.partition(":")
    number = f"trial {trial.number}"
    return f"the baseline {name} ({number})" if kind == "baseline" else number


def _capital(trial: TrialHistory) -> str:
    name = _name(trial)
    return name[:1].upper() + name[1:]


def _lead_text(first: Objective, found: Difference, rivals: int, *, confirmed: bool) -> str:
    lead, luck = interval_texts(first, found.mean, found.luck)
    unit = unit_of(first) or f" of {objective_name(first)}"
    folds = counted(found.folds, "confirmation fold" if confirmed else "fold")
    told = f"by {lead}{unit} on {folds}"
    if not found.luck:
        return told
    return (
        f"{told}, and the best of {counted(rivals, 'trial')} that are no better leads by {luck}"
        " half the time"
    )
