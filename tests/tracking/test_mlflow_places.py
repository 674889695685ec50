import shutil
import sqlite3
import subprocess
import sys

import pytest

from tests.tracked import Tracked
from tracking.home import Home
from tracking.mlflow.places import follow_home


@pytest.fixture
def shown(migrated_database, study, tmp_path):
    """A home that lies in `first`, with a study in MLflow."""
    home = Home(tmp_path / "first")
    home.root.mkdir()
    shutil.copy(migrated_database, home.database)
    study.every_kind_of_trial()
    sync(home, study)
    return home


def sync(home, study):
    """Show the study in a process of its own: MLflow remembers places for as long as one lasts."""
    study.write(home.study("lenet-digits").journal)
    command = [sys.executable, "-m", "search", "sync", "--home", str(home.root)]
    subprocess.run(command, check=True, capture_output=True)


def files(home):
    artifacts = home.artifacts
    return {path.relative_to(artifacts) for path in artifacts.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("way", [shutil.move, shutil.copytree])
def test_a_home_that_was_moved_or_copied_writes_to_itself_alone(shown, way, study, tmp_path):
    home = Home(tmp_path / "sécond place")
    way(shown.root, home.root)
    before, left = files(home), files(shown)
    study.complete_trial(5, level=0.9)
    sync(home, study)
    assert files(shown) == left
    assert files(home) > before
    tracked = Tracked(home.tracking_uri, home.root)
    places = {tracked.experiment().artifact_location}
    places |= {run.info.artifact_uri for run in tracked.runs()}
    assert all(place.startswith(f"{home.artifacts.as_uri()}/") for place in places)
    assert tracked.files(tracked.run("trial", 1))


@pytest.mark.slow
def test_what_others_keep_in_the_database_stays_where_it_is(shown, tmp_path):
    tracked = Tracked(shown.tracking_uri, shown.root)
    elsewhere = (tmp_path / "other" / "artifacts" / "mine").as_uri()
    tracked.client.create_experiment("mine", elsewhere)
    follow_home(shown.tracking_uri, tmp_path / "new" / "artifacts")
    assert tracked.experiment("mine").artifact_location == elsewhere
    assert tracked.experiment().artifact_location.startswith((tmp_path / "new").as_uri())


def test_a_database_without_tables_and_other_addresses_are_left_alone(tmp_path):
    database = tmp_path / "mlflow.db"
    follow_home(f"sqlite:///{database}", tmp_path / "artifacts")
    assert not database.exists()
    sqlite3.connect(database).close()
    database.touch()
    follow_home(f"sqlite:///{database}", tmp_path / "artifacts")
    follow_home("http://127.0.0.1:5000", tmp_path / "artifacts")
    assert database.read_bytes() == b""
