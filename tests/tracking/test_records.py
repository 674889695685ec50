import json

import pytest

from tracking.records import (
    EpochEnded,
    Record,
    StudyStarted,
    TrialConfirmed,
    TrialStarted,
    record_from_json,
)


def test_every_kind_of_record_survives_json(study):
    study.every_kind_of_trial().confirm_trial(1)
    for record in study.records:
        assert record_from_json(json.loads(json.dumps(record.to_json()))) == record


def test_all_kinds_are_known_by_name():
    assert Record.kinds["EpochEnded"] is EpochEnded
    assert Record.kinds["TrialConfirmed"] is TrialConfirmed
    assert len(Record.kinds) == 20


def test_a_field_of_a_later_version_is_ignored():
    record = TrialStarted(at=1.0, trial=0, parameters={}, origin="sampled")
    assert record_from_json({**record.to_json(), "mood": "good"}) == record


def test_an_unknown_kind_is_refused_with_its_name():
    with pytest.raises(ValueError, match="'TeaBrewed'"):
        record_from_json({"kind": "TeaBrewed", "at": 1.0})


def test_a_missing_field_is_refused_with_kind_and_field():
    with pytest.raises(ValueError, match=r"TrialStarted: .*origin"):
        record_from_json({"kind": "TrialStarted", "at": 1.0, "trial": 0, "parameters": {}})


def test_the_classes_come_from_the_dataset(study):
    started = study.records[0]
    assert isinstance(started, StudyStarted)
    assert started.classes == ["T-shirt/top", "Trouser", "Bag"]
