import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from search.api import run_study
from search.errors import SettingsError
from search.executors import ClusterRequest, Executor, Limits, PerTrial, make_executor
from search.executors.local import LocalExecutor, WorkerFailed
from search.executors.protocol import GO_ON, HALT, FoldTask, Verdict
from search.executors.ray.bundles import VARIABLE
from search.tasks.classification import ClassPredictions
from tests.faults.books import journal_faults
from tests.faults.processes import StudyRun
from tests.search.executors.contract import (
    SETTING,
    Recorder,
    TestExecutorContract,  # noqa: F401 # runs here on `executor`
    make_study,
    train,
)
from tracking.journal import read_journal
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldStarted,
    Record,
    TrialEnded,
)

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install foldwise[ray]")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:::ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves its daemons' pipes open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

QUIET = {"log_to_driver": False, "logging_level": 60}
SOON_NOTICED = {  # that a node is gone; usually it takes some ten seconds
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 5,
}


class Machines:
    """A Ray cluster of several nodes on this machine, each with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.folder = folder
        self._cluster = Cluster(shutdown_at_exit=False)
        self.start("head", include_dashboard=False, _system_config=SOON_NOTICED)
        self.address = self._cluster.address

    def start(self, name: str, cpus: int = 1, **options: object):
        variables = {VARIABLE: str(self.folder / name)}
        return self._cluster.add_node(num_cpus=cpus, env_vars=variables, **options)

    @contextmanager
    def joined(self, name: str, cpus: int = 1, **options: object):
        node = self.start(name, cpus, **options)
        try:
            yield node
        finally:
            if node in self._cluster.worker_nodes:
                self._cluster.remove_node(node)  # in good order

    def kill(self, node) -> None:
        """End a node and all its processes with -9, at once, as a power cut does."""
        [raylet] = [entry.process.pid for entry in node.all_processes["raylet"]]
        processes = [psutil.Process(raylet), *psutil.Process(raylet).children(recursive=True)]
        for process in processes:
            process.suspend()
        for process in processes:
            process.kill()
        self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Machines(tmp_path_factory.mktemp("nodes"))
    ray.init(address=made.address, **QUIET)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="class")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def _no_predictions_left(study):
    yield
    _, folder = study
    predictions = folder.root / "predictions"
    if predictions.is_symlink():
        predictions.unlink()
    shutil.rmtree(predictions, ignore_errors=True)


@pytest.fixture(scope="class")
def executor(machines, study):
    work, folder = study
    made = make_executor("ray", work, folder.worker_log, workers=None)
    yield made
    made.close()


@pytest.fixture
def on_ray(machines, study):
    """Make a Ray executor of the study."""
    work, folder = study
    made = []

    def make(**options: object) -> Executor:
        made.append(make_executor("ray", work, folder.worker_log, **options))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


def test_a_worker_on_ray_gives_the_scores_of_a_local_one(executor, study):
    work, folder = study
    local = LocalExecutor(work, folder.worker_log, threads=1)
    metrics = []
    for made in (executor, local):
        recorder = Recorder()
        train(made, recorder)
        metrics.append([record.metrics for record in recorder.of(EpochEnded)])
    local.close()
    assert metrics[0] == metrics[1]


def test_workers_have_nothing_of_the_home_open_and_share_what_their_machine_has(
    machines, on_ray, study
):
    work, _ = study
    home = Path(work.folder).parents[1]
    with machines.joined("roomy", cpus=2):
        executor = on_ray(workers=3)
        mapped: list[set[str]] = []

        def look(record: Record) -> Verdict:
            if isinstance(record, EpochEnded) and len(_training()) == 3:
                mapped.extend(_mapped(process) for process in _training())
            return GO_ON

        for trial in range(3):
            task = FoldTask(trial=trial, params=SETTING | {"epochs": 6}, fold=1)
            executor.submit(task)
        assert {executor.wait(look) for _ in range(3)} == {(0, 1), (1, 1), (2, 1)}
        executor.close()
    assert mapped
    labels = {n for names in mapped for n in names if n.endswith("train_labels.npy")}
    assert {Path(name).parents[1].name for name in labels} == {"head", "roomy"}
    assert len(labels) == 2  # one copy on each machine, for three workers
    assert not [name for names in mapped for name in names if Path(name).is_relative_to(home)]
    assert not list(machines.folder.glob("*/worker-*"))  # they have cleared up


def test_a_machine_that_joins_adds_slots_at_once_and_one_that_goes_takes_them_back(
    machines, on_ray
):
    executor, recorder = on_ray(workers=None), Recorder()
    assert executor.slots == 1
    executor.submit(FoldTask(trial=0, params=SETTING | {"epochs": 20}, fold=1))
    with machines.joined("second"):
        assert executor.wait(recorder) is None  # nothing is over, but there is room
        assert executor.slots == 2
        executor.submit(FoldTask(trial=1, params=SETTING, fold=1))
        assert {executor.wait(recorder), executor.wait(recorder)} == {(0, 1), (1, 1)}
    train(executor, Recorder(), 2, epochs=20)
    assert executor.slots == 1


def test_a_killed_actor_is_a_lost_worker_and_is_replaced(on_ray):
    executor = on_ray()

    def kill_at_first_epoch(record: Record) -> Verdict:
        if isinstance(record, EpochEnded):
            _training()[0].parent().kill()
        return recorder(record)

    recorder = Recorder()
    executor.submit(FoldTask(trial=0, params=SETTING, fold=1))
    assert executor.wait(kill_at_first_epoch) == (0, 1)
    failure = recorder.records[-1]
    assert (type(failure), failure.cause) == (AttemptFailed, "lost")
    assert "was lost" in failure.reason
    again = Recorder()
    train(executor, again, 1)
    assert isinstance(again.records[-1], FoldEnded)


def test_a_killed_worker_process_breaks_off_its_task_as_a_local_one(on_ray):
    executor = on_ray()

    def kill_at_first_epoch(record: Record) -> Verdict:
        if isinstance(record, EpochEnded):
            _training()[0].kill()
        return killed(record)

    killed = Recorder()
    executor.submit(FoldTask(trial=0, params=SETTING, fold=1))
    executor.wait(kill_at_first_epoch)
    assert killed.records[-1].cause == "lost"
    assert "exit code -9" in killed.records[-1].reason


def test_a_trial_that_takes_too_long_breaks_off_as_a_local_one(on_ray):
    late = Recorder()
    train(on_ray(limits=Limits(trial_seconds=1.0)), late, epochs=10_000)
    assert late.records[-1].cause == "time"
    assert "longer than the 1 s" in late.records[-1].reason


def test_a_share_of_a_gpu_is_all_that_a_worker_sees_and_without_one_none(machines, on_ray):
    seen: list[tuple[str | None, ...]] = []

    def look(record: Record) -> Verdict:
        names = ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH")
        seen.append(tuple(_training()[0].environ().get(name) for name in names))
        return HALT

    with machines.joined("with-gpus", num_gpus=2):
        for gpus in (0.5, 0.0):
            executor = on_ray(workers=1, request=ClusterRequest(per_trial=PerTrial(gpus=gpus)))
            executor.submit(FoldTask(trial=0, params=SETTING, fold=1))
            executor.wait(look)
            executor.close()
    assert seen[0][0] in ("0", "1")
    assert seen[0][1] == "true"
    assert seen[1] == ("-1", None)


def test_more_workers_than_the_cluster_carries_are_said_once(on_ray):
    notices: list[str] = []
    executor = on_ray(workers=5, notify=notices.append)
    assert executor.slots == 1
    train(executor, Recorder(), epochs=1)
    assert notices == [
        "`--workers 5`: the Ray cluster carries 1 of them at 1 CPU each; more start when machines"
        " join."
    ]


def test_a_trial_that_no_machine_can_train_ends_the_run_in_good_time(machines, study):
    from search.executors.ray.executor import RayExecutor

    work, _ = study
    request = ClusterRequest(per_trial=PerTrial(cpus=64, gpus=1))
    executor = RayExecutor(work, request=request, patience=1.0)
    executor.submit(FoldTask(trial=0, params=SETTING, fold=1))
    with pytest.raises(SettingsError, match=r"takes 64 CPU and 1 GPU of one machine.*1 CPU and 0"):
        executor.wait(Recorder())
    executor.close()


def test_a_space_that_no_worker_can_load_ends_the_run_with_its_last_words(
    machines, study, tmp_path
):
    work, folder = study
    (tmp_path / "mine.py").write_text("import a_package_that_is_not_there\n")
    executor = make_executor(
        "ray", replace(work, space=f"{tmp_path / 'mine.py'}:SPACE"), folder.worker_log
    )
    executor.submit(FoldTask(trial=0, params=SETTING, fold=1))
    with pytest.raises(WorkerFailed, match="a_package_that_is_not_there"):
        executor.wait(Recorder())
    executor.close()


def test_other_versions_on_a_machine_leave_its_worker_out(machines, study, monkeypatch):
    work, folder = study
    monkeypatch.setattr(
        "search.executors.ray.executor.package_versions", lambda names: {"keras": "0.1"}
    )
    executor = make_executor("ray", work, folder.worker_log)
    executor.submit(FoldTask(trial=0, params=SETTING, fold=1))
    with pytest.raises(WorkerFailed, match=r"has keras \S+ instead of 0\.1.*the same versions"):
        executor.wait(Recorder())
    executor.close()


def test_an_address_where_nobody_answers_is_said_at_once(study, monkeypatch):
    work, folder = study
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    began = time.monotonic()
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:1', where nobody answers"):
        make_executor("ray", work, folder.worker_log, request=ClusterRequest("127.0.0.1:1"))
    assert time.monotonic() - began < 5


SPACE = """
from pathlib import Path
import time
from layers_of_mine import model
from spaces import DataSpec, ImageInput, Int, Space

def build(parameters, data):
    while not Path({go!r}).exists():  # every trial is in the middle of a fold until then
        time.sleep(0.05)
    return model(parameters["units"], data)

SPACE = Space(name="mine", dataset="digits", inputs=ImageInput(size=(8, 8), channels=1),
              parameters=(Int("units", 4, 16),), baselines={{}}, build=build)
"""
LAYERS = """
def model(units, data):
    from keras import Sequential, layers
    return Sequential([layers.Input(data.input_shape), layers.Rescaling(1 / 255), layers.Flatten(),
                       layers.Dense(units), layers.Dense(data.classes, activation="softmax")])
"""


def test_a_machine_killed_during_a_study_costs_its_unfinished_folds_alone(machines, tmp_path):
    go, mine = tmp_path / "go", tmp_path / "mine"
    mine.mkdir()
    (mine / "my_space.py").write_text(SPACE.format(go=str(go)))
    (mine / "layers_of_mine.py").write_text(LAYERS)
    with machines.joined("second") as second, machines.joined("third"):
        begun: set[int] = set()

        def kill_when_all_train(record: Record) -> None:
            if isinstance(record, FoldStarted):
                begun.add(record.trial)
            if len(begun) == 3 and not go.exists():
                machines.kill(second)
                shutil.rmtree(mine)  # whoever goes on has a copy
                go.touch()

        @contextmanager
        def display(_: object):
            yield kill_when_all_train

        done = run_study(
            home=tmp_path / "home",
            space=f"{mine / 'my_space.py'}:SPACE",
            dataset="digits",
            study="toy",
            trials=5,
            folds=2,
            epochs=2,
            pruner="none",
            limit_samples=400,
            executor="ray",
            workers=3,
            notify=lambda _: None,
            display=display,
        )
    records = read_journal(done.folder.journal)
    lost = [record for record in records if isinstance(record, AttemptFailed)]
    assert [record.cause for record in lost] == ["lost"]
    assert journal_faults(records) == []
    folds = [(record.trial, record.fold) for record in records if isinstance(record, FoldEnded)]
    assert sorted(folds) == [(trial, fold) for trial in range(5) for fold in (1, 2)]
    states = [record.state for record in records if isinstance(record, TrialEnded)]
    assert states == ["complete"] * 5
    for trial, fold in folds:
        assert len(ClassPredictions.load(done.folder.predictions(trial, fold)).labels) == 200
    assert done.reason == "complete"


@pytest.mark.parametrize("mode", ["interrupt", "kill"])
def test_nothing_trains_on_and_nothing_was_printed_when_a_run_with_its_own_cluster_ends(
    tmp_path, mode
):
    temporary = Path("/tmp") / f"fwt-{os.getpid()}-{mode[0]}"  # noqa: S108 # sockets need short paths
    temporary.mkdir()
    study = StudyRun(tmp_path, environment={"TMPDIR": str(temporary)})
    more = ("--executor", "ray", "--epochs", "1000")
    command = study.start(*more, trials=100, as_json=False)  # Ray needs a while to miss a worker
    try:
        study.wait_for("EpochEnded", 3)
        if mode == "interrupt":
            psutil.Process(command.workers()[0].ppid()).kill()  # something to talk about for Ray
            study.wait_for("AttemptFailed")
        getattr(command, mode)()
        done = command.wait()
        if mode == "interrupt":
            assert done.code == 130
            assert command.leftovers() == []
            assert not list(temporary.glob("fw-ray*"))
        else:  # two helpers of Ray's look for its other processes for a minute longer
            _wait_until_gone(temporary)
        assert "Traceback" not in done.err
        assert "raylet" not in done.out + done.err
    finally:
        study.clean_up()
        shutil.rmtree(temporary, ignore_errors=True)


def _wait_until_gone(folder: Path) -> None:
    """Wait for the end of the processes of a cluster whose files are in a folder, and of workers.

    Raises:
        AssertionError: they do not end within 20 s.
    """
    deadline = time.monotonic() + 20
    while left := [*_of_cluster(folder), *map(str, _training())]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _training() -> list[psutil.Process]:
    """Return the processes that train on the cluster."""
    found = []
    for process in psutil.process_iter():
        try:
            is_worker = "search.executors.worker" in " ".join(process.cmdline())
            if is_worker and "ray::Host" in " ".join(process.parent().cmdline()):
                found.append(process)
        except (psutil.Error, AttributeError):
            continue
    return found


def _mapped(process: psutil.Process) -> set[str]:
    names = {entry.path for entry in process.memory_maps()}
    return names | {entry.path for entry in process.open_files()}


def _of_cluster(folder: Path) -> list[str]:
    """Return what runs of a Ray cluster whose files are in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if str(folder) in line and process.status() != psutil.STATUS_ZOMBIE:
                found.append(line)
        except psutil.Error:
            continue
    return found
