"""What an executor is, what its workers may take, and what a trial takes of a machine."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from search.executors.protocol import NEED, FoldKey, FoldTask, Verdict, fits
from tracking.records import Record

OnRecord = Callable[[Record], Verdict]
IsStopped = Callable[[], bool]

_SHARE = 0.8  # of the machine's memory that all workers may fill
_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def never() -> bool:
    """Say that nobody has asked to stop."""
    return False


class Executor(ABC):
    """Trains folds of trials, as many at once as it has slots.

    One thread, the coordinator's, calls all methods. Records reach `on_record` in that thread,
    during `wait`; its verdict decides whether the fold goes on. A task reports a `FoldStarted`, its
    epochs and last a `FoldEnded`, unless the verdict was to stop. One that broke off reports an
    `AttemptFailed` last.

    Attributes:
        slots: how many tasks may be submitted and not yet over.
        is_stopped: says whether nothing more is to begin; asked while workers load.
    """

    slots: int = 1
    is_stopped: IsStopped = staticmethod(never)

    @abstractmethod
    def submit(self, task: FoldTask) -> None:
        """Take on a task; it starts at once or at the next `wait`.

        A worker that has trained the same trial before is preferred: it has traced its program.
        """

    def has_traced(self, trial: int) -> bool:
        """Say whether a worker that has no task has traced the program of a trial."""
        del trial
        return False

    @abstractmethod
    def wait(self, on_record: OnRecord) -> FoldKey | None:
        """Go on until a task is over or stopped, and return its trial and fold.

        An executor whose `slots` change returns None when there are more of them; any may where
        nothing more is to begin and no task has.
        """

    @abstractmethod
    def close(self) -> None:
        """Abandon what runs and let go of workers; may be called twice."""


@dataclass(frozen=True)
class Limits:
    """When a worker is ended or replaced.

    Attributes:
        trial_seconds: time a trial may train, finished folds included; None for any.
        memory: bytes a worker may hold between two tasks; one that holds more is replaced. None
            for its share of most of the memory of the machine it is on.
        tasks: number of tasks after which a worker is replaced, for what it may have leaked.
        idle_seconds: time a worker with a task may neither report nor compute.
        loading_seconds: time it may take to load TensorFlow, the data and the space.
    """

    trial_seconds: float | None = None
    memory: int | None = None
    tasks: int = 200
    idle_seconds: float = 300.0
    loading_seconds: float = 900.0

    def on_share(self, share: float) -> "Limits":
        """Return the limits of a worker that may use a share, 0..1, of this machine."""
        if self.memory is not None:
            return self
        return replace(self, memory=int(usable_memory() * _SHARE * share))


def cores() -> int:
    """Return how many processors this process may use; a container's share of them counts."""
    from joblib import cpu_count

    return int(cpu_count())


def usable_memory() -> int:
    """Return how many bytes all workers may use: the machine's, or its container's or job's."""
    return min([psutil.virtual_memory().total, *_group_limits()])


def _group_limits() -> Iterator[int]:
    """Yield the limits on memory of the control groups that this process is in, in bytes (Linux).

    Source: the kernel's `cgroup-v2.rst`, "memory.max", and `cgroup-v1/memory.rst`.
    """
    try:
        lines = (_PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            root, name = _GROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = _GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):  # the root has no limit; `max` is none
                if folder.is_relative_to(root):
                    yield int((folder / name).read_text())


def auto_workers(samples: int = 0) -> int:
    """Return how many workers there may be here: one a core, as far as memory goes.

    Args:
        samples: bytes of the samples that each holds; if not even one worker can, all of them read
            from disk what they need.
    """
    memory = int(usable_memory() * _SHARE)
    need = NEED + 2 * samples if fits(samples, memory) else NEED
    return max(1, min(cores(), memory // need))


def out_of_memory_kills() -> int:
    """Return how many processes the kernel ended for want of memory; 0 where it does not say."""
    try:
        lines = (_PROC / "vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


@dataclass(frozen=True)
class Node:
    """A machine of a cluster.

    Attributes:
        key: what the cluster calls it.
        resources: amounts by name: `CPU`, `GPU` and others.
    """

    key: str
    resources: Mapping[str, float]

    def __str__(self) -> str:
        """Say what it has."""
        return f"{self.resources.get('CPU', 0):g} CPU and {self.resources.get('GPU', 0):g} GPU"


@dataclass(frozen=True)
class PerTrial:
    """What a trial takes of its machine while it trains.

    Attributes:
        cpus: processors, and threads to compute with.
        gpus: share of one GPU, at most a whole one.
    """

    cpus: int = 1
    gpus: float = 0.0

    def carried_by(self, nodes: Sequence[Node]) -> int:
        """Return how many trials the nodes can train at once while nobody else uses them."""
        return sum(self._on(node) for node in nodes)

    def _on(self, node: Node) -> int:
        by_processors = int(node.resources.get("CPU", 0.0) / self.cpus)
        if not self.gpus:
            return by_processors
        gpus = int(node.resources.get("GPU", 0.0))
        # No part of one GPU is lent together with a part of another.
        on_each = int(1 / self.gpus + 1e-6)  # thirds of a GPU do not quite add up to one
        return min(by_processors, gpus * on_each)

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.cpus} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")


@dataclass(frozen=True)
class ClusterRequest:
    """Where on a cluster trials are to be trained.

    Attributes:
        address: `auto`, `HOST:PORT` or `ray://HOST:PORT`; None for this machine alone.
        per_trial: what each trial takes.
    """

    address: str | None = None
    per_trial: PerTrial = field(default_factory=PerTrial)
