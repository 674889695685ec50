"""MLflow's tables in an SQLite file: made all or none, and quick to be read. Imports MLflow."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from mlflow import MlflowClient

_SCHEME = "sqlite:///"
_ROWS = 1000  # of an index that are looked at


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
