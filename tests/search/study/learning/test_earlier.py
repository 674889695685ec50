import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.errors import SettingsError
from search.study.learning import EarlierStudy, Learned, learned_before, learned_by, learned_text
from search.study.learning.earlier import SHIPPED, shipped
from search.study.learning.prior import fitted
from search.study.settings import validate
from spaces import Space, get_space, names, narrow
from tests.studies import StudyBuilder
from tracking.home import Home
from tracking.records import SessionEnded, StudyStarted

SPACE = get_space("mlp")
STUDY = EarlierStudy(
    "one",
    "1" * 32,
    "digits",
    "classification",
    "cv_accuracy",
    tuple(({"kernel": (3, 3), "rate": 0.1 * n, "extra": None}, n / 7) for n in range(5)),
)


class OfMlp(StudyBuilder):
    space = "mlp"


def write(home: Home, name: str, *, trials: int = 6, reason: str = "complete", space="mlp") -> None:
    """Write the journal of a study that has ended for a reason."""
    builder = (OfMlp if space == "mlp" else StudyBuilder)(name, name[0] * 32)
    builder.session(trials)
    for trial in range(trials):
        builder.complete_trial(trial, trial / 10)
    builder.add(SessionEnded, reason=reason)
    builder.write(home.study(name).journal)


def learned(home: Home, space: Space = SPACE, **asked: Any) -> Learned:
    settings = validate({"space": "mlp", "study": "new", **asked})
    first = OfMlp("new").records[0]
    assert isinstance(first, StudyStarted)
    return learned_by(settings, first, space, home, pytest.fail)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_learns_from_finished_studies_of_the_space_alone(home):
    write(home, "a")
    write(home, "b", reason="timeout")
    write(home, "c", reason="interrupted")
    write(home, "d", space="lenet")
    write(home, "e", trials=4)
    found = learned(home)
    assert [one.study for one in found.studies] == ["a", "b"]
    assert [value for _, value in found.studies[0].trials] == [n / 10 for n in range(6)]
    assert not found.shipped


def test_learns_from_a_named_study_though_it_is_not_finished(home):
    write(home, "a")
    write(home, "c", reason="interrupted")
    assert [one.study for one in learned(home, learn_from="c").studies] == ["c"]


def test_learns_of_a_raced_trial_what_it_would_have_come_to(home):
    builder = OfMlp("raced").race()
    builder.add(SessionEnded, reason="complete")
    builder.write(home.study("raced").journal)
    with pytest.raises(SettingsError, match="at least 5 settings; got 4"):
        learned(home, learn_from="raced")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"learn_from": "zz"}, "no study is called 'zz'"),
        ({"learn_from": "lenets"}, "must be a study of space mlp; got one of lenet"),
        ({"learn_from": "a", "sampler": "grid"}, "needs a sampler that learns, such as tpe"),
        ({"learn_from": "a,a"}, "different studies"),
        ({"learn_from": "auto,a"}, "must be auto, none, shipped, or different studies"),
        ({"learn_from": ""}, "at least 1"),
    ],
)
def test_refuses_what_cannot_be_learned_from(home, asked, told):
    write(home, "a")
    write(home, "lenets", space="lenet")
    with pytest.raises(SettingsError, match=told):
        learned(home, **asked)


@pytest.mark.parametrize(
    "asked",
    [{"learn_from": "none"}, {"sampler": "random"}, {"driver": "fixed"}, {"sampler": "qmc"}],
)
def test_learns_nothing_where_none_is_asked_for_or_the_sampler_does_not_learn(home, asked):
    write(home, "a")
    assert learned(home, **asked) == Learned()


def test_what_is_shipped_may_be_asked_for_though_there_are_studies(home):
    write(home, "a")
    assert learned(home, learn_from="shipped").shipped
    other = replace(StudyBuilder("new").records[0], space="own")
    settings = validate({"space": "mlp", "study": "new", "learn_from": "shipped"})
    with pytest.raises(SettingsError, match="recordings of; got own"):
        learned_by(settings, other, SPACE, home, pytest.fail)


def test_begins_with_what_is_shipped_where_there_is_no_study(home):
    found = learned(home)
    assert found.shipped
    assert found == shipped("mlp")
    assert shipped("file.py:SPACE") == Learned()


@pytest.mark.parametrize("space", json.loads(SHIPPED.read_text())["spaces"])
def test_shipped_settings_fit_their_space(space):
    assert space in names()
    narrowed = narrow(get_space(space), {}).space
    for one in shipped(space).studies:
        assert len(one.trials) >= 5
        assert all(fitted(params, narrowed) for params, _ in one.trials)


def test_the_file_has_all_that_was_learned(tmp_path):
    first = OfMlp("new").records[0]
    assert isinstance(first, StudyStarted)
    kept = Learned((STUDY,))
    kept.save(tmp_path / "learned.json")
    first = StudyStarted(**{**vars(first), "learned": kept.described()})
    assert learned_before(tmp_path / "learned.json", first, pytest.fail) == kept
    assert learned_text(first) == "from 1 study of mlp: one (5 settings)"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        (Learned((STUDY,), shipped=True).text, "is not the one that it began with"),
    ],
)
def test_a_file_that_is_not_the_study_s_is_said_to_be_missed(tmp_path, content, told):
    path = tmp_path / "learned.json"
    if content is not None:
        path.write_text(content)
    first = StudyStarted(
        **{**vars(OfMlp("n").records[0]), "learned": Learned((STUDY,)).described()}
    )
    heard: list[str] = []
    assert learned_before(path, first, heard.append) == Learned()
    assert told in heard[0]
    assert "not as an uninterrupted one would" in heard[0]


def test_studies_of_earlier_versions_have_learned_nothing(tmp_path):
    first = OfMlp("old").records[0]
    assert isinstance(first, StudyStarted)
    assert learned_before(tmp_path / "learned.json", first, pytest.fail) == Learned()
