"""`mlflow models serve` of a registered model, and whoever asks it over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(database: Path, model: str, folder: Path):
    """Serve a registered model's champion; yield a function that asks it for an answer."""
    port = free_port()
    told = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{database}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PATH": f"{BIN}:{os.environ['PATH']}",  # MLflow starts its server by name
        "HOME": str(folder),
    }
    command = [BIN / "mlflow", "models", "serve", "-m", f"models:/{model}@champion"]
    command += ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    log = folder / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=os.environ | told, cwd=folder, stdout=out, stderr=out
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 180
        while not is_up(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield lambda inputs: ask(address, inputs)
    finally:
        started = [process, *psutil.Process(process.pid).children(recursive=True)]
        for one in started:
            os.kill(one.pid, signal.SIGTERM)
        psutil.wait_procs([one for one in started if one is not process], timeout=30)
        process.wait(30)


def is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/ping", timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def ask(address: str, inputs: object) -> np.ndarray:
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps({"inputs": inputs}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return np.array(json.loads(reply.read())["predictions"])
    except urllib.error.HTTPError as error:
        pytest.fail(error.read().decode())
