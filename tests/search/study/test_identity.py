"""Whether a study is still the one that began, where its parameters are choices."""

import json
from dataclasses import replace

import pytest

from search.errors import SettingsError
from search.study.identity import check_same, describe_parameter
from spaces import Choice
from tests.studies import StudyBuilder
from tracking.records import StudyStarted, record_from_json


def started(*values, **more) -> StudyStarted:
    record = StudyBuilder().records[0]
    assert isinstance(record, StudyStarted)
    return replace(record, parameters=[describe_parameter(Choice("x", values, **more))])


def read_again(record: StudyStarted) -> StudyStarted:
    again = record_from_json(json.loads(json.dumps(record.to_json())))
    assert isinstance(again, StudyStarted)
    return again


VALUES = ((1, 3), None, "a,b", 0, False, 0.0, "None")


def test_a_study_with_choices_of_every_kind_goes_on():
    check_same(read_again(started(*VALUES)), started(*VALUES))


@pytest.mark.parametrize("others", [((1, 3), True), ((1, 3), 1.0), ((3, 1), 1), ((1, 3), "1")])
def test_a_choice_of_other_values_is_another_study(others):
    with pytest.raises(SettingsError, match="the parameters of space lenet have changed"):
        check_same(read_again(started((1, 3), 1)), started(*others))


@pytest.mark.parametrize("fixed", [False, True])
def test_a_journal_that_lists_no_values_goes_on(fixed):
    before = read_again(started(*VALUES, fixed=fixed))
    del before.parameters[0]["values"]
    listed = " | ".join(map(str, VALUES))
    before.parameters[0]["range"] = str(VALUES[0]) if fixed else listed
    check_same(before, started(*VALUES, fixed=fixed))


def test_models_that_are_made_for_other_pixels_now_are_another_study():
    now = replace(started(1), pixels="scaled")
    check_same(started(1), now)
    with pytest.raises(SettingsError, match="now expect scaled pixels"):
        check_same(replace(started(1), pixels="raw"), now)
