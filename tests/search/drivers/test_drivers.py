from importlib.util import find_spec

import pytest

from search.drivers import DRIVERS, Driver, FixedDriver, Outcome, make_driver
from search.errors import SettingsError
from spaces import (
    Boolean,
    Choice,
    Float,
    Int,
    Settings,
    get_space,
    narrow,
)
from tests.fakes import toy_space

SPACES = {
    "conditional": get_space("lenet"),
    "narrowed": narrow(
        get_space("lenet"),
        {"conv_1_filters": "40:48", "extra_conv": "on", "batch_size": "32,64"},
    ).space,
    "finite": toy_space(Boolean("a"), Choice("b", (1, 2, 3)), Int("c", 1, 2, when=("a", True))),
    "numbers": toy_space(
        Int("a", 1, 512, log=True), Float("b", -1.0, 1.0), Float("c", 0.0, 1.0, step=0.25)
    ),
}
SAMPLERS = [
    (driver, sampler)
    for driver, samplers in DRIVERS.items()
    for sampler in samplers
    if sampler != "baselines"
]


def outcome(setting: Settings, number: int) -> Outcome:
    """A deterministic outcome of every kind in turn."""
    score = sum(float(v) if not isinstance(v, str) else len(v) for v in setting.values())
    steps = {1: score, 2: score + 1.0, 3: score + 2.0}
    if number % 7 == 3:
        return Outcome("pruned", (), {1: score})
    if number % 7 == 5:
        return Outcome("failed")
    return Outcome("complete", (score + 1.0,), steps)


def run(driver: Driver, numbers: range) -> list[Settings]:
    """Ask and tell until the driver has nothing left."""
    proposals = []
    for number in numbers:
        setting = driver.ask(number)
        if setting is None:
            break
        proposals.append(setting)
        driver.tell(number, setting, outcome(setting, number))
    return proposals


@pytest.mark.parametrize("space_name", SPACES)
@pytest.mark.parametrize(("name", "sampler"), SAMPLERS, ids=lambda value: str(value))
class TestDriverContract:
    """What every driver with every sampler must do."""

    @pytest.fixture
    def make(self, name, sampler, space_name):
        if sampler == "gp":
            pytest.importorskip("torch", reason="the gp extra is not installed")

        def make(seed: int = 3) -> Driver:
            return make_driver(name, sampler, SPACES[space_name], seed)

        return make

    def test_proposes_settings_of_the_space(self, make, space_name):
        proposals = run(make(), range(16))
        assert proposals
        for setting in proposals:
            assert SPACES[space_name].complete(setting) == setting

    def test_the_same_seed_gives_the_same_proposals(self, make):
        assert run(make(), range(14)) == run(make(), range(14))

    @pytest.mark.parametrize("told", [1, 4, 12])
    def test_continues_from_a_journal_as_if_uninterrupted(self, make, told):
        whole = run(make(), range(16))
        driver = make()
        for number, setting in enumerate(whole[:told]):
            driver.adopt(number, setting, sampled=True)
            driver.tell(number, setting, outcome(setting, number))
        assert run(driver, range(told, 16)) == whole[told:]

    def test_continues_after_an_interrupted_trial(self, make):
        whole = run(make(), range(8))
        driver = make()
        for number, setting in enumerate(whole[:3]):
            driver.adopt(number, setting, sampled=True)
            if number < 2:
                driver.tell(number, setting, outcome(setting, number))
        if len(whole) > 2:  # the third one is finished in this session, then told
            driver.tell(2, whole[2], outcome(whole[2], 2))
        assert run(driver, range(3, 8)) == whole[3:]

    def test_learns_of_baselines_it_did_not_propose(self, make, space_name):
        driver = make()
        baseline = SPACES[space_name].complete({})
        driver.adopt(0, baseline, sampled=False)
        driver.tell(0, baseline, outcome(baseline, 0))
        assert run(driver, range(1, 6))

    def test_survives_nothing_but_failures(self, make):
        driver = make()
        for number in range(5):
            setting = driver.ask(number)
            if setting is not None:
                driver.tell(number, setting, Outcome("failed"))

    def test_fixed_parameters_stay_as_they_are(self, make, space_name):
        fixed = [p for p in SPACES[space_name].parameters if p.fixed]
        for setting in run(make(), range(6)):
            assert all(setting.get(p.name, p.default) == p.default for p in fixed)


@pytest.mark.parametrize("sampler", [s for s in DRIVERS["optuna"] if s not in {"grid", "gp"}])
def test_another_seed_gives_other_proposals(sampler):
    lenet = get_space("lenet")
    first = run(make_driver("optuna", sampler, lenet, 1), range(6))
    assert first != run(make_driver("optuna", sampler, lenet, 2), range(6))


@pytest.mark.parametrize("driver", ["optuna", "fixed"])
def test_a_grid_evaluates_every_setting_once_and_ends(driver):
    finite = SPACES["finite"]
    proposals = run(make_driver(driver, "grid", finite, 0), range(100))
    assert len(proposals) == (1 + 2) * 3
    assert proposals == list(finite.grid())


def test_tpe_finds_better_settings_than_chance():
    target = toy_space(Float("x", -5.0, 5.0), Float("y", -5.0, 5.0))

    def best(sampler: str, seed: int) -> float:
        driver = make_driver("optuna", sampler, target, seed)
        scores = []
        for number in range(50):
            setting = driver.ask(number)
            score = -((float(setting["x"]) - 2) ** 2) - (float(setting["y"]) + 1) ** 2
            scores.append(score)
            driver.tell(number, setting, Outcome("complete", (score,), {1: score}))
        return max(scores)

    wins = sum(best("tpe", seed) > best("random", seed) for seed in range(5))
    assert wins >= 4


def test_the_fixed_driver_keeps_the_order_and_ends():
    settings: list[Settings] = [{"a": 1}, {"a": 2}, {"a": 1}]
    assert run(FixedDriver(settings), range(9)) == [{"a": 1}, {"a": 2}]


@pytest.mark.skipif(find_spec("torch") is not None, reason="the gp extra is installed")
def test_a_sampler_whose_package_is_missing_says_how_to_get_it():
    with pytest.raises(SettingsError, match=r"pip install foldwise\[gp\]"):
        make_driver("optuna", "gp", SPACES["numbers"], 0)
