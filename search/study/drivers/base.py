"""The seam to the library that proposes params, and a driver that proposes a given list."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from spaces import Identity, Settings, Space, identity_of


@dataclass(frozen=True)
class Outcome:
    """What a driver is told of a trial that is over.

    Attributes:
        state: `complete`, `pruned` or `failed`.
        values: one for each of the study's objectives, larger is better. Of a trial that did not
            see all folds it is an estimate of what it would have scored, so that all can be
            compared; empty where nothing is known.
    """

    state: str
    values: tuple[float, ...] = ()


class Driver(ABC):
    """Proposes settings and learns from their outcomes.

    A proposal depends on the study's seed, the trial's number and the trials told before, on
    nothing else; so a driver that is shown the trials of a journal goes on as the one that wrote
    it would have. Before it is asked, it is told of all trials that are over by then; and of one it
    was told of, again, where more is known of it now.

    Attributes:
        remembers: what it was asked changes what it proposes later, whatever it is told; so it
            can be shown a journal's trials only by being asked for them again. What it was told
            once stays.
    """

    remembers: bool = False

    @abstractmethod
    def ask(self, number: int) -> Settings | None:
        """Return the setting of trial `number`, or None when there is nothing left to try."""

    @abstractmethod
    def tell(self, number: int, setting: Settings, outcome: Outcome) -> None:
        """Learn how trial `number` with `setting` ended; it need not come from `ask`.

        Told again of a trial, it forgets what it was told before, unless it `remembers`.
        """

    def adopt(self, number: int, setting: Settings, *, sampled: bool) -> None:
        """Take note of a trial that this object was not asked for.

        Args:
            number: the trial's number.
            setting: its complete setting.
            sampled: whether a driver proposed it (in an earlier session); else a baseline.
        """
        del number, setting, sampled


class FixedDriver(Driver):
    """Proposes given settings in their order, each that was not evaluated yet.

    Args:
        settings: complete ones.
        space: whose they are; it knows the parameters for which 0 and 0.0 are the same.
    """

    def __init__(self, settings: Iterable[Settings], space: Space | None = None) -> None:
        self._settings = iter(settings)
        self._identity = identity_of if space is None else space.identity
        self._seen: set[Identity] = set()

    def ask(self, number: int) -> Settings | None:
        """Return the next setting nobody has seen, None after the last."""
        for setting in self._settings:
            if self._identity(setting) not in self._seen:
                self.adopt(number, setting, sampled=True)
                return setting
        return None

    def tell(self, number: int, setting: Settings, outcome: Outcome) -> None:
        """Learn nothing: the list stands."""

    def adopt(self, number: int, setting: Settings, *, sampled: bool) -> None:
        """Leave this setting out from now on."""
        self._seen.add(self._identity(setting))
