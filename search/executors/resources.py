"""What a trial takes of its machine, and how many such trials some machines carry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


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
