"""The workers that a Ray cluster carries, as machines come and go."""

import time

from search.errors import SettingsError
from search.executors.process import WorkerFailed
from search.executors.ray.cluster import Cluster
from search.executors.ray.remote import Order
from search.executors.ray.worker import RayWorker, dismiss
from search.executors.resources import Node
from search.text import Notify

_LOOK = 2.0  # seconds between two looks at the cluster
_SHOWN = 5  # machines in a message


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
