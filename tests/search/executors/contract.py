"""What tests of executors share: a small study, and what every executor must do."""

from dataclasses import replace
from pathlib import Path

from search.data import load
from search.data.folds import Folds
from search.data.splits import make_folds
from search.executors import Executor
from search.executors.protocol import GO_ON, HALT, FoldTask, Verdict, Work
from search.tasks.classification import ClassPredictions, macro_f1
from spaces import get_space
from tracking.home import Home, StudyFolder
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    Record,
)

SETTING = {
    **get_space("lenet").complete({"extra_conv": False}),
    "epochs": 2,
    "batch_size": 64,
}


def make_study(root: Path) -> tuple[Work, StudyFolder]:
    """Prepare a study of 200 digits in two folds."""
    home = Home(root)
    dataset = load("digits", home=home.root)
    folder = home.study("toy")
    folder.root.mkdir(parents=True)
    folds = make_folds(dataset.train_labels, folds=2, seed=0, limit_samples=200)
    folds.save(folder.folds)
    confirmation_folds = make_folds(dataset.train_labels, folds=2, seed=1, limit_samples=200)
    confirmation_folds.save(folder.confirmation_folds)
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


def train(
    executor: Executor, recorder: Recorder, trial: int = 0, fold: int = 1, **changes: object
) -> None:
    executor.submit(FoldTask(trial=trial, params=SETTING | changes, fold=fold))
    assert executor.wait(recorder) == (trial, fold)


class TestExecutorContract:
    """What every executor must do; each test trains a small LeNet for real."""

    def test_reports_the_folds_start_its_epochs_and_its_end_in_order(self, executor, study):
        recorder = Recorder()
        train(executor, recorder, 3, 2)
        kinds = [FoldStarted, EpochEnded, EpochEnded, FoldEnded]
        assert [type(record) for record in recorder.records] == kinds
        assert {(record.trial, record.fold) for record in recorder.records} == {(3, 2)}
        started, first, last, ended = recorder.records
        assert started.device == "CPU"
        assert (first.model["parameters"], last.model) == (504_342, {})
        assert "504,342" in first.model["summary"]
        assert ended.epochs == 2
        assert 0.0 < ended.latency_ms < 1000.0
        assert (last.metrics["val_accuracy"], last.metrics["val_macro_f1"]) == (
            ended.accuracy,
            ended.macro_f1,
        )
        _, folder = study
        predictions = ClassPredictions.load(folder.root / ended.predictions)
        assert predictions.right.mean() == ended.accuracy
        assert macro_f1(predictions, 10) == ended.macro_f1

    def test_a_model_is_described_and_measured_for_those_who_ask_alone(self, executor):
        recorder = Recorder()
        executor.submit(FoldTask(trial=0, params=SETTING, fold=1, describe=False))
        executor.wait(recorder)
        _, first, _, ended = recorder.records
        assert first.model == {}
        assert ended.latency_ms is None

    def test_the_same_fold_gives_the_same_scores_whatever_ran_before(self, executor):
        first, other, again = Recorder(), Recorder(), Recorder()
        train(executor, first, 0)
        train(executor, other, 1, conv_1_filters=48, dropout=0.5)
        train(executor, other, 0, 2)
        train(executor, again, 2)
        metrics = [record.metrics for record in first.of(EpochEnded)]
        assert metrics == [record.metrics for record in again.of(EpochEnded)]
        assert metrics != [record.metrics for record in other.of(EpochEnded)][:2]

    def test_folds_that_confirm_trials_come_after_the_studys(self, executor, study):
        recorder = Recorder()
        train(executor, recorder, 0, 4)
        _, folder = study
        dataset = load("digits", home=Path(folder.root).parent.parent)
        labels = dataset.train_labels[Folds.load(folder.confirmation_folds).validation[1]]
        ended = recorder.records[-1]
        found = ClassPredictions.load(folder.root / ended.predictions, targets=labels)
        assert found.right.mean() == ended.accuracy

    def test_a_fold_told_to_stop_breaks_off_without_an_outcome(self, executor):
        recorder = Recorder(HALT, on=EpochEnded)
        train(executor, recorder)
        assert [type(record) for record in recorder.records] == [FoldStarted, EpochEnded]
        train(executor, Recorder())  # and the executor is good for the next one

    def test_a_fold_that_pauses_goes_on_where_it_was_and_ends_as_one_that_did_not(
        self, executor, study
    ):
        whole, first, rest, anew = Recorder(), Recorder(), Recorder(), Recorder()
        train(executor, whole, 20)
        task = FoldTask(trial=21, params=SETTING, fold=1)
        executor.submit(replace(task, until=1))
        executor.wait(first)
        assert [type(record) for record in first.records] == [FoldStarted, EpochEnded, FoldPaused]
        assert first.records[-1].epoch == 1
        kept = study[1].checkpoint(21, 1)
        assert kept.exists()
        executor.submit(replace(task, kept=1))
        executor.wait(rest)
        assert rest.records[0].kept == 1
        together = [*first.of(EpochEnded), *rest.of(EpochEnded)]
        assert [e.metrics for e in together] == [e.metrics for e in whole.of(EpochEnded)]
        ends = [recorder.records[-1] for recorder in (whole, rest)]
        assert ends[0].accuracy == ends[1].accuracy
        assert ends[0].epochs == ends[1].epochs == 2
        kept.unlink()
        executor.submit(replace(task, kept=1))
        executor.wait(anew)
        assert anew.records[0].kept == 0
        assert [e.metrics for e in anew.of(EpochEnded)] == [e.metrics for e in together]

    def test_params_that_cannot_be_built_break_the_fold_off_with_their_traceback(self, executor):
        recorder = Recorder()
        train(executor, recorder, conv_1_filters=-3)
        started, failure = recorder.records
        assert isinstance(started, FoldStarted)
        assert (type(failure), failure.cause, failure.fold) == (AttemptFailed, "error", 1)
        assert failure.model == {}
        assert "Traceback" in failure.error
        assert "build" in failure.error
        train(executor, Recorder(), 1)

    def test_a_diverging_fold_breaks_off_and_names_the_epoch(self, executor):
        recorder = Recorder()
        train(executor, recorder, fold=2, learning_rate=float("inf"))
        failure = recorder.records[-1]
        assert (type(failure), failure.cause) == (AttemptFailed, "error")
        assert failure.model["parameters"] == 504_342
        assert "in epoch 1 of fold 2" in failure.reason
        assert "learning_rate=inf" in failure.error

    def test_an_error_that_no_file_takes_is_told_all_the_same(self, executor):
        recorder = Recorder()
        train(executor, recorder, optimizer="\ud800" * 100_000)
        failure = recorder.records[-1]
        assert failure.cause == "error"
        assert len(failure.reason) < 600
        assert (failure.reason + failure.error).encode()

    def test_a_model_too_large_for_the_memory_breaks_off_the_fold(self, executor):
        recorder = Recorder()
        train(executor, recorder, conv_1_filters=10**11)
        failure = recorder.records[-1]
        assert (type(failure), failure.cause) == (AttemptFailed, "memory")
        assert "Traceback" in failure.error
        train(executor, Recorder(), 1)  # and the executor is good for the next one

    def test_a_full_disk_breaks_off_the_fold(self, executor, study, small_disk):
        _, folder = study
        disk = small_disk(4)
        (folder.root / "predictions").symlink_to(disk)
        (disk / "filling").write_bytes(b"-" * 4096)
        recorder = Recorder()
        train(executor, recorder)
        failure = recorder.records[-1]
        assert (type(failure), failure.cause) == (AttemptFailed, "disk")
        assert "No space left" in failure.reason
