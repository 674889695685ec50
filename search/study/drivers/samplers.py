"""A sampler of Optuna's that a user names by its class, with arguments: their own, or OptunaHub's.

One instance proposes for a whole session, as Optuna itself would have it, and it sees pruned trials
as complete ones with the value they would have come to. It may keep state in itself or in the
study, which no journal could restore. So to continue a study it is asked for the journal's trials
again; if it answers otherwise than it did, the study goes on from its trials all the same.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from search.errors import FoldwiseError, SettingsError
from search.seeds import derive
from spaces import SpaceError, cause_of
from spaces.declaring.importing import find

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

_SEED = "seed"


class SamplerFailed(FoldwiseError):
    """A sampler raised an exception while it was asked or told."""


def is_reference(sampler: str) -> bool:
    """Say whether a sampler is named by its class, rather than one of a driver's."""
    return ":" in sampler


@dataclass(frozen=True)
class OwnSampler:
    """A class of samplers, or a function that returns one, and its arguments.

    Attributes:
        reference: `package.module:CLASS` or `FILE.py:CLASS`; that code runs here.
        arguments: by name. A `seed` that it takes, and that is not among them, is the study's.
    """

    reference: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def takes_seed(self) -> bool:
        """Say whether its proposals can be repeated at all.

        Raises:
            SettingsError: it cannot be found.
        """
        return _SEED in self.arguments or _SEED in _parameters(self._found())

    def make(self, seed: int) -> "BaseSampler":
        """Return a new instance.

        Raises:
            SettingsError: it cannot be found or made, or is no sampler.
        """
        from optuna.samplers import BaseSampler

        make = self._found()
        taken = _parameters(make)
        seeded = {_SEED: derive(seed, "sampler")} if _SEED in taken else {}
        try:
            made = make(**{**seeded, **self.arguments})
        except Exception as error:  # whatever a user's code raises
            known = [name for name in taken if name != _SEED]
            raise SettingsError(
                f"`--sampler {self.reference}` cannot be made with `--sampler-args`"
                f" {dict(self.arguments)}: {cause_of(error)}. It takes"
                f" {', '.join(known) or 'no arguments'}"
            ) from error
        if not isinstance(made, BaseSampler):
            raise SettingsError(
                f"`--sampler {self.reference}` must be a class of optuna.samplers.BaseSampler, or a"
                f" function that returns one; got {type(made).__name__}"
            )
        return made

    @contextmanager
    def at_work(self, doing: str) -> Iterator[None]:
        """Tell an exception of the sampler's as such.

        Args:
            doing: what it was to do.

        Raises:
            SamplerFailed: instead of any other.
        """
        try:
            yield
        except Exception as error:  # whatever a user's code raises
            raise SamplerFailed(
                f"`--sampler {self.reference}` failed when {doing}: {cause_of(error)}"
            ) from error

    def _found(self) -> Callable[..., Any]:
        try:
            found = find(self.reference)
        except SpaceError as error:
            raise SettingsError(f"`--sampler`: {error}") from error
        if not callable(found):
            raise SettingsError(
                f"`--sampler {self.reference}` must be a class; got {type(found).__name__}. Give"
                " its arguments with `--sampler-args`"
            )
        return found  # type: ignore[no-any-return]


def _parameters(make: Callable[..., Any]) -> list[str]:
    try:
        taken = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # made in C
        return []
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [parameter.name for parameter in taken if parameter.kind in kinds]
