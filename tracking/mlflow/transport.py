"""Exchanges with a tracking server, bounded in time and size whatever it answers.

MLflow reads an answer to its end, waits for each byte anew, and waits as long as a server asks it
to before it tries again. So its sessions get an adapter of ours: an exchange with all its tries has
one deadline, at which its connection is shut down; an answer has a largest size; a server chooses
no pauses.
"""

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import requests
from mlflow.utils import request_utils
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Retry

from tracking.mlflow.calls import ServerFault

LARGEST_ANSWER = 64 << 20  # bytes; a thousand runs with all their tags take some 10 MB
_SECONDS = 30.0  # for an exchange, where MLflow gives no timeout
_BYTES_A_SECOND = 100_000  # what is uploaded may take longer, by its size
_BLOCK = 1 << 16
_CREDENTIALS = (
    "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to what"
    " the server accepts"
)

_here = threading.local()  # `exchange`: the one that this thread is in


class _Exchange:
    """One request with all its tries: when it must be over, and how its connection is ended."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._socket: Any = None
        self._timer = threading.Timer(seconds, self._shut_down)
        self._timer.daemon = True

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end

    def watch(self, connected: Any) -> None:
        """Take note of the socket that is used now; a try after the deadline ends at once."""
        self._socket = connected
        if self.is_over:
            self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it was closed meanwhile
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # TLS or not

    def __enter__(self) -> "_Exchange":
        _here.exchange = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _here.exchange = None


def _watch(connection: HTTPConnection) -> None:
    exchange = getattr(_here, "exchange", None)
    if exchange is not None and connection.sock is not None:
        exchange.watch(connection.sock)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _watch(self)

    def request(self, *arguments: Any, **named: Any) -> None:
        _watch(self)
        super().request(*arguments, **named)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _watch(self)

    def request(self, *arguments: Any, **named: Any) -> None:
        _watch(self)
        super().request(*arguments, **named)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Retry(Retry):
    """Tries again as another does, but does not wait for as long as a server asks."""

    def get_retry_after(self, response: Any) -> None:
        return None

    @classmethod
    def like(cls, other: Retry) -> "_Retry":
        """Return one with the limits of another."""
        return cls(
            total=other.total,
            connect=other.connect,
            read=other.read,
            redirect=other.redirect,
            status=other.status,
            allowed_methods=other.allowed_methods,
            status_forcelist=other.status_forcelist,
            backoff_factor=other.backoff_factor,
            backoff_jitter=getattr(other, "backoff_jitter", 0.0),
            raise_on_status=other.raise_on_status,
        )


_MlflowAdapter: Any = getattr(request_utils, "TCPKeepAliveHTTPAdapter", HTTPAdapter)


class _BoundedAdapter(_MlflowAdapter):  # type: ignore[misc]
    """Sends requests and reads their answers within their exchanges' bounds."""

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **named)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        **named: Any,
    ) -> requests.Response:
        """Send a request, and read its answer unless it is asked for as a stream.

        Raises:
            ServerFault: the server took too long, refused the user, said too much, or went on
                saying that it cannot.
        """
        if getattr(threading.current_thread(), "abandoned", False):
            raise ServerFault("nobody waits for its answers any more")
        with _Exchange(_seconds_for(request, timeout)) as exchange:
            try:
                response: requests.Response = super().send(
                    request, stream=stream, timeout=timeout, **named
                )
            except requests.RequestException as error:
                _raise_fault(error, exchange)
                raise
            if response.status_code in (401, 403):
                raise _refusal(response, exchange)
            if not stream:
                response._content = _content(response, exchange)
                response._content_consumed = True
        return response


def bound_exchanges() -> None:
    """Let the sessions that MLflow makes in this process use exchanges with bounds."""
    make = request_utils._get_request_session
    if not getattr(make, "is_bounded", False):
        request_utils._get_request_session = _bounded(make)


def _bounded(make: Callable[..., requests.Session]) -> Callable[..., requests.Session]:
    def session(*arguments: Any, **named: Any) -> requests.Session:
        made = make(*arguments, **named)  # MLflow gives the same one out again
        for scheme in ("http://", "https://"):
            adapter: Any = made.get_adapter(scheme)
            if not isinstance(adapter, _BoundedAdapter):
                made.mount(scheme, _BoundedAdapter(max_retries=_Retry.like(adapter.max_retries)))
        return made

    session.is_bounded = True  # type: ignore[attr-defined]
    return session


def _seconds_for(request: requests.PreparedRequest, timeout: Any) -> float:
    seconds = max(timeout) if isinstance(timeout, tuple) else timeout
    size = int(request.headers.get("Content-Length") or 0)
    return float(seconds or _SECONDS) + size / _BYTES_A_SECOND


def _content(response: requests.Response, exchange: _Exchange) -> bytes:
    """Return an answer's body.

    Raises:
        ServerFault: it is too long, or not at its end when the exchange must be over.
    """
    blocks, size = [], 0
    try:
        for block in response.iter_content(_BLOCK):
            blocks.append(block)
            size += len(block)
            if size > LARGEST_ANSWER:
                response.close()
                raise ServerFault(f"its answer is longer than {LARGEST_ANSWER >> 20} MB")
    except requests.RequestException as error:
        _raise_fault(error, exchange)
        raise
    # Without either a connection that was shut down looks like the end.
    if exchange.is_over and not {"Content-Length", "Transfer-Encoding"} & response.headers.keys():
        raise _too_slow(exchange)
    return b"".join(blocks)


def _refusal(response: requests.Response, exchange: _Exchange) -> ServerFault:
    try:
        said = " ".join(_content(response, exchange).decode(errors="replace").split())[:100]
    except ServerFault:
        said = ""
    status = f"{response.status_code} ({_phrase(response.status_code)})"
    return ServerFault(f"it answers {status}: {_CREDENTIALS}" + f" (it says: {said})" * bool(said))


def _raise_fault(error: requests.RequestException, exchange: _Exchange) -> None:
    """Raise what the server did; nothing where it was not reached at all."""
    if exchange.is_over:
        raise _too_slow(exchange) from error
    found = re.search(r"too many (\d{3}) error responses", str(error))
    if isinstance(error, requests.exceptions.RetryError) and found:
        raise ServerFault(f"it answers {found[1]} ({_phrase(int(found[1]))})") from error


def _too_slow(exchange: _Exchange) -> ServerFault:
    return ServerFault(f"it did not answer, or not to the end, within {exchange.seconds:.0f} s")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no status of HTTP"
