import pytest

from search.executors import PerTrial, auto_workers
from search.executors.base import Limits, Node, usable_memory


def nodes(*resources: dict[str, float]) -> list[Node]:
    return [Node(str(number), one) for number, one in enumerate(resources)]


def test_each_machine_carries_whole_trials_only():
    assert PerTrial(cpus=2).carried_by(nodes({"CPU": 3}, {"CPU": 3}, {"CPU": 1})) == 2


def test_the_scarcer_of_processors_and_gpus_decides():
    per_trial = PerTrial(cpus=2, gpus=0.5)
    assert per_trial.carried_by(nodes({"CPU": 16, "GPU": 2})) == 4
    assert per_trial.carried_by(nodes({"CPU": 4, "GPU": 8})) == 2
    assert per_trial.carried_by(nodes({"CPU": 64})) == 0


def test_thirds_of_a_gpu_make_three():
    assert PerTrial(gpus=1 / 3).carried_by(nodes({"CPU": 8, "GPU": 1})) == 3


def test_a_trial_gets_its_share_of_one_gpu_only():
    per_trial = PerTrial(gpus=0.4)
    assert per_trial.carried_by(nodes({"CPU": 8, "GPU": 2})) == 4
    assert PerTrial(gpus=1.0).carried_by(nodes({"CPU": 8, "GPU": 3})) == 3


def test_what_a_trial_takes_is_said_in_words():
    assert str(PerTrial(cpus=4, gpus=0.5)) == "4 CPU and 0.5 GPU"
    assert str(PerTrial()) == "1 CPU"


GIB = 1 << 30


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Return a function that puts this process in a control group with files of limits."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    monkeypatch.setattr("search.executors.base._PROC", proc)
    monkeypatch.setattr("search.executors.base._GROUPS", groups)

    def made(line: str, **limits: str) -> None:
        (proc / "self" / "cgroup").write_text(f"9:name=systemd:/\n{line}\n")
        for place, text in limits.items():
            path = groups / place.replace("__", "/")
            file = path / ("memory.max" if line.startswith("0::") else "memory.limit_in_bytes")
            path.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")

    return made


@pytest.mark.parametrize(
    ("line", "limits"),
    [
        ("0::/", {".": str(GIB)}),  # a container sees its own group as the root
        ("0::/slurm/job_7/step_0", {"slurm__job_7": str(GIB), "slurm__job_7__step_0": "max"}),
        ("4:memory:/docker/abc", {"memory": str(GIB)}),  # version 1; the path is the host's
        ("4:cpu,memory:/job_7", {"memory__job_7": str(GIB), "memory": str(2**63 - 4096)}),
    ],
)
def test_a_container_or_job_has_the_memory_of_its_limit(group, line, limits):
    group(line, **limits)
    assert usable_memory() == GIB
    assert auto_workers() == 1
    assert Limits().on_share(0.5).memory == int(0.4 * GIB)


def test_without_a_limit_the_memory_is_the_machines(group, monkeypatch):
    import psutil

    whole = psutil.virtual_memory().total
    assert usable_memory() == whole  # there is no file
    group("0::/", **{".": "max"})
    assert usable_memory() == whole
    group("0::/", **{".": str(2 * whole)})
    assert usable_memory() == whole


def test_no_more_workers_than_processors_that_a_container_may_use(group, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert auto_workers() == 1
