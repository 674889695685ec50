import subprocess
import sys
import time

import pytest

from tracking.mlflow_sink import open_store

pytestmark = pytest.mark.slow  # makes MLflow's tables

OPEN = """
import sys
from tracking.mlflow_sink import open_store
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
