"""The execution plan: how a study is computed on this machine, so that it takes least time.

What may be chosen are the precision and how many workers share the cores. Everything else that
makes steps quick (whole epochs within TensorFlow, samples kept in its memory, no XLA) was quicker
for every model that was measured, and is not chosen but done (decision 0016).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from search.text import counted

PRECISIONS = FLOAT32, BFLOAT16 = ("float32", "mixed_bfloat16")
AUTO = "auto"

GAIN = 1.1  # another way must be so much faster to be worth being another way
DOUBT = 2.0  # standard errors by which a precision may score lower and still be within noise


@dataclass(frozen=True)
class Way:
    """One way to compute, and how fast it was.

    Attributes:
        workers: number of worker processes; 0 for as many as a cluster carries.
        threads: that each computes with; 0 for as many as TensorFlow likes.
        precision: Keras's dtype policy.
        rate: samples a second that all workers trained together; 0 where it was not measured.
        accuracy: after the same steps of the same training.
        checked: number of samples that was measured on.
    """

    workers: int
    threads: int
    precision: str
    rate: float = 0.0
    accuracy: float = 0.0
    checked: int = 0

    def __str__(self) -> str:
        """Say it in words."""
        threads = f" x {counted(self.threads, 'thread')}" if self.threads else ""
        workers = counted(self.workers, "worker") if self.workers else "as many workers as fit"
        return f"{workers}{threads}, {self.precision}"

    def scores_like(self, other: "Way") -> bool:
        """Say whether it scored as the other did, within noise, or better."""
        share = max(other.accuracy, 1 / max(other.checked, 1))
        error = math.sqrt(2 * share * max(1 - share, 0.01) / max(other.checked, 1))
        return self.accuracy >= other.accuracy - DOUBT * error


@dataclass(frozen=True)
class Plan:
    """The way a session computes, and why.

    Attributes:
        way: what was chosen.
        origin: `measured`, `remembered` (measured for an earlier study), `asked` (the user said
            it), `tried` (the likeliest way; to measure others would have taken too long), or
            `usual` (too small a study to measure for, or nothing could be measured).
        measured: all ways that were measured.
        seconds: what measuring took.
    """

    way: Way
    origin: str
    measured: tuple[Way, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return everything, for the journal."""
        return asdict(self)

    def told(self) -> str:
        """Return it as one line."""
        line = f"{self.way}"
        if self.way.rate:
            line += f": {self.way.rate:,.0f} samples/s"
            others = [f"{way} {way.rate:,.0f}" for way in self.measured if way != self.way]
            line += f" ({'; '.join(others)})" if others else ""
        if self.origin == "measured":
            return f"{line}, measured in {self.seconds:.0f} s"
        return f"{line}, remembered" if self.origin == "remembered" else line


@dataclass(frozen=True)
class Load:
    """How much a session has to train.

    Attributes:
        folds: about as many as will be trained to their end.
        epochs: of a fold.
        samples: of a fold's training part.
        limit: seconds after which the session ends in any case; None for none.
    """

    folds: float
    epochs: int
    samples: int
    limit: float | None = None

    def seconds(self, rate: float, *, workers: int = 1) -> float:
        """Return about how long it takes at a rate in samples a second."""
        needed = self.folds * (FOLD_SECONDS / workers + self.epochs * self.samples / rate)
        return needed if self.limit is None else min(needed, self.limit)

    def least_seconds(self) -> float:
        """Return how long it takes at least, whatever the model."""
        return self.seconds(FASTEST)


FOLD_SECONDS = 0.3  # a fold costs this much beside its steps
FASTEST = 200_000.0  # samples a second that the smallest models train on a few cores


def fastest(measured: Sequence[Way]) -> Way:
    """Return the way to take.

    Ways in another precision than the first one's are taken only where they are clearly quicker
    and score like the first precision within noise.

    Raises:
        ValueError: nothing was measured.
    """
    if not measured:
        raise ValueError("nothing was measured")
    usual = [way for way in measured if way.precision == measured[0].precision]
    others = [way for way in measured if way not in usual and _scores(way, usual)]
    best = _quickest(usual)
    if others and _quickest(others).rate > GAIN * best.rate:
        return _quickest(others)
    return best


def _scores(way: Way, usual: Sequence[Way]) -> bool:
    alike = [other for other in usual if other.workers == way.workers]
    return all(way.scores_like(other) for other in alike or usual)


def _quickest(ways: Sequence[Way]) -> Way:
    """Return the quickest, or one of fewer workers that is nearly as quick."""
    quickest = max(ways, key=lambda way: way.rate)
    near = [way for way in ways if way.rate * GAIN >= quickest.rate]
    return min(near, key=lambda way: way.workers)
