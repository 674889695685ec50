"""`ui`: MLflow's pages on the home's studies; `sync`: publish records MLflow does not have yet."""

import ipaddress
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import psutil
import typer

from search.cli.output import DEFAULT_HOME, AsJson, Home, TrackingUri
from search.errors import FoldwiseError, SettingsError
from tracking.home import Home as HomeFolder
from tracking.mlflow import pages
from tracking.mlflow.database import follow_home
from tracking.text import counted

LOOPBACK = "127.0.0.1"
_HERE = ("localhost", "127.0.0.1", "[::1]")
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Otherwise MLflow starts eight more processes for jobs of language-model applications.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
_OURS_TO_SAY = "MLFLOW_SERVER_"
_PATIENCE = 10.0  # seconds


def ui(
    host: Annotated[
        str,
        typer.Option(
            help="Address to serve on; 0.0.0.0 lets anybody who can reach this machine read,"
            " change and delete everything served."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 5000,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Serve MLflow's UI on 127.0.0.1 and print the links to every study's views. Ctrl-C ends it.

    With `--json` the document is printed once the pages can be opened; the server keeps running.
    """
    from search.cli.output import Notices, console, print_json, say
    from search.studies import readable_studies
    from search.tracker import Tracker
    from tracking.text import shell

    folders = HomeFolder(home)
    if not folders.database.exists():
        raise SettingsError(
            f"{home} has no MLflow database yet; run a study first:"
            f" `{shell('run', '--space', 'lenet', '--home', str(home))}`"
        )
    binding = Binding(host, port)
    binding.check()
    notify = Notices(quiet=json)

    def ready() -> None:
        tracker = Tracker(folders, None, binding.address)
        known = readable_studies(folders, notify)
        links = {name: tracker.views(history) for name, history in known.items()}
        together = tracker.comparison(list(known.values()))
        if json:
            known_places = {"address": binding.address, "tracking_uri": folders.tracking_uri}
            document = {"studies": links, "all_studies": together, "notices": notify.texts}
            print_json(known_places | document)
        else:
            _print_address(binding, links)
            _print_links(links, together)
            say(f"\nWithout foldwise: {Tracker(folders).command}")

    if not binding.is_loopback:
        notify(_exposed(folders, port))
    if not json:
        console.print("Starting MLflow ...")
    code = serve(folders, binding, ready=ready)
    if code:
        raise FoldwiseError(f"MLflow's server ended with code {code}; see {folders.server_log}")


def _exposed(home: HomeFolder, port: int) -> str:
    return (
        f"port {port} is open to other machines, and MLflow asks for no password: anybody who can"
        f" reach it can read, change and delete all runs, models and pictures in {home.root}. Use"
        " this only on a network you trust; else leave `--host` out and use an SSH tunnel"
    )


def _print_address(binding: "Binding", links: dict[str, dict[str, str]]) -> None:
    """Print the address that shows trials, and who can reach it."""
    from search.cli.output import console, say

    reach = "this machine only" if binding.is_loopback else "open to other machines"
    say(f"MLflow on {binding.address} ({reach}). Ctrl-C ends it.")
    first = next((views["best_trials_first"] for views in links.values() if views), "")
    if first and not pages.is_installed():
        say(f"Trials are at {first}")
    console.print()


def _print_links(links: dict[str, dict[str, str]], together: str) -> None:
    from rich.markup import escape

    from search.cli.output import console, say

    for name, views in links.items():
        if views:
            console.print(f"[bold]{escape(name)}[/]")
            say(f"  best trials first  {views['best_trials_first']}")
            say(f"  compare            {views['compare']}")
    if together:
        console.print("[bold]All studies[/]")
        say(f"  side by side       {together}")


def sync(tracking_uri: TrackingUri = None, home: Home = DEFAULT_HOME, json: AsJson = False) -> None:
    """Publish every study's waiting records to MLflow; safe to repeat."""
    from math import inf

    from search.cli.output import Notices, print_json, say
    from search.studies import readable_studies
    from search.tracker import Tracker

    folders = HomeFolder(home)
    notify = Notices(quiet=json)
    tracker = Tracker(folders, tracking_uri)
    known = readable_studies(folders, notify)
    waiting = {name: tracker.sync(folders.study(name), notify, seconds=inf) for name in known}
    count, unasked = sum(waiting.values()), len(tracker.unasked)
    if json:
        document = {"tracking_uri": tracker.shown_uri, "waiting": waiting}
        print_json(document | {"unasked": tracker.unasked, "notices": notify.texts})
    elif not (count or unasked):
        are = "is" if len(waiting) == 1 else "are"
        say(f"{counted(len(waiting), 'study')} {are} complete in MLflow at {tracker.shown_uri}")
    place, faults = f"MLflow at {tracker.shown_uri}", []
    if count:
        faults.append(f"{counted(count, 'record')} did not reach {place}")
    if unasked:
        faults.append(
            f"{place} cannot be asked about {unasked} of {counted(len(waiting), 'study')}"
        )
    if faults:
        raise FoldwiseError("; ".join(faults))


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


def serve(home: HomeFolder, binding: Binding, *, ready: Callable[[], None]) -> int:
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
        *(("--app-name", pages.APP) if pages.is_installed() else ()),
    ]
    # In its own process group: the server starts processes, and all of them must end with it.
    with (
        home.server_log.open("ab") as log,
        subprocess.Popen(  # nosec B603 # this interpreter; the host was checked to be an address
            command,
            env=_environment(os.environ, binding) | {pages.STORE: home.tracking_uri},
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
    from urllib.request import ProxyHandler, build_opener

    direct = build_opener(ProxyHandler({}))  # a proxy could answer the health check
    while server.poll() is None:
        try:
            with direct.open(health, timeout=1):
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
