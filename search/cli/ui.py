"""`ui`: MLflow's pages over the home's studies."""

import socket
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import DEFAULT_HOME, AsJson, Home

if TYPE_CHECKING:
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

LOOPBACK = "127.0.0.1"


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 5000,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Serve MLflow's UI on 127.0.0.1 and print the links to every study's views. Ctrl-C ends it.

    With `--json` the document comes once the pages can be opened; the serving goes on.
    """
    from search.cli.output import console, print_json
    from search.errors import FoldwiseError, SettingsError
    from search.mlflow_server import serve
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    folders = HomeFolder(home)
    if not folders.database.exists():
        raise SettingsError(
            f"{home} has no MLflow database yet; run a study first:"
            f" `python -m search run --space lenet --home {home}`"
        )
    if not _is_free(port):
        raise SettingsError(f"`--port {port}` is in use; name another, for example {port + 1}")
    address = f"http://{LOOPBACK}:{port}"

    def ready() -> None:
        links = _links(folders, Tracker(folders, None, address))
        if json:
            print_json({"address": address, "studies": links})
        else:
            _print_links(address, links)

    if not json:
        console.print("Starting MLflow ...")
    code = serve(folders, LOOPBACK, port, ready=ready)
    if code:
        raise FoldwiseError(f"MLflow's server ended with code {code}; see {folders.server_log}")


def _links(folders: "HomeFolder", tracker: "Tracker") -> dict[str, dict[str, str]]:
    from search.cli.output import notice
    from search.studies import readable_studies

    found = readable_studies(folders, notice)
    return {name: tracker.views(history) for name, history in found.items()}


def _print_links(address: str, links: dict[str, dict[str, str]]) -> None:
    from rich.markup import escape

    from search.cli.output import console, say

    console.print(f"MLflow on [bold]{address}[/] (this machine only). Ctrl-C ends it.\n")
    for name, views in links.items():
        if views:
            console.print(f"[bold]{escape(name)}[/]")
            say(f"  best trials first  {views['best_trials_first']}")
            say(f"  compare            {views['compare']}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
