import time

import psutil
import pytest

from search.datasets import load
from search.executors import EXECUTORS, Executor, Limits, make_executor
from search.executors.local import WorkerFailed
from search.folds import make_folds
from search.work import GO_ON, HALT, TrialTask, Verdict, Work
from spaces import get_space
from tracking.home import Home
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldStarted,
    Record,
    TrialConfirmed,
    TrialEnded,
)

pytestmark = pytest.mark.slow

SETTING = {
    **get_space("lenet").complete({"extra_conv": False}),
    "epochs": 2,
    "batch_size": 64,
}
BOTH = (1, 2)


@pytest.fixture
def study(tmp_path):
    home = Home(tmp_path)
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


@pytest.fixture(params=EXECUTORS)
def executor(request, study):
    work, folder = study
    made = make_executor(request.param, work, folder.worker_log)
    yield made
    made.close()


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


def test_both_executors_give_the_same_scores(study):
    work, folder = study
    scores = []
    for name in EXECUTORS:
        recorder = Recorder()
        made = make_executor(name, work, folder.worker_log)
        evaluate(made, recorder)
        made.close()
        scores.append([record.metrics for record in recorder.of(EpochEnded)])
    assert scores[0] == scores[1]


@pytest.fixture
def local(study):
    """Make a local executor of the study."""
    work, folder = study
    made = []

    def make(**options: object) -> Executor:
        made.append(make_executor("local", work, folder.worker_log, **options))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


def test_a_killed_worker_breaks_off_its_task_and_is_replaced(local):
    executor = local()

    def kill_at_first_epoch(record: Record) -> Verdict:
        if isinstance(record, EpochEnded):
            _workers()[0].kill()
        recorder(record)
        return GO_ON

    recorder = Recorder()
    executor.submit(TrialTask(trial=0, parameters=SETTING, folds=BOTH))
    executor.wait(kill_at_first_epoch)
    failure = recorder.records[-1]
    assert isinstance(failure, AttemptFailed)
    assert (failure.trial, failure.cause) == (0, "lost")
    assert "ended with exit code -9" in failure.reason
    second = Recorder()
    evaluate(executor, second, 1)
    assert second.records[-1].state == "complete"


def test_a_worker_killed_before_it_could_work_costs_nothing(local):
    executor = local()
    _first_worker().kill()
    recorder = Recorder()
    evaluate(executor, recorder)
    assert recorder.records[-1].state == "complete"
    assert not recorder.of(AttemptFailed)


def test_a_trial_that_takes_too_long_is_broken_off_and_its_worker_replaced(local):
    executor = local(limits=Limits(trial_seconds=3.0))
    recorder = Recorder()
    evaluate(executor, recorder, epochs=10_000)
    failure = recorder.records[-1]
    assert isinstance(failure, AttemptFailed)
    assert failure.cause == "time"
    assert "longer than the 3 s" in failure.reason
    again = Recorder()
    evaluate(executor, again, 1, epochs=1)
    assert again.records[-1].state == "complete"


def test_time_that_the_coordinator_took_is_not_the_trials(local):
    executor = local(limits=Limits(trial_seconds=15.0))

    def dawdle(record: Record) -> Verdict:
        if isinstance(record, EpochEnded) and record.epoch == 1:
            time.sleep(8.0)  # as a stopped process does, or one whose terminal is stopped
        return recorder(record)

    recorder = Recorder()
    executor.submit(TrialTask(trial=0, parameters=SETTING, folds=BOTH))
    executor.wait(dawdle)
    assert not recorder.of(AttemptFailed)
    assert recorder.records[-1].state == "complete"


def test_a_worker_that_falls_still_is_broken_off_and_replaced(local):
    executor = local(limits=Limits(still_seconds=2.0))

    def stop_at_first_epoch(record: Record) -> Verdict:
        if isinstance(record, EpochEnded) and record.epoch == 1:
            _workers()[0].suspend()
        return recorder(record)

    recorder = Recorder()
    executor.submit(TrialTask(trial=0, parameters=SETTING | {"epochs": 50}, folds=BOTH))
    assert executor.wait(stop_at_first_epoch) == 0
    failure = recorder.records[-1]
    assert (failure.cause, type(failure)) == ("time", AttemptFailed)
    assert "neither reported nor computed for 2 s" in failure.reason
    evaluate(executor, Recorder(), 1, epochs=1)


@pytest.mark.parametrize("limits", [Limits(tasks=1), Limits(memory=1)])
def test_a_worn_or_swollen_worker_is_replaced_between_two_tasks(local, limits):
    executor = local(limits=limits)
    evaluate(executor, Recorder(), epochs=1)
    first = _first_worker()
    evaluate(executor, Recorder(), 1, epochs=1)
    assert first != _first_worker()


def test_several_workers_train_side_by_side_and_report_their_own_trials(local):
    executor = local(workers=2)
    assert executor.slots == 2
    recorder = Recorder()
    for trial in (0, 1):
        executor.submit(TrialTask(trial=trial, parameters=SETTING, folds=BOTH))
    assert len(_begun(2)) == 2
    assert {executor.wait(recorder), executor.wait(recorder)} == {0, 1}
    by_trial = [[r for r in recorder.of(FoldEnded) if r.trial == trial] for trial in (0, 1)]
    assert [[r.fold for r in folds] for folds in by_trial] == [[1, 2], [1, 2]]
    accuracies = [[r.accuracy for r in folds] for folds in by_trial]
    assert accuracies[0] == accuracies[1]
    assert len(recorder.of(TrialEnded)) == 2


def test_a_killed_worker_costs_the_others_nothing(local):
    executor = local(workers=2)

    def kill_one(record: Record) -> Verdict:
        if isinstance(record, EpochEnded) and not recorder.of(EpochEnded):
            _workers()[0].kill()
        return recorder(record)

    recorder = Recorder()
    for trial in (0, 1):
        executor.submit(TrialTask(trial=trial, parameters=SETTING | {"epochs": 4}, folds=BOTH))
    over = {executor.wait(kill_one), executor.wait(recorder)}
    assert over == {0, 1}
    [failure] = recorder.of(AttemptFailed)
    [outcome] = recorder.of(TrialEnded)
    assert {failure.trial, outcome.trial} == {0, 1}
    assert outcome.state == "complete"


def test_closing_leaves_no_process_behind(study):
    work, folder = study
    executor = make_executor("local", work, folder.worker_log)
    executor.submit(TrialTask(trial=0, parameters=SETTING, folds=BOTH))
    _first_worker()
    executor.close()
    executor.close()
    assert not _workers()


def test_a_worker_that_cannot_start_ends_the_run_with_its_last_words(study):
    work, folder = study
    folder.folds.unlink()
    executor = make_executor("local", work, folder.worker_log)
    executor.submit(TrialTask(trial=0, parameters=SETTING, folds=BOTH))
    with pytest.raises(WorkerFailed, match=r"before it could work[\s\S]*folds\.npz"):
        executor.wait(Recorder())
    executor.close()


def test_a_worker_that_takes_too_long_to_load_ends_the_run(local):
    executor = local(limits=Limits(loading_seconds=1.5))
    with pytest.raises(WorkerFailed, match=r"loading for longer than 1\.5 s"):
        evaluate(executor, Recorder())


def test_a_worker_that_falls_still_while_it_loads_ends_the_run(local):
    executor = local(limits=Limits(still_seconds=1.5))
    _first_worker().suspend()
    with pytest.raises(WorkerFailed, match=r"neither reported nor computed .* while it loaded"):
        evaluate(executor, Recorder())


def test_tensorflow_speaks_to_the_log_and_not_to_the_terminal(study, capfd):
    work, folder = study
    executor = make_executor("local", work, folder.worker_log)
    evaluate(executor, Recorder())
    executor.close()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert folder.worker_log().exists()


def _workers() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def _begun(workers: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 20
    while len(_workers()) < workers:  # they have another name until they have begun
        assert time.monotonic() < deadline
    return _workers()


def _first_worker() -> psutil.Process:
    return _begun(1)[0]
