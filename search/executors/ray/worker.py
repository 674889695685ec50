"""A worker on a machine of a Ray cluster, as the coordinator sees it."""

from contextlib import suppress
from typing import Any

import ray

from search.executors.protocol import FoldTask
from search.executors.ray.host import Answer, Host
from search.executors.ray.remote import Order, Said

_SECONDS_TO_LEAVE = 2.0


class RayWorker:
    """One actor that lends one worker.

    Args:
        order: what it lends; it starts when some machine has to spare what that takes.

    Attributes:
        awaited: what it will say next, in Ray's hands; None while it has nothing to do.
        task: what it was given and has not finished.
        last_trial: whose fold it was given last; -1 before the first.
        has_begun: whether it has reported anything of its task.
        node: what Ray calls its machine; empty until it is ready.
        host: the machine's name.
    """

    def __init__(self, order: Order) -> None:
        self.task: FoldTask | None = None
        self.last_trial = -1
        self.has_begun = False
        self.node = self.host = ""
        kind = ray.remote(Host).options(
            num_cpus=order.per_trial.cpus,
            num_gpus=order.per_trial.gpus,
            max_concurrency=2,  # to leave while it is listening
            max_restarts=0,
            scheduling_strategy="SPREAD",
        )
        self._actor: Any = kind.remote(order)
        self.awaited: Any = self._actor.exchange.remote()

    @property
    def is_ready(self) -> bool:
        """Whether it has all it needs, and has been or can be given a task."""
        return bool(self.node)

    def answer(self, answer: Answer) -> None:
        """Answer what it said last, and await what it says next."""
        self.awaited = self._actor.exchange.remote(answer)

    def heard(self) -> Said:
        """Return what it said.

        Raises:
            RayError: it is gone.
        """
        awaited, self.awaited = self.awaited, None
        said: Said = ray.get(awaited)
        return said

    def leave(self) -> Any:
        """Have it clear up, and return what shows that it has."""
        return self._actor.leave.remote()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ray.exceptions.RayError, ValueError):
            ray.kill(self._actor)


def dismiss(workers: list[RayWorker]) -> None:
    """End workers; those that are there clear up before."""
    leaving = [worker.leave() for worker in workers if worker.is_ready]
    with suppress(ray.exceptions.RayError):
        if leaving:
            ray.wait(leaving, num_returns=len(leaving), timeout=_SECONDS_TO_LEAVE)
    for worker in workers:
        worker.kill()
