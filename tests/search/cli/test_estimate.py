from dataclasses import replace

import pytest

from search.cli.status import RemainingWork
from tests.studies import StudyBuilder
from tracking.records import TrialConfirmed

RACE = RemainingWork(trials=10, baselines=1, folds=5, epochs=3, waits=True, finalists=4, confirm=0)
PLAIN = replace(RACE, waits=False)


def study() -> StudyBuilder:
    made = StudyBuilder(folds=5, epochs=3)
    made.session()
    return made


def test_without_a_trial_all_folds_are_expected_or_one_where_trials_wait():
    nothing = study().history
    assert PLAIN.remaining_epochs(nothing) == 10 * 15
    assert RACE.remaining_epochs(nothing) == 15 + 9 * 3


def test_an_unfinished_trial_counts_by_what_it_has_before_it():
    made = study()
    made.start_trial(0, "baseline:lenet5")
    made.fold(0, 1, epochs=2)
    assert PLAIN.remaining_epochs(made.history) == 10 * 15 - 2


def test_trials_that_stopped_early_foretell_the_next_ones():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5")
    for trial in (1, 2, 3):
        made.start_trial(trial)
        made.fold(trial, 1, epochs=1)
        made.end_trial(trial, "pruned")
    assert PLAIN.remaining_epochs(made.history) == 6 * 1
    assert RACE.remaining_epochs(made.history) == 6 * 1


def test_trials_that_wait_have_a_race_before_them():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5")
    for trial in range(1, 10):
        made.start_trial(trial)
        made.fold(trial, 1)
    assert RACE.remaining_epochs(made.history) == 16 * 3  # four of nine see four more folds
    made.fold(1, 2)
    made.end_trial(2, "pruned")
    assert RACE.remaining_epochs(made.history) < 17 * 3


def test_a_study_that_is_over_has_nothing_ahead_but_its_confirmation():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5")
    plan = replace(RACE, trials=1)
    assert plan.remaining_epochs(made.history) == 0
    confirming = replace(plan, confirm=1)
    assert confirming.remaining_epochs(made.history) == 10 * 3
    made.fold(0, 6)
    assert confirming.remaining_epochs(made.history) == 9 * 3
    made.confirm_trial(0)
    assert confirming.remaining_epochs(made.history) == 0


def test_the_best_baseline_is_confirmed_beside_the_best_trials():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5", level=0.7)
    plan = replace(PLAIN, trials=3, confirm=1)
    assert replace(plan, trials=1).remaining_epochs(made.history) == 10 * 3
    for trial in (1, 2):
        made.complete_trial(trial, level=0.8)
    assert plan.remaining_epochs(made.history) == 20 * 3
    made.confirm_trial(1)
    assert plan.remaining_epochs(made.history) == 10 * 3
    made.confirm_trial(0)
    assert plan.remaining_epochs(made.history) == 0
    assert replace(plan, confirm=0).remaining_epochs(made.history) == 0
    nothing = study().history
    folds = 3 * 5 + 2 * 10  # three trials, then one of them and a baseline
    assert plan.remaining_epochs(nothing) == folds * 3
    assert replace(plan, baselines=0).remaining_epochs(nothing) == (folds - 10) * 3


def test_no_more_trials_are_confirmed_than_can_be_complete():
    made = study()
    made.complete_trial(0)
    made.start_trial(1)
    made.fold(1, 1)
    made.end_trial(1, "pruned")
    plan = replace(PLAIN, trials=2, baselines=0, confirm=3)
    assert plan.remaining_epochs(made.history) == 10 * 3


def test_a_failed_confirmation_is_ahead_again_in_the_next_session():
    made = study()
    made.complete_trial(0)
    made.fold(0, 6)
    made.add(TrialConfirmed, trial=0, repeats=2, error="no memory")
    plan = replace(PLAIN, trials=1, baselines=0, confirm=1)
    assert plan.remaining_epochs(made.history) == 0
    made.session()
    assert plan.remaining_epochs(made.history) == 9 * 3


def test_a_race_thins_out_from_fold_to_fold():
    made = study()
    for trial in range(80):
        made.start_trial(trial)
        made.fold(trial, 1)
    plan = replace(RACE, trials=80, baselines=0)
    assert plan.remaining_epochs(made.history) == (20 + 5 + 4 + 4) * 3


@pytest.mark.parametrize("plan", [RACE, PLAIN])
def test_the_estimate_falls_as_a_race_goes_on(plan):
    made = StudyBuilder(folds=5, epochs=3).race()
    before = plan.remaining_epochs(made.history)
    made.fold(5, 2)
    assert plan.remaining_epochs(made.history) <= before
