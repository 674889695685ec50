"""TPE looks at the best and the latest trials, so that ten thousand cost no more than hundreds."""

import pytest

import search.study.drivers.optuna as optuna_driver
from search.study.drivers import Outcome, make_driver
from spaces import Float
from tests.fakes import toy_space

FAR, NEAR = -4.0, 2.0


@pytest.fixture(autouse=True)
def small_window(monkeypatch):
    monkeypatch.setattr(optuna_driver, "SHOWN", 20)
    monkeypatch.setattr(optuna_driver, "BEST", 5)


def proposals(first, outcomes, *, objectives=1, count=60, sampler="tpe"):
    """Return what is proposed after trials with the given first values and many further ones."""
    space = toy_space(Float("x", -5.0, 5.0), Float("y", -5.0, 5.0))
    driver = make_driver("optuna", sampler, space, 0, objectives=objectives)
    for number in range(count):
        x = first[number] if number < len(first) else -5 + 10 * (number * 37 % count) / count
        params = {"x": x, "y": x / 2}
        driver.adopt(number, params, sampled=False)
        driver.tell(number, params, outcomes(number, x))
    found = []
    for number in range(count, count + 4):
        found.append(driver.ask(number))
        driver.tell(number, found[-1], outcomes(number, found[-1]["x"]))
    return found


def complete(number, x):
    return Outcome("complete", (-1 - abs(x - 4.5) if number >= 6 else -abs(x - 2),))


def test_what_was_poor_long_ago_counts_no_more():
    def outcomes(number, x):
        return Outcome("complete", (-99.0 if number < 40 else -abs(x - 2),))

    one, other = ([x + n / 50 for n in range(40)] for x in (FAR, NEAR))
    assert proposals(one, outcomes, count=80) == proposals(other, outcomes, count=80)


def test_what_was_good_long_ago_counts_for_ever():
    good = [[NEAR + n / 100 for n in range(6)], [NEAR - n / 100 for n in range(6)]]
    assert proposals(good[0], complete) != proposals(good[1], complete)


def test_a_complete_trial_is_better_than_any_pruned_one():
    def outcomes(number, x):
        pruned = Outcome("pruned", (9.0 - abs(x),))
        return Outcome("complete", (-9.0 - x,)) if number < 4 else pruned

    one, other = ([x, x + 0.5, x + 1, x + 1.5] for x in (-2.0, 1.0))
    assert proposals(one, outcomes) != proposals(other, outcomes)


def test_of_two_objectives_trials_that_few_beat_are_kept():
    def outcomes(number, x):
        best = (100.0 - x, 100.0 + x) if number < 3 else (-abs(x), -abs(x - 1))
        return Outcome("complete", best)

    one, other = ([x, x + 0.5, x + 1] for x in (-2.0, 1.0))
    assert proposals(one, outcomes, objectives=2) != proposals(other, outcomes, objectives=2)


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_study_that_is_continued_behind_the_window_goes_on_as_before(sampler, objectives):
    space = toy_space(Float("x", -5.0, 5.0), Float("y", -5.0, 5.0))

    def outcome(number, params):
        value = -abs(params["x"] - 2) - abs(params["y"])
        if number % 5 == 2:
            return Outcome("pruned", (value,))
        if number % 11 == 3:
            return Outcome("failed")
        return Outcome("complete", (value, params["x"])[:objectives])

    def driver():
        return make_driver("optuna", sampler, space, 3, objectives=objectives)

    whole, proposed = driver(), []
    for number in range(60):
        proposed.append(whole.ask(number))
        whole.tell(number, proposed[-1], outcome(number, proposed[-1]))
    continued = driver()
    for number, params in enumerate(proposed[:50]):
        continued.adopt(number, params, sampled=True)
        continued.tell(number, params, outcome(number, params))
    for number in range(50, 60):
        assert continued.ask(number) == proposed[number]
        continued.tell(number, proposed[number], outcome(number, proposed[number]))
