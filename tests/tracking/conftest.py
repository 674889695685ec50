"""A realistic study in records, and a MLflow store that is migrated once for all tests."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.studies import StudyBuilder
from tests.tracked import Tracked
from tracking.history import History
from tracking.records import Record


@pytest.fixture
def study() -> StudyBuilder:
    return StudyBuilder()


@pytest.fixture
def new_study() -> Callable[..., StudyBuilder]:
    return StudyBuilder


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, made once: that takes seconds."""
    from tracking.mlflow.sink import open_store

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    open_store(f"sqlite:///{path}", artifacts=None).client.search_experiments()
    return path


@pytest.fixture
def tracking_uri(migrated_database: Path, tmp_path: Path) -> str:
    shutil.copy(migrated_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def tracked(tracking_uri: str, tmp_path: Path) -> Tracked:
    return Tracked(tracking_uri, tmp_path)


@pytest.fixture(scope="session")
def shown_once(
    migrated_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[list[Record]], Path]:
    """Show records in a store, the same ones once for all tests; return its folder."""
    shown: dict[str, Path] = {}

    def show(records: list[Record]) -> Path:
        key = repr(records)
        if key not in shown:
            folder = tmp_path_factory.mktemp("shown")
            shutil.copy(migrated_database, folder / "mlflow.db")
            sink = Tracked(f"sqlite:///{folder}/mlflow.db", folder).sink()
            _apply(sink, records)
            shown[key] = folder
        return shown[key]

    return show


@pytest.fixture
def shown_as(
    shown_once: Callable[[list[Record]], Path], tmp_path: Path
) -> Callable[[list[Record]], Tracked]:
    """Show records in a store of the test's own: a copy of one that has them."""

    def show(records: list[Record]) -> Tracked:
        from tracking.mlflow.database import follow_home

        shutil.copytree(shown_once(records), tmp_path, dirs_exist_ok=True)
        uri = f"sqlite:///{tmp_path}/mlflow.db"
        follow_home(uri, tmp_path / "artifacts")
        return Tracked(uri, tmp_path)

    return show


@pytest.fixture
def apply_all() -> Callable[[Any, Iterable[Record]], History]:
    """Show records to a sink, each with the history up to it."""
    return _apply


def _apply(sink: Any, records: Iterable[Record]) -> History:
    history = History()
    for record in records:
        history.add(record)
        sink.apply(record, history)
    return history
