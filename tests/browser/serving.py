"""MLflow's pages as users get them: `search ui` on a free port of this machine."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.faults.servers import free_port
from tracking.mlflow.pages import APP

_PATIENCE = 120.0  # seconds for a server to come up on a busy machine
Links = dict[str, dict[str, str]]  # by study: the printed links by what is printed before them


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of somebody whose home folder is `folder`."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("SEARCH_", "MLFLOW_"))}
    checkout = str(Path(__file__).parents[2])
    # What an installation says of itself; that of a checkout may be from before the pages.
    told = folder / "installed" / "foldwise_pages-0.dist-info"
    told.mkdir(parents=True, exist_ok=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: foldwise-pages\nVersion: 0\n")
    (told / "entry_points.txt").write_text(
        f"[mlflow.app]\n{APP} = tracking.mlflow.pages:create_app\n"
    )
    places = os.pathsep.join((checkout, str(told.parent)))
    return kept | {"HOME": str(folder), "COLUMNS": "100", "PYTHONPATH": places}


def search(folder: Path, *arguments: str) -> str:
    """Run a command in `folder` and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "search", *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=2 * _PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def served(home: Path) -> Iterator[Links]:
    """Serve a home by `search ui` and yield the links it printed."""
    command = [sys.executable, "-m", "search", "ui", "--home", str(home)]
    process = subprocess.Popen(
        [*command, "--port", str(free_port())],
        cwd=home.parent,
        env=environment(home.parent),
        stdout=subprocess.PIPE,
        text=True,
    )
    too_late = threading.Timer(_PATIENCE, process.kill)
    too_late.start()
    try:
        links = _read_links(process, studies=sum(1 for _ in (home / "studies").iterdir()))
        too_late.cancel()
        yield links
    finally:
        too_late.cancel()
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert not psutil.wait_procs(started, timeout=30)[1], "MLflow's server was left behind"


def _read_links(process: "subprocess.Popen[str]", studies: int) -> Links:
    links: Links = {}
    study = ""
    assert process.stdout is not None
    for line in process.stdout:
        if "viewStateShareKey" in line:
            label, _, link = line.strip().rpartition(" ")
            links[study][label.strip()] = link
        elif line.strip():
            study = line.strip()
            links[study] = {}
        if sum(len(found) == 2 for found in links.values()) == studies:
            return {name: found for name, found in links.items() if found}
    raise AssertionError(f"the links did not come; got {links}")
