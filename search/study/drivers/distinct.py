"""A driver that proposes what a sampler proposes, but no setting twice."""

import random
from collections.abc import Iterator
from functools import cached_property
from typing import cast

from search.seeds import derive
from search.study.drivers.base import Driver, Outcome
from spaces import Identity, Parameter, Settings, Space, Value

ATTEMPTS = 3
DRAWS = 100
FINE = 10_000  # points of a range that may be drawn


class DistinctDriver(Driver):
    """Passes on a sampler's proposals that are new: not proposed before, and no baseline.

    A proposal that is known is given back to the sampler, which is asked again, a few times. Then
    settings are drawn at random, ever farther from what it proposed last, until one is new. If
    that fails, few are left, and the first new one of all is taken, until all are known.

    Each step depends on seed, number and what was told before alone, so it goes the same way again
    after an interruption. A sampler that does not remember is given known proposals back as
    failed, which leaves no trace in it; one that remembers is given them back with their outcome,
    as if they had been evaluated once more.

    Args:
        sampler: proposes.
        space: the parameters it decides.
        seed: the study's seed.
        attempts: how often it is asked for one trial. More than once is in vain where it proposes
            the optimum of a model, which is the same with every seed.
    """

    def __init__(
        self, sampler: Driver, space: Space, seed: int, *, attempts: int = ATTEMPTS
    ) -> None:
        self._sampler = sampler
        self._space = space
        self._seed = seed
        self._attempts = attempts
        self.remembers = sampler.remembers
        self._known: dict[Identity, Outcome | None] = {}
        self._asked_as: dict[int, int] = {}

    def ask(self, number: int) -> Settings | None:
        """Return a setting nobody has seen, None where there is none left."""
        last: Settings = {}
        for attempt in range(self._attempts):
            # Further attempts have numbers of their own, below zero, where there are no trials.
            asked_as = -(number * self._attempts + attempt) if attempt else number
            proposal = self._sampler.ask(asked_as)
            if proposal is None:
                break
            if self._is_new(proposal):
                self._asked_as[number] = asked_as
                return self._note(proposal)
            self._give_back(asked_as, proposal)
            last = proposal
        setting = self._draw(number, last) or self._first_new()
        if setting is None:
            return None
        self._sampler.adopt(number, setting, sampled=False)
        return self._note(setting)

    def tell(self, number: int, setting: Settings, outcome: Outcome) -> None:
        """Pass the outcome on to the sampler."""
        self._known[self._space.identity(setting)] = outcome
        self._sampler.tell(self._asked_as.get(number, number), setting, outcome)

    def adopt(self, number: int, setting: Settings, *, sampled: bool) -> None:
        """Bring the sampler to where it was after this trial began.

        A sampler that remembers is asked again. Should another version of its library propose
        otherwise, that is given back as failed, and the setting is adopted as any other.
        """
        if sampled and self._sampler.remembers:
            proposal = self.ask(number)
            if proposal is not None and self._is_same(proposal, setting):
                return
            if proposal is not None:
                self._known.pop(self._space.identity(proposal))
                failed = Outcome("failed")
                self._sampler.tell(self._asked_as.pop(number, number), proposal, failed)
        self._known.setdefault(self._space.identity(setting), None)
        self._sampler.adopt(number, setting, sampled=sampled)

    def _is_same(self, one: Settings, other: Settings) -> bool:
        return self._space.identity(one) == self._space.identity(other)

    def _is_new(self, setting: Settings) -> bool:
        return self._space.identity(setting) not in self._known

    def _note(self, setting: Settings) -> Settings:
        self._known.setdefault(self._space.identity(setting), None)
        return setting

    def _give_back(self, asked_as: int, setting: Settings) -> None:
        known = self._known[self._space.identity(setting)] if self._sampler.remembers else None
        self._sampler.tell(asked_as, setting, known or Outcome("failed"))

    def _draw(self, number: int, near: Settings) -> Settings | None:
        """Return a new setting, as near to another one as chance has it."""
        source = random.Random(derive(self._seed, "unseen", number))  # noqa: S311 - no secret

        def choose(parameter: Parameter) -> Value:
            if parameter.name in near and source.random() > changed:
                return cast("Value", near[parameter.name])
            return source.choice(self._values[parameter.name])

        for draw in range(1, DRAWS + 1):
            changed = draw / DRAWS
            setting = self._space.decide(choose)
            if self._is_new(setting):
                return setting
        return None

    def _first_new(self) -> Settings | None:
        return next(filter(self._is_new, self._listed(self._space.parameters, {})), None)

    def _listed(self, parameters: tuple[Parameter, ...], chosen: Settings) -> Iterator[Settings]:
        """Yield every setting that begins with the values chosen."""
        if not parameters:
            yield chosen
            return
        first, *rest = parameters
        values = self._values[first.name] if first.is_active(chosen) else ()
        if not values:
            yield from self._listed(tuple(rest), chosen)
        for value in values:
            yield from self._listed(tuple(rest), {**chosen, first.name: value})

    @cached_property
    def _values(self) -> dict[str, tuple[Value, ...]]:
        return {p.name: (p.default,) if p.fixed else p.grid(FINE) for p in self._space.parameters}
