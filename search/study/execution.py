"""The execution plan: how a study is computed on this machine in the least time.

The plan chooses the precision and how many workers share the cores. Everything else that makes
steps fast (whole epochs within TensorFlow, samples in its memory, no XLA) was faster for every
measured model and is always done (decision 0016).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tracking.text import counted

PRECISIONS = FLOAT32, BFLOAT16 = ("float32", "mixed_bfloat16")
AUTO = "auto"

GAIN = 1.1  # a mode must be this many times faster to be preferred
DOUBT = 2.0  # standard errors by which a precision may score lower within noise


@dataclass(frozen=True)
class ExecutionMode:
    """An execution mode: workers, threads and precision, and how fast it was.

    Attributes:
        workers: number of worker processes; 0: as many as fit on a cluster.
        threads: threads of each worker; 0: TensorFlow's default.
        precision: Keras's dtype policy.
        rate: samples per second that all workers trained together; 0 if not measured.
        accuracy: after the same steps of the same training.
        checked: number of samples that `accuracy` was measured on.
    """

    workers: int
    threads: int
    precision: str
    rate: float = 0.0
    accuracy: float = 0.0
    checked: int = 0

    def __str__(self) -> str:
        """Return it in words."""
        threads = f" x {counted(self.threads, 'thread')}" if self.threads else ""
        workers = counted(self.workers, "worker") if self.workers else "as many workers as fit"
        return f"{workers}{threads}, {self.precision}"

    def scores_like(self, other: "ExecutionMode") -> bool:
        """Return whether it scored as well as the other, within noise, or better."""
        share = max(other.accuracy, 1 / max(other.checked, 1))
        error = math.sqrt(2 * share * max(1 - share, 0.01) / max(other.checked, 1))
        return self.accuracy >= other.accuracy - DOUBT * error


@dataclass(frozen=True)
class ExecutionPlan:
    """The execution mode of a session, and why it was chosen.

    Attributes:
        way: the chosen mode.
        origin: `measured`, `remembered` (measured for an earlier study), `asked` (set by the user),
            `tried` (the most promising mode; measuring others would have taken too long), or
            `usual` (the study is too small for measurements, or nothing could be measured).
        measured: all measured modes.
        seconds: time that measuring took.
    """

    mode: ExecutionMode
    origin: str
    measured: tuple[ExecutionMode, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON for the journal."""
        document = asdict(self)
        return {
            "way": document.pop("mode"),
            **document,
        }  # the name it has had in journals from the start

    def told(self) -> str:
        """Return it as one line."""
        line = f"{self.mode}"
        if self.mode.rate:
            line += f": {self.mode.rate:,.0f} samples/s"
            others = [f"{mode} {mode.rate:,.0f}" for mode in self.measured if mode != self.mode]
            line += f" ({'; '.join(others)})" if others else ""
        if self.origin == "measured":
            return f"{line}, measured in {self.seconds:.0f} s"
        return f"{line}, remembered" if self.origin == "remembered" else line


@dataclass(frozen=True)
class Load:
    """How much a session has to train.

    Attributes:
        folds: about the number of folds that will be trained to their end.
        epochs: epochs of a fold.
        samples: samples of a fold's training part.
        limit: seconds after which the session ends in any case; None: no limit.
    """

    folds: float
    epochs: int
    samples: int
    limit: float | None = None

    def seconds(self, rate: float, *, workers: int = 1) -> float:
        """Return the estimated seconds at a rate in samples per second."""
        needed = self.folds * (FOLD_SECONDS / workers + self.epochs * self.samples / rate)
        return needed if self.limit is None else min(needed, self.limit)

    def least_seconds(self) -> float:
        """Return the least number of seconds it takes, whatever the model."""
        return self.seconds(FASTEST)


FOLD_SECONDS = 0.3  # seconds that a fold takes besides its steps
FASTEST = 200_000.0  # samples per second that the smallest models train on a few cores


def fastest(measured: Sequence[ExecutionMode]) -> ExecutionMode:
    """Return the best of the measured modes.

    A mode with another precision than the first is chosen only if it is clearly faster and scores
    the same within noise.

    Raises:
        ValueError: nothing was measured.
    """
    if not measured:
        raise ValueError("nothing was measured")
    usual = [mode for mode in measured if mode.precision == measured[0].precision]
    others = [mode for mode in measured if mode not in usual and _scores(mode, usual)]
    best = _quickest(usual)
    if others and _quickest(others).rate > GAIN * best.rate:
        return _quickest(others)
    return best


def _scores(mode: ExecutionMode, usual: Sequence[ExecutionMode]) -> bool:
    alike = [other for other in usual if other.workers == mode.workers]
    return all(mode.scores_like(other) for other in alike or usual)


def _quickest(modes: Sequence[ExecutionMode]) -> ExecutionMode:
    """Return the fastest mode, or one with fewer workers that is nearly as fast."""
    quickest = max(modes, key=lambda mode: mode.rate)
    near = [mode for mode in modes if mode.rate * GAIN >= quickest.rate]
    return min(near, key=lambda mode: mode.workers)
