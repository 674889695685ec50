"""`ui`: MLflow's pages on the home's studies; `sync`: publish records MLflow does not have yet."""

from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.output import DEFAULT_HOME, AsJson, Home, TrackingUri

if TYPE_CHECKING:
    from tracking.home import Home as HomeFolder


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
    from search.cli.output import Notices, console, print_json
    from search.cli.server import Binding, serve
    from search.errors import FoldwiseError, SettingsError
    from search.studies import readable_studies
    from search.text import shell
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

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
            document = {"address": binding.address, "studies": links, "all_studies": together}
            print_json(document | {"notices": notify.texts})
        else:
            _print_links(binding.address, links, together, alone=binding.is_loopback)

    if not binding.is_loopback:
        notify(_exposed(folders, port))
    if not json:
        console.print("Starting MLflow ...")
    code = serve(folders, binding, ready=ready)
    if code:
        raise FoldwiseError(f"MLflow's server ended with code {code}; see {folders.server_log}")


def _exposed(home: "HomeFolder", port: int) -> str:
    return (
        f"port {port} is open to other machines, and MLflow asks for no password: anybody who can"
        f" reach it can read, change and delete all runs, models and pictures in {home.root}. Use"
        " this only on a network you trust; else leave `--host` out and use an SSH tunnel"
    )


def _print_links(
    address: str, links: dict[str, dict[str, str]], together: str, *, alone: bool
) -> None:
    from rich.markup import escape

    from search.cli.output import console, say

    reach = "this machine only" if alone else "open to other machines"
    console.print(f"MLflow on [bold]{escape(address)}[/] ({reach}). Ctrl-C ends it.\n")
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

    from search.cli.output import Notices, console, print_json
    from search.errors import FoldwiseError
    from search.studies import readable_studies
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    folders = HomeFolder(home)
    notify = Notices(quiet=json)
    tracker = Tracker(folders, tracking_uri)
    known = readable_studies(folders, notify)
    waiting = {name: tracker.sync(folders.study(name), notify, seconds=inf) for name in known}
    if json:
        print_json({"tracking_uri": tracker.shown_uri, "waiting": waiting, "notices": notify.texts})
    elif not any(waiting.values()):
        console.print(f"{len(waiting)} studies are complete in MLflow at {tracker.shown_uri}")
    if any(waiting.values()):
        count = sum(waiting.values())
        raise FoldwiseError(f"{count} records did not reach MLflow at {tracker.shown_uri}")
