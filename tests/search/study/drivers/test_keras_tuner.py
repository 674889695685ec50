import pytest

from search.study.drivers import Driver, Outcome, make_driver
from spaces import Boolean, Choice, Float, Int, Params
from tests.fakes import toy_space
from tests.search.study.drivers.proposing import SPACES, same, space_of

LINE = space_of(Float("x", 0.0, 1.0))


@pytest.fixture(scope="module")
def axes_of():
    from search.study.drivers.keras_tuner import Axes

    return Axes


@pytest.mark.slow
class TestAxes:
    """How settings are written for KerasTuner; loaded with it, which takes seconds."""

    @pytest.mark.parametrize("space_name", SPACES)
    @pytest.mark.parametrize("grid", [True, False])
    def test_settings_survive_the_way_there_and_back(self, axes_of, space_name, grid):
        space = SPACES[space_name]
        axes = axes_of(space, grid=grid)
        for _, params in zip(range(99), space.grid(), strict=False):
            values = axes.values(params)
            assert values is not None
            assert same(axes.params(values), params)

    def test_every_step_of_a_continuous_range_can_be_reached(self, axes_of):
        axes = axes_of(toy_space(Float("x", 0.0, 0.5, step=0.05)))  # 0.5 // 0.05 is 9
        values = [axes.params({"x": place})["x"] for place in range(11)]
        assert values[-1] == 0.5
        assert values[3] == 0.15  # not 0.15000000000000002

    def test_a_value_that_is_in_no_list_has_no_place(self, axes_of):
        axes = axes_of(toy_space(Choice("weights", ("none", "imagenet")), Boolean("a")))
        assert axes.values({"weights": "/some/file", "a": True}) is None
        assert axes.values({"weights": "imagenet", "a": True}) == {"weights": 1, "a": 1}


def run_line(driver: Driver, trials: int, score_of=lambda s: float(s["x"])) -> list[Params]:
    settings = []
    for number in range(trials):
        params = driver.ask(number)
        assert params is not None
        settings.append(params)
        driver.tell(number, params, Outcome("complete", (score_of(params),)))
    return settings


@pytest.mark.slow
class TestHyperband:
    def test_the_best_of_a_round_train_for_more_epochs_in_the_next(self):
        settings = run_line(make_driver("keras-tuner", "hyperband", LINE, 0), 13)
        assert [s["epochs"] for s in settings] == [1] * 9 + [3] * 3 + [9]
        ranked = sorted((float(s["x"]) for s in settings[:9]), reverse=True)
        assert [s["x"] for s in settings[9:]] == [*ranked[:3], ranked[0]]

    def test_the_brackets_repeat_as_long_as_there_are_trials(self):
        settings = run_line(make_driver("keras-tuner", "hyperband", LINE, 0), 80)
        epochs = [s["epochs"] for s in settings]
        one_sweep = [1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] * 2 + [9] * 3
        assert epochs == (one_sweep * 4)[:80]

    def test_a_pruned_trial_can_go_on_where_the_others_are_worse(self):
        driver = make_driver("keras-tuner", "hyperband", LINE, 0)
        settings = []
        for number in range(9):
            params = driver.ask(number)
            assert params is not None
            settings.append(params)
            driver.tell(number, params, Outcome("pruned", (0.8 if number == 4 else 0.1,)))
        assert driver.ask(9) == {**settings[4], "epochs": 3}


@pytest.mark.slow
def test_the_upper_bound_of_a_range_of_whole_numbers_on_a_log_scale_is_not_passed():
    space = space_of(Int("a", 1, 512, log=True))
    driver = make_driver("keras-tuner", "bayesian", space, 0)
    values = [s["a"] for s in run_line(driver, 8, lambda s: float(s["a"]))]
    assert max(values) == 512
