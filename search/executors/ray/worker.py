"""A worker on a machine of a Ray cluster: the actor there, and what the coordinator sees of it."""

import queue
import shutil
import threading
import traceback
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import ray

from search.errors import FoldwiseError
from search.executors.protocol import MOST_PROGRAMS, Failed, FoldTask, Verdict
from search.executors.ray.bundles import Bundle, cache_root, scratch
from search.executors.ray.remote import Line, Order, Said, Wanted, lend

_SECONDS_TO_LEAVE = 2.0


@dataclass(frozen=True)
class Fetched:
    """A bundle's pieces in Ray's object store: names of files, each with where a piece of it is."""

    pieces: tuple[tuple[str, Any], ...]


Answer: TypeAlias = FoldTask | Verdict | Fetched


class Host:
    """Lends one worker; the coordinator asks by `exchange`, again and again, what it has to say."""

    def __init__(self, order: Order) -> None:
        self._line = _Line()
        self._folder: Path | None = None
        # One thread for good: on Linux the worker process dies with the thread that started it.
        threading.Thread(target=self._run, args=(order,), daemon=True).start()

    def exchange(self, answer: Answer | None = None) -> Said:
        """Take the answer to what was said last, and return what is said next."""
        if answer is not None:
            self._line.answers.put(answer)
        return self._line.said.get()

    def leave(self) -> None:
        """Clear up, as the actor is ended next."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, order: Order) -> None:
        try:
            root = cache_root()
            with scratch(root) as self._folder:
                lend(order, self._line, root, self._folder)
        except FoldwiseError as error:
            self._line.tell(Failed(str(error)))
        except BaseException:  # noqa: BLE001 # the coordinator must not wait for ever
            self._line.tell(Failed(traceback.format_exc()))


class _Line(Line):
    def __init__(self) -> None:
        self.node = ray.get_runtime_context().get_node_id()
        self.said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def tell(self, said: Said) -> None:
        self.said.put(said)

    def hear(self) -> FoldTask | Verdict:
        answer = self.answers.get()
        if isinstance(answer, Fetched):
            raise TypeError("pieces of a bundle came that nobody asked for")
        return answer

    def fetch(self, bundle: Bundle) -> Iterable[tuple[str, bytes]]:
        self.tell(Wanted(bundle))
        answer = self.answers.get()
        if not isinstance(answer, Fetched):
            raise TypeError(f"the pieces of a bundle were awaited; got {type(answer).__name__}")
        for name, piece in answer.pieces:
            yield name, ray.get(piece)


class RayWorker:
    """One actor that lends one worker.

    Args:
        order: what it lends; it starts when some machine has to spare what that takes.

    Attributes:
        awaited: what it will say next, in Ray's hands; None while it has nothing to do.
        task: what it was given and has not finished.
        trials: whose folds it was given last, the latest last.
        has_begun: whether it has reported anything of its task.
        node: what Ray calls its machine; empty until it is ready.
        host: the machine's name.
    """

    def __init__(self, order: Order) -> None:
        self.task: FoldTask | None = None
        self.trials: deque[int] = deque(maxlen=MOST_PROGRAMS)
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
