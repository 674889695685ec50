"""The actor that lends one worker of the machine it is on."""

import queue
import shutil
import threading
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import ray

from search.errors import FoldwiseError
from search.executors.protocol import Failed, FoldTask, Verdict
from search.executors.ray.bundles import Bundle
from search.executors.ray.placement import cache_root, scratch
from search.executors.ray.remote import Line, Order, Said, Wanted, lend


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
