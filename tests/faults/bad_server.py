"""A server that is no MLflow, and answers badly on purpose, over bare sockets."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PIECE = b" " * (1 << 16)

Manner = Callable[["BadServer", socket.socket], None]


class BadServer:
    """Takes every connection, reads a request, and treats it as told.

    Attributes:
        address: where it listens.
        requests: how many came.
        sent: bytes of bodies.
    """

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests = self.sent = 0
        self.over = threading.Event()

    def __enter__(self) -> "BadServer":
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while read_request(connection):
                self.requests += 1
                self._manner(self, connection)


def read_request(connection: socket.socket) -> bool:
    """Read one request with its body; tell whether there was one."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (got := connection.recv(1 << 16)):
            return False
        head += got
    head, _, body = head.partition(b"\r\n\r\n")
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = (int(length[0].split(b":")[1]) if length else 0) - len(body)
    while left > 0 and (got := connection.recv(1 << 16)):
        left -= len(got)
    return True


def answering(status: int, *headers: str, body: str = "no") -> Manner:
    """Answer with a status at once."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]

    def answer(_: BadServer, connection: socket.socket) -> None:
        connection.sendall("\r\n".join([*lines, "", body]).encode())

    return answer


def hanging(server: BadServer, connection: socket.socket) -> None:
    """Never answer."""
    server.over.wait()


def dripping_heads(server: BadServer, connection: socket.socket) -> None:
    """Send a header that never ends, a byte at a time."""
    connection.sendall(HEAD + b"X-Drip: ")
    _drip(server, connection)


def dripping_bodies(server: BadServer, connection: socket.socket) -> None:
    """Send a body a byte at a time."""
    connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")
    _drip(server, connection)


def dripping_until_closed(server: BadServer, connection: socket.socket) -> None:
    """Send a body without a length, a byte at a time."""
    connection.sendall(HEAD + b"Connection: close\r\n\r\n")
    _drip(server, connection)


def endless(server: BadServer, connection: socket.socket) -> None:
    """Send a body that never ends, as fast as it is read."""
    connection.sendall(HEAD + b"Connection: close\r\n\r\n")
    while not server.over.is_set():
        connection.sendall(PIECE)
        server.sent += len(PIECE)


def _drip(server: BadServer, connection: socket.socket) -> None:
    while not server.over.wait(0.1):
        connection.sendall(b" ")
        server.sent += 1
