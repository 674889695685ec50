"""A home whose MLflow has many times the trials that were brought there. Not run by itself.

To bring ten thousand trials takes a quarter of an hour or more; to copy the rows of a hundred takes
seconds, and MLflow's pages cannot tell: identifiers, numbers and times differ, sizes are real.
"""

import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tracking.home import Home
from tracking.mlflow.database import measure_tables

TABLES = ("runs", "tags", "params", "latest_metrics", "metrics")
OF_TRIALS = "SELECT run_uuid FROM tags WHERE key = 'search.kind' AND value IN ('trial', 'fold')"


def multiply(source: Path, target: Path, times: int, trials: int) -> None:
    """Copy a home, with so many times the trials in its MLflow.

    Args:
        source: a home with one study, which MLflow knows.
        target: where the copy goes.
        times: how often each trial is to be there.
        trials: how many the study has.
    """
    shutil.copytree(source, target)
    with closing(sqlite3.connect(Home(target).database)) as database:
        database.execute("PRAGMA synchronous = OFF")
        originals = [run for (run,) in database.execute(OF_TRIALS)]
        tables = {name: rows(database, name) for name in TABLES}
        for copy in range(1, times):
            fresh = {run: uuid.uuid4().hex for run in originals}
            for name, known in tables.items():
                new = list(moved(name, known, fresh, copy * trials))
                places = ", ".join("?" * len(new[0]))
                statement = f"INSERT INTO {name} VALUES ({places})"  # noqa: S608 # our own names
                database.executemany(statement, new)
        database.commit()
    measure_tables(Home(target).tracking_uri)  # as the end of a session does


def rows(database: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    """Return a table's rows by their columns' names."""
    found = database.execute(f"SELECT * FROM {table}")  # noqa: S608 # one of our own names
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def moved(
    table: str, known: list[dict[str, Any]], fresh: dict[str, str], by: int
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of runs that are copied, under their new identifiers and numbers."""
    for row in known:
        if row["run_uuid"] not in fresh:
            continue
        new = row | {"run_uuid": fresh[row["run_uuid"]]}
        if table == "runs":
            new["start_time"] += by * 1000
            if row["name"].startswith("trial "):
                new["name"] = f"trial {int(row['name'].split()[1]) + by}"
        if table == "tags" and row["key"] == "search.trial":
            new["value"] = str(int(row["value"]) + by)
        if table == "tags" and row["key"] == "mlflow.parentRunId":
            new["value"] = fresh[row["value"]]
        yield tuple(new.values())
