import pytest

from tests.studies import StudyBuilder
from tracking.history import History
from tracking.records import SessionStarted, TrialEnded
from tracking.states import TRANSITIONS, Event, TrialState, after, outcome

OPEN = [state for state in TrialState if not state.is_over]
OVER = [state for state in TrialState if state.is_over]


def states(study: StudyBuilder) -> list[list[str]]:
    """Return the states that each trial went through, the same ones in a row once."""
    seen: dict[int, list[str]] = {}
    history = History()
    for record in study.records:
        history.add(record)
        for number, trial in history.trials.items():
            known = seen.setdefault(number, [])
            if known[-1:] != [trial.state]:
                known.append(trial.state)
    return [known for _, known in sorted(seen.items())]


def test_a_trial_of_a_race_is_proposed_runs_waits_runs_again_and_ends(new_study):
    study = new_study(folds=5).race()
    assert states(study) == [
        ["proposed", "running", "complete"],
        ["proposed", "running", "waiting", "running", "complete"],
        ["proposed", "running", "pruned"],
        ["proposed", "running", "waiting", "running", "pruned"],
        ["proposed", "running", "waiting"],
        ["proposed", "running", "waiting", "running"],
    ]


def test_nobody_waits_where_trials_do_not_race(new_study):
    study = new_study(folds=2)
    study.records[0].settings["pruner"] = "median"
    study.start_trial(0)
    study.fold(0, 1)
    study.start_trial(1)
    assert states(study) == [["proposed", "running"], ["proposed"]]


def test_a_fold_that_confirms_leaves_a_trial_complete_and_a_lost_one_reopens_it(new_study):
    study = new_study(folds=2)
    study.complete_trial(0)
    study.confirm_trial(0)
    assert states(study) == [["proposed", "running", "complete"]]
    study.fold(0, 2)
    study.end_trial(0, "complete")
    assert states(study) == [["proposed", "running", "complete", "running", "complete"]]


def test_a_complete_trial_without_all_its_folds_is_running(new_study):
    study = new_study(folds=2)
    study.start_trial(0)
    study.fold(0, 1)
    study.end_trial(0, "complete")
    assert states(study) == [["proposed", "running"]]


def test_another_outcome_takes_the_place_of_the_first(new_study):
    study = new_study(folds=2)
    study.complete_trial(0)
    study.end_trial(0, "failed")
    assert states(study)[0][-1] == "failed"


def test_other_code_makes_what_is_open_begin_anew(new_study):
    study = new_study(folds=3)
    study.start_trial(0)
    study.fold(0, 1)
    study.start_trial(1)
    study.fold(1, 1)
    study.complete_trial(2)
    study.add(SessionStarted, trials=4, environment={}, accepted=["build differs"])
    found = study.history.trials
    assert [found[n].state for n in range(3)] == ["proposed", "proposed", "complete"]
    assert (found[0].folds, found[0].model) == ({}, {})


def test_every_outcome_that_is_recorded_has_its_state():
    for state in OVER:
        record = TrialEnded(at=0.0, trial=0, state=state.value, value=None)
        assert after(TrialState.RUNNING, outcome(record.state)) is state
    with pytest.raises(KeyError):
        outcome("running")


def test_only_a_reopened_trial_leaves_its_outcome_and_only_an_outcome_is_reopened():
    leaving = {(state, event) for state, event in TRANSITIONS if state.is_over}
    assert leaving == {(state, Event.REOPENED) for state in OVER}
    assert all(TRANSITIONS[pair] is TrialState.RUNNING for pair in leaving)


def test_every_open_state_may_come_to_any_outcome():
    for state in OPEN:
        for event in (Event.COMPLETED, Event.PRUNED, Event.FAILED):
            assert after(state, event).is_over


def test_a_proposed_trial_is_shown_as_running_and_others_as_they_are_called():
    assert {state.shown for state in TrialState} == {state.value for state in TrialState} - {
        "proposed"
    }
    assert TrialState.PROPOSED.shown == "running"
