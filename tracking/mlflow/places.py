"""Where MLflow's SQLite file says that artifacts are: kept true when a home is moved or copied."""

import sqlite3
from contextlib import closing
from pathlib import Path

_SCHEME = "sqlite:///"
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_LOCATIONS = """
    SELECT DISTINCT experiments.artifact_location FROM experiments
    JOIN experiment_tags USING (experiment_id) WHERE experiment_tags.key = 'search.study_id'
"""
_MOVE = """
    UPDATE {table} SET {column} = :new || substr({column}, length(:old) + 1)
    WHERE substr({column}, 1, length(:old) + 1) = :old || '/'
"""


def follow_home(tracking_uri: str, artifacts: Path) -> None:
    """Correct the addresses of artifacts in a home's database if the home lay elsewhere before.

    MLflow keeps absolute addresses, and would go on writing to the place that was left, or to the
    home that this one is a copy of. Nothing is changed where they are right, and other addresses
    than SQLite files are left alone.

    Args:
        tracking_uri: the address of the home's database.
        artifacts: where the home keeps artifacts now.

    Raises:
        sqlite3.DatabaseError: the file is no database, or is locked for long.
    """
    database, new = Path(tracking_uri.removeprefix(_SCHEME)), artifacts.resolve().as_uri()
    if not tracking_uri.startswith(_SCHEME) or not database.is_file():
        return
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        columns = [(table, name) for table, name in _COLUMNS if _has(connection, table, name)]
        if columns[:1] != [_COLUMNS[0]] or not _has(connection, "experiment_tags", "key"):
            return  # MLflow's tables are not there yet
        for (location,) in connection.execute(_LOCATIONS).fetchall():
            old, _, _ = str(location).rpartition("/")
            if old != new and old.startswith("file:") and old.endswith(f"/{artifacts.name}"):
                for table, column in columns:
                    statement = _MOVE.format(table=table, column=column)
                    connection.execute(statement, {"old": old, "new": new})


def _has(connection: sqlite3.Connection, table: str, column: str) -> bool:
    found = connection.execute(f"PRAGMA table_info({table})")
    return column in {name for _, name, *_ in found}
