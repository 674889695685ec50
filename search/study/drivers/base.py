"""The interface to libraries that propose params, and a driver that proposes a given list."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from spaces import Identity, Params, Space, identity_of


@dataclass(frozen=True)
class Outcome:
    """The outcome of a finished trial, for a driver.

    Attributes:
        state: `complete`, `pruned` or `failed`.
        values: one for each of the study's objectives; larger is better. If the trial did not see
            all folds, it is an estimate of its score over all folds, so that all trials are
            comparable; empty if nothing is known.
    """

    state: str
    values: tuple[float, ...] = ()


class Driver(ABC):
    """Proposes params and learns from their outcomes.

    A proposal depends only on the study's seed, the trial's number and the trials told before. So a
    driver that is given the trials of a journal continues like the one that proposed them. Before
    each `ask`, `tell` is called for all finished trials, and again for a trial whose value is known
    better now.

    Attributes:
        remembers: each `ask` changes later proposals, whatever is told; so a journal's trials can
            only be restored by asking for them again, and an outcome told once cannot be changed.
        learns: whether proposals depend on values that are told; where they do not, all proposals
            may be made before any trial is trained far.
    """

    remembers: bool = False
    learns: bool = True

    @abstractmethod
    def ask(self, number: int) -> Params | None:
        """Return the params of trial `number`, or None if there is nothing left to propose."""

    @abstractmethod
    def tell(self, number: int, params: Params, outcome: Outcome) -> None:
        """Learn the outcome of trial `number` with `setting`, which need not come from `ask`.

        A later outcome of the same trial replaces the earlier one, unless the driver `remembers`.
        """

    def adopt(self, number: int, params: Params, *, sampled: bool) -> None:
        """Take note of a trial that this object did not propose.

        Args:
            number: the trial's number.
            params: its complete params.
            sampled: whether a driver proposed it (in an earlier session); else a baseline.
        """
        del number, params, sampled

    def proposed_by(self, number: int) -> str:
        """Return what the proposal of trial `number` follows; empty for the sampler's own."""
        del number
        return ""

    def inform(self, place: int, params: Params, value: float) -> None:
        """Learn what params came to in a study of elsewhere; they may be proposed nevertheless.

        A driver that does not learn from values, or only from its own proposals, ignores it.

        Args:
            place: of this among all that it is informed of, from 0.
            params: complete params.
            value: of the study's first objective; larger is better.
        """
        del place, params, value


class FixedDriver(Driver):
    """Proposes given params in order, without those already evaluated.

    Args:
        settings: complete params.
        space: their space, which knows for which parameters 0 and 0.0 are the same.
    """

    learns = False

    def __init__(self, settings: Iterable[Params], space: Space | None = None) -> None:
        self._settings = iter(settings)
        self._identity = identity_of if space is None else space.identity
        self._seen: set[Identity] = set()

    def ask(self, number: int) -> Params | None:
        """Return the next new params, None after the last."""
        for params in self._settings:
            if self._identity(params) not in self._seen:
                self.adopt(number, params, sampled=True)
                return params
        return None

    def tell(self, number: int, params: Params, outcome: Outcome) -> None:
        """Ignore the outcome: the list is fixed."""

    def adopt(self, number: int, params: Params, *, sampled: bool) -> None:
        """Leave these params out from now on."""
        self._seen.add(self._identity(params))
