"""MLflow's own server over a home's database, as a child process."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress

from search.cli.binding import Binding
from tracking.home import Home
from tracking.mlflow.places import follow_home

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Else eight more processes wait for jobs of language-model applications.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
_OURS_TO_SAY = "MLFLOW_SERVER_"
_PATIENCE = 10.0  # seconds
# A health check that a proxy answers would be the proxy's.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def serve(home: Home, binding: Binding, *, ready: Callable[[], None]) -> int:
    """Serve MLflow's pages until interrupted; return the server's exit code.

    Args:
        home: whose database and artifacts are served.
        binding: where.
        ready: called once the pages can be opened.
    """
    with suppress(sqlite3.DatabaseError):  # the server tells more of what is wrong
        follow_home(home.tracking_uri, home.artifacts)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *(f"--host={binding.host}", f"--port={binding.port}"),
        f"--backend-store-uri={home.tracking_uri}",
        f"--default-artifact-root={home.artifacts.resolve().as_uri()}",
        "--no-serve-artifacts",  # else whoever reaches it can write files beside the user
    ]
    # A group of its own: the server starts processes too, and all of them are to end together.
    with (
        home.server_log.open("ab") as log,
        subprocess.Popen(  # nosec B603 # this interpreter; the host is an address by now
            command,
            env=_environment(os.environ, binding),
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as server,
    ):
        try:
            _wait_until_ready(server, f"{binding.address}/health")
            ready()
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _end_group(server)


def _environment(own: Mapping[str, str], binding: Binding) -> dict[str, str]:
    """Return the server's environment.

    Requests must name it as it can be reached, so that no page of another site can make a browser
    ask in its stead. What the user says of the server's own security stays; passwords, tokens and
    addresses of other servers are no business of this one.
    """
    kept = {
        name: value
        for name, value in own.items()
        if not name.startswith("MLFLOW_") or name.startswith(_OURS_TO_SAY)
    }
    places = [place for name in binding.names() for place in (name, f"{name}:{binding.port}")]
    origins = [f"http://{name}:{binding.port}" for name in binding.names()]
    known = {
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(places),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
    }
    return known | kept | _ENVIRONMENT


def _wait_until_ready(server: "subprocess.Popen[bytes]", health: str) -> None:
    while server.poll() is None:
        try:
            with _DIRECT.open(health, timeout=1):
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
