from itertools import pairwise

import pytest

from spaces import Boolean, Choice, Float, Int, SpaceError
from tests.fakes import toy_space

CONDITIONAL = toy_space(
    Boolean("deep"),
    Int("depth", 2, 4, when=("deep", True)),
    Choice("kind", ("a", "b"), when=("depth", (3, 4))),
    Float("rate", 0.0, 0.5, step=0.1),
)


def test_a_setting_gets_its_defaults_and_leaves_inactive_parameters_out():
    assert CONDITIONAL.complete({}) == {"deep": False, "rate": 0.0}
    assert CONDITIONAL.complete({"deep": True}) == {"deep": True, "depth": 2, "rate": 0.0}
    assert CONDITIONAL.complete({"deep": True, "depth": 3})["kind"] == "a"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"width": 3}, "unknown parameter `width`"),
        ({"deep": 1}, "`deep` must be within off | on; got 1"),
        ({"rate": 0.25}, "`rate` must be within 0..0.5 step 0.1; got 0.25"),
        ({"depth": 3}, "`depth` is active only if `deep` is True"),
        ({"deep": True, "depth": 5}, "`depth` must be within 2..4; got 5"),
    ],
)
def test_a_setting_outside_the_space_is_refused_with_rule_and_value(params, words):
    with pytest.raises(SpaceError) as caught:
        CONDITIONAL.complete(params)
    assert words in str(caught.value)


def test_the_grid_holds_each_distinct_setting_once():
    settings = list(CONDITIONAL.grid())
    # off; or on with depth 2, or with depth 3 or 4 times two kinds; times six rates
    assert len(settings) == (1 + 1 + 2 * 2) * 6
    assert len({tuple(params.items()) for params in settings}) == len(settings)
    assert all(CONDITIONAL.complete(params) == params for params in settings)


def test_a_grid_over_a_continuous_range_has_ten_points_even_in_its_own_scale():
    even = Float("even", 0.0, 9.0).grid()
    assert even == tuple(float(i) for i in range(10))
    log = Float("log", 1e-4, 1e-1, log=True).grid()
    ratios = [after / before for before, after in pairwise(log)]
    assert log[0] == 1e-4
    assert log[-1] == 1e-1
    assert len(log) == 10
    assert max(ratios) == pytest.approx(min(ratios))


def test_grids_of_whole_numbers_and_steps_stay_on_their_steps():
    assert Int("few", 3, 5).grid() == (3, 4, 5)
    many = Int("many", 0, 1000, step=7)
    assert len(many.grid()) == 10
    assert all(many.contains(value) for value in many.grid())
    stepped = Float("stepped", 0.0, 0.55, step=0.1)
    assert stepped.grid() == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    assert Int("log", 1, 1000, log=True).grid()[0::9] == (1, 1000)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Int("a", 3, 2), "low must not be above high"),
        (lambda: Int("a=b", 1, 2), "a parameter's name must begin with a letter"),
        (lambda: Int("1a", 1, 2), "got '1a'"),
        (lambda: Int("a//b", 1, 2), "no part between slashes may be empty"),
        (lambda: Int("a ", 1, 2), "got 'a '"),
        (lambda: Int("a", 0, 8, log=True), "a log scale needs a low above 0"),
        (lambda: Int("a", 1, 8, log=True, step=2), "step and log exclude each other"),
        (lambda: Int("a", 1, 8, default=9), "default must be within 1..8"),
        (lambda: Float("a", 1e-3, 1.0, step=0.1, log=True), "step and log exclude each other"),
        (lambda: Float("a", 0.0, float("inf")), "bounds must be finite"),
        (lambda: Float("a", 0.0, 1.0, step=-0.1), "step must be above 0"),
        (lambda: Choice("a", ()), "at least one value"),
        (lambda: Choice("a", (3, 3)), "occurs twice"),
        (lambda: Choice("a", (3, 5), default=4), "default must be one of 3 | 5"),
        (lambda: toy_space(Int("a", 1, 2), Boolean("a")), "`a` occurs twice"),
        (
            lambda: toy_space(Int("a", 1, 2, when=("b", True)), Boolean("b")),
            "not an earlier parameter",
        ),
    ],
)
def test_a_parameter_that_breaks_its_rules_is_refused(make, words):
    with pytest.raises(SpaceError) as caught:
        make()
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["a", "_a1", "conv/filters 1", "b-c.d", "größe"])
def test_names_that_trackers_and_options_can_hold_are_allowed(name):
    assert Int(name, 1, 2).name == name


def test_values_must_have_the_parameters_type():
    assert not Int("a", 0, 1).contains(True)
    assert not Int("a", 0, 5).contains(2.0)
    assert not Choice("a", (1, 2)).contains(1.0)
    assert Float("a", 0.0, 1.0).contains(1)
    assert Float("a", 0.0, 0.5, step=0.05).contains(0.15000000000000002)
