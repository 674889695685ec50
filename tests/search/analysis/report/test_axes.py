import pytest

from search.analysis.report.words import axes_of
from tests.studies import StudyBuilder
from tracking.records import TrialStarted


def axes(parameters, settings):
    study = StudyBuilder()
    study.records[0].parameters[:] = [{"searched": True, "when": None, **p} for p in parameters]
    for trial, params in enumerate(settings):
        study.add(TrialStarted, trial=trial, parameters=params, origin="sampled")
    return axes_of(study.history)


def axis(kind, shown, *values):
    [found] = axes([{"name": "x", "kind": kind, "range": shown}], [{"x": v} for v in values])
    return found


def test_a_number_stands_where_its_range_says():
    found = axis("float", "0..0.5 step 0.05", 0.1, 0.3)
    assert (found.low, found.high, found.log) == (0.0, 0.5, False)
    assert found.share(0.25) == 0.5


def test_a_logarithmic_range_is_even_in_powers_of_ten():
    found = axis("float", "0.0001..0.01 log", 0.0002, 0.005)
    assert found.share(0.001) == pytest.approx(0.5)
    assert found.ticks()[1] == ["0.0001", "0.001", "0.01"]


def test_less_than_two_powers_of_ten_have_ticks_between():
    assert axis("int", "32..512 log", 40, 300).ticks()[1] == ["50", "100", "200", "500"]


def test_a_baseline_outside_a_narrowed_range_widens_the_axis():
    found = axis("int", "40..48", 32, 44)
    assert (found.low, found.high) == (32, 48)


def test_a_range_nobody_can_read_is_taken_from_the_values():
    found = axis("float", "whatever", 2.0, 6.0)
    assert (found.low, found.high) == (2.0, 6.0)


def test_choices_stand_in_the_order_of_the_range():
    found = axis("choice", "small | large | file", "large", "other", "small")
    assert found.choices == ("small", "large", "other")
    assert found.position("other") == 2


def test_values_that_only_look_alike_are_different_choices():
    found = axis("choice", "1 | True | 1.0", 1, True, 1.0)
    assert len(found.choices) == 3
    assert {found.position(value) for value in (1, True, 1.0)} == {0.0, 1.0, 2.0}


def test_switches_are_called_off_and_on():
    assert axis("boolean", "off | on", True, False).ticks()[1] == ["off", "on"]


def test_parameters_that_are_held_or_never_vary_are_no_axes():
    parameters = [
        {"name": "held", "kind": "int", "range": "3", "searched": False},
        {"name": "same", "kind": "int", "range": "1..9"},
        {"name": "varied", "kind": "int", "range": "1..9"},
    ]
    settings = [{"held": 3, "same": 4, "varied": 1}, {"held": 5, "same": 4, "varied": 2}]
    assert [found.name for found in axes(parameters, settings)] == ["varied"]
