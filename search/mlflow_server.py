"""MLflow's own server over a home's database, as a child process."""

import os
import subprocess
import sys

from tracking.home import Home


def serve(home: Home, host: str, port: int) -> int:
    """Serve MLflow's pages until interrupted; return the server's exit code.

    Args:
        home: whose database and artifacts are served.
        host: address to bind.
        port: port to bind.
    """
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)),
        *("--backend-store-uri", home.tracking_uri, "--workers", "1"),
        *("--default-artifact-root", home.artifacts.resolve().as_uri()),
    ]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with subprocess.Popen(command, env=environment) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()
            server.wait()
            return 0
