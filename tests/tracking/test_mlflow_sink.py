import json
import threading

import pytest

from tracking.mlflow.sink import find_experiment
from tracking.mlflow.views import BEST, COMPARE, TAG_PREFIX
from tracking.plots import trial_colour
from tracking.records import EpochEnded, FoldStarted, SessionEnded

pytestmark = pytest.mark.slow  # each shows a whole study to a real store


@pytest.fixture
def shown(study, shown_as):
    return shown_as(study.every_kind_of_trial().records)


def test_every_record_applied_twice_is_as_applied_once(shown, study, apply_all):
    once = shown.dump()
    apply_all(shown.sink(), study.records)  # another process, from the start
    assert shown.dump() == once
    sink = shown.sink()
    apply_all(sink, study.records)
    apply_all(sink, study.records)  # and the same process
    assert shown.dump() == once


def test_a_process_may_take_over_at_any_record(shown, study, apply_all):
    whole = shown.dump()
    for cut in range(3, len(study.records), 7):
        apply_all(shown.sink(), study.records[:cut])
    apply_all(shown.sink(), study.records)
    assert shown.dump() == whole


def test_a_trial_has_its_parameters_its_mean_curves_and_its_scores(shown, study):
    run = shown.run("trial", 1)
    parameters = study.history.trials[1].started.parameters
    assert run.data.params == {name: str(value) for name, value in parameters.items()}
    curve = study.history.trials[1].mean_curves()
    values = [value for _, _, value in shown.history(run, "val_loss")]
    assert values == [row["val_loss"] for row in curve]
    assert [step for step, _, _ in shown.history(run, "loss")] == [1, 2, 3]
    expected = {"cv_accuracy": 0.85, "train_seconds": 6.0, "model_parameters": 504342}
    assert expected.items() <= run.data.metrics.items()


def test_a_trial_has_its_pictures_and_reports(shown):
    files = shown.files(shown.run("trial", 1))
    assert files["confusion_matrix.png"].startswith(b"\x89PNG")
    assert files["curves.png"].startswith(b"\x89PNG")
    assert json.loads(files["confusion_matrix.json"])["matrix"] == [
        [28, 2, 0],
        [1, 29, 0],
        [0, 5, 25],
    ]
    assert json.loads(files["classification_report.json"]) == {"accuracy": 0.85}
    assert files["model_summary.txt"] == b"Model: lenet"
    assert "error.txt" not in files


def test_names_and_states_tell_trials_apart(shown):
    trials = shown.runs(query="tags.`search.kind` = 'trial'")
    told = [(r.info.run_name, r.data.tags["search.state"], r.info.status) for r in trials]
    assert told == [
        ("trial 0 (lenet5) · lenet-digits", "complete", "FINISHED"),
        ("trial 1 · lenet-digits", "complete", "FINISHED"),
        ("trial 2 · lenet-digits", "pruned", "KILLED"),
        ("trial 3 · lenet-digits", "failed", "FAILED"),
        ("trial 4 · lenet-digits", "running", "RUNNING"),
    ]


def test_only_complete_trials_have_a_score(shown):
    scored = shown.runs(query="metrics.cv_accuracy > 0")
    assert [run.data.tags["search.trial"] for run in scored] == ["0", "1"]


def test_pruned_and_failed_trials_say_why(shown):
    assert "below the median" in shown.run("trial", 2).data.tags["search.reason"]
    failed = shown.run("trial", 3)
    assert "out of memory" in failed.data.tags["mlflow.note.content"]
    assert shown.files(failed)["error.txt"].endswith(b"MemoryError")
    assert len(shown.history(shown.run("trial", 2), "val_accuracy")) == 2


def seconds(run):
    return (run.info.end_time - run.info.start_time) / 1000


def test_a_run_starts_when_its_trial_did_and_lasts_as_long_as_that_was_trained(shown, study):
    trial = study.history.trials[0]
    run = shown.run("trial", 0)
    assert run.info.start_time == round(trial.started.at * 1000)
    assert seconds(run) == trial.ended.train_seconds == 6.0
    assert trial.ended.at - trial.started.at > 6.0


def test_neither_an_interruption_nor_waiting_counts_as_training(tracked, study, apply_all):
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    study.fold(0, 2, epochs=2)
    study.set_clock_back(-50)
    study.add(SessionEnded, reason="interrupted")
    apply_all(tracked.sink(), study.records)
    trial, fold = tracked.run("trial", 0), tracked.run("fold", 0, 2)
    assert [run.info.status for run in (trial, fold)] == ["SCHEDULED"] * 2
    assert (seconds(trial), seconds(fold)) == (5.0, 2.0)
    study.set_clock_back(-1000)
    study.session()
    study.fold(0, 2)
    study.end_trial(0, "complete")
    study.add(SessionEnded, reason="complete")
    apply_all(tracked.sink(), study.records)
    assert (seconds(tracked.run("trial", 0)), tracked.run("trial", 0).info.status) == (
        6.0,
        "FINISHED",
    )
    assert 60 < seconds(tracked.run("study")) < 100  # its two sessions


def test_what_an_earlier_version_has_shown_is_brought_up_to_date(shown, study, apply_all):
    whole = shown.dump()
    for run in shown.runs():
        kind = run.data.tags["search.kind"]
        shown.client.update_run(run.info.run_id, name=f"old {kind}")
        if kind == "trial":
            shown.client.set_tag(run.info.run_id, "mlflow.runColor", "#000000")
            if run.data.tags["search.state"] == "pruned":
                shown.client.set_terminated(run.info.run_id, "FINISHED", run.info.end_time + 9)
    shown.client.set_experiment_tag(shown.experiment().experiment_id, TAG_PREFIX + BEST, "{}")
    apply_all(shown.sink(), study.records)
    assert shown.dump() == whole


def test_trials_have_the_colours_of_other_pictures(shown):
    for number in range(5):
        run = shown.run("trial", number)
        assert run.data.tags["mlflow.runColor"] == trial_colour(number)


def test_no_two_of_forty_trials_share_a_colour():
    assert len({trial_colour(number) for number in range(40)}) == 40


def test_a_study_named_otherwise_than_its_space_has_runs_named_for_both(
    tracked, new_study, apply_all
):
    study = new_study("first")
    study.session()
    study.start_trial(0)
    apply_all(tracked.sink(), study.records)
    names = {run.info.run_name for run in tracked.runs("first")}
    assert names == {"study · first (lenet)", "trial 0 · first (lenet)"}


def test_the_machines_load_is_logged_to_the_studys_run_while_a_session_goes_on(
    tracked, study, apply_all, monkeypatch
):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")
    study.session()
    sink = tracked.sink(system_metrics=True)
    apply_all(sink, study.records)
    name = "system/cpu_utilization_percentage"
    while name not in tracked.run("study").data.metrics:
        pass
    study.add(SessionEnded, reason="complete")
    sink.apply(study.records[-1], study.history)
    assert tracked.run("study").info.status == "FINISHED"
    logged = len(tracked.history(tracked.run("study"), name))
    assert "LoadMonitor" not in {thread.name for thread in threading.enumerate()}
    again = tracked.sink()  # as `sync` does
    apply_all(again, study.records)
    again.close()
    assert len(tracked.history(tracked.run("study"), name)) == logged


def test_a_load_that_cannot_be_measured_is_given_up_without_a_word(monkeypatch):
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor

    from tracking.mlflow.system_metrics import LoadMonitor

    def broken(_):
        raise OSError("the disk is gone")

    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")
    monkeypatch.setattr(DiskMonitor, "collect_metrics", broken)
    faults = []
    monkeypatch.setattr(threading, "excepthook", faults.append)
    monitor = LoadMonitor(None, "run", 0.0)
    while not monitor.is_over:
        pass
    assert faults == []


def test_folds_are_children_with_their_own_curves_and_score(shown):
    parent, fold = shown.run("trial", 1), shown.run("fold", 1, 2)
    assert fold.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert fold.info.run_name == "fold 2 of trial 1 · lenet-digits"
    assert len(shown.history(fold, "loss")) == 3
    assert fold.data.metrics["fold_accuracy"] == pytest.approx(0.852)


def test_folds_that_were_cut_short_end_with_their_trial(shown):
    assert shown.run("fold", 2, 1).data.tags["search.state"] == "pruned"
    assert shown.run("fold", 3, 1).info.status == "FAILED"
    assert shown.run("fold", 4, 1).info.status == "RUNNING"


def test_epochs_appear_while_a_fold_trains(tracked, study, apply_all):
    study.session()
    study.start_trial(0)
    study.fold(0, 1, epochs=2)
    apply_all(tracked.sink(), study.records)
    fold = tracked.run("fold", 0, 1)
    assert fold.info.status == "RUNNING"
    assert [step for step, _, _ in tracked.history(fold, "val_accuracy")] == [1, 2]


def test_a_fold_that_starts_again_shows_only_its_second_try(tracked, study, apply_all):
    study.session()
    study.start_trial(0)
    study.fold(0, 1, epochs=2)
    study.session()
    study.fold(0, 1)
    apply_all(tracked.sink(), study.records)
    apply_all(tracked.sink(), study.records)
    fold = tracked.run("fold", 0, 1)
    assert [step for step, _, _ in tracked.history(fold, "loss")] == [1, 2, 3]
    assert fold.info.status == "FINISHED"


def test_values_that_are_not_finite_are_shown_as_not_a_number(tracked, study, apply_all):
    study.session()
    study.start_trial(0)
    study.add(FoldStarted, trial=0, fold=1)
    metrics = {"loss": float("inf"), "val_loss": float("nan"), "accuracy": 0.1}
    study.add(EpochEnded, trial=0, fold=1, epoch=1, metrics=metrics)
    apply_all(tracked.sink(), study.records)
    latest = tracked.run("fold", 0, 1).data.metrics
    assert latest["accuracy"] == 0.1
    assert str(latest["loss"]) == str(latest["val_loss"]) == "nan"


def test_the_dataset_is_every_trials_input(shown):
    [entry] = shown.run("trial", 2).inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("digits", "abababababab")


def test_the_study_run_follows_the_best_score(shown):
    run = shown.run("study")
    best = shown.history(run, "best_cv_accuracy")
    assert [(step, value) for step, _, value in best] == [(0, 0.80), (1, 0.85)]
    assert run.data.tags["search.best_trial"] == "1"
    assert run.data.params == {"seed": "0", "epochs": "3", "sampler": "tpe"}
    marks = [shown.run("trial", n).data.tags["search.best"] for n in (0, 1)]
    assert marks == ["false", "true"]


def test_all_complete_trials_but_the_best_are_marked_as_not_the_best(shown, study, apply_all):
    study.complete_trial(5, level=0.82)
    apply_all(shown.sink(), study.records)
    marks = [shown.run("trial", n).data.tags.get("search.best") for n in (0, 1, 2, 5)]
    assert marks == ["false", "true", None, "false"]


def test_the_study_run_tells_how_its_last_session_stands(shown, study, apply_all):
    assert shown.run("study").info.status == "RUNNING"
    study.add(SessionEnded, reason="complete")
    apply_all(shown.sink(), study.records)
    assert shown.run("study").info.status == "FINISHED"


def test_every_run_tells_space_driver_and_versions(shown):
    for run in shown.runs():
        assert run.data.tags["search.space"] == "lenet"
        assert run.data.tags["search.driver"] == "optuna"
        assert json.loads(run.data.tags["search.versions"]) == {"keras": "3.15.1"}
        assert run.data.tags["mlflow.source.git.commit"] == "f" * 40
        assert run.data.tags["search.git_dirty"] == "True"


def test_the_experiment_describes_the_study_and_holds_its_views(shown):
    tags = shown.experiment().tags
    assert "Best so far: trial 1" in tags["mlflow.note.content"]
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert {TAG_PREFIX + BEST, TAG_PREFIX + COMPARE} <= set(tags)


def test_a_studys_experiment_is_found_by_its_id_whatever_its_name(shown, new_study, apply_all):
    apply_all(shown.sink(), new_study(study_id="f" * 32).records)
    second = shown.experiment("lenet-digits-ffffffff").experiment_id
    assert find_experiment(shown.uri, "f" * 32) == second
    assert find_experiment(shown.uri, "0" * 32) is None


def test_artifacts_lie_in_the_studys_own_folder(shown):
    location = shown.experiment().artifact_location
    assert location == (shown.folder / "artifacts" / "lenet-digits").as_uri()


@pytest.mark.parametrize("name", ["a/b c#1", "größe: 50 %", "../out"])
def test_any_name_of_a_study_will_do(tracked, new_study, apply_all, name):
    apply_all(tracked.sink(), new_study(name).every_kind_of_trial().records)
    [run] = tracked.runs(name, "tags.`search.trial` = '0' AND tags.`search.kind` = 'trial'")
    assert "curves.png" in tracked.files(run)
    folders = list((tracked.folder / "artifacts").iterdir())
    assert [len(list(folder.glob("*/artifacts/curves.png"))) > 0 for folder in folders] == [True]


def test_a_name_that_another_study_has_gets_the_studys_id(shown, new_study, apply_all):
    apply_all(shown.sink(), new_study(study_id="f" * 32).records)
    assert shown.experiment("lenet-digits-ffffffff").tags["search.study_id"] == "f" * 32
    assert len(shown.runs("lenet-digits-ffffffff")) == 1


def test_an_experiment_deleted_while_the_study_runs_comes_back(shown, study, apply_all):
    shown.client.delete_experiment(shown.experiment().experiment_id)
    history = study.history
    shown.sink().apply(study.records[-1], history)
    name = "lenet-digits-01234567"
    assert shown.experiment(name).lifecycle_stage == "active"
    told = {run.info.run_name for run in shown.runs(name)}
    assert told == {f"{what} · lenet-digits" for what in ("study", "trial 4", "fold 1 of trial 4")}


def test_a_deleted_run_comes_back_with_its_next_record(shown, study):
    shown.client.delete_run(shown.run("trial", 4).info.run_id)
    study.fold(4, 2, epochs=1)
    shown.sink().apply(study.records[-1], study.history)
    assert shown.run("trial", 4).data.params["filters"] == "36"


def test_more_values_than_one_request_takes_are_split(tracked, study, apply_all):
    study.session()
    study.start_trial(0)
    study.fold(0, 1, epochs=600)  # 2,400 values
    sink = tracked.sink()
    apply_all(sink, study.records[:3])
    sink.apply(study.records[-1], study.history)
    assert len(tracked.history(tracked.run("fold", 0, 1), "loss")) == 600


def test_what_depends_on_all_trials_is_left_to_the_last_of_many_records(shown, study):
    before = shown.experiment().tags["mlflow.note.content"]
    study.complete_trial(5, level=0.95)
    sink, history = shown.sink(), study.history
    sink.apply(study.records[-1], history, more=True)
    assert shown.experiment().tags["mlflow.note.content"] == before
    assert "search.best" not in shown.run("trial", 5).data.tags
    study.start_trial(6)
    sink.apply(history.add(study.records[-1]), history)
    assert "trial 5" in shown.experiment().tags["mlflow.note.content"]
    assert shown.run("trial", 5).data.tags["search.best"] == "true"
    assert shown.run("trial", 1).data.tags["search.best"] == "false"


def test_a_later_sink_tells_what_an_earlier_one_left_to_its_last_record(shown, study):
    study.complete_trial(5, level=0.95)
    shown.sink().apply(study.records[-1], study.history, more=True)
    study.start_trial(6)
    study.fold(6, 1, epochs=1)
    shown.sink().apply(study.records[-1], study.history)
    assert shown.run("trial", 5).data.tags["search.best"] == "true"


def test_a_study_that_goes_on_asks_once_for_all_trials_and_for_the_folds_of_open_ones(
    shown, study, monkeypatch
):
    from mlflow import MlflowClient

    asked = []
    search = MlflowClient.search_runs

    def counted(self, experiments, query, *arguments, **options):
        asked.append(query)
        return search(self, experiments, query, *arguments, **options)

    study.end_trial(4, "pruned")
    for trial in (5, 6, 7):
        study.start_trial(trial)
        study.fold(trial, 1, epochs=1)
    sink, history = shown.sink(), study.history
    monkeypatch.setattr(MlflowClient, "search_runs", counted)
    for record in study.records[-10:]:
        sink.apply(record, history)
    of_kinds = ["tags.`search.kind` = 'study'", "tags.`search.kind` = 'trial'"]
    assert sorted(asked) == [*of_kinds, "tags.`search.trial` = '4'"]
    assert sum(run.info.run_name.startswith("fold 1 of") for run in shown.runs()) == 8
