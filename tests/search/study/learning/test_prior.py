from collections.abc import Callable
from dataclasses import replace

import pytest

from search.study.drivers import Driver, Outcome, make_driver
from search.study.learning import EarlierStudy, Learned, LearningDriver
from search.study.learning.prior import FIRST
from spaces import Boolean, Choice, Float, Int, Params, Space, narrow
from tests.fakes import toy_space
from tests.search.study.drivers.proposing import OWN

SPACE = toy_space(
    Int("units", 1, 512, log=True),
    Float("rate", 1e-4, 1e-1, log=True),
    Choice("kernel", ((3, 3), (5, 5), None)),
    Boolean("extra"),
    Int("more", 1, 9, when=("extra", True)),
)
pytestmark = pytest.mark.slow  # fit Gaussian processes

SAMPLERS = [
    ("optuna", "tpe"),
    ("optuna", "cmaes"),
    ("optuna", f"{OWN}:Walker"),
    ("keras-tuner", "bayesian"),
]
Score = Callable[[Params], float]


def large(params: Params) -> float:
    return float(params["units"])


def small(params: Params) -> float:
    return -float(params["units"])


def earlier(name: str, score: Score, *, space: Space = SPACE, seed: int = 1) -> EarlierStudy:
    """A study of random settings."""
    driver = make_driver("optuna", "random", space, seed)
    settings = [params for number in range(12) if (params := driver.ask(number))]
    trials = tuple((params, score(params)) for params in settings)
    return EarlierStudy(name, name, "made", "classification", "cv_accuracy", trials)


def learning(
    *studies: EarlierStudy, space: Space = SPACE, by: tuple[str, str] = ("optuna", "tpe")
) -> Driver:
    return LearningDriver(make_driver(*by, space, 3), Learned(studies), space, 3)


def run(driver: Driver, numbers: range, score: Score) -> list[tuple[Params, str]]:
    """Ask and tell; return the proposals and where they are from."""
    made = []
    for number in numbers:
        params = driver.ask(number)
        assert params is not None
        made.append((params, driver.proposed_by(number)))
        driver.tell(number, params, Outcome("complete", (score(params),)))
    return made


def best(study: EarlierStudy) -> Params:
    return max(study.trials, key=lambda trial: trial[1])[0]


def test_begins_with_a_setting_that_is_good_in_every_earlier_study():
    common = {"units": 60, "rate": 0.01, "kernel": (3, 3), "extra": False}
    studies = []
    for name, score in (("large", large), ("small", small)):
        study = earlier(name, score)
        second = sorted(value for _, value in study.trials)[-1] - 1e-6
        studies.append(replace(study, trials=(*study.trials, (common, second))))
    assert learning(*studies).ask(0) == common


def test_what_no_earlier_study_has_varied_is_drawn_and_not_left_at_its_default():
    held = narrow(SPACE, {"kernel": "None", "rate": "0.01"}).space
    study = earlier("held", large, space=held)
    without = replace(
        study,
        trials=tuple(({n: v for n, v in p.items() if n != "rate"}, s) for p, s in study.trials),
    )
    for known in (study, without):
        driver = learning(known)
        made = run(driver, range(8), large)
        assert len({params["kernel"] for params, _ in made}) == 3
        assert len({params["rate"] for params, _ in made}) == 8
        assert {words for _, words in made} == {"prior:held"}  # nobody has evaluated these
        assert made[0][0]["units"] >= best(known)["units"]
        again = learning(known)
        assert run(again, range(8), large) == made


def test_what_was_tried_is_not_proposed_again_with_another_value_that_nobody_knows():
    held = narrow(SPACE, {"kernel": "None", "rate": "0.01"}).space
    study = earlier("held", large, space=held)
    learned_from = Learned((replace(study, trials=study.trials[:4]),), shipped=True)
    driver = LearningDriver(make_driver("optuna", "tpe", SPACE, 3), learned_from, SPACE, 3)
    made = run(driver, range(8), large)
    learned = [params for params, words in made if words]
    told = [tuple(v for n, v in p.items() if n not in ("kernel", "rate")) for p in learned]
    assert len(set(told)) == len(told) > 1


def test_follows_the_study_that_orders_the_new_trials_as_they_come_out():
    made = run(learning(earlier("like", large), earlier("unlike", small)), range(8), large)
    words = [words.partition(":")[2] for _, words in made]
    assert set(words[3:]) == {"like"}
    assert max(large(params) for params, _ in made) >= large(best(earlier("like", large)))


def test_gives_up_a_history_that_misleads_after_three_proposals():
    made = run(learning(earlier("one", small), earlier("two", small, seed=2)), range(14), large)
    assert [bool(words) for _, words in made] == [True] * 3 + [False] * 11


def test_leaves_more_and_more_to_the_sampler():
    made = run(learning(earlier("like", large)), range(4 * FIRST), large)
    learned = [bool(words) for _, words in made]
    assert all(learned[:FIRST])
    assert sum(learned[FIRST : 2 * FIRST]) == 4
    assert sum(learned[2 * FIRST :]) == 4


def test_proposes_within_a_narrowed_space_alone():
    narrowed = narrow(SPACE, {"units": "64:512", "rate": "0.01", "extra": "off"}).space
    made = run(learning(earlier("like", large), space=narrowed), range(FIRST), large)
    assert {params["rate"] for params, _ in made} == {0.01}
    assert all(narrowed.complete(params) == params for params, _ in made)
    assert made[0][1]


def test_learns_from_scores_alone_where_no_earlier_setting_fits():
    study = earlier("like", large, space=narrow(SPACE, {"units": "1:40"}).space)
    driver = learning(study, space=narrow(SPACE, {"units": "64:512"}).space)
    assert driver.ask(0) is not None
    assert driver.proposed_by(0) == "prior:like"


@pytest.mark.parametrize("by", SAMPLERS)
@pytest.mark.parametrize("told", [1, 5, 15])
def test_continues_as_if_uninterrupted(by, told):
    studies = [earlier("like", large), earlier("unlike", small)]
    whole = run(learning(*studies, by=by), range(20), large)
    driver = learning(*studies, by=by)
    for number, (params, words) in enumerate(whole[:told]):
        driver.adopt(number, params, sampled=not words)
        driver.tell(number, params, Outcome("complete", (large(params),)))
    assert run(driver, range(told, 20), large) == whole[told:]
    assert {bool(words) for _, words in whole} == {True, False}


def test_never_proposes_a_setting_twice():
    space = toy_space(Int("units", 1, 30))
    driver = learning(earlier("like", large, space=space), space=space)
    made = [params["units"] for params, _ in run(driver, range(30), large)]
    assert sorted(made) == list(range(1, 31))
    assert driver.ask(30) is None


def test_goes_on_after_trials_that_failed():
    driver = learning(earlier("like", large))
    for number in range(5):
        params = driver.ask(number)
        assert params is not None
        driver.tell(number, params, Outcome("failed"))
    assert driver.proposed_by(4)
