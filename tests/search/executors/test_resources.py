from search.executors import PerTrial
from search.executors.base import Node


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
