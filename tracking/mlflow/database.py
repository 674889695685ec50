"""MLflow's tables in an SQLite file: made all or none, quick to be read, true after a move."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

_SCHEME = "sqlite:///"
_ROWS = 1000  # of an index that are looked at
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


def make_database(tracking_uri: str) -> None:
    """Make the SQLite file of an address that has none yet; any other address is left alone.

    MLflow makes its tables one after the other, for seconds. A process that is killed meanwhile
    leaves a file that MLflow can neither use nor finish, so they are made in a file beside it.
    """
    path = _file(tracking_uri)
    if path is None or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    from mlflow import MlflowClient  # takes seconds

    client = MlflowClient(f"{_SCHEME}{new}", registry_uri=f"{_SCHEME}{new}")
    client.search_experiments()
    client._tracking_client.store.engine.dispose()  # it would keep the file open
    with suppress(FileNotFoundError):  # another process was quicker, and has cleared up
        _name(new, path)
    for left in path.parent.glob(f"{path.name}.*.new*"):
        left.unlink(missing_ok=True)


def measure_tables(tracking_uri: str) -> None:
    """Let an address's SQLite file know how its tables are filled; leave other addresses alone.

    Without that SQLite looks through all tags for a page of the best trials, and of ten thousand
    trials takes three times as long. Where somebody is writing it is left for another time.
    """
    path = _file(tracking_uri)
    if path is None or not path.exists():
        return
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(path, timeout=0.5)) as connection,
    ):
        connection.execute(f"PRAGMA analysis_limit = {_ROWS}")
        connection.execute("ANALYZE")
        connection.commit()


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


def _file(tracking_uri: str) -> Path | None:
    is_plain = tracking_uri.startswith(_SCHEME) and "?" not in tracking_uri
    return Path(tracking_uri.removeprefix(_SCHEME)) if is_plain else None


def _name(new: Path, path: Path) -> None:
    """Give the file its name unless there is one of that name."""
    try:
        os.link(new, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        new.replace(path)


def _has(connection: sqlite3.Connection, table: str, column: str) -> bool:
    found = connection.execute(f"PRAGMA table_info({table})")
    return column in {name for _, name, *_ in found}
