"""What tests of executors share: a small study, and what every executor must do."""

from pathlib import Path

import pytest

from search.data import load
from search.data.folds import make_folds
from search.executors import Executor
from search.executors.protocol import GO_ON, HALT, TrialTask, Verdict, Work
from search.tasks.classification import Predictions
from spaces import get_space
from tracking.home import Home, StudyFolder
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldStarted,
    Notice,
    Record,
    TrialConfirmed,
    TrialEnded,
)

SETTING = {
    **get_space("lenet").complete({"extra_conv": False}),
    "epochs": 2,
    "batch_size": 64,
}
BOTH = (1, 2)


def shorten(path: Path) -> None:
    """Leave out the last sample's predictions."""
    whole = Predictions.load(path)
    arrays = (whole.labels, whole.predicted, whole.confidence, whole.truth)
    Predictions(*(array[:-1] for array in arrays)).save(path)


def make_study(root: Path) -> tuple[Work, StudyFolder]:
    """Prepare a study of 200 digits in two folds."""
    home = Home(root)
    dataset = load("digits", home=home.root)
    folder = home.study("toy")
    folder.root.mkdir(parents=True)
    folds = make_folds(dataset.train_labels, folds=2, seed=0, limit_samples=200)
    folds.save(folder.folds)
    further = make_folds(dataset.train_labels, folds=2, seed=1, limit_samples=200)
    further.save(folder.further_folds)
    work = Work(
        space="lenet",
        dataset=str(dataset.folder),
        folder=str(folder.root),
        declarations=str(folder.root.parent),
        seed=0,
        precision="float32",
        objectives=("macro_f1", "latency_ms"),
    )
    return work, folder


class Recorder:
    """Keeps records; answers with `verdict` to records of type `on`, else to go on."""

    def __init__(self, verdict: Verdict = GO_ON, on: type[Record] = Record) -> None:
        self.records: list[Record] = []
        self._verdict = verdict
        self._on = on

    def __call__(self, record: Record) -> Verdict:
        self.records.append(record)
        return self._verdict if isinstance(record, self._on) else GO_ON

    def of(self, kind: type[Record]) -> list[Record]:
        return [record for record in self.records if isinstance(record, kind)]


def evaluate(executor: Executor, recorder: Recorder, trial: int = 0, **changes: object) -> None:
    executor.submit(TrialTask(trial=trial, parameters=SETTING | changes, folds=BOTH))
    assert executor.wait(recorder) == trial


class TestExecutorContract:
    """What every executor must do; each test trains a small LeNet for real."""

    def test_reports_folds_epochs_and_the_outcome_in_order(self, executor, study):
        recorder = Recorder()
        evaluate(executor, recorder)
        fold = [FoldStarted, EpochEnded, EpochEnded, FoldEnded]
        assert [type(record) for record in recorder.records] == [*fold, *fold, TrialEnded]
        outcome = recorder.records[-1]
        assert outcome.state == "complete"
        assert outcome.model_parameters == 504_342
        assert outcome.epochs_trained == 4
        assert sum(map(sum, outcome.confusion)) == 200
        accuracies = [record.accuracy for record in recorder.of(FoldEnded)]
        assert outcome.scores["cv_accuracy"] == pytest.approx(sum(accuracies) / 2)
        assert outcome.value == outcome.scores["macro_f1"]
        assert 0.0 < outcome.scores["latency_ms"] < 1000.0
        last_epochs = [record.metrics for record in recorder.of(EpochEnded) if record.epoch == 2]
        assert [metrics["val_accuracy"] for metrics in last_epochs] == accuracies
        f1 = [record.macro_f1 for record in recorder.of(FoldEnded)]
        assert [metrics["val_macro_f1"] for metrics in last_epochs] == f1
        _, folder = study
        assert all(
            (folder.root / record.predictions).is_file() for record in recorder.of(FoldEnded)
        )

    def test_the_same_trial_gives_the_same_scores_whatever_ran_before(self, executor):
        first, other, again = Recorder(), Recorder(), Recorder()
        evaluate(executor, first, 0)
        evaluate(executor, other, 1, conv_1_filters=48, dropout=0.5)
        evaluate(executor, again, 2)
        metrics = [record.metrics for record in first.of(EpochEnded)]
        assert metrics == [record.metrics for record in again.of(EpochEnded)]
        assert metrics != [record.metrics for record in other.of(EpochEnded)]

    def test_finished_folds_are_not_trained_again_and_count(self, executor):
        whole, rest = Recorder(), Recorder()
        evaluate(executor, whole)
        finished = whole.of(FoldEnded)[0]
        executor.submit(TrialTask(trial=0, parameters=SETTING, folds=BOTH, finished=(finished,)))
        executor.wait(rest)
        assert {record.fold for record in rest.of(FoldStarted)} == {2}
        ours, theirs = rest.records[-1], whole.records[-1]
        assert (ours.value, ours.confusion) == (theirs.value, theirs.confusion)
        assert ours.epochs_trained == theirs.epochs_trained

    def test_finished_folds_without_whole_predictions_are_trained_again(self, executor, study):
        _, folder = study
        whole, rest = Recorder(), Recorder()
        evaluate(executor, whole)
        finished = tuple(whole.of(FoldEnded))
        shorten(folder.root / finished[0].predictions)
        executor.submit(TrialTask(trial=0, parameters=SETTING, folds=BOTH, finished=finished))
        executor.wait(rest)
        [notice] = rest.of(Notice)
        assert "trial 0, fold 1 is trained again: the predictions in" in notice.text
        assert {record.fold for record in rest.of(FoldStarted)} == {1}
        ours, theirs = rest.records[-1], whole.records[-1]
        assert (ours.value, ours.confusion) == (theirs.value, theirs.confusion)

    def test_a_trial_told_to_stop_after_a_fold_is_pruned_with_the_reason(self, executor):
        recorder = Recorder(Verdict(stop=True, reason="it is weak"), on=FoldEnded)
        evaluate(executor, recorder)
        outcome = recorder.records[-1]
        assert (outcome.state, outcome.reason) == ("pruned", "it is weak")
        assert outcome.value == recorder.of(FoldEnded)[0].macro_f1
        assert outcome.scores == {}

    def test_a_trial_told_to_stop_after_an_epoch_is_pruned_there(self, executor):
        recorder = Recorder(Verdict(stop=True, reason="it is weak"), on=EpochEnded)
        evaluate(executor, recorder)
        assert [type(r) for r in recorder.records] == [FoldStarted, EpochEnded, TrialEnded]
        outcome = recorder.records[-1]
        assert (outcome.state, outcome.value, outcome.epochs_trained) == ("pruned", None, 1)
        assert outcome.train_seconds > 0

    def test_a_task_of_some_folds_leaves_the_trial_open(self, executor):
        first, rest = Recorder(), Recorder()
        executor.submit(TrialTask(trial=0, parameters=SETTING, folds=(1,)))
        assert executor.wait(first) == 0
        assert [type(record) for record in first.records[-1:]] == [FoldEnded]
        finished = tuple(first.of(FoldEnded))
        executor.submit(TrialTask(trial=0, parameters=SETTING, folds=BOTH, finished=finished))
        executor.wait(rest)
        assert {record.fold for record in rest.of(FoldStarted)} == {2}
        assert rest.records[-1].state == "complete"

    def test_further_folds_confirm_a_trial_and_do_not_end_it_again(self, executor):
        recorder = Recorder()
        executor.submit(TrialTask(trial=0, parameters=SETTING, folds=(3, 4), confirms=True))
        executor.wait(recorder)
        assert [record.fold for record in recorder.of(FoldEnded)] == [3, 4]
        assert not recorder.of(TrialEnded)
        confirmed = recorder.records[-1]
        assert isinstance(confirmed, TrialConfirmed)
        accuracies = [record.accuracy for record in recorder.of(FoldEnded)]
        assert confirmed.scores["cv_accuracy"] == pytest.approx(sum(accuracies) / 2)
        assert not confirmed.error

    def test_a_confirmation_that_fails_says_so_and_spares_the_trial(self, executor):
        recorder = Recorder()
        bad = SETTING | {"conv_1_filters": -3}
        executor.submit(TrialTask(trial=0, parameters=bad, folds=(3, 4), confirms=True))
        executor.wait(recorder)
        assert not recorder.of(TrialEnded)
        assert "Traceback" in recorder.records[-1].error
        assert recorder.records[-1].scores == {}

    def test_a_trial_told_to_halt_ends_without_an_outcome(self, executor):
        recorder = Recorder(HALT, on=EpochEnded)
        evaluate(executor, recorder)
        assert [type(record) for record in recorder.records] == [FoldStarted, EpochEnded]
        evaluate(executor, Recorder())  # and the executor is good for the next one

    def test_a_setting_that_cannot_be_built_fails_with_its_traceback(self, executor):
        recorder = Recorder()
        evaluate(executor, recorder, conv_1_filters=-3)
        outcome = recorder.records[-1]
        assert outcome.state == "failed"
        assert outcome.value is None
        assert "Traceback" in outcome.error
        assert "build" in outcome.error
        evaluate(executor, Recorder(), 1)

    def test_a_diverging_trial_fails_and_names_the_epoch(self, executor):
        recorder = Recorder()
        evaluate(executor, recorder, learning_rate=float("inf"))
        outcome = recorder.records[-1]
        assert outcome.state == "failed"
        assert "in epoch 1 of fold 1" in outcome.reason
        assert "learning_rate=inf" in outcome.error

    def test_an_error_that_no_file_takes_is_told_all_the_same(self, executor):
        recorder = Recorder()
        evaluate(executor, recorder, optimizer="\ud800" * 100_000)
        outcome = recorder.records[-1]
        assert outcome.state == "failed"
        assert len(outcome.reason) < 600
        assert (outcome.reason + outcome.error).encode()

    def test_a_model_too_large_for_the_memory_breaks_off_the_task(self, executor):
        recorder = Recorder()
        evaluate(executor, recorder, conv_1_filters=10**11)
        failure = recorder.records[-1]
        assert (type(failure), failure.cause) == (AttemptFailed, "memory")
        assert "Traceback" in failure.error
        evaluate(executor, Recorder(), 1)  # and the executor is good for the next one

    def test_a_full_disk_breaks_off_the_task(self, executor, study, small_disk):
        _, folder = study
        disk = small_disk(4)
        (folder.root / "predictions").symlink_to(disk)
        (disk / "filling").write_bytes(b"-" * 4096)
        recorder = Recorder()
        evaluate(executor, recorder)
        failure = recorder.records[-1]
        assert (type(failure), failure.cause) == (AttemptFailed, "disk")
        assert "No space left" in failure.reason
