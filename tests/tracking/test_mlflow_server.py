import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tracking.mlflow.sink import MlflowSink, open_store

pytestmark = pytest.mark.slow  # starts a server


@pytest.fixture(scope="module")
def server(migrated_database, tmp_path_factory):
    """The address of a real server on a free port of this machine."""
    folder = tmp_path_factory.mktemp("server")
    database = folder / "mlflow.db"
    database.write_bytes(migrated_database.read_bytes())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--artifacts-destination", str(folder)]
    command += ["--backend-store-uri", f"sqlite:///{database}"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/health", process)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _wait_for(url, process, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} did not answer")


def test_a_study_is_shown_by_a_server_and_nothing_is_printed(
    server, study, apply_all, tmp_path, capfd
):
    study.every_kind_of_trial()
    apply_all(MlflowSink(server, artifacts=None, folder=tmp_path), study.records)
    apply_all(MlflowSink(server, artifacts=None, folder=tmp_path), study.records)
    assert capfd.readouterr() == ("", "")
    client = open_store(server, artifacts=None).client
    experiment = client.get_experiment_by_name("lenet-digits")
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    query = "tags.`search.kind` = 'trial'"
    trials = client.search_runs([experiment.experiment_id], query)
    assert len(trials) == 5
    [best] = [run for run in trials if run.data.tags.get("search.best") == "true"]
    files = {entry.path for entry in client.list_artifacts(best.info.run_id)}
    assert {"confusion_matrix.png", "curves.png", "images"} <= files
