import math
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from search.errors import SettingsError
from search.study.drivers import DRIVERS, FixedDriver, Outcome, make_driver
from spaces import Boolean, Float, Int, Params, get_space
from tests.fakes import toy_space
from tests.search.study.drivers.proposing import SPACES, run, space_of

LEARNING = [
    ("optuna", "tpe"),
    ("optuna", "gp"),
    ("optuna", "cmaes"),
    pytest.param("keras-tuner", "bayesian", marks=pytest.mark.slow),
]
DRAWING = [("optuna", s) for s in ("tpe", "random", "qmc", "cmaes")] + [
    pytest.param("keras-tuner", s, marks=pytest.mark.slow)
    for s in ("bayesian", "random", "hyperband")
]
GRIDS = ["optuna", "fixed", pytest.param("keras-tuner", marks=pytest.mark.slow)]


def test_the_first_sampler_is_the_default():
    assert {driver: samplers[0] for driver, samplers in DRIVERS.items()} == {
        "optuna": "tpe",
        "keras-tuner": "bayesian",
        "fixed": "baselines",
    }


@pytest.mark.parametrize(("driver", "sampler"), DRAWING)
def test_another_seed_gives_other_proposals(driver, sampler):
    lenet = get_space("lenet")
    first = run(make_driver(driver, sampler, lenet, 1), range(6))
    assert first != run(make_driver(driver, sampler, lenet, 2), range(6))


@pytest.mark.parametrize("driver", GRIDS)
def test_a_grid_has_ten_points_of_a_continuous_range_even_in_its_own_scale(driver):
    space = space_of(Float("plain", -1.0, 2.0), Float("log", 1e-4, 1e-1, log=True))
    proposals = run(make_driver(driver, "grid", space, 0), range(101))
    assert len(proposals) == 100
    plain = sorted({float(params["plain"]) for params in proposals})
    log = sorted({math.log10(float(params["log"])) for params in proposals})
    for points, low, high in ((plain, -1.0, 2.0), (log, -4.0, -1.0)):
        assert points == pytest.approx([low + (high - low) * i / 9 for i in range(10)])


@pytest.mark.parametrize("driver", GRIDS)
@pytest.mark.parametrize("space", [SPACES["nested"], SPACES["finite"]], ids=["nested", "finite"])
def test_a_grid_is_the_same_under_every_driver(driver, space):
    proposals = run(make_driver(driver, "grid", space, 0), range(100))
    assert sorted(proposals, key=str) == sorted(space.grid(), key=str)


@pytest.mark.slow
def test_tpe_finds_better_settings_than_chance():
    wins = sum(best("optuna", "tpe", seed) > best("optuna", "random", seed) for seed in range(5))
    assert wins >= 4


@pytest.mark.slow
def test_bayesian_finds_better_settings_than_more_by_chance():
    for seed in range(2):
        drawn = best("keras-tuner", "random", seed, trials=40)
        assert best("keras-tuner", "bayesian", seed, trials=16) > drawn


def best(driver: str, sampler: str, seed: int, trials: int = 50) -> float:
    """The best of some trials on a hill."""
    proposing = make_driver(driver, sampler, hill(), seed)
    scores = []
    for number in range(trials):
        params = proposing.ask(number)
        scores.append(height(params))
        proposing.tell(number, params, Outcome("complete", (scores[-1],)))
    return max(scores)


def hill():
    return toy_space(Float("x", -5.0, 5.0), Float("y", -5.0, 5.0))


def height(params: Params) -> float:
    return -((float(params["x"]) - 2) ** 2) - (float(params["y"]) + 1) ** 2


@pytest.mark.parametrize(("driver", "sampler"), LEARNING)
def test_learns_from_trials_that_were_pruned_alone(driver, sampler):
    def proposals(sign: float) -> list[Params]:
        return run_with(driver, sampler, lambda s: Outcome("pruned", (sign * height(s),)))

    assert proposals(1.0) != proposals(-1.0)


def run_with(driver: str, sampler: str, outcome_of) -> list[Params]:
    if sampler == "gp":
        pytest.importorskip("torch", reason="the gp extra is not installed")
    proposing = make_driver(driver, sampler, hill(), 0)
    settings = []
    for number in range(20 if sampler == "cmaes" else 13):
        settings.append(proposing.ask(number))
        proposing.tell(number, settings[-1], outcome_of(settings[-1]))
    return settings


@pytest.mark.parametrize(("driver", "sampler"), LEARNING)
def test_learns_of_baselines_it_did_not_propose(driver, sampler):
    def next_one(sign: float) -> Params | None:
        if sampler == "gp":
            pytest.importorskip("torch", reason="the gp extra is not installed")
        proposing = make_driver(driver, sampler, hill(), 0)
        for number in range(12):
            params: Params = {"x": number - 6.0 if number % 2 else 1.0, "y": number / 2 - 3}
            proposing.adopt(number, params, sampled=False)
            score = sign * height(params)
            proposing.tell(number, params, Outcome("complete", (score,)))
        for number in (12, 13):
            proposal = proposing.ask(number)
            proposing.tell(number, proposal, Outcome("complete", (0.0,)))
        return proposal

    if sampler == "cmaes":
        pytest.skip("CMA-ES learns from generations of its own proposals alone")
    assert next_one(1.0) != next_one(-1.0)


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "qmc", "grid"])
def test_several_objectives_can_be_searched_by(sampler):
    if sampler == "gp":
        pytest.importorskip("torch", reason="the gp extra is not installed")
    driver = make_driver("optuna", sampler, SPACES["numbers"], 0, objectives=2)
    settings = []
    for number in range(14):
        params = driver.ask(number)
        assert params is not None
        settings.append(params)
        score = float(params["b"])
        states = [Outcome("complete", (score, -score)), Outcome("failed", ())]
        driver.tell(number, params, states[number % 5 == 4])
    assert len({str(params) for params in settings}) == 14


@pytest.mark.parametrize(
    ("driver", "sampler", "remedy"),
    [
        ("optuna", "cmaes", "--sampler tpe"),
        *(("keras-tuner", s, "--driver optuna") for s in DRIVERS["keras-tuner"]),
    ],
)
def test_several_objectives_are_refused_where_they_cannot_be_had(driver, sampler, remedy):
    with pytest.raises(SettingsError, match=f"one objective; got 2.*{remedy}"):
        make_driver(driver, sampler, SPACES["numbers"], 0, objectives=2)


@pytest.mark.parametrize(
    "space", [toy_space(Boolean("a"), Int("epochs", 2, 9)), toy_space(Boolean("a"))]
)
def test_hyperband_refuses_a_space_whose_epochs_it_cannot_decide(space):
    with pytest.raises(SettingsError, match=r"got (a search over 2\.\.9|none).*--epochs"):
        make_driver("keras-tuner", "hyperband", space, 0)


@pytest.mark.slow
def test_a_refusal_loads_no_library_and_loading_one_goes_unnoticed():
    code = """
import os, sys
from search.study.drivers import make_driver, Outcome
from search.errors import SettingsError
from tests.search.study.drivers.proposing import SPACES
try:
    make_driver("keras-tuner", "bayesian", SPACES["numbers"], 0, objectives=2)
except SettingsError:
    pass
assert not {"optuna", "keras_tuner", "tensorflow"} & set(sys.modules)
before = dict(os.environ)
for sampler in ("bayesian", "hyperband", "grid"):
    driver = make_driver("keras-tuner", sampler, SPACES["numbers"], 0)
    for number in range(14):
        driver.tell(number, driver.ask(number), Outcome("complete", (0.5,)))
assert dict(os.environ) == before
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_fixed_driver_keeps_the_order_and_ends():
    settings: list[Params] = [{"a": 1}, {"a": 2}, {"a": 1}, {"a": True}]
    assert run(FixedDriver(settings), range(9)) == [{"a": 1}, {"a": 2}, {"a": True}]


@pytest.mark.skipif(find_spec("torch") is not None, reason="the gp extra is installed")
def test_a_sampler_whose_package_is_missing_says_how_to_get_it():
    with pytest.raises(SettingsError, match=r'pip install "foldwise\[gp\]"'):
        make_driver("optuna", "gp", SPACES["numbers"], 0)
