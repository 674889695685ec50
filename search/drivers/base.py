"""The seam to the library that proposes settings."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from spaces import Settings


@dataclass(frozen=True)
class Outcome:
    """What a driver is told of a trial that is over.

    Attributes:
        state: `complete`, `pruned` or `failed`.
        values: one for each of the study's objectives, larger is better; empty unless complete.
        steps: the first objective's value as it became known: for rising numbers of epochs
            trained, over all folds together, its mean over the folds seen; larger is better.
    """

    state: str
    values: tuple[float, ...] = ()
    steps: Mapping[int, float] = field(default_factory=dict)


class Driver(ABC):
    """Proposes settings and learns from their outcomes.

    A proposal depends on the study's seed, the trial's number and the trials told before, on
    nothing else; so a driver that is shown the trials of a journal goes on as the one that wrote
    it would have. Trials are told in the order they ended.

    Attributes:
        remembers: what it was asked changes what it proposes later, whatever it is told; so it
            can be shown a journal's trials only by being asked for them again.
    """

    remembers: bool = False

    @abstractmethod
    def ask(self, number: int) -> Settings | None:
        """Return the setting of trial `number`, or None when there is nothing left to try."""

    @abstractmethod
    def tell(self, number: int, setting: Settings, outcome: Outcome) -> None:
        """Learn how trial `number` with `setting` ended; it need not come from `ask`."""

    def adopt(self, number: int, setting: Settings, *, sampled: bool) -> None:
        """Take note of a trial that this object was not asked for.

        Args:
            number: the trial's number.
            setting: its complete setting.
            sampled: whether a driver proposed it (in an earlier session); else a baseline.
        """
        del number, setting, sampled
