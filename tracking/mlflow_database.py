"""MLflow's tables in a new SQLite file, all of them or none. Imports MLflow."""

import os
from contextlib import suppress
from pathlib import Path

from mlflow import MlflowClient

_SCHEME = "sqlite:///"


def make_database(tracking_uri: str) -> None:
    """Make the SQLite file of an address that has none yet; any other address is left alone.

    MLflow makes its tables one after the other, for seconds. A process that is killed meanwhile
    leaves a file that MLflow can neither use nor finish, so they are made in a file beside it.
    """
    path = Path(tracking_uri.removeprefix(_SCHEME))
    if not tracking_uri.startswith(_SCHEME) or "?" in tracking_uri or path.exists():
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


def _name(new: Path, path: Path) -> None:
    """Give the file its name unless there is one of that name."""
    try:
        os.link(new, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        new.replace(path)
