import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

SEARCH = "/api/2.0/mlflow/experiments/search"
SECRET = "hunter2hunter2"  # noqa: S105 - of nobody


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(user, *arguments: str):
    """Yield address, lines printed, errors printed by the end, and the servers."""
    port = free_port()
    process = user.start("ui", "--port", str(port), *arguments)
    lines: list[str] = []
    deadline = time.monotonic() + 120
    while not any("foldwise-compare" in line for line in lines):
        assert time.monotonic() < deadline, lines
        assert process.poll() is None, process.communicate()
        lines.append(process.stdout.readline())
    servers = psutil.Process(process.pid).children(recursive=True)
    said: list[str] = []
    try:
        yield f"http://127.0.0.1:{port}", lines, said, servers
    finally:
        os.kill(process.pid, signal.SIGINT)
        said.append(process.communicate(timeout=60)[1])
        assert not psutil.wait_procs(servers, timeout=15)[1]
        assert process.returncode == 0


def listens(servers) -> set[str]:
    return {c.laddr.ip for s in servers for c in s.net_connections() if c.status == "LISTEN"}


def answer(url: str, data: object = None, method: str | None = None, **headers: str):
    """Return status and content; names of headers are written with underscores."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    content = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, content, sent, method=method)
    if content is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_ui_serves_the_studies_to_this_machine_alone(kept):
    with served(kept) as (address, lines, said, servers):
        assert f"MLflow on {address} (this machine only)" in "".join(lines)
        links = [line.split()[-1] for line in lines if "viewStateShareKey" in line]
        assert len(links) == 2
        assert all(link.startswith(address) for link in links)
        assert answer(f"{address}/health")[0] == 200
        assert listens(servers) == {"127.0.0.1"}

        found = json.loads(answer(address + SEARCH, {"max_results": 9})[1])["experiments"]
        number = next(e["experiment_id"] for e in found if e["name"] == "toy")
        query = {"experiment_ids": [number], "filter": "tags.`search.kind` = 'trial'"}
        runs = answer(f"{address}/api/2.0/mlflow/runs/search", query)[1]
        run = json.loads(runs)["runs"][0]["info"]["run_id"]
        listed = json.loads(answer(f"{address}/api/2.0/mlflow/artifacts/list?run_id={run}")[1])
        path = next(entry["path"] for entry in listed["files"] if not entry["is_dir"])
        got, content = answer(f"{address}/get-artifact?run_uuid={run}&path={path}")
        assert (got, bool(content)) == (200, True)  # pages show what a run has kept

        # No page of another site can make a browser ask: by a name of its own for 127.0.0.1,
        assert answer(address + SEARCH, {"max_results": 9}, Host="evil.example")[0] == 403
        assert answer(address + SEARCH, {"max_results": 9}, Host="192.168.evil.example")[0] == 403
        # or from its own origin.
        assert answer(address + SEARCH, {"max_results": 9}, Origin="http://evil.example")[0] == 403
        # Nobody can leave files beside the user.
        put = f"{address}/api/2.0/mlflow-artifacts/artifacts/left.txt"
        assert answer(put, {}, method="PUT")[0] >= 400
        assert not list(kept.folder.rglob("left.txt"))
    assert said == [""]


def test_ui_says_what_it_opens_to_others(kept, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # no business of a check on loopback
    given = kept.environment | {"MLFLOW_TRACKING_TOKEN": SECRET, "MLFLOW_TRACKING_URI": "x://y"}
    monkeypatch.setattr(type(kept), "environment", given)
    with served(kept, "--host", "0.0.0.0") as (address, lines, said, servers):  # noqa: S104
        monkeypatch.delenv("http_proxy")
        assert listens(servers) == {"0.0.0.0"}  # noqa: S104
        assert f"MLflow on {address} (open to other machines)" in "".join(lines)
        name = socket.gethostname()
        port = address.rpartition(":")[2]
        own = {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}"}
        assert answer(address + SEARCH, {"max_results": 9}, **own)[0] == 200
        assert answer(address + SEARCH, {"max_results": 9}, Host="evil.example")[0] == 403
        assert answer(address + SEARCH, {"max_results": 9}, Origin="http://evil.example")[0] == 403
        for server in servers:
            assert SECRET not in "".join(server.environ().values())
    told = " ".join(said[0].split())
    assert f"port {port} is open to other machines, and MLflow asks for no password" in told
    assert "read, change and delete all runs, models and pictures in mlruns" in told
    assert SECRET not in Path(kept.folder, "mlruns", "mlflow-server.log").read_text()
