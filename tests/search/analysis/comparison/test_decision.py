"""Tests of which trial is the best where there are baselines."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import pytest

from search.analysis.comparison.decision import decide, with_decision
from tests.studies import StudyBuilder
from tracking.history import History
from tracking.records import Record, SessionEnded, StudyStarted

BASELINE = (0.80, 0.83, 0.79, 0.82, 0.81)


def study(*trials: Sequence[float], guarded: bool = True, folds: int = 5) -> list[Record]:
    """Return the records of a study: of a baseline, then of sampled trials with these folds."""
    builder = StudyBuilder(folds=folds, epochs=1)
    builder.session()
    for number, scores in enumerate((BASELINE[:folds], *trials)):
        builder.start_trial(number, "sampled" if number else "baseline:published")
        for fold, score in enumerate(scores, start=1):
            builder.fold(number, fold, level=score)
        builder.end_trial(number, "complete", fmean(scores))
    first, *others = builder.records
    assert isinstance(first, StudyStarted)
    return [replace(first, baseline_first=guarded), *others]


def shifted(*gains: float) -> tuple[float, ...]:
    return tuple(value + gain for value, gain in zip(BASELINE, gains, strict=True))


SMALL_LEAD = shifted(0.02, -0.01, 0.015, 0.0, 0.005)
LARGE_LEAD = shifted(0.06, 0.05, 0.055, 0.06, 0.05)
ALIKE = [shifted(*gains) for gains in ((0, 0.01, -0.01, 0, 0.01), (-0.01, 0, 0, 0.01, -0.02))] * 5


def test_a_baseline_stays_the_best_while_a_lead_is_no_more_than_luck() -> None:
    history = History.of(study(SMALL_LEAD, *ALIKE))
    leader = history.leader()
    assert leader is not None
    assert leader.number == 1
    decision = decide(history)
    assert decision is not None
    assert decision.best == 0
    assert "published (trial 0) stays the best" in decision.text
    assert "best of 11 trials" in decision.text


def test_a_trial_that_leads_by_more_than_luck_is_the_best() -> None:
    decision = decide(History.of(study(LARGE_LEAD, *ALIKE)))
    assert decision is not None
    assert decision.best == 1
    assert decision.text.startswith(
        "Trial 1 is the best: it leads the baseline published (trial 0) by"
    )


def test_a_lead_that_one_trial_has_may_be_luck_where_it_is_the_best_of_many() -> None:
    one, many = (decide(History.of(study(SMALL_LEAD, *others))) for others in ((), ALIKE))
    assert one is not None
    assert many is not None
    assert (one.best, many.best) == (1, 0)


def test_studies_from_before_the_rule_go_by_the_best_score() -> None:
    history = History.of(study(SMALL_LEAD, *ALIKE, guarded=False))
    assert decide(history) is None
    best = with_decision(history).best()
    assert best is not None
    assert best.number == 1


def test_one_fold_cannot_tell_and_the_best_score_decides() -> None:
    decision = decide(History.of(study((0.82,), folds=1)))
    assert decision is not None
    assert decision.best == 1
    assert "one fold cannot tell" in decision.text


def test_what_a_session_has_decided_holds_until_the_next_one_begins() -> None:
    records = study(SMALL_LEAD, *ALIKE)
    history = History.of(records)
    history.add(SessionEnded(at=0.0, reason="complete", best=0, verdict="The baseline stays."))
    best = history.best()
    assert best is not None
    assert best.number == 0
    history.add(next(r for r in records if type(r).__name__ == "SessionStarted"))
    best = history.best()
    assert best is not None
    assert best.number == 1


@pytest.mark.parametrize("decided", [7, 99])
def test_a_decision_for_a_trial_that_is_not_complete_any_more_does_not_count(decided: int) -> None:
    history = History.of(study(SMALL_LEAD))
    history.add(SessionEnded(at=0.0, reason="complete", best=decided, verdict=""))
    best = history.best()
    assert best is not None
    assert best.number == 1
