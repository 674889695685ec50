"""A Ray cluster: joined, or started for this machine alone."""

import shutil
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import ray

from search.errors import SettingsError
from search.executors.limits import cores
from search.executors.resources import Node

_SECONDS_TO_ANSWER = 10.0
_LONGEST_FOLDER = 24  # characters; below it Ray makes sockets, whose paths may have 107
_SILENT = 60  # a logging level above all that Ray uses


class Cluster:
    """The cluster that this process is joined to; one that it started ends with it.

    Args:
        address: `auto`, `HOST:PORT` or `ray://HOST:PORT`; None to start one of this machine. A
            process that is joined to a cluster already stays with that one.

    Attributes:
        may_grow: whether machines may join.

    Raises:
        SettingsError: there is no cluster at that address.
    """

    def __init__(self, address: str | None) -> None:
        self._folder: Path | None = None
        self._is_ours = not ray.is_initialized()
        self.may_grow = address is not None or not self._is_ours
        if self._is_ours:
            with _signals_kept(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._start() if address is None else _join(address)

    def nodes(self) -> list[Node]:
        """Return the machines that are alive."""
        return [Node(n["NodeID"], n["Resources"]) for n in ray.nodes() if n["Alive"]]

    def close(self) -> None:
        """Leave the cluster; may be called twice."""
        if self._is_ours:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.shutdown()
            self._is_ours = False
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        usual = tempfile.gettempdir()
        parent = usual if len(usual) <= _LONGEST_FOLDER else "/tmp"  # noqa: S108 # nosec B108
        self._folder = Path(tempfile.mkdtemp(prefix="fw-ray-", dir=parent))
        ray.init(
            address="local",
            num_cpus=cores(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=_SILENT,
            _temp_dir=str(self._folder),
        )


def _join(address: str) -> None:
    _knock(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=_SILENT)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SettingsError(
            f"`--ray-address` must be a running Ray cluster with the same versions of Ray and"
            f" Python; at {address!r}: {lines[0].rstrip('.')}. If the cluster wants a token, set"
            " RAY_AUTH_MODE=token and have the cluster's in ~/.ray/auth_token. `ray start --head`"
            " starts a cluster; without the option this machine alone is used."
        ) from error


def _knock(address: str) -> None:
    """Check that somebody answers there: Ray itself would try for a minute, then end the process.

    Raises:
        SettingsError: nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()
    except (OSError, ValueError, OverflowError) as error:
        raise SettingsError(
            f"`--ray-address` must be auto, HOST:PORT or ray://HOST:PORT of a running Ray cluster;"
            f" got {address!r}, where nobody answers ({error}). Start one with `ray start --head`,"
            " which says its address."
        ) from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep our answers to signals: Ray would have SIGTERM end the process without good order."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                with suppress(TypeError):  # one that C code has set
                    signal.signal(number, handler)
