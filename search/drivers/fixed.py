"""A driver that proposes a list of settings, one after another."""

from collections.abc import Iterable

from search.drivers.base import Driver, Identity, Outcome, identity
from spaces import Settings


class FixedDriver(Driver):
    """Proposes given settings in their order, each that was not evaluated yet."""

    def __init__(self, settings: Iterable[Settings]) -> None:
        self._settings = iter(settings)
        self._seen: set[Identity] = set()

    def ask(self, number: int) -> Settings | None:
        """Return the next setting nobody has seen, None after the last."""
        for setting in self._settings:
            if identity(setting) not in self._seen:
                self.adopt(number, setting, sampled=True)
                return setting
        return None

    def tell(self, number: int, setting: Settings, outcome: Outcome) -> None:
        """Learn nothing: the list stands."""

    def adopt(self, number: int, setting: Settings, *, sampled: bool) -> None:
        """Leave this setting out from now on."""
        self._seen.add(identity(setting))
