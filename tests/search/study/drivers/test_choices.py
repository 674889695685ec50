"""Choices of any kind, from where they are declared by way of drivers and journal to `build`."""

import json

import pytest
from hypothesis import HealthCheck, assume, example, given, settings

from search.study.drivers import Outcome, make_driver
from spaces import Choice, Float, Int, Space, identity_of, same
from spaces.declaring.declarations import Declaration
from tests.search.study.drivers.proposing import SAMPLERS, space_of
from tests.spaces.test_values import AWKWARD, CHOICES
from tracking.records import TrialStarted, record_from_json


def restored(params: dict) -> dict:
    """Return a setting as it comes back from the journal."""
    record = TrialStarted(at=1.0, trial=0, parameters=params, origin="sampled")
    line = json.loads(json.dumps(record.to_json()))
    again = record_from_json(line)
    assert isinstance(again, TrialStarted)
    return again.parameters


def declared(values: list) -> Space:
    """Return a space whose parameters have been through a declaration's JSON."""
    parameters = (Choice("x", tuple(values)), Choice("y", tuple(values[::-1])))
    found = Declaration(False, tuple((parameter, parameter.name) for parameter in parameters))
    again = Declaration.from_json(json.loads(json.dumps(found.to_json())))
    first, second = (parameter for parameter, _ in again.parameters)
    assert all(map(same, first.grid(), values))
    return space_of(first, second, Int("n", 1, 9, when=("x", (values[0],))))


def check(driver: str, sampler: str, values: list, trials: int) -> None:
    space = declared(values)
    first = make_driver(driver, sampler, space, 3)
    proposals = []
    for number in range(trials):
        params = first.ask(number)
        if params is None:
            break
        for name in ("x", "y"):
            assert any(same(params[name], value) for value in values)
        assert ("n" in params) == same(params["x"], values[0])
        assert identity_of(restored(params)) == identity_of(params)
        proposals.append(params)
        first.tell(number, params, Outcome("complete", (float(number),)))
    assert len({*map(identity_of, proposals)}) == len(proposals)
    second = make_driver(driver, sampler, space, 3)
    half = len(proposals) // 2
    for number, params in enumerate(proposals[:half]):
        second.adopt(number, restored(params), sampled=True)
        second.tell(number, restored(params), Outcome("complete", (float(number),)))
    for number, params in enumerate(proposals[half:], half):
        again = second.ask(number)
        assert again is not None
        assert identity_of(again) == identity_of(params)
        second.tell(number, again, Outcome("complete", (float(number),)))


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "grid"])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=CHOICES)
@example(values=[None, (None,)])
def test_any_choices_are_proposed_journalled_and_proposed_on(sampler, values):
    assume(not any(same(value, (values[0],)) for value in values))  # refused as ambiguous
    check("optuna", sampler, values, 8)


@pytest.mark.parametrize(
    ("driver", "sampler"),
    [
        pytest.param(*pair, marks=[pytest.mark.slow] if pair[0] == "keras-tuner" else [])
        for pair in SAMPLERS
    ],
)
def test_awkward_choices_are_proposed_journalled_and_proposed_on(driver, sampler):
    if sampler == "gp":
        pytest.importorskip("torch", reason="the gp extra is not installed")
    check(driver, sampler, AWKWARD, 14)


def test_a_grid_of_awkward_choices_is_whole():
    space = space_of(Choice("x", tuple(AWKWARD)))
    driver = make_driver("optuna", "grid", space, 0)
    proposals = [driver.ask(number) for number in range(len(AWKWARD) + 1)]
    assert proposals.pop() is None
    assert len({*map(identity_of, proposals)}) == len(AWKWARD)


def test_a_grid_leaves_out_what_an_earlier_version_wrote_as_a_whole_number():
    space = space_of(Float("r", 0, 1, step=0.5))
    driver = make_driver("optuna", "grid", space, 0)
    driver.adopt(0, {"r": 0, "epochs": 9}, sampled=True)
    assert [driver.ask(number)["r"] for number in (1, 2)] == [0.5, 1.0]
    assert driver.ask(3) is None
