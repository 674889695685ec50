"""What worker processes may take: time, memory, and how long they may be still."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

_SHARE = 0.8  # of the machine's memory that all workers may fill
_NEED = 2_500_000_000  # bytes; what a worker with TensorFlow and a middling model needs
_EVENTS = Path("/proc/vmstat")


@dataclass(frozen=True)
class Limits:
    """When a worker is ended or replaced.

    Attributes:
        trial_seconds: time a trial may train, finished folds included; None for any.
        memory: bytes a worker may hold between two tasks; one that holds more is replaced. None
            for its share of most of the memory of the machine it is on.
        tasks: number of tasks after which a worker is replaced, for what it may have leaked.
        still_seconds: time a worker with a task may neither report nor compute.
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
        return replace(self, memory=int(psutil.virtual_memory().total * _SHARE * share))


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def auto_workers(samples: int = 0) -> int:
    """Return how many workers this machine carries: one a core, as far as memory goes.

    Args:
        samples: bytes of the samples that each holds.
    """
    need = _NEED + 2 * samples  # there are two while they are copied
    return max(1, min(cores(), int(psutil.virtual_memory().total * _SHARE / need)))


def out_of_memory_kills() -> int:
    """Return how many processes the kernel ended for want of memory; 0 where it does not say."""
    try:
        lines = _EVENTS.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
