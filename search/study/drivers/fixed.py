"""A driver that proposes a list of settings, one after another."""

from collections.abc import Iterable

from search.study.drivers.base import Driver, Outcome
from spaces import Identity, Settings, Space, identity_of


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
