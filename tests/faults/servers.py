"""Real MLflow servers that can be killed, and a proxy that answers badly on request."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

LOOPBACK = "127.0.0.1"
_PATIENCE = 90.0  # seconds for a server to come up on a busy machine
_HOP_BY_HOP = ("connection", "host", "keep-alive", "transfer-encoding")
_QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Server:
    """A real `mlflow server`; always on the same port, with the same database.

    Args:
        folder: where its database and artifacts are; made if absent.
        migrated: a database with MLflow's tables to begin with: making them takes seconds.
        backend: address of another database than an SQLite file in the folder.
    """

    def __init__(
        self, folder: Path, migrated: Path | None = None, *, backend: str | None = None
    ) -> None:
        self.port = free_port()
        self.address = f"http://{LOOPBACK}:{self.port}"
        self.database = folder / "mlflow.db"
        # Where other users do not see it: it may hold a password.
        self._backend = {"MLFLOW_BACKEND_STORE_URI": backend or f"sqlite:///{self.database}"}
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if migrated is not None:
            shutil.copy(migrated, self.database)

    def start(self, *, wait: bool = True) -> None:
        """Start it and, if asked, wait until it answers."""
        if self._process is not None:
            raise RuntimeError("the server runs already")
        command = [sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=os.environ | _QUIET | self._backend,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self._process and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        log = (self._folder / "server.log").read_text()[-2000:]
        raise RuntimeError(f"the server on {self.address} did not answer:\n{log}")

    def kill(self) -> None:
        """End it and its children at once, as the kernel does when memory runs out."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=30)
        self._process = None

    def freeze(self) -> None:
        """Let it hang: connections are taken, requests wait."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, with whatever waits for it."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the server does not run")
        os.killpg(self._process.pid, number)

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


@dataclass(frozen=True)
class Manner:
    """How a proxy treats calls.

    Attributes:
        delay: seconds before a call is passed on.
        status: answer with this instead of passing on; 0 passes on.
        hang: neither pass on nor answer, until the manner changes.
        forgets: pass on, but hang up instead of answering.
        only: the calls that are treated so are those with this text in `METHOD /path`.
        every: of those, the first, and then each of this number.
    """

    delay: float = 0.0
    status: int = 0
    hang: bool = False
    forgets: bool = False
    only: str = ""
    every: int = 1


FINE, SLOW, HANGING = Manner(), Manner(delay=2.0), Manner(hang=True)


class Proxy:
    """An HTTP proxy in threads of this process, in front of one server.

    Attributes:
        address: where it listens.
        calls: how many calls came, by `METHOD /path`.
    """

    def __init__(self, upstream: Server, manner: Manner = FINE) -> None:
        self.calls: Counter[str] = Counter()
        self.port = free_port()
        self.address = f"http://{LOOPBACK}:{self.port}"
        self._upstream = upstream
        self._manner, self._matching = manner, 0
        self._changed = threading.Condition()
        self._listening: ThreadingHTTPServer | None = None

    def behave(self, manner: Manner) -> None:
        """Treat calls so from now on; those that hang are hung up on."""
        with self._changed:
            self._manner, self._matching = manner, 0
            self._changed.notify_all()

    def listen(self) -> None:
        """Take connections."""
        if self._listening is None:
            proxy = self

            class Handler(_Handler):
                owner = proxy

            self._listening = ThreadingHTTPServer((LOOPBACK, self.port), Handler)
            self._listening.daemon_threads = True
            self._listening.block_on_close = False
            threading.Thread(
                target=self._listening.serve_forever, args=(0.05,), daemon=True
            ).start()

    def refuse(self) -> None:
        """Take no connections any more, like a machine whose server is down."""
        if self._listening is not None:
            self._listening.shutdown()
            self._listening.server_close()
            self._listening = None

    def answer(self, call: "_Handler") -> None:
        """Treat one call."""
        line = f"{call.command} {call.path.partition('?')[0]}"
        body = call.rfile.read(int(call.headers.get("Content-Length") or 0))
        self.calls[line] += 1
        manner = self._manner_for(line)
        self._pause(manner)
        if manner.hang or self._listening is None:
            call.close_connection = True
        elif manner.status:
            call.send(manner.status, [], b'{"error_code": "INTERNAL_ERROR", "message": "no"}')
        else:
            self._pass_on(call, body, answers=not manner.forgets)

    def _manner_for(self, line: str) -> Manner:
        with self._changed:
            if self._manner.only not in line:
                return FINE
            is_meant = self._matching % self._manner.every == 0
            self._matching += 1
            return self._manner if is_meant else FINE

    def _pause(self, manner: Manner) -> None:
        if manner.delay or manner.hang:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._manner is not manner, None if manner.hang else manner.delay
                )

    def _pass_on(self, call: "_Handler", body: bytes, *, answers: bool) -> None:
        connection = http.client.HTTPConnection(LOOPBACK, self._upstream.port, timeout=60)
        headers = {n: v for n, v in call.headers.items() if n.lower() not in _HOP_BY_HOP}
        try:
            connection.request(call.command, call.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            answers = False
        finally:
            connection.close()
        if answers:
            call.send(answer.status, answer.getheaders(), content)
        else:
            call.close_connection = True

    def __enter__(self) -> "Proxy":
        self.listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.behave(FINE)
        self.refuse()


class _Handler(BaseHTTPRequestHandler):
    owner: Proxy
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True  # the client went away

    def send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in (*_HOP_BY_HOP, "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the base class's name
        pass

    def _answer(self) -> None:
        self.owner.answer(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815
