"""MLflow's own server over a home's database, as a child process."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

from tracking.home import Home

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Else eight more processes wait for jobs of language-model applications.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
_PATIENCE = 10.0  # seconds


def serve(home: Home, host: str, port: int, *, ready: Callable[[], None]) -> int:
    """Serve MLflow's pages until interrupted; return the server's exit code.

    Args:
        home: whose database and artifacts are served.
        host: address to bind.
        port: port to bind.
        ready: called once the pages can be opened.
    """
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)),
        *("--backend-store-uri", home.tracking_uri, "--workers", "1"),
        *("--default-artifact-root", home.artifacts.resolve().as_uri()),
    ]
    # A group of its own: the server starts processes too, and all of them are to end together.
    with (
        home.server_log.open("ab") as log,
        subprocess.Popen(
            command,
            env=os.environ | _ENVIRONMENT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as server,
    ):
        try:
            _wait_until_ready(server, f"http://{host}:{port}/health")
            ready()
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _end_group(server)


def _wait_until_ready(server: "subprocess.Popen[bytes]", health: str) -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=1):  # noqa: S310 # http, on loopback
                return
        except OSError:
            time.sleep(0.2)


def _end_group(server: "subprocess.Popen[bytes]") -> None:
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
