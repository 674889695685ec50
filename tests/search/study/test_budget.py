import time

import pytest

from search.study.budget import Budget, Confirmation, StopRequest, seconds_to_race
from search.study.pruners.base import Rung
from tests.studies import StudyBuilder
from tracking.home import StudyFolder
from tracking.records import FoldPaused, TrialConfirmed


def study(*levels, folds=2):
    builder = StudyBuilder(folds=folds)
    builder.session()
    for trial, level in enumerate(levels):
        builder.complete_trial(trial, level)
    return builder


def test_a_session_is_done_when_all_its_trials_are_over():
    builder = study(0.7, 0.8)
    assert Budget(trials=2).is_done(builder.history) is True
    assert Budget(trials=1).is_done(builder.history) is True
    assert Budget(trials=3).is_done(builder.history) is False
    builder.start_trial(2)
    assert Budget(trials=2).is_done(builder.history) is False


def test_a_session_of_many_trials_is_done_after_the_last_of_them():
    builder = StudyBuilder()
    for trial in range(300):
        builder.start_trial(trial)
        builder.end_trial(trial, "failed")
    assert Budget(trials=300).is_done(builder.history) is True
    assert Budget(trials=301).is_done(builder.history) is False


def test_a_session_is_not_done_before_its_best_trials_are_confirmed():
    builder = study(0.7, 0.8, 0.6)
    budget = Budget(trials=3, confirm=Confirmation(2))
    assert [trial.number for trial in budget.to_confirm(builder.history)] == [1, 0]
    assert budget.is_done(builder.history) is False
    builder.confirm_trial(1, 0.79)
    assert [trial.number for trial in budget.to_confirm(builder.history)] == [0]
    builder.confirm_trial(0, 0.69)
    assert budget.to_confirm(builder.history) == []
    assert budget.is_done(builder.history) is True


AUTO = Confirmation(3, is_auto=True)


def crossing(*trials):
    """Return a study of three folds: a baseline, then trials with these accuracies."""
    builder = StudyBuilder(folds=3)
    builder.session()
    for number, scores in enumerate(((0.8, 0.8, 0.8), *trials)):
        builder.start_trial(number, "sampled" if number else "baseline:small")
        for fold, score in enumerate(scores, start=1):
            builder.fold(number, fold, level=score)
        builder.end_trial(number, "complete", sum(scores) / 3)
    return builder


def confirmed(confirmation, builder):
    return [trial.number for trial in confirmation.trials(builder.history)]


def test_by_default_only_trials_near_the_best_are_confirmed_and_the_baseline():
    builder = crossing((0.90, 0.91, 0.92), (0.92, 0.90, 0.90), (0.85, 0.86, 0.87))
    assert confirmed(AUTO, builder) == [1, 2, 0]
    assert confirmed(Confirmation(3), builder) == [1, 2, 3, 0]


def test_by_default_nothing_is_confirmed_where_a_baseline_has_the_best_score():
    builder = crossing((0.7, 0.75, 0.8))
    assert confirmed(AUTO, builder) == []
    assert confirmed(Confirmation(1), builder) == [0]


def test_all_folds_are_cut_anew_once_by_default_and_twice_where_it_is_asked_for():
    builder = crossing((0.9, 0.9, 0.9))
    assert AUTO.repeats(builder.history) == 1
    assert Confirmation(1).repeats(builder.history) == 2
    for fold in range(4, 7):
        builder.fold(1, fold)
    builder.add(TrialConfirmed, trial=1, repeats=1, scores={"cv_accuracy": 0.9})
    again = Budget(trials=2, confirm=Confirmation(1))
    assert [t.number for t in again.to_confirm(builder.history)] == [1, 0]
    assert [t.number for t in Budget(trials=2, confirm=AUTO).to_confirm(builder.history)] == [0]


def test_a_session_without_a_deadline_has_time():
    assert Budget(trials=1).is_used_up(1e9) is False


def test_the_time_is_up_at_the_deadline_and_as_long_before_as_is_reserved(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    budget = Budget(trials=1, deadline=110.0)
    assert budget.is_used_up() is False
    assert budget.is_used_up(9.0) is False
    assert budget.is_used_up(10.0) is True
    assert budget.is_used_up(11.0) is True
    assert Budget(trials=1, deadline=100.0).is_used_up() is True
    assert Budget(trials=1, deadline=100.5).is_used_up() is False


RUNGS = (Rung(1, 0.1), Rung(1), Rung(2))


@pytest.mark.parametrize(
    ("places", "folds"),
    [
        ((4, 3, 2), 4 * 0.9 + 3 + 2 * 3),
        ((9, 9, 9), 4 * 0.9 + 4 + 4 * 3),  # no more than there are
        ((1, 1, 1), 0.9 + 1 + 3),
    ],
)
def test_the_race_takes_one_more_fold_and_what_its_places_come_to(places, folds):
    study = StudyBuilder(folds=5, epochs=20)
    for trial in range(4):
        study.start_trial(trial)
        study.fold(trial, 1, epochs=2)
        study.add(FoldPaused, trial=trial, fold=1, epoch=2, seconds=0.5)
    of_a_fold = 0.5 * 10
    expected = pytest.approx((1 + folds) * of_a_fold * 1.25)
    assert seconds_to_race(study.history, RUNGS, places) == expected
    study.fold(0, 1)  # has gone on
    assert seconds_to_race(study.history, RUNGS, (1, 0, 0)) == pytest.approx(
        study.history.tally.fold_seconds / study.history.tally.folds * 1.25
    )


def test_a_baseline_takes_nothing_off_the_time_that_is_kept_for_the_race():
    def kept(*origins):
        study = StudyBuilder(folds=2, epochs=20)
        for trial, origin in enumerate(origins):
            study.complete_trial(trial, 0.8, origin=origin)
        for trial in (8, 9):
            study.start_trial(trial)
            study.fold(trial, 1, epochs=2)
            study.add(FoldPaused, trial=trial, fold=1, epoch=2, seconds=0.5)
        tally = study.history.tally
        return seconds_to_race(study.history, RUNGS, (2, 1, 1)) / (tally.fold_seconds / tally.folds)

    without = kept()
    assert without > 1.25
    assert kept("baseline:one", "baseline:two") == pytest.approx(without)


def test_nothing_is_kept_for_a_race_that_is_none_or_that_no_fold_tells_of():
    assert seconds_to_race(study(0.7).history, (), ()) == 0.0
    assert seconds_to_race(StudyBuilder().history, RUNGS, (4, 3, 2)) == 0.0


def test_a_request_to_stop_is_seen_once_told_of_and_can_be_withdrawn(tmp_path):
    folder = StudyFolder(tmp_path)
    notices = []
    asked, seen = StopRequest(folder), StopRequest(folder, notices.append)
    asked.write(StopRequest.NOW)
    budget = Budget(trials=1, stop=seen)
    assert budget.is_used_up() is True
    assert budget.breaks_off() is True
    assert seen.seen() == StopRequest.NOW
    assert len(notices) == 1
    assert "`stop` has asked" in notices[0]
    asked.withdraw()
    assert Budget(trials=1, stop=StopRequest(folder)).is_used_up() is False


def test_a_request_to_stop_after_the_folds_breaks_none_off(tmp_path):
    StopRequest(StudyFolder(tmp_path)).write(StopRequest.FOLDS)
    budget = Budget(trials=1, stop=StopRequest(StudyFolder(tmp_path)))
    assert budget.is_used_up() is True
    assert budget.breaks_off() is False


def test_a_deadline_is_told_as_others_know_it():
    assert Budget(trials=1).ends_at is None
    before = time.time()
    ends_at = Budget(trials=1, deadline=time.monotonic() + 100).ends_at
    assert before + 99 < ends_at <= time.time() + 100
