"""MLflow at an address: what commands say and do where its server is bad."""

import json

import pytest
from typer.testing import CliRunner

from search.cli.app import app
from search.errors import SettingsError
from search.tracker import Tracker
from tests.faults import bad_server as bad
from tests.faults.bad_server import BadServer
from tests.studies import StudyBuilder
from tracking.history import History
from tracking.home import Home
from tracking.journal import read_journal

slow = pytest.mark.slow  # imports MLflow


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Two studies that MLflow has not seen."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    home = Home(tmp_path / "mlruns")
    for name in ("one", "two"):
        study = StudyBuilder(name=name, study_id=name * 10)
        study.complete_trial(0)
        study.write(home.study(name).journal)
    return home


def records(home, name):
    return home.study(name).journal.read_bytes().count(b"\n")


@slow
@pytest.mark.parametrize(
    "manner", [bad.hanging, bad.dripping_heads, bad.dripping_bodies, bad.dripping_until_closed]
)
def test_a_sync_comes_back_when_a_record_is_overdue_and_leaves_other_studies(
    home, manner, monkeypatch
):
    monkeypatch.setattr("search.tracker._RECORD_SECONDS", 1.0)
    told = []
    with BadServer(manner) as server:
        tracker = Tracker(home, server.address)
        assert tracker.sync(home.study("one"), told.append) == records(home, "one")
        asked = server.requests
        assert tracker.sync(home.study("two"), told.append) == records(home, "two")
        assert tracker.views(study_of(home)) == {}
        assert server.requests == asked
    assert len(told) == 2
    assert all("a record was not taken within 1 s" in text for text in told)


@slow
def test_a_sync_has_an_end_though_every_record_is_in_time(home, monkeypatch):
    told = []
    with BadServer(bad.hanging) as server:
        tracker = Tracker(home, server.address)
        left = tracker.sync(home.study("one"), told.append, seconds=1.0)
    assert left == records(home, "one")
    assert "not all was taken within 1 s" in told[0]


@slow
@pytest.mark.parametrize(
    ("manner", "said"),
    [
        (bad.answering(429, "Retry-After: 3600"), "it answers 429 (Too Many Requests)"),
        (bad.answering(401), "MLFLOW_TRACKING_TOKEN"),
        (bad.answering(403), "MLFLOW_TRACKING_PASSWORD"),
        (bad.endless, "its answer is longer than 64 MB"),
    ],
)
def test_what_a_server_did_wrong_is_said(home, manner, said, monkeypatch):
    monkeypatch.setattr("tracking.mlflow.publisher.PAUSES", (0.0,))
    told = []
    with BadServer(manner) as server:
        tracker = Tracker(home, server.address)
        assert tracker.sync(home.study("one"), told.append) == records(home, "one")
    assert said in told[0]


@slow
def test_a_file_has_no_limits_however_slow_the_machine_is(home, monkeypatch):
    for name in ("_RECORD_SECONDS", "_SYNC_SECONDS", "_ANSWER_SECONDS", "_LINK_SECONDS"):
        monkeypatch.setattr(f"search.tracker.{name}", 0.0)
    told = []
    tracker = Tracker(home)
    assert tracker.sync(home.study("one"), told.append, seconds=0.0) == 0
    assert told == []
    assert tracker.views(study_of(home))


@slow
def test_records_that_mlflow_had_are_not_counted_as_missing_while_it_is_away(home, monkeypatch):
    monkeypatch.setattr("tracking.mlflow.publisher.PAUSES", (0.0,))
    told = []
    tracker = Tracker(home)
    assert tracker.sync(home.study("one"), told.append) == 0
    (home.root / "mlflow.db").write_bytes(b"garbage " * 400)
    assert tracker.sync(home.study("one"), told.append) == 0
    assert tracker.unasked == ["one"]
    assert "study one: MLflow at" in told[0]
    assert "cannot be asked about it" in told[0]
    done = CliRunner().invoke(app, ["sync", "--json", "--home", str(home.root)])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["unasked"] == ["one"]
    assert f"{records(home, 'two')} records did not reach MLflow" in str(done.exception)
    assert "cannot be asked about 1 of 2 studies" in str(done.exception)


@slow
def test_links_are_left_out_where_mlflow_hangs_and_it_is_asked_once(home, monkeypatch):
    monkeypatch.setattr("search.tracker._LINK_SECONDS", 0.5)
    study = study_of(home)
    with BadServer(bad.hanging) as server:
        tracker = Tracker(home, server.address)
        assert tracker.views(study) == tracker.views(study) == {}
        assert tracker.comparison([study, study]) == ""
        assert server.requests <= 1


def test_a_missing_database_driver_is_told_with_its_package(home):
    with pytest.raises(SettingsError, match="needs the package 'MySQLdb'") as caught:
        Tracker(home, "mysql://me:secret@machine/mlflow")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["postgresql+nosuch://machine/x", "mysql://machine:port/x"])
def test_a_database_address_that_sqlalchemy_does_not_know_is_refused(home, address):
    with pytest.raises(SettingsError, match="--tracking-uri"):
        Tracker(home, address)


@pytest.mark.parametrize("address", ["http://", "https:///x", "http:machine", "http://[::1"])
def test_an_address_without_a_machine_is_refused(home, address):
    with pytest.raises(SettingsError, match="must name a machine"):
        Tracker(home, address)


def study_of(home):
    return History.of(read_journal(home.study("one").journal))
