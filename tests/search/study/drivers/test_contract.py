from functools import cache

import pytest

from search.study.drivers import Driver, Outcome, make_driver
from spaces import Params, Space
from tests.search.study.drivers.proposing import CASES, SIZES, SPACES, outcome, run, same

TRIALS = 14


@cache
def uninterrupted(name: str, sampler: str, space_name: str) -> list[Params]:
    """What a driver proposes in a study of its own."""
    return run(make_driver(name, sampler, SPACES[space_name], 3), range(TRIALS))


@pytest.mark.parametrize(
    ("name", "sampler", "space_name"),
    [
        pytest.param(*case, marks=[pytest.mark.slow] if case[0] == "keras-tuner" else [])
        for case in CASES
    ],
)
class TestDriverContract:
    """What every driver with every sampler must do."""

    @pytest.fixture
    def space(self, space_name) -> Space:
        return SPACES[space_name]

    @pytest.fixture
    def make(self, name, sampler, space):
        if sampler == "gp":
            pytest.importorskip("torch", reason="the gp extra is not installed")

        def make(seed: int = 3) -> Driver:
            return make_driver(name, sampler, space, seed)

        return make

    @pytest.fixture
    def whole(self, make, name, sampler, space_name) -> list[Params]:
        return uninterrupted(name, sampler, space_name)

    def test_asks_within_ranges_and_conditions(self, whole, sampler, space):
        assert whole
        for params in whole:
            most = space["epochs"].default
            assert params["epochs"] in (range(1, most + 1) if sampler == "hyperband" else (most,))
            at_most = {**params, "epochs": most}
            assert same(space.complete(at_most), at_most)

    def test_honours_fixed_and_narrowed_parameters(self, whole, sampler, space):
        for params in whole:
            for name, value in params.items():
                if name == "epochs" and sampler == "hyperband":
                    continue
                assert space[name].contains(value)
                assert not space[name].fixed or value == space[name].default

    def test_is_deterministic_in_the_seed(self, make, whole):
        assert run(make(), range(TRIALS)) == whole

    @pytest.mark.slow
    @pytest.mark.parametrize("told", [1, 4, 12])
    def test_continues_as_if_uninterrupted(self, make, whole, told):
        driver = make()
        adopt(driver, whole[:told])
        assert run(driver, range(told, TRIALS)) == whole[told:]

    @pytest.mark.slow
    def test_continues_after_a_baseline_as_if_uninterrupted(self, make, space):
        baseline = space.complete({})
        first = make()
        adopt(first, [baseline], sampled=False)
        whole = run(first, range(1, TRIALS))
        second = make()
        adopt(second, [baseline], sampled=False)
        adopt(second, whole[:9], start=1)
        assert run(second, range(10, TRIALS)) == whole[9:]
        assert baseline not in whole

    def test_continues_after_an_interrupted_trial(self, make, whole):
        driver = make()
        adopt(driver, whole[:2])
        if len(whole) > 2:  # the third one is finished in this session, then told
            driver.adopt(2, whole[2], sampled=True)
            driver.tell(2, whole[2], outcome(whole[2], 2))
        assert run(driver, range(3, 8)) == whole[3:8]

    @pytest.mark.slow
    def test_takes_on_a_setting_that_it_would_not_have_proposed(self, make, space):
        """As where the journal was written with another version of the library."""
        driver = make()
        others = run(make(seed=4), range(6))
        adopt(driver, others)
        proposals = run(driver, range(6, 12))
        assert not [params for params in proposals if params in others]

    def test_survives_failed_trials(self, make, space_name):
        driver = make()
        for number in range(min(SIZES.get(space_name, 14), 14)):
            params = driver.ask(number)
            assert params is not None
            driver.tell(number, params, Outcome("failed"))

    def test_never_proposes_a_setting_twice_and_finishes_what_is_finite(
        self, make, sampler, space, space_name
    ):
        trials = SIZES.get(space_name, 12)
        proposals = run(make(), range(4 * trials) if space_name in SIZES else range(trials))
        assert len({tuple(params.items()) for params in proposals}) == len(proposals)
        if space_name in SIZES and sampler != "hyperband":  # which has each for fewer epochs, too
            assert sorted(proposals, key=str) == sorted(space.grid(), key=str)
        assert len(proposals) >= trials


def adopt(driver: Driver, settings: list[Params], *, start: int = 0, sampled=True) -> None:
    """Show the driver what a journal says."""
    for number, params in enumerate(settings, start):
        driver.adopt(number, params, sampled=sampled)
        driver.tell(number, params, outcome(params, number))
