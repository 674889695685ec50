import pytest

from tests.studies import GivenValues
from tracking.records import AttemptFailed, TrialConfirmed, TrialStarted
from tracking.stages import (
    compared_after,
    confirmed_spread,
    count_stages,
    retries,
    score_so_far,
    spread,
    stages,
    stopped_at,
    stopping_point,
    waiting,
)


@pytest.fixture
def race(new_study):
    return new_study(folds=5).race().history


def test_a_trial_waits_once_another_began_after_its_last_fold(new_study):
    study = new_study()
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    assert waiting(study.history) == []  # its next fold may begin at once
    study.start_trial(1)
    assert [trial.number for trial in waiting(study.history)] == [0]


def test_a_trial_that_goes_on_waits_no_more(race):
    assert stages(race)[4] == "waiting"
    assert stages(race)[5] == "running"


def test_a_confirmation_makes_nobody_of_the_complete_trials_wait(study):
    study.session()
    study.complete_trial(0)
    study.complete_trial(1)
    study.confirm_trial(0)
    assert waiting(study.history) == []


def test_states_are_counted_waiting_ones_by_themselves(race):
    assert count_stages(race) == {"complete": 2, "pruned": 2, "waiting": 1, "running": 1}


def test_a_pruned_trial_says_where_it_stopped(race):
    assert [stopped_at(race.trials[n]) for n in (1, 2, 3, 4)] == [
        "",
        "fold 1, epoch 2",
        "fold 2",
        "",
    ]


@pytest.mark.parametrize(("counted", "place"), [(3, (1, 3)), (4, (2, 1))])
def test_an_unfinished_fold_counts_where_its_epochs_do(new_study, counted, place):
    study = new_study(folds=5)
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    study.fold(0, 2, epochs=1)
    study.end_trial(0, "pruned", epochs_trained=counted)
    assert stopping_point(study.history.trials[0]) == place


def test_a_single_fold_has_no_spread(new_study):
    study = new_study(folds=1)
    study.session()
    study.complete_trial(0, scores={"cv_accuracy_std": 0.0})
    study.fold(0, 2)
    study.add(TrialConfirmed, trial=0, repeats=1, scores={"cv_accuracy_std": 0.0})
    trial, [first] = study.history.trials[0], study.history.objectives
    assert spread(trial, first) is None
    assert confirmed_spread(trial, first) is None


def test_without_a_finished_fold_the_last_epoch_is_what_is_known(race):
    [first] = race.objectives
    assert race.trials[2].ended.value is None
    last = race.trials[2].folds[1].epochs[2].metrics["val_accuracy"]
    assert score_so_far(race.trials[2], first) == last
    assert score_so_far(race.trials[3], first) == 0.83
    assert score_so_far(race.trials[4], first) == pytest.approx(0.841)


def test_a_trial_that_trained_nothing_has_no_score_so_far(new_study):
    study = new_study()
    study.start_trial(0)
    assert score_so_far(study.history.trials[0], study.history.objectives[0]) is None


def test_the_spread_of_a_loss_is_that_of_the_folds_losses(new_study):
    study = new_study(objective="cv_loss")
    study.session()
    study.start_trial(0)
    study.fold(0, 1, level=0.8)
    study.fold(0, 2, level=0.9)
    study.end_trial(0, "complete")
    trial, [first] = study.history.trials[0], study.history.objectives
    assert spread(trial, first) == pytest.approx(0.1 / 2**0.5)


def test_the_spread_of_accuracies_is_the_recorded_one(study):
    study.session()
    study.complete_trial(0)
    study.confirm_trial(0)
    trial, [first] = study.history.trials[0], study.history.objectives
    assert (spread(trial, first), confirmed_spread(trial, first)) == (0.01, 0.004)


def test_nobody_waits_where_no_race_is_run(new_study):
    study = new_study()
    study.records[0].settings["pruner"] = "none"
    study.start_trial(0)
    study.fold(0, 1)
    study.start_trial(1)
    assert waiting(study.history) == []


def test_a_baseline_between_two_folds_does_not_wait(new_study):
    study = new_study()
    study.start_trial(0, "baseline:lenet5")
    study.fold(0, 1)
    study.start_trial(1)
    assert waiting(study.history) == []


def test_what_was_tried_again_is_told_and_what_was_given_up_is_not(new_study):
    study = new_study()
    study.start_trial(0)
    study.add(AttemptFailed, trial=0, cause="memory", reason="memory ran out")
    study.add(AttemptFailed, trial=0, cause="memory", reason="memory ran out again")
    study.end_trial(0, "failed", reason="memory ran out again")
    assert retries(study.history.trials[0]) == ["memory ran out; tried again with batch_size 16"]


def test_racing_compared_a_trial_where_it_was_planned_once_it_came_there():
    given = GivenValues()
    for number, shown in enumerate(({1: 0.1}, {1: 0.1, 3: 0.2})):
        given.add(
            TrialStarted,
            trial=number,
            parameters={"epochs": 30},
            origin="sampled",
            compared_after=3,
        )
        given.epochs(number, 1, shown)
    given.trial(2, shown={1: 0.1, 3: 0.2}, epochs=30)  # as journals have it that do not say
    assert [compared_after(trial) for trial in given.history.trials.values()] == [0, 3, 0]
