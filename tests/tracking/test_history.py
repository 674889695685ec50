import pytest

from tests.studies import StudyBuilder
from tracking.history import History
from tracking.records import (
    AttemptFailed,
    FoldEnded,
    FoldStarted,
    SessionEnded,
    SessionStarted,
    TrialConfirmed,
    TrialReopened,
)


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
    assert trial.params == {**trial.started.parameters, "batch_size": 16}


# What damage took.


def without(records, kind, trial, fold):
    """Return the records without one."""
    return [r for r in records if not (type(r) is kind and (r.trial, r.fold) == (trial, fold))]


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_a_trial_that_lost_a_fold_is_not_complete(fold):
    study = StudyBuilder(folds=3)
    study.complete_trial(0, level=0.8)
    study.complete_trial(1, level=0.9)
    history = History.of(without(study.records, FoldEnded, 1, fold))
    trial = history.trials[1]
    assert (trial.state, trial.value, trial.score("cv_accuracy")) == ("running", None, None)
    assert (trial.reopened, trial.level) == (True, fold - 1)
    assert [t.number for t in history.completed()] == [t.number for t in history.finished()] == [0]
    assert (history.tally.over, history.tally.best) == (1, 0.8)
    assert trial.number not in history.tally.at_rest | history.tally.waiting


def test_a_trial_is_complete_again_once_its_lost_fold_is_trained():
    study = StudyBuilder(folds=3)
    study.complete_trial(0, level=0.9)
    study.records = without(study.records, FoldEnded, 0, 2)
    study.fold(0, 2, level=0.7)
    assert study.history.trials[0].state == "running"
    study.end_trial(0, "complete", level=0.85)
    trial, tally = study.history.trials[0], study.history.tally
    assert (trial.value, trial.reopened, tally.over, tally.best) == (0.85, False, 1, 0.85)


def test_a_fold_that_begins_again_reopens_a_complete_trial(study):
    study.complete_trial(0, level=0.9)
    study.complete_trial(1, level=0.8)
    study.add(FoldStarted, trial=0, fold=1)
    assert study.history.trials[0].reopened
    assert study.history.best().number == 1
    assert (study.history.tally.over, study.history.tally.best) == (1, 0.8)


def test_a_second_outcome_replaces_the_first(study):
    study.complete_trial(0, level=0.9)
    study.end_trial(0, "complete", level=0.6)
    tally = study.history.tally
    assert (study.history.trials[0].value, tally.over, tally.best) == (0.6, 1, 0.6)


def test_a_failed_trial_that_is_tried_once_more_runs_with_the_folds_it_has():
    study = StudyBuilder()
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    study.fold(0, 2, epochs=1)
    study.end_trial(0, "failed", reason="it broke off")
    assert study.history.tally.over == 1
    study.add(TrialReopened, trial=0)
    trial = study.history.trials[0]
    assert (trial.state, list(trial.finished_folds()), trial.reopened) == ("running", [1], False)
    assert trial.retried_at == study.records[-1].at
    assert study.history.tally.over == 0
    study.fold(0, 2)
    study.end_trial(0, "complete")
    assert study.history.trials[0].value is not None
    assert study.history.tally.over == 1


def test_a_failed_trial_of_other_code_begins_anew_when_it_is_tried_once_more():
    study = StudyBuilder()
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    study.end_trial(0, "failed", reason="it broke off")
    study.add(SessionStarted, trials=4, environment={}, accepted=["lenet.py has changed"])
    study.add(TrialReopened, trial=0)
    assert study.history.trials[0].folds == {}


@pytest.mark.parametrize("state", ["complete", "pruned"])
def test_only_failed_trials_are_tried_once_more(state):
    study = StudyBuilder()
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    study.fold(0, 2)
    study.end_trial(0, state)
    study.add(TrialReopened, trial=0)
    assert study.history.trials[0].state == state


def test_pruned_and_failed_trials_need_not_have_all_folds(study):
    history = study.every_kind_of_trial().history
    assert [history.trials[n].reopened for n in (2, 3)] == [False, False]


@pytest.mark.parametrize("fold", [3, 6])
def test_a_trial_that_lost_a_further_fold_is_not_confirmed(study, fold):
    study.complete_trial(0)
    study.confirm_trial(0)
    assert study.history.confirmed()
    history = History.of(without(study.records, FoldEnded, 0, fold))
    assert (history.confirmed(), history.trials[0].state) == ([], "complete")


def test_a_confirmation_that_failed_needs_no_folds(study):
    study.complete_trial(0)
    study.add(TrialConfirmed, trial=0, repeats=2, reason="it broke off", error="Traceback")
    assert study.history.trials[0].confirmed is not None


def test_a_further_fold_that_begins_again_takes_the_confirmation_back(study):
    study.complete_trial(0)
    study.confirm_trial(0)
    study.add(FoldStarted, trial=0, fold=4)
    assert study.history.trials[0].confirmed is None
    assert study.history.trials[0].state == "complete"
