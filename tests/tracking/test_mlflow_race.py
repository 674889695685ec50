import pytest

from tracking.mlflow.views import BEST, TAG_PREFIX, decode_view
from tracking.records import EpochEnded, FoldPaused, FoldStarted, SessionEnded, TrialConfirmed

pytestmark = pytest.mark.slow  # each shows a whole study to a real store


@pytest.fixture
def race(new_study):
    return new_study(folds=3).race()


@pytest.fixture
def confirmed(new_study):
    """A study whose best trial is not the best on confirmation folds."""
    study = new_study()
    study.session()
    study.complete_trial(0, level=0.80)
    study.complete_trial(1, level=0.85)
    study.confirm_trial(1, level=0.78)
    study.confirm_trial(0, level=0.79)
    return study


@pytest.fixture
def two(new_study):
    """Trial 2 beats trial 0 in both objectives, trial 1 is small."""
    study = new_study(objective="cv_accuracy,model_parameters")
    study.session()
    study.complete_trial(0, level=0.80, model_parameters=9000)
    study.complete_trial(1, level=0.70, model_parameters=10)
    study.complete_trial(2, level=0.85, model_parameters=8000)
    return study


def tags(tracked, trial):
    return tracked.run("trial", trial).data.tags


@pytest.mark.parametrize("name", ["race", "confirmed", "two"])
def test_records_applied_twice_or_by_another_process_are_as_applied_once(
    name, tracked, apply_all, request
):
    study = request.getfixturevalue(name)
    sink = tracked.sink()
    apply_all(sink, study.records)
    once = tracked.dump()
    apply_all(sink, study.records)
    assert tracked.dump() == once
    for cut in range(5, len(study.records), 11):
        apply_all(tracked.sink(), study.records[:cut])
    apply_all(tracked.sink(), study.records)
    assert tracked.dump() == once


def test_a_trial_pruned_in_its_first_fold_has_its_epochs_and_no_picture(race, shown_as):
    tracked = shown_as(race.records)
    run = tracked.run("trial", 2)
    assert [step for step, _, _ in tracked.history(run, "val_accuracy")] == [1, 2]
    told = run.data.tags
    assert (told["search.state"], run.info.status) == ("pruned", "KILLED")
    assert (told["search.stopped_fold"], told["search.stopped_epoch"]) == ("1", "2")
    assert "better half" in told["search.reason"]
    assert "cv_accuracy" not in run.data.metrics
    files = tracked.files(run)
    assert "curves.png" not in files
    assert "confusion_matrix.png" not in files


def test_a_trial_that_waits_is_shown_as_waiting(race, shown_as):
    tracked = shown_as(race.records)
    states = [tags(tracked, trial)["search.state"] for trial in range(6)]
    assert states == ["complete", "complete", "pruned", "pruned", "waiting", "running"]
    assert tracked.run("trial", 4).info.status == "SCHEDULED"


@pytest.fixture
def pausing(new_study):
    """A trial that pauses twice, is killed as it goes on, and goes on; and one that waits.

    Of the second a fold was trained ahead, and given up.
    """
    study = new_study(folds=2, epochs=6)
    study.session()
    study.start_trial(0)
    study.piece(0, 1, until=2)
    study.start_trial(1)
    study.piece(1, 1, until=2)
    study.piece(0, 1, kept=2, until=4)
    study.piece(0, 1, kept=4, until=5, pauses=False)
    study.session()
    study.piece(0, 1, kept=4, until=6)
    study.piece(1, 2, until=3, pauses=False)
    study.add(FoldPaused, trial=1, fold=2, epoch=0, seconds=2.0)
    study.fold(0, 2)
    study.end_trial(0, "complete")
    return study


def steps(tracked, trial, fold, name="val_loss"):
    return [step for step, _, _ in tracked.history(tracked.run("fold", trial, fold), name)]


def test_a_fold_that_pauses_has_one_run_whose_curve_has_no_gap_and_no_epoch_twice(
    pausing, tracked, apply_all
):
    apply_all(tracked.sink(), pausing.records)
    assert steps(tracked, 0, 1) == [1, 2, 3, 4, 5, 6]
    assert steps(tracked, 1, 1) == [1, 2]
    assert steps(tracked, 1, 2) == []
    once = tracked.dump()
    for cut in range(3, len(pausing.records), 5):
        apply_all(tracked.sink(), pausing.records[:cut])
    apply_all(tracked.sink(), pausing.records)
    assert tracked.dump() == once


def seconds(run):
    return (run.info.end_time - run.info.start_time) / 1000


def test_a_fold_that_has_paused_is_shown_as_waiting_and_lasts_as_long_as_it_was_trained(
    pausing, shown_as
):
    tracked = shown_as(pausing.records)
    waiting = tracked.run("fold", 1, 1)
    assert (waiting.data.tags["search.state"], waiting.info.status) == ("waiting", "SCHEDULED")
    assert seconds(waiting) == 3.0
    over = tracked.run("fold", 0, 1)
    assert (over.data.tags["search.state"], over.info.status) == ("complete", "FINISHED")
    assert seconds(over) == 3.0  # since it went on after it was killed


def test_who_waited_when_the_session_ended_waits_in_the_next(tracked, race, apply_all):
    race.add(SessionEnded, reason="interrupted")
    apply_all(tracked.sink(), race.records)
    assert tags(tracked, 4)["search.state"] == "interrupted"
    race.session()
    race.fold(5, 2)
    apply_all(tracked.sink(), race.records)
    run = tracked.run("trial", 4)
    assert (run.data.tags["search.state"], run.info.status) == ("waiting", "SCHEDULED")
    assert tags(tracked, 5)["search.state"] == "running"


def test_the_curve_of_the_best_has_a_step_for_every_trial_that_is_over(race, shown_as):
    tracked = shown_as(race.records)
    best = tracked.history(tracked.run("study"), "best_cv_accuracy")
    assert [(step, value) for step, _, value in best] == [(0, 0.80), (3, 0.81)]


def test_a_confirmed_trial_has_scores_by_names_of_their_own(confirmed, shown_as):
    tracked = shown_as(confirmed.records)
    run = tracked.run("trial", 1)
    metrics = run.data.metrics
    assert (metrics["cv_accuracy"], metrics["confirmed_accuracy"]) == (0.85, 0.78)
    assert metrics["confirmed_accuracy_std"] == 0.004
    assert {"confirmed_loss", "confirmed_macro_f1"} <= set(metrics)
    assert run.data.tags["search.confirmation_folds"] == "4"
    assert len(tracked.history(run, "val_loss")) == 3  # not of the confirmation folds


def test_folds_that_confirm_are_children_of_another_name(confirmed, shown_as):
    tracked = shown_as(confirmed.records)
    fold = tracked.run("fold", 1, 3)
    assert fold.info.run_name == "confirmation fold 3 of trial 1 · lenet-digits"
    assert fold.data.tags["search.confirmation"] == "true"
    assert fold.data.tags["mlflow.parentRunId"] == tracked.run("trial", 1).info.run_id
    assert "search.confirmation" not in tracked.run("fold", 1, 2).data.tags


def test_the_best_is_the_one_that_proved_itself(tracked, confirmed, apply_all):
    apply_all(tracked.sink(), confirmed.records[:-9])  # before trial 0 was confirmed
    assert tags(tracked, 1)["search.best"] == "true"
    apply_all(tracked.sink(), confirmed.records)
    assert [tags(tracked, n)["search.best"] for n in (0, 1)] == ["true", "false"]
    assert tracked.run("study").data.tags["search.best_trial"] == "0"


def test_the_table_gets_a_column_once_a_trial_was_confirmed(tracked, confirmed, apply_all):
    def columns():
        _, state = decode_view(tracked.experiment().tags[TAG_PREFIX + BEST])
        return state["selectedColumns"]

    apply_all(tracked.sink(), confirmed.records[:5])
    assert "metrics.`confirmed_accuracy`" not in columns()
    apply_all(tracked.sink(), confirmed.records)
    assert columns()[2] == "metrics.`confirmed_accuracy`"


def test_a_confirmation_that_failed_says_why_and_leaves_the_trial_as_it_was(
    tracked, study, apply_all
):
    study.session()
    study.complete_trial(0)
    study.add(FoldStarted, trial=0, fold=3)
    study.add(EpochEnded, trial=0, fold=3, epoch=1, metrics={"loss": 1.0})
    study.add(TrialConfirmed, trial=0, repeats=2, error="Traceback ...\nMemoryError")
    apply_all(tracked.sink(), study.records)
    run = tracked.run("trial", 0)
    assert run.info.status == "FINISHED"
    assert (run.data.tags["search.state"], run.data.tags["search.best"]) == ("complete", "true")
    assert run.data.tags["search.confirmation"] == "failed"
    assert tracked.files(run)["confirmation_error.txt"].endswith(b"MemoryError")
    assert tracked.run("fold", 0, 3).info.status == "FAILED"


def test_a_confirmation_that_was_interrupted_ends_with_its_session(tracked, study, apply_all):
    study.session()
    study.complete_trial(0)
    study.add(FoldStarted, trial=0, fold=3)
    study.add(SessionEnded, reason="interrupted")
    apply_all(tracked.sink(), study.records)
    assert tracked.run("fold", 0, 3).data.tags["search.state"] == "interrupted"
    assert tags(tracked, 0)["search.state"] == "complete"


def test_a_newer_trial_takes_an_older_one_off_the_front(tracked, two, apply_all):
    two.records, last = two.records[:-11], two.records[-11:]
    apply_all(tracked.sink(), two.records)
    assert [tags(tracked, n)["search.front"] for n in (0, 1)] == ["true", "true"]
    two.records += last
    apply_all(tracked.sink(), two.records)
    assert [tags(tracked, n)["search.front"] for n in range(3)] == ["false", "true", "true"]


def test_one_objective_has_no_front(confirmed, shown_as):
    tracked = shown_as(confirmed.records)
    assert "search.front" not in tags(tracked, 0)


def test_a_smallest_loss_is_the_best(tracked, new_study, apply_all):
    study = new_study(objective="cv_loss,latency_ms")
    study.session()
    study.complete_trial(0, level=0.80)
    study.complete_trial(1, level=0.85)
    apply_all(tracked.sink(), study.records)
    assert [tags(tracked, n)["search.best"] for n in (0, 1)] == ["false", "true"]
    best = tracked.history(tracked.run("study"), "best_cv_loss")
    assert [value for _, _, value in best] == pytest.approx([0.5, 0.45])
    assert tracked.run("trial", 1).data.metrics["latency_ms"] == 2.5
