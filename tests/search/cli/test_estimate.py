from dataclasses import replace
from itertools import pairwise

import pytest

from search.cli.remaining import Ahead, Pace, RemainingWork, range_text
from search.study.budget import Confirmation
from search.study.pruners.base import Rung
from tests.studies import StudyBuilder
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    TrialConfirmed,
)

MEDIAN = RemainingWork(trials=10, baselines=1, folds=5, epochs=3)
PLAIN = replace(MEDIAN, prunes=False)
RUNGS = (Rung(1, 1 / 3), Rung(1), Rung(2), Rung(3), Rung(4))
RACE = replace(MEDIAN, rungs=RUNGS, places=(5, 4, 4, 4, 4))


def study() -> StudyBuilder:
    made = StudyBuilder(folds=5, epochs=3)
    made.session()
    return made


def epochs(plan: RemainingWork, made: StudyBuilder) -> tuple[float, float]:
    """Return the least and the most epochs that are left."""
    return plan.least(made.history).epochs, plan.most(made.history).epochs


def test_without_a_pruner_least_and_most_are_all_folds():
    assert epochs(PLAIN, study()) == (10 * 15, 10 * 15)


def test_before_a_sampled_trial_a_race_ranges_from_all_pruned_at_once_to_all_that_may_go_on():
    baseline, rung, fold = 15, 1, 3
    # Five and then four go on beside the baseline; up to twice as many within the first fold.
    least = 5 * (fold - rung) + (4 + 4 + 4 + 4) * fold
    most = 9 * (fold - rung) + (4 + 4 + 4 + 4) * fold
    assert epochs(RACE, study()) == (baseline + 9 * rung + least, baseline + 9 * rung + most)


def test_within_the_first_fold_at_most_twice_as_many_go_on_as_have_places():
    plan = replace(RACE, trials=41)
    assert plan.most(study().history).epochs == 15 + 40 * 1 + 10 * 2 + 16 * 3


def test_without_baselines_somebody_has_to_win_the_race():
    alone = replace(RACE, baselines=0)
    assert alone.least(study().history).epochs == 10 * 1 + 5 * 2 + 4 * 4 * 3


def test_an_unfinished_trial_counts_by_what_it_has_before_it():
    made = study()
    made.start_trial(0, "baseline:lenet5")
    made.fold(0, 1, epochs=2)
    assert epochs(PLAIN, made) == (10 * 15 - 2, 10 * 15 - 2)


def test_trials_that_stopped_early_foretell_the_least_and_not_the_most():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5")
    for trial in (1, 2, 3):
        made.start_trial(trial)
        made.fold(trial, 1, epochs=1)
        made.end_trial(trial, "pruned")
    assert epochs(MEDIAN, made) == (6 * 1, 6 * 15)
    assert epochs(RACE, made) == (6 + 5 * 2 + 4 * 4 * 3, 6 * 3 + (4 + 4 + 4 + 4) * 3)


def test_trials_that_went_on_promise_nothing_of_the_next_ones():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5")
    made.start_trial(1)
    made.fold(1, 1)  # waits: three epochs
    made.start_trial(2)
    made.fold(2, 1, epochs=1)
    made.end_trial(2, "pruned")
    least, _ = epochs(RACE, made)
    assert least == 7 * 1 + 4 * 2 + 4 * 4 * 3  # one place is its own
    made.complete_trial(3)
    assert epochs(MEDIAN, made)[0] == 6 * 1


def test_what_a_trial_has_trained_beyond_its_rung_is_behind_it():
    made = StudyBuilder(folds=5, epochs=21)  # compared first after seven epochs
    made.session()
    made.complete_trial(0, origin="baseline:lenet5")
    made.start_trial(1)
    made.fold(1, 1, epochs=1)
    plan = replace(RACE, trials=2, epochs=21)
    assert epochs(plan, made) == pytest.approx((20 + 4 * 21,) * 2)
    for epoch in range(2, 8):
        made.add(EpochEnded, trial=1, fold=1, epoch=epoch, metrics={"val_accuracy": 0.5})
    made.add(FoldPaused, trial=1, fold=1, epoch=7)
    assert epochs(plan, made) == pytest.approx((14 + 4 * 21,) * 2)
    made.add(FoldStarted, trial=1, fold=1, kept=7)
    made.add(EpochEnded, trial=1, fold=1, epoch=8, metrics={"val_accuracy": 0.5})
    assert epochs(plan, made) == pytest.approx((13 + 4 * 21,) * 2)


def test_a_fold_of_a_race_that_has_begun_counts_by_what_it_has_before_it():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5")
    for trial in range(1, 10):
        made.start_trial(trial)
        made.fold(trial, 1)
    assert epochs(RACE, made) == (16 * 3, 16 * 3)  # four of nine see four more folds
    made.fold(1, 2, epochs=1)
    assert epochs(RACE, made) == (16 * 3 - 1, 16 * 3 - 1)


def test_early_stopping_shortens_the_least_by_what_it_saved_so_far():
    made = StudyBuilder(folds=2, epochs=4)
    made.session()
    made.start_trial(0)
    made.fold(0, 1, epochs=2)
    made.add(FoldEnded, trial=0, fold=1, loss=0.5, accuracy=0.8, seconds=3.0, predictions="")
    plan = replace(PLAIN, trials=2, baselines=0, folds=2, epochs=4)
    assert epochs(plan, made) == ((4 + 8) / 2, 4 + 8)


def test_a_sampler_that_may_run_out_promises_no_trial():
    finite = replace(PLAIN, may_end=True)
    assert epochs(finite, study()) == (15, 150)


def test_a_study_that_is_over_has_nothing_ahead_but_its_confirmation():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5")
    plan = replace(RACE, trials=1)
    assert epochs(plan, made) == (0, 0)
    confirming = replace(plan, confirm=Confirmation(1))
    assert epochs(confirming, made) == (30, 30)
    made.fold(0, 6)
    assert epochs(confirming, made) == (27, 27)
    made.confirm_trial(0)
    assert epochs(confirming, made) == (0, 0)


def test_the_best_baseline_is_confirmed_beside_the_best_trials():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5", level=0.7)
    plan = replace(PLAIN, trials=3, confirm=Confirmation(1))
    assert replace(plan, trials=1).most(made.history).epochs == 10 * 3
    for trial in (1, 2):
        made.complete_trial(trial, level=0.8)
    assert epochs(plan, made) == (20 * 3, 20 * 3)
    made.confirm_trial(1)
    assert epochs(plan, made) == (10 * 3, 10 * 3)
    made.confirm_trial(0)
    assert epochs(plan, made) == (0, 0)
    assert epochs(replace(plan, confirm=Confirmation(0)), made) == (0, 0)
    nothing = study()
    folds = 3 * 5 + 2 * 10  # three trials, then one of them and a baseline
    assert epochs(plan, nothing) == (folds * 3, folds * 3)
    assert replace(plan, baselines=0).most(nothing.history).epochs == (folds - 10) * 3


def test_what_is_confirmed_by_default_may_be_nothing():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5", level=0.7)
    plan = replace(PLAIN, trials=2, confirm=Confirmation(1, is_auto=True))
    assert epochs(plan, made) == (5 * 3, 5 * 3 + 10 * 3)
    made.complete_trial(1, level=0.8)
    assert epochs(plan, made) == (10 * 3, 10 * 3)
    made.complete_trial(2, origin="baseline:better", level=0.9)
    assert epochs(plan, made) == (0, 0)


def test_where_all_may_be_pruned_only_what_is_complete_is_sure_to_be_confirmed():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5", level=0.7)
    plan = replace(RACE, trials=5, confirm=Confirmation(3))
    assert plan.least(made.history).epochs == 4 * 3 + 16 * 3 + 10 * 3
    assert plan.most(made.history).epochs == 4 * 3 + 16 * 3 + 40 * 3


def test_no_more_trials_are_confirmed_than_can_be_complete():
    made = study()
    made.complete_trial(0)
    made.start_trial(1)
    made.fold(1, 1)
    made.end_trial(1, "pruned")
    plan = replace(PLAIN, trials=2, baselines=0, confirm=Confirmation(3))
    assert plan.most(made.history).epochs == 10 * 3


def test_a_failed_confirmation_is_ahead_again_in_the_next_session():
    made = study()
    made.complete_trial(0)
    made.fold(0, 6)
    made.add(TrialConfirmed, trial=0, repeats=2, error="no memory")
    plan = replace(PLAIN, trials=1, baselines=0, confirm=Confirmation(1))
    assert plan.most(made.history).epochs == 0
    made.session()
    assert plan.most(made.history).epochs == 9 * 3


def test_a_race_thins_out_from_fold_to_fold():
    made = study()
    for trial in range(80):
        made.start_trial(trial)
        made.fold(trial, 1)
    plan = replace(RACE, trials=80, baselines=0, places=(40, 20, 5, 4, 4))
    assert plan.most(made.history).epochs == (20 + 5 + 4 + 4) * 3


@pytest.mark.parametrize("plan", [RACE, PLAIN, MEDIAN])
def test_the_most_never_grows_as_a_study_goes_on(plan):
    made = StudyBuilder(folds=5, epochs=3).race()
    made.fold(5, 3)
    whole = list(made.records)
    bounds = []
    for end in range(1, len(whole) + 1):
        made.records = whole[:end]
        least, most = epochs(plan, made)
        assert 0 <= least <= most
        bounds.append(most)
    assert all(later <= earlier for earlier, later in pairwise(bounds))


def test_first_epochs_are_those_of_trials_that_have_none():
    made = study()
    made.complete_trial(0, origin="baseline:lenet5")
    made.start_trial(1)
    made.start_trial(2)
    made.fold(2, 1, epochs=1)
    assert PLAIN.most(made.history) == Ahead(firsts=8, starts=134 / 3 - 8, further=134 - 134 / 3)


# The time.


def pace(*folds: tuple[int, int, list[float]], workers: int = 1) -> Pace:
    """Return the pace of folds one after the other: trial, fold, seconds of each epoch."""
    made, at = Pace(workers), 1000.0
    for trial, fold, seconds in folds:
        made.take(FoldStarted(at=at, trial=trial, fold=fold))
        for epoch, took in enumerate(seconds, 1):
            at += took
            made.take(EpochEnded(at=at, trial=trial, fold=fold, epoch=epoch, metrics={}))
        end = FoldEnded(at=at, trial=trial, fold=fold, loss=0.1, seconds=1.0, predictions="")
        made.take(end)
    return made


def seconds(made: Pace, least: Ahead, most: Ahead, trials: int = 1, fold: float = 3):
    return made.seconds(least, most, trials=trials, fold=fold)


def test_first_epochs_take_longer_than_others():
    made = pace((0, 1, [8.0, 2.0, 2.0]), (0, 2, [5.0, 2.0, 2.0]))
    assert seconds(made, Ahead(1, 0, 0), Ahead(3, 4, 30)) == (8.0, 3 * 8 + 4 * 5 + 30 * 2)


def test_of_the_first_epochs_alone_it_is_known_that_others_take_no_longer():
    made, work = pace((0, 1, [8.0])), Ahead(2, 4, 10)
    assert made.is_known
    assert not made.is_settled
    assert seconds(made, work, work) == (2 * 8, 2 * 8 + 4 * 8 + 10 * 8)
    made = pace((0, 1, [8.0, 2.0]))
    assert made.is_settled
    assert seconds(made, work, work) == (2 * 8 + 4 * 2 + 10 * 2, 2 * 8 + 4 * 8 + 10 * 2)


def test_a_fold_is_as_long_as_it_takes_to_score_it():
    made = pace((0, 1, [8.0, 2.0]))
    at = made._latest
    made.take(FoldStarted(at=at, trial=1, fold=1))
    made.take(EpochEnded(at=at + 8, trial=1, fold=1, epoch=1, metrics={}))
    made.take(FoldEnded(at=at + 10, trial=1, fold=1, loss=1.0, seconds=10.0, predictions=""))
    assert made._firsts == {0: 8.0, 1: 10.0}


def test_trials_of_different_size_widen_the_range_and_more_of_them_narrow_it():
    few = pace((0, 1, [1.0, 1.0]), (1, 1, [3.0, 3.0]))
    low, high = seconds(few, Ahead(0, 0, 10), Ahead(0, 0, 10))
    assert low == 10 * 1  # no less than was ever seen
    assert high == pytest.approx(10 * (2 + 2 * 2**0.5 * (1 / 2 + 1) ** 0.5))
    many = pace(*((trial, 1, [1.0 + trial % 2 * 2] * 2) for trial in range(40)))
    narrow = seconds(many, Ahead(0, 0, 10), Ahead(0, 0, 10), trials=40)
    assert narrow[0] > low
    assert narrow[1] < high


def test_workers_share_the_work_but_the_last_fold_is_trained_by_one():
    made = pace((0, 1, [2.0, 2.0, 2.0]), workers=2)
    made._began = made._latest - 3.0  # as if another had trained as much meanwhile
    low, high = seconds(made, Ahead(0, 0, 30), Ahead(0, 0, 30), fold=3)
    assert low == 30.0
    assert high == 30.0 + 3 * 2 / 2


def test_time_in_which_workers_had_nothing_to_do_counts_for_the_most():
    made = pace((0, 1, [2.0, 2.0]))
    at = made._latest + 4.0
    made.take(FoldStarted(at=at, trial=1, fold=1))
    for epoch in (1, 2):
        at += 2.0
        made.take(EpochEnded(at=at, trial=1, fold=1, epoch=epoch, metrics={}))
    assert seconds(made, Ahead(0, 0, 10), Ahead(0, 0, 10)) == (20.0, 20.0 * 12 / 8)


def test_a_fold_that_broke_off_or_began_unseen_tells_nothing():
    made = Pace()
    made.take(EpochEnded(at=5.0, trial=0, fold=1, epoch=1, metrics={}))
    assert not made.is_known
    made.take(FoldStarted(at=6.0, trial=0, fold=1))
    made.take(AttemptFailed(at=7.0, trial=0, fold=1, cause="lost", reason=""))
    made.take(EpochEnded(at=9.0, trial=0, fold=1, epoch=1, metrics={}))
    assert not made.is_known


def test_nothing_ahead_takes_no_time():
    assert seconds(pace((0, 1, [2.0, 2.0])), Ahead(0, 0, 0), Ahead(0, 0, 0)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("least", "most", "text"),
    [
        (0.0, 33.0, "up to 35s"),
        (12.0, 58.0, "10s to 1m"),
        (130.0, 531.0, "2m to 9m"),
        (100.0, 101.0, "about 2m"),
        (61 * 60.0, 9.2 * 3600, "1h to 9h 20m"),
        (40 * 3600.0, 90.5 * 3600, "40h to 91h"),
        (3600.0, 3700.0, "about 1h 10m"),
    ],
)
def test_a_range_is_rounded_outwards_as_far_as_an_estimate_is_worth(least, most, text):
    assert range_text(least, most) == text
