import pytest

from tracking.history import History
from tracking.records import AttemptFailed, SessionEnded


def test_trials_are_gathered_with_their_folds_and_outcomes(study):
    history = study.every_kind_of_trial().history
    assert [t.state for t in history.trials.values()] == [
        "complete",
        "complete",
        "pruned",
        "failed",
        "running",
    ]
    assert sorted(history.trials[0].finished_folds()) == [1, 2]
    assert [t.number for t in history.finished()] == [0, 1, 2, 3]


def test_the_best_is_the_complete_trial_with_the_highest_value(study):
    history = study.every_kind_of_trial().history
    assert [t.number for t in history.completed()] == [1, 0]
    assert history.best() is history.trials[1]


def test_confirmed_trials_are_ranked_by_their_further_folds(study):
    study.session()
    for trial, level in enumerate((0.85, 0.84, 0.83)):
        study.complete_trial(trial, level=level)
    study.confirm_trial(1, level=0.82)
    assert [t.number for t in study.history.ranked()] == [0, 1, 2]  # the best is not confirmed
    study.confirm_trial(0, level=0.80)
    assert [t.number for t in study.history.ranked()] == [1, 0, 2]
    assert study.history.best().number == 1


def test_of_equal_trials_the_earlier_one_is_better(study):
    study.session()
    for trial in range(3):
        study.complete_trial(trial, level=0.8)
    assert study.history.best().number == 0


def test_only_complete_trials_have_a_value(study):
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    study.end_trial(0, "pruned", value=0.99)
    assert study.history.trials[0].value is None
    assert study.history.best() is None


def test_mean_curves_average_the_folds_that_trained_an_epoch(study):
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    study.fold(0, 2, epochs=1)
    curves = study.history.trials[0].mean_curves()
    assert curves[0]["loss"] == pytest.approx(1.015)
    assert curves[2]["loss"] == pytest.approx(1 / 3 + 0.01)
    assert len(curves) == 3


def test_a_trial_without_epochs_has_no_curves(study):
    study.start_trial(0)
    assert study.history.trials[0].mean_curves() == []


def test_a_fold_that_starts_again_forgets_its_first_try(study):
    study.start_trial(0)
    study.fold(0, 1, epochs=3)
    study.fold(0, 1, epochs=1)
    assert list(study.history.trials[0].folds[1].epochs) == [1]


def test_a_new_session_forgets_how_the_last_one_ended(study):
    study.session()
    study.add(SessionEnded, reason="timeout")
    assert study.history.last_end.reason == "timeout"
    study.session()
    assert study.history.last_end is None


def test_an_empty_history_does_not_know_the_study():
    with pytest.raises(ValueError, match="StudyStarted"):
        History().known_study()


def test_times_never_go_back_where_the_clock_was_set_back(study):
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    before = study.history.trials[0].folds[1].ended.at
    study.set_clock_back(3600)
    study.fold(0, 2)
    fold = study.history.trials[0].folds[2]
    assert before < fold.started.at < fold.epochs[1].at < fold.ended.at


def test_a_batch_size_is_halved_once_when_memory_did_not_suffice(study):
    study.start_trial(0)
    for cause in ("lost", "memory", "memory"):
        study.add(AttemptFailed, trial=0, cause=cause, reason="it broke off")
    trial = study.history.trials[0]
    assert trial.started.parameters["batch_size"] == 32
    assert trial.setting == {**trial.started.parameters, "batch_size": 16}
