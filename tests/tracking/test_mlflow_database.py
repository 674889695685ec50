import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from tests.studies import StudyBuilder
from tests.tracked import Tracked
from tracking.home import Home
from tracking.mlflow.database import follow_home, measure_tables
from tracking.mlflow.sink import open_store
from tracking.records import SessionEnded

pytestmark = pytest.mark.slow  # makes MLflow's tables

OPEN = """
import sys
from tests.studies import StudyBuilder
from tests.tracked import Tracked
from tracking.home import Home
from tracking.mlflow.database import follow_home, measure_tables
from tracking.mlflow.sink import open_store
open_store(sys.argv[1], artifacts=None)
"""


def test_a_process_killed_while_it_makes_the_tables_leaves_no_database(tmp_path):
    database = tmp_path / "mlflow.db"
    process = subprocess.Popen([sys.executable, "-c", OPEN, f"sqlite:///{database}"])
    made = tmp_path / f"mlflow.db.{process.pid}.new"
    deadline = time.monotonic() + 60
    while process.poll() is None and not (made.exists() and made.stat().st_size > 100_000):
        assert time.monotonic() < deadline
    process.kill()
    process.wait()
    assert made.exists()
    assert not database.exists()
    store = open_store(f"sqlite:///{database}", artifacts=None)
    assert [e.name for e in store.client.search_experiments()] == ["Default"]
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_database_that_is_there_stays(migrated_database):
    before = migrated_database.stat().st_ino
    open_store(f"sqlite:///{migrated_database}", artifacts=None)
    assert migrated_database.stat().st_ino == before


def test_a_session_that_ends_lets_sqlite_know_how_its_tables_are_filled(tracked, study, apply_all):
    study.session()
    study.complete_trial(0)
    study.add(SessionEnded, reason="complete")
    apply_all(tracked.sink(), study.records)
    with closing(sqlite3.connect(tracked.folder / "mlflow.db")) as database:
        tables = {name for (name,) in database.execute("SELECT tbl FROM sqlite_stat1")}
    assert {"runs", "tags", "latest_metrics"} <= tables


def test_tables_that_somebody_else_writes_to_are_left_for_another_time(tracked, tracking_uri):
    path = tracked.folder / "mlflow.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        measure_tables(tracking_uri)
        writer.execute("ROLLBACK")
    measure_tables("http://127.0.0.1:9")
    measure_tables(f"sqlite:///{tracked.folder}/none.db")
    assert not (tracked.folder / "none.db").exists()


@pytest.fixture(scope="module")
def shown_once(migrated_database, tmp_path_factory):
    """A home with a study in MLflow."""
    home = Home(tmp_path_factory.mktemp("home"))
    shutil.copy(migrated_database, home.database)
    sync(home, StudyBuilder().every_kind_of_trial())
    return home


@pytest.fixture
def shown(shown_once, study, tmp_path):
    """The same, in `first`, where it might have been from the beginning."""
    home = Home(tmp_path / "first")
    shutil.copytree(shown_once.root, home.root)
    follow_home(home.tracking_uri, home.artifacts)
    study.every_kind_of_trial()
    return home


def sync(home, study):
    """Show the study in a process of its own: MLflow remembers places for as long as one lasts."""
    study.write(home.study("lenet-digits").journal)
    command = [sys.executable, "-m", "search", "sync", "--home", str(home.root)]
    subprocess.run(command, check=True, capture_output=True)


def files(home):
    artifacts = home.artifacts
    return {path.relative_to(artifacts) for path in artifacts.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", [shutil.move, shutil.copytree])
def test_a_home_that_was_moved_or_copied_writes_to_itself_alone(shown, mode, study, tmp_path):
    home = Home(tmp_path / "sécond place")
    mode(shown.root, home.root)
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
