"""Worker processes that die, hang, misbehave or start others; what they evaluate is a function."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from search.errors import StoppedEarly
from search.executors import Limits, LocalExecutor
from search.executors import process as worker_process
from search.executors.local import WorkerFailed
from search.executors.protocol import FoldTask, Probe, Verdict
from tests.search.executors.contract import Recorder
from tests.search.executors.plain import WORK, Plain
from tracking.records import AttemptFailed, EpochEnded, FoldEnded, FoldStarted, Record

pytestmark = pytest.mark.slow  # starts processes

PATIENCE = 120.0  # seconds for what takes none


class Study:
    """Makes executors; their limits may be changed while they work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.limits = Limits(memory=1 << 60)
        self._made: list[LocalExecutor] = []

    def log(self, number: int = 1) -> Path:
        return self.folder / f"worker-{number}.log"

    def start(self, space: str = "plain", **options: object) -> LocalExecutor:
        work = replace(WORK, space=space, folder=str(self.folder))
        made = LocalExecutor(work, self.log, load=Plain, limits=self.limits, **options)
        self._made.append(made)
        return made

    def change(self, **limits: object) -> None:
        """Change limits that hold already: a slow machine must not meet them before it is to."""
        for name, value in limits.items():
            object.__setattr__(self.limits, name, value)

    def close(self) -> None:
        for executor in self._made:
            executor.close()


@pytest.fixture
def study(tmp_path):
    made = Study(tmp_path)
    yield made
    made.close()


def evaluate(
    executor: LocalExecutor, does: str, trial: int = 0, act: Callable[[], object] = lambda: None
) -> Recorder:
    """Evaluate a task; `act` is called at its epoch."""
    recorder = Recorder()

    def on_record(record: Record) -> Verdict:
        if isinstance(record, EpochEnded):
            act()
        return recorder(record)

    executor.submit(task(does, trial))
    assert executor.wait(on_record) == (trial, 1)
    return recorder


def task(does: str, trial: int = 0) -> FoldTask:
    return FoldTask(trial=trial, params={"does": does}, fold=1)


def failure(recorder: Recorder) -> AttemptFailed:
    [found] = recorder.of(AttemptFailed)
    assert recorder.records[-1] is found
    return found


def metrics(recorder: Recorder) -> dict[str, float]:
    [epoch] = recorder.of(EpochEnded)
    return epoch.metrics


def is_gone(pid: float) -> bool:
    try:
        return psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def workers() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "search.executors.worker" in " ".join(child.cmdline())]


def test_records_come_in_order_and_the_worker_is_kept(study):
    executor = study.start()
    first, second = evaluate(executor, "fine"), evaluate(executor, "fine", trial=1)
    kinds = [FoldStarted, EpochEnded, FoldEnded]
    assert [type(record) for record in first.records] == kinds
    assert [record.trial for record in second.records] == [1, 1, 1]
    assert metrics(first) == metrics(second)  # one process


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("die while speaking", "ended with exit code -9"),
        ("exit", "ended with exit code 7"),
        ("say something and die", "ended with exit code -11"),
        ("start others and die", "ended with exit code -9"),
        ("fork unseen and die", "ended with exit code -9"),
        ("close and sleep", "closed its connection to the coordinator; does the space's code"),
        ("close everything and compute", "closed its connection to the coordinator"),
        ("say nothing sensible", "sent what is no message: it begins with b'hello"),
        ("say what cannot be read", "sent what is no message: "),
    ],
)
def test_a_worker_that_is_lost_costs_its_task_alone(study, does, reason, monkeypatch):
    monkeypatch.setattr(worker_process, "_MOMENT", 1.0)  # for those that live on
    executor = study.start()
    lost = failure(evaluate(executor, does))
    assert lost.cause == "lost"
    assert reason in lost.reason
    assert not evaluate(executor, "fine", trial=1).of(AttemptFailed)
    assert len(workers()) == 1


def test_a_worker_killed_from_outside_costs_its_task_alone(study):
    executor = study.start()
    lost = failure(evaluate(executor, "sleep", act=lambda: workers()[0].kill()))
    assert (lost.cause, "exit code -9" in lost.reason) == ("lost", True)
    assert not evaluate(executor, "fine", trial=1).of(AttemptFailed)


def test_the_last_words_of_a_worker_that_died_are_told(study):
    lost = failure(evaluate(study.start(), "say something and die"))
    assert lost.error.endswith("words\na fatal error of the library")


@pytest.mark.parametrize("does", ["sleep", "say half and sleep", "say half and compute"])
def test_a_worker_that_falls_still_is_replaced(study, does):
    executor = study.start()
    recorder = evaluate(executor, does, act=lambda: study.change(idle_seconds=1.0))
    late = failure(recorder)
    assert (late.cause, late.reason) == (
        "time",
        "its worker neither reported nor computed for 1 s",
    )
    study.change(idle_seconds=PATIENCE)
    assert not evaluate(executor, "fine", trial=1).of(AttemptFailed)


@pytest.mark.parametrize("does", ["compute", "sleep", "say half and compute"])
def test_a_trial_that_takes_too_long_is_broken_off_and_its_worker_replaced(study, does):
    executor = study.start()
    late = failure(evaluate(executor, does, act=lambda: study.change(trial_seconds=0.5)))
    assert late.cause == "time"
    assert late.reason == "it trained for longer than the 0.5 s that a trial may take"
    study.change(trial_seconds=None)
    assert not evaluate(executor, "fine", trial=1).of(AttemptFailed)


def test_a_trial_takes_too_long_also_while_others_are_over_all_the_time(study):
    executor = study.start(workers=2)
    recorder = Recorder()
    executor.submit(task("sleep", trial=0))
    while not recorder.of(EpochEnded):
        executor.submit(task("fine", trial=1))
        executor.wait(recorder)
    study.change(trial_seconds=1.0)
    end = time.monotonic() + PATIENCE
    while not recorder.of(AttemptFailed):
        assert time.monotonic() < end
        executor.submit(task("fine", trial=1))
        executor.wait(recorder)
    assert {record.trial for record in recorder.of(AttemptFailed)} == {0}


def test_time_that_the_coordinator_took_is_not_the_trials(study, monkeypatch):
    executor = study.start()
    executor.load()
    study.change(trial_seconds=1000.0)
    clock = time.monotonic
    late = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + late[0])

    def stand_still() -> None:
        late[0] += 5000.0  # as a stopped process does, or one whose terminal is stopped

    assert not evaluate(executor, "fine", act=stand_still).of(AttemptFailed)


def test_a_worker_that_does_not_read_is_not_waited_for(study):
    executor = study.start()
    evaluate(executor, "fine")
    workers()[0].suspend()
    study.change(idle_seconds=1.0)
    large = FoldTask(trial=1, params={"does": "fine", "weight": "x" * 50_000_000}, fold=1)
    executor.submit(large)
    recorder = Recorder()
    assert executor.wait(recorder) == (1, 1)
    assert failure(recorder).cause == "time"


def test_what_does_not_fit_into_the_connection_at_once_arrives_whole(study):
    executor = study.start()
    large = FoldTask(trial=1, params={"does": "fine", "weight": "x" * 50_000_000}, fold=1)
    executor.submit(large)
    recorder = Recorder()
    assert executor.wait(recorder) == (1, 1)
    assert len(recorder.of(FoldEnded)) == 1


@pytest.mark.parametrize("does", ["start others and sleep", "start others and die"])
def test_processes_that_a_task_starts_die_with_its_worker(study, does):
    executor = study.start()
    recorder = Recorder()

    def on_record(record: Record) -> Verdict:
        if isinstance(record, EpochEnded) and does.endswith("sleep"):
            study.change(trial_seconds=0.0)
        return recorder(record)

    executor.submit(task(does))
    executor.wait(on_record)
    assert recorder.of(AttemptFailed)
    started = metrics(recorder)
    assert set(started) == {"near", "far", "daemon"}
    wait_until(lambda: all(map(is_gone, started.values())))


def test_processes_that_a_task_has_left_behind_end_when_the_executor_is_closed(study):
    executor = study.start()
    started = metrics(evaluate(executor, "start others"))
    assert not any(map(is_gone, started.values()))
    executor.close()
    wait_until(lambda: all(map(is_gone, started.values())))


@pytest.mark.parametrize("end", [os.kill, os.killpg], ids=["process", "group"])
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_all_processes_end_when_their_coordinator_is_killed(study, end, signal_number):
    coordinator = start_coordinator(study.folder, "start others and sleep")
    started = json.loads(coordinator.stdout.readline())
    processes = [*started.values(), *children(coordinator.pid)]
    assert len(processes) > len(started)
    end(coordinator.pid, signal_number)
    coordinator.communicate()
    wait_until(lambda: all(map(is_gone, processes)))


def test_a_stopped_worker_ends_with_its_coordinator_too(study):
    coordinator = start_coordinator(study.folder, "start others and sleep")
    started = json.loads(coordinator.stdout.readline())
    stopped = children(coordinator.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    coordinator.kill()
    coordinator.communicate()
    wait_until(lambda: all(map(is_gone, [*started.values(), *stopped])))


def start_coordinator(folder: Path, does: str) -> "subprocess.Popen[str]":
    program = (
        "import sys; from tests.search.executors.plain import coordinate; coordinate(*sys.argv[1:])"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder), does],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children()]


def test_a_task_that_waits_for_all_its_children_waits_for_none_of_ours(study):
    assert metrics(evaluate(study.start(), "wait for children")) == {"children": 1}


def test_a_task_that_reads_its_input_finds_none(study):
    assert metrics(evaluate(study.start(), "read input")) == {"read": 0}


def test_a_task_may_use_multiprocessing(study):
    assert evaluate(study.start(), "use multiprocessing").of(FoldEnded)


def test_the_log_keeps_to_its_bound_while_a_task_prints_and_is_its_users_alone(study, monkeypatch):
    monkeypatch.setattr(worker_process, "LONGEST_LOG", 1_000_000)
    log = study.log()
    log.write_text("of an earlier session\n")
    log.chmod(0o644)
    executor = study.start()
    executor.submit(task("say much"))
    recorder, sizes = Recorder(), []

    def on_record(record: Record) -> Verdict:
        sizes.append(log.stat().st_size)
        return recorder(record)

    assert executor.wait(on_record) == (0, 1)
    wait_until(lambda: log.read_text().endswith("the last words\n"))
    assert 100_000 < log.stat().st_size <= 1_000_000
    assert max(sizes) <= 1_000_000
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_disk_without_room_for_the_log_costs_the_words_alone(study):
    study.log().symlink_to("/dev/full")
    assert evaluate(study.start(), "say much").of(FoldEnded)


@pytest.mark.parametrize("limits", [{"tasks": 1}, {"memory": 1}])
def test_a_worn_or_swollen_worker_is_replaced_between_two_tasks(study, limits):
    study.change(**limits)
    executor = study.start()
    first, second = evaluate(executor, "fine"), evaluate(executor, "fine", trial=1)
    assert metrics(first) != metrics(second)


def test_several_workers_evaluate_side_by_side(study):
    executor = study.start(workers=2)
    assert executor.slots == 2
    recorder = Recorder()
    for trial in (0, 1):
        executor.submit(task("fine", trial))
    assert {executor.wait(recorder), executor.wait(recorder)} == {(0, 1), (1, 1)}
    assert len({epoch.metrics["pid"] for epoch in recorder.of(EpochEnded)}) == 2
    with pytest.raises(RuntimeError, match="wait without a submitted task"):
        executor.wait(recorder)


def test_a_worker_is_given_the_next_fold_of_the_trial_that_it_trained(study):
    executor = study.start(workers=2)
    executor.load()
    recorder = Recorder()
    for trial, fold in ((0, 1), (1, 1), (0, 2), (1, 2), (1, 3), (0, 3)):
        executor.submit(FoldTask(trial=trial, params={"does": "fine"}, fold=fold))
        executor.wait(recorder)
    pids = {(epoch.trial, epoch.metrics["pid"]) for epoch in recorder.of(EpochEnded)}
    assert len(pids) == 2
    assert len({trial for trial, _ in pids}) == 2


def test_a_lost_worker_costs_the_others_nothing(study):
    executor = study.start(workers=2)
    executor.load()
    recorder = Recorder()
    executor.submit(task("die while speaking", trial=0))
    executor.submit(task("fine", trial=1))
    assert {executor.wait(recorder), executor.wait(recorder)} == {(0, 1), (1, 1)}
    assert [record.trial for record in recorder.of(AttemptFailed)] == [0]
    assert [record.trial for record in recorder.of(FoldEnded)] == [1]


def test_waiting_for_its_turn_to_load_is_no_fault_of_a_worker(study):
    executor = study.start(workers=2, load_at_once=1)
    executor.load()
    recorder = Recorder()
    for trial in (0, 1):
        executor.submit(task("fine", trial))
    assert {executor.wait(recorder), executor.wait(recorder)} == {(0, 1), (1, 1)}


def test_a_worker_that_dies_while_it_loads_costs_nothing(study):
    assert not evaluate(study.start("dies once"), "fine").of(AttemptFailed)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("raises", r"before it could work[\s\S]*folds\.npz"),
        ("closes", "closed its connection to the coordinator; .* before it could work"),
    ],
)
def test_a_worker_that_cannot_load_ends_the_run_with_its_last_words(
    study, space, message, monkeypatch
):
    monkeypatch.setattr(worker_process, "_MOMENT", 1.0)
    with pytest.raises(WorkerFailed, match=message):
        evaluate(study.start(space), "fine")


def test_a_worker_that_takes_too_long_to_load_ends_the_run(study):
    executor = study.start("sleeps")
    study.change(loading_seconds=0.5)
    with pytest.raises(WorkerFailed, match=r"loading for longer than 0\.5 s"):
        evaluate(executor, "fine")


def test_a_worker_that_falls_still_while_it_loads_ends_the_run(study):
    executor = study.start("sleeps")
    study.change(idle_seconds=0.5)
    with pytest.raises(WorkerFailed, match=r"neither reported nor computed .* while it loaded"):
        evaluate(executor, "fine")


def test_nobody_waits_for_workers_that_load_once_nothing_more_is_to_begin(study):
    executor = study.start("sleeps", is_stopped=lambda: True)
    executor.submit(task("fine"))
    recorder = Recorder()
    assert executor.wait(recorder) is None
    assert not recorder.records
    with pytest.raises(StoppedEarly):
        executor.load()


def test_a_task_in_training_is_waited_for_though_nothing_more_is_to_begin(study):
    executor = study.start()
    executor.load()
    executor.is_stopped = lambda: True
    assert evaluate(executor, "fine").of(FoldEnded)
    with pytest.raises(StoppedEarly):
        executor.probe([Probe({"does": "fine"}, "float32")])


def test_closing_leaves_no_process_behind(study):
    executor = study.start(workers=2)
    executor.submit(task("sleep"))
    executor.close()
    executor.close()
    assert not workers()


def test_a_system_without_room_for_a_process_is_said_in_one_message(study, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(worker_process, "_started", full)
    with pytest.raises(WorkerFailed, match="cannot be started: Too many open files"):
        study.start()


def test_a_probe_is_answered_or_its_failure_told(study):
    executor = study.start(workers=2)
    executor.load()
    found = executor.probe([Probe({"does": "fine"}, "float32")] * 2)
    assert [one.rate for one in found] == [10.0, 10.0]
    with pytest.raises(WorkerFailed, match="could not be measured: KeyError"):
        executor.probe([Probe({}, "float32")] * 2)


@pytest.mark.parametrize("does", ["sleep", "say half and sleep"])
def test_a_probe_that_takes_too_long_is_given_up(study, does):
    executor = study.start()
    executor.load()
    with pytest.raises(WorkerFailed, match=r"it said nothing for 0\.5 s"):
        executor.probe([Probe({"does": does}, "float32")], longest=0.5)
