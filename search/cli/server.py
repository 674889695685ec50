"""MLflow's server on a home's database, and who can reach the address it is bound to."""

import ipaddress
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

from search.errors import SettingsError
from tracking.home import Home
from tracking.mlflow.database import follow_home

LOOPBACK = "127.0.0.1"
_HERE = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Binding:
    """Where a server listens.

    Attributes:
        host: name or address of this machine; `0.0.0.0` or `::` for all its addresses.
        port: 1 to 65535.
    """

    host: str
    port: int

    def check(self) -> None:
        """Raise SettingsError unless a server could listen there now."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            for family, kind, protocol, _, place in found:
                with socket.socket(family, kind, protocol) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if not _is_local(str(place[0])):
                        raise OSError("it belongs to another machine")
                    if self._is_taken(probe, place):
                        raise SettingsError(
                            f"`--port {self.port}` is in use; name another, for example"
                            f" {self.port % 65535 + 1}"
                        )
        except (OSError, UnicodeError) as error:
            raise SettingsError(
                f"`--host` must be an address of this machine, such as {LOOPBACK}, or 0.0.0.0 for"
                f" all of them; got {self.host!r} ({error})"
            ) from error

    @property
    def is_loopback(self) -> bool:
        """Whether only users of this machine can reach it."""
        return all(ipaddress.ip_address(address).is_loopback for address in self._addresses())

    @property
    def address(self) -> str:
        """The address for a browser on this machine."""
        return f"http://{_bracketed(LOOPBACK if self._is_everywhere else self.host)}:{self.port}"

    def names(self) -> tuple[str, ...]:
        """Return the names and addresses it can be reached by, IPv6 in brackets, without port."""
        names = [*_HERE, self.host]
        if not self.is_loopback:
            names += [socket.gethostname(), socket.getfqdn()]
        if self._is_everywhere:
            names += _own_addresses()
        return tuple(dict.fromkeys(_bracketed(name) for name in names if name))

    @property
    def _is_everywhere(self) -> bool:
        return any(ipaddress.ip_address(one).is_unspecified for one in self._addresses())

    def _addresses(self) -> list[str]:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return [str(place[0]).partition("%")[0] for *_, place in found]

    def _is_taken(self, probe: socket.socket, place: tuple[object, ...]) -> bool:
        try:
            probe.bind(place)
        except OSError:
            return True
        return False


def _is_local(address: str) -> bool:
    one = ipaddress.ip_address(address.partition("%")[0])
    return one.is_unspecified or one.is_loopback or str(one) in _own_addresses()


def _own_addresses() -> list[str]:
    return [
        entry.address.partition("%")[0]
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    ]


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Otherwise MLflow starts eight more processes for jobs of language-model applications.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
_OURS_TO_SAY = "MLFLOW_SERVER_"
_PATIENCE = 10.0  # seconds
# Without this, a proxy could answer the health check.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def serve(home: Home, binding: Binding, *, ready: Callable[[], None]) -> int:
    """Serve MLflow's pages until interrupted; return the server's exit code.

    Args:
        home: whose database and artifacts are served.
        binding: the address to listen on.
        ready: called once the pages can be opened.
    """
    with suppress(sqlite3.DatabaseError):  # the server's own message says more
        follow_home(home.tracking_uri, home.artifacts)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *(f"--host={binding.host}", f"--port={binding.port}"),
        f"--backend-store-uri={home.tracking_uri}",
        f"--default-artifact-root={home.artifacts.resolve().as_uri()}",
        "--no-serve-artifacts",  # otherwise anybody who reaches it could write the user's files
    ]
    # In its own process group: the server starts processes, and all of them must end with it.
    with (
        home.server_log.open("ab") as log,
        subprocess.Popen(  # nosec B603 # this interpreter; the host was checked to be an address
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

    Requests must name a host the server can be reached by, so that no page of another site can
    send requests through the user's browser. The user's own security settings for the server
    stay; passwords, tokens and addresses of other servers are removed.
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
