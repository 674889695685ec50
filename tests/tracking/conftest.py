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


@pytest.fixture
def apply_all() -> Callable[[Any, Iterable[Record]], History]:
    """Show records to a sink, each with the history up to it."""

    def apply(sink: Any, records: Iterable[Record]) -> History:
        history = History()
        for record in records:
            history.add(record)
            sink.apply(record, history)
        return history

    return apply
