import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from tracking.mlflow.sink import open_store
from tracking.records import SessionEnded

pytestmark = pytest.mark.slow  # makes MLflow's tables

OPEN = """
import sys
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
    from tracking.mlflow.database import measure_tables

    path = tracked.folder / "mlflow.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        measure_tables(tracking_uri)
        writer.execute("ROLLBACK")
    measure_tables("http://127.0.0.1:9")
    measure_tables(f"sqlite:///{tracked.folder}/none.db")
    assert not (tracked.folder / "none.db").exists()
