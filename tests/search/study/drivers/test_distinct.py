from search.study.drivers import Driver, Outcome
from search.study.drivers.catalog import DistinctDriver
from spaces import Boolean, Choice, Float, Int, Params, Space
from tests.fakes import toy_space
from tests.search.study.drivers.proposing import SPACES, outcome, run

SWITCHES = toy_space(*(Boolean(f"switch {number}") for number in range(10)))
SCORED = Outcome("complete", (0.5,))


class Stubborn(Driver):
    """Proposes the same setting again and again."""

    def __init__(self, space: Space, *, remembers: bool = False) -> None:
        self.params = space.complete({})
        self.remembers = remembers
        self.heard: list[tuple[int, Params, Outcome]] = []

    def ask(self, number: int) -> Params:
        return self.params

    def tell(self, number: int, params: Params, outcome: Outcome) -> None:
        self.heard.append((number, params, outcome))


def distinct(space: Space, **options) -> DistinctDriver:
    return DistinctDriver(Stubborn(space, **options), space, seed=0)


def test_a_finite_space_is_used_up_whatever_the_sampler_proposes():
    space = SPACES["nested"]
    proposals = run(distinct(space), range(99))
    assert sorted(proposals, key=str) == sorted(space.grid(), key=str)


def test_a_large_space_of_few_settings_is_used_up():
    others = (Int(f"{letter}{n}", 1, 9, when=("kind", letter)) for letter in "abc" for n in (1, 2))
    space = toy_space(Choice("kind", ("a", "b", "c")), *others)
    assert len(run(distinct(space), range(999))) == 3 * 9 * 9


def test_an_endless_space_is_never_used_up():
    space = toy_space(Boolean("a"), Float("b", 0.0, 1.0, when=("a", True)))
    proposals = run(distinct(space), range(300))
    assert len(proposals) == len({str(params) for params in proposals}) == 300


def test_what_is_drawn_is_near_to_what_the_sampler_wants():
    first, *others = run(distinct(SWITCHES), range(6))
    for params in others:
        assert 1 <= sum(params[name] != first[name] for name in first) <= 3


def test_a_sampler_that_forgets_hears_of_its_repeats_as_failed():
    sampler = Stubborn(SWITCHES)
    driver = DistinctDriver(sampler, SWITCHES, seed=0, attempts=2)
    driver.tell(0, driver.ask(0), SCORED)
    other = driver.ask(1)
    assert sampler.heard == [
        (0, sampler.params, SCORED),
        (1, sampler.params, Outcome("failed")),
        (-3, sampler.params, Outcome("failed")),
    ]
    driver.tell(1, other, SCORED)
    assert sampler.heard[-1] == (1, other, SCORED)


def test_a_sampler_that_remembers_hears_of_its_repeats_as_they_ended():
    sampler = Stubborn(SWITCHES, remembers=True)
    driver = DistinctDriver(sampler, SWITCHES, seed=0, attempts=1)
    driver.tell(0, driver.ask(0), SCORED)
    driver.ask(1)
    assert sampler.heard == [(0, sampler.params, SCORED), (1, sampler.params, SCORED)]


def test_a_baseline_is_not_proposed():
    driver = distinct(SWITCHES)
    baseline = SWITCHES.complete({})
    driver.adopt(0, baseline, sampled=False)
    driver.tell(0, baseline, outcome(baseline, 0))
    assert baseline not in run(driver, range(1, 5))


def test_one_and_true_are_two_settings_and_one_and_one_point_nought_are_not():
    driver = distinct(toy_space(Choice("a", (1, True)), Float("b", 0.0, 1.0, step=1.0)))
    driver.adopt(0, {"a": 1, "b": 1}, sampled=False)
    proposals = run(driver, range(1, 9))
    assert len(proposals) == 3
    assert {(type(s["a"]), s["b"]) for s in proposals} == {(int, 0.0), (bool, 0.0), (bool, 1.0)}
