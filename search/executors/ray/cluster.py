"""A Ray cluster, joined or started for this machine alone, and the workers that it carries."""

import shutil
import signal
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import ray

from search.errors import SettingsError
from search.executors.base import Node, cores
from search.executors.process import WorkerFailed
from search.executors.ray.remote import Order
from search.executors.ray.worker import RayWorker, dismiss
from tracking.text import Notify

_SECONDS_TO_ANSWER = 10.0
_LONGEST_FOLDER = 24  # characters; below it Ray makes sockets, whose paths may have 107
_SILENT = 60  # a logging level above all that Ray uses

_LOOK = 2.0  # seconds between two looks at the cluster
_SHOWN = 5  # machines in a message


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


class RayPool:
    """Has one worker for each share of a cluster that can train a trial.

    Args:
        cluster: where they are.
        order: what each lends, and takes of its machine.
        most: how many there are at most; None for as many as the cluster carries.
        patience: seconds to wait for a machine that can train a trial at all.
        notify: takes notices for the user.

    Attributes:
        workers: those that are there and those that are starting.
        slots: how many can train at once, as far as is known; at least one.
    """

    def __init__(
        self,
        cluster: Cluster,
        order: Order,
        *,
        most: int | None,
        patience: float,
        notify: Notify,
    ) -> None:
        self._cluster, self._order, self._per_trial = cluster, order, order.per_trial
        self._most, self._notify = most, notify
        self._patience = patience if cluster.may_grow else 0.0
        self._keys: frozenset[str] = frozenset()
        self._left_out = 0
        self._said_to_carry: int | None = None
        self._looked_at = self._alone_since = time.monotonic()
        self.workers: list[RayWorker] = []
        self.slots = 1

    def look(self, *, at_once: bool = False) -> None:
        """Have as many workers as the cluster carries now; does nothing just after a look.

        Raises:
            SettingsError: no machine can train a trial at all, and none has joined in time.
            WorkerFailed: none has had room for one.
        """
        if not at_once and time.monotonic() < self._looked_at + _LOOK:
            return
        self._looked_at = time.monotonic()
        nodes = self._cluster.nodes()
        keys = frozenset(node.key for node in nodes)
        if keys != self._keys:
            self._keys, self._left_out = keys, 0
        carried = self._per_trial.carried_by(nodes)
        wanted = max(1, (carried if self._most is None else self._most) - self._left_out)
        self._dismiss_idle(wanted)
        while len(self.workers) < wanted:
            self.workers.append(RayWorker(self._order))
        self.slots = max(1, min(len(self.workers), carried))
        self._check_room(carried, nodes)

    def remove(self, worker: RayWorker) -> None:
        """Let go of a worker that is gone; another takes its place where there is room."""
        self.workers.remove(worker)
        worker.kill()
        self.look(at_once=True)

    def leave_out(self, worker: RayWorker, words: str) -> None:
        """Go on without a worker that cannot work, until other machines are there.

        Raises:
            WorkerFailed: there is no other worker.
        """
        self.workers.remove(worker)
        dismiss([worker])
        self._left_out += 1
        if not self.workers:
            raise WorkerFailed(words)
        self._notify(f"A worker of the Ray cluster cannot work and is left out: {words}")
        self.look(at_once=True)

    def close(self) -> None:
        """End all workers."""
        dismiss(self.workers)
        self.workers.clear()

    def _dismiss_idle(self, wanted: int) -> None:
        """Let go of workers without a task whose machine is gone, and of those beyond `wanted`."""
        idle = [worker for worker in self.workers if worker.task is None]
        gone = [one for one in idle if one.is_ready and one.node not in self._keys]
        surplus = max(0, len(self.workers) - len(gone) - wanted)
        gone += [one for one in idle if not one.is_ready][:surplus]
        for worker in gone:
            self.workers.remove(worker)
            worker.kill()

    def _check_room(self, carried: int, nodes: list[Node]) -> None:
        now = time.monotonic()
        if any(worker.is_ready for worker in self.workers):
            self._alone_since = now
        alone = now - self._alone_since
        if carried == 0 and alone >= self._patience:
            raise SettingsError(self._too_small(nodes))
        longest = self._order.limits.loading_seconds
        if alone > longest:
            raise WorkerFailed(
                f"no machine of the Ray cluster got a worker with {self._per_trial} ready within"
                f" {longest:g} s; `ray status` tells who uses it. Run the same command again to"
                " go on."
            )
        if carried < (self._most or 1) and carried != self._said_to_carry:
            self._said_to_carry = carried
            self._notify(
                f"`--workers {self._most or 'auto'}`: the Ray cluster carries {carried} of them at"
                f" {self._per_trial} each; more start when machines join."
            )

    def _too_small(self, nodes: list[Node]) -> str:
        shown = sorted({str(node) for node in nodes})[:_SHOWN]
        have = f"its machines have {', '.join(shown)}" if shown else "it has no machine"
        return (
            f"a trial takes {self._per_trial} of one machine of the Ray cluster; {have}. Ask for"
            " less with `--cpus-per-trial` and `--gpus-per-trial`, or start a machine that has it."
        )
