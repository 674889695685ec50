"""Real servers, proxies and studies; all are ended when their test is over."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import StudyRun
from tests.faults.servers import Proxy, Server


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, made once: that takes seconds."""
    from tracking.mlflow.sink import open_store

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    open_store(f"sqlite:///{path}", artifacts=None).client.search_experiments()
    return path


@pytest.fixture(scope="session")
def server(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server that nobody kills."""
    with Server(tmp_path_factory.mktemp("server"), migrated) as server:
        yield server


@pytest.fixture
def mortal(migrated: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, not started yet."""
    server = Server(tmp_path / "server", migrated)
    yield server
    server.kill()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy in front of the server; at first it passes everything on."""
    with Proxy(server) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def shared_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Matplotlib's list of fonts is made once, not in every study's home."""
    return {"MPLCONFIGDIR": str(tmp_path_factory.mktemp("matplotlib"))}


@pytest.fixture
def new_run(
    tmp_path: Path, shared_environment: dict[str, str], migrated: Path
) -> Iterator[Callable[..., StudyRun]]:
    """Make studies in homes of their own: `new_run(tracking_uri, environment=..., changes=...)`.

    A home that is MLflow's too has its tables.
    """
    made: list[StudyRun] = []

    def make(tracking_uri: str | None = None, **options: Any) -> StudyRun:
        options["environment"] = shared_environment | options.get("environment", {})
        run = StudyRun(tmp_path / f"user-{len(made)}", tracking_uri, **options)
        if tracking_uri is None:
            run.home.mkdir(parents=True)
            shutil.copy(migrated, run.home / "mlflow.db")
        made.append(run)
        return run

    yield make
    for study in made:
        study.clean_up()
