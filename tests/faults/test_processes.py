"""A study whose processes are killed, whose settings fail, whose disk is full."""

import os
from pathlib import Path

import psutil
import pytest

from tests.faults.books import check_books
from tests.faults.processes import Command, StudyRun
from tests.faults.spaces_that_fail import KINDS

pytestmark = pytest.mark.slow  # trains in processes of its own

SPACE = f"{Path(__file__).parent}/spaces_that_fail.py:SPACE"
FAILING = (
    *("run", "--space", SPACE, "--folds", "2", "--epochs", "2", "--limit-samples", "200"),
    *("--study", "toy", "--sampler", "grid", "--pruner", "none", "--json"),
)
MEMORY = Path("/sys/fs/cgroup/memory")
AWAY = "http://127.0.0.1:9"  # nobody listens there


@pytest.fixture(scope="module")
def whole(tmp_path_factory, shared_environment):
    """The scores of the study as nobody disturbs it: fold accuracies and values by trial."""
    run = StudyRun(tmp_path_factory.mktemp("whole"), environment=shared_environment)
    done = run.start().wait()
    assert done.code == 0, done.err
    return scores(done.json)


def scores(document):
    return [(t["trial"], t["parameters"], t["folds"], t["value"]) for t in document["trials"]]


def test_a_killed_coordinator_takes_its_workers_along_and_nothing_is_lost(new_run, whole):
    run = new_run()
    for count, end in enumerate((Command.kill, Command.kill_group), start=1):
        command = run.start()
        run.wait_for("FoldEnded", count)
        kept = folds(run)
        end(command)
        command.process.wait()
        assert command.leftovers() == []
    command = run.start()
    done = command.wait()
    assert done.code == 0, done.err
    assert folds(run)[: len(kept)] == kept
    assert scores(done.json) == whole
    check_books(run.journal, run.uri, session=command.pid)


def test_a_killed_worker_is_replaced_and_its_trial_goes_on(new_run):
    long = ("--epochs", "300")  # the kill must hit training, not what is between two folds
    undisturbed = new_run().start(*long, trials=1).wait()
    run = new_run()
    command = run.start(*long, trials=1)
    run.wait_for("EpochEnded", 3)
    command.kill_worker()
    done = command.wait()
    assert done.code == 0, done.err
    assert scores(done.json) == scores(undisturbed.json)
    [failure] = run.records("AttemptFailed")
    assert (failure["cause"], "exit code -9" in failure["reason"]) == ("lost", True)
    assert done.json["trials"][failure["trial"]]["retries"] == [f"{failure['reason']}; tried again"]
    check_books(run.journal, run.uri, session=command.pid)


def test_a_worker_that_the_kernel_ends_for_memory_goes_on_with_half_the_batch(new_run, cgroup):
    run = new_run()
    command = run.start("--folds", "6", "--epochs", "50", trials=1)
    run.wait_for("EpochEnded", 2)  # most is still to be trained
    cgroup(command.workers()[0])
    done = command.wait()
    assert done.code == 0, done.err
    [trial] = done.json["trials"]
    assert trial["state"] == "complete"
    assert (trial["parameters"]["batch_size"], trial["trained_with"]["batch_size"]) == (64, 32)
    [failure] = run.records("AttemptFailed")
    assert (failure["cause"], "memory ran out" in failure["reason"]) == ("memory", True)
    check_books(run.journal, run.uri, session=command.pid)


def test_each_setting_that_fails_fails_alone_and_says_why(new_run):
    run = new_run()
    kinds = [kind for kind in KINDS if kind not in ("sleeps", "starts")]
    chosen = ("--set", "batch_size=64", "--set", f"kind={','.join(kinds)}")
    done = run.command(*FAILING, "--trials", str(len(kinds)), *chosen).wait()
    assert done.code == 0, done.err
    by_kind = {trial["parameters"]["kind"]: trial for trial in done.json["trials"]}
    reasons = {kind: trial["reason"] for kind, trial in by_kind.items() if trial["reason"]}
    failing = ["diverges", "interrupts", "nothing", "raises", "too small"]
    assert sorted(reasons) == failing
    assert reasons["interrupts"] == "KeyboardInterrupt: of the space's own"
    assert "must return a keras.Model; it returned NoneType" in reasons["nothing"]
    assert by_kind["forks"]["state"] == "complete"
    assert reasons["raises"] == "ValueError: this setting cannot be built"
    assert "in epoch 1 of fold 1" in reasons["diverges"]
    assert by_kind["eats"]["trained_with"]["batch_size"] == 32
    assert by_kind["eats"]["state"] == by_kind["also fine"]["state"] == "complete"
    check_books(run.journal, run.uri)
    assert "cannot be built" in _error_file(run, by_kind["raises"]["trial"])


def test_a_trial_over_its_time_fails_and_the_study_goes_on(new_run):
    run = new_run()
    options = ("--set", "kind=sleeps", "--set", "batch_size=32,64", "--trial-timeout", "1s")
    done = run.command(*FAILING, "--trials", "2", *options).wait()
    assert done.code == 1  # no trial succeeded
    reasons = [trial["reason"] for trial in done.json["trials"]]
    assert reasons == ["it trained for longer than the 1 s that a trial may take"] * 2
    check_books(run.journal, run.uri)


def test_ten_failures_in_a_row_end_the_study_with_a_summary(new_run):
    run = new_run()
    command = run.command(
        *FAILING[:-1], "--trials", "30", "--set", "kind=raises", "--set", "batch_size=1:64"
    )
    done = command.wait()
    assert done.code == 1
    assert len(run.records("TrialEnded")) == 10
    assert "Ten trials in a row failed" in done.out
    assert "ValueError: this setting cannot be built" in done.out
    assert "Traceback" not in done.out + done.err
    shown = run.here("show", "toy", "--trial", "1")
    assert "Traceback" in shown.out  # where it belongs


def test_a_full_disk_stops_the_study_and_with_room_it_goes_on(new_run, small_disk, whole):
    run = new_run(AWAY)  # MLflow has its own disk
    disk = small_disk(6_000)
    run.folder.mkdir(parents=True)
    run.home.symlink_to(disk)
    command = run.start()
    run.wait_for("FoldEnded", 3)
    kept, filler = folds(run), disk / "filler"
    with command.training_held(), filler.open("wb", buffering=0) as file:
        while _fill(file):
            pass
    done = command.wait()
    assert done.code == 1
    assert "No space left" in done.err or "disk is full" in done.err
    assert "Traceback" not in done.err
    assert command.leftovers() == []
    assert folds(run)[: len(kept)] == kept
    filler.unlink()
    done = run.start().wait()
    assert done.code == 0, done.err
    assert scores(done.json) == whole


def test_a_fault_at_the_studys_own_files_is_not_a_trials_for_good(new_run, whole):
    run = new_run()
    run.study_folder.mkdir(parents=True)
    in_the_way = run.study_folder / "predictions"
    in_the_way.write_text("this is no folder")
    done = run.start(trials=1).wait()
    assert done.code == 1
    assert [failure["cause"] for failure in run.records("AttemptFailed")] == ["machine"] * 3
    assert "`run --retry-failed` tries the trial once more" in done.json["trials"][0]["reason"]
    in_the_way.unlink()
    assert run.start(trials=1).wait().json["trials"][0]["state"] == "failed"
    command = run.start("--retry-failed")
    done = command.wait()
    assert done.code == 0, done.err
    assert scores(done.json) == whole
    check_books(run.journal, run.uri, session=command.pid)


def test_what_a_build_starts_ends_with_a_killed_coordinator(new_run):
    run = new_run()
    note = run.folder / "started"
    environment = {"STARTED": str(note)}
    run.environment.update(environment)
    command = run.command(*FAILING, "--trials", "1", "--set", "kind=starts")
    run.wait_until(lambda: note.exists() and note.read_text().endswith("\n"))
    processes = [psutil.Process(int(pid)) for pid in note.read_text().split()]
    command.kill_group()
    command.process.wait()
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_a_clock_set_back_between_two_sessions_changes_nothing(new_run, whole, tmp_path):
    shift = tmp_path / "shift"
    shift.mkdir()
    (shift / "sitecustomize.py").write_text(
        "import time\nnow = time.time\ntime.time = lambda: now() - 86400\n"
    )
    run = new_run()
    command = run.start("--pruner", "racing")
    run.wait_for("FoldEnded", 1)
    command.interrupt()
    assert command.wait().code in (0, 130)  # where the machine is busy it may be done by then
    root = str(Path(__file__).parents[2])
    run.environment["PYTHONPATH"] = f"{shift}:{root}"
    command = run.start()
    done = command.wait()
    assert done.code == 0, done.err
    records = run.records()
    times = [record["at"] for record in records]
    assert times == sorted(times)
    starts = [n for n, record in enumerate(records) if record["kind"] == "SessionStarted"]
    assert times[starts[1]] - times[starts[1] - 1] < 0.01  # so it was: to begin takes longer
    assert scores(done.json) == whole
    check_books(run.journal, run.uri, session=command.pid)


def folds(run: StudyRun) -> list[tuple[int, int]]:
    return [(record["trial"], record["fold"]) for record in run.records("FoldEnded")]


def _fill(file) -> int:
    try:
        return file.write(b"-" * 1000)
    except OSError:
        return 0


def _error_file(run: StudyRun, trial: int) -> str:
    from tracking.mlflow.sink import open_store

    client = open_store(run.uri, artifacts=None).client
    experiment = client.get_experiment_by_name("toy")
    query = f"tags.`search.kind` = 'trial' AND tags.`search.trial` = '{trial}'"
    [found] = client.search_runs([experiment.experiment_id], query)
    return Path(client.download_artifacts(found.info.run_id, "error.txt")).read_text()


@pytest.fixture
def cgroup():
    """Put a process where the kernel ends it when it asks for more memory."""
    group = MEMORY / f"foldwise-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("200000")
    except OSError as error:
        pytest.skip(f"no memory limit can be set here: {error}")

    def put(process: psutil.Process) -> None:
        (group / "cgroup.procs").write_text(str(process.pid))

    yield put
    group.rmdir()


def test_what_was_destroyed_is_said_and_made_again(new_run):
    run = new_run()
    assert run.start(trials=1).wait().code == 0
    (run.study_folder / "folds.npz").write_text("hi")
    done = run.start(trials=2).wait()
    assert done.code == 0, done.err
    database = run.home / "mlflow.db"
    database.write_bytes(b"garbage " * 400)
    synced = run.command("sync").wait()
    assert (synced.code, "cannot be asked" in synced.err) == (1, True)
    database.unlink()
    synced = run.command("sync").wait()
    assert (synced.code, "doctor --repair" in synced.err) == (1, True)
    assert run.command("doctor", "--repair").wait().code == 0
    assert run.command("sync").wait().code == 0
    check_books(run.journal, run.uri)
