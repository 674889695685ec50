import time

import psutil
import pytest

from search.executors import Executor, Limits, make_executor
from search.executors.local import LocalExecutor, WorkerFailed
from search.executors.protocol import GO_ON, TrialTask, Verdict
from tests.search.executors.contract import (
    BOTH,
    SETTING,
    Recorder,
    TestExecutorContract,  # noqa: F401 # runs here on `executor`
    evaluate,
    make_study,
)
from tracking.records import AttemptFailed, EpochEnded, FoldEnded, Record, TrialEnded

pytestmark = pytest.mark.slow

BESIDE = ("local", "inline")


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path)


@pytest.fixture(params=BESIDE)
def executor(request, study):
    work, folder = study
    made = make_executor(request.param, work, folder.worker_log)
    yield made
    made.close()


def test_both_executors_give_the_same_scores(study):
    work, folder = study
    scores = []
    for name in BESIDE:
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
    executor.load()  # one that dies while it loads is replaced without a word

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


def test_waiting_for_its_turn_to_load_is_no_fault_of_a_worker(study):
    work, folder = study
    limits = Limits(still_seconds=2.0)
    executor = LocalExecutor(work, folder.worker_log, workers=2, limits=limits, load_at_once=1)
    recorder = Recorder()
    for trial in (0, 1):
        executor.submit(TrialTask(trial=trial, parameters=SETTING | {"epochs": 1}, folds=BOTH))
    assert {executor.wait(recorder), executor.wait(recorder)} == {0, 1}
    executor.close()
    assert [record.state for record in recorder.of(TrialEnded)] == ["complete", "complete"]


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
    return [child for child in children if "search.executors.worker" in " ".join(child.cmdline())]


def _begun(workers: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 20
    while len(_workers()) < workers:  # they have another name until they have begun
        assert time.monotonic() < deadline
    return _workers()


def _first_worker() -> psutil.Process:
    return _begun(1)[0]
