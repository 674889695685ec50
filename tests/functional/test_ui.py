import os
import signal
import socket
import time
import urllib.request

import psutil
import pytest

pytestmark = pytest.mark.slow


def test_ui_serves_the_studies_and_prints_links_that_answer(finished):
    user, _ = finished
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = user.start("ui", "--port", str(port))
    address = f"http://127.0.0.1:{port}"
    lines: list[str] = []
    deadline = time.monotonic() + 120
    while not any("foldwise-compare" in line for line in lines):
        assert time.monotonic() < deadline, lines
        lines.append(process.stdout.readline())
    links = [line.split()[-1] for line in lines if "viewStateShareKey" in line]
    assert len(links) == 2
    assert all(link.startswith(address) for link in links)
    with urllib.request.urlopen(f"{address}/health", timeout=10) as answer:
        assert answer.status == 200
    servers = psutil.Process(process.pid).children(recursive=True)
    assert {c.laddr.ip for s in servers for c in s.net_connections() if c.status == "LISTEN"} == {
        "127.0.0.1"
    }
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors == ""
    assert process.returncode == 0
    assert not psutil.wait_procs(servers, timeout=15)[1]
