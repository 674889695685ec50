"""A training that pauses between two epochs, and goes on later as if it had not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np

from search.data.arrays import Array
from search.errors import own_files
from search.training.program import is_keras_own
from spaces import Params
from tracking.files import make_folder, whole_file

_EPOCH, _TRAINING = "epoch", "training"
_KINDS = ("float16", "float32", "float64", "int", "uint", "bool")  # as NumPy's files have them


class Paused(Exception):  # not an error: as asked
    """A training has paused.

    Attributes:
        epoch: after which.
        model: that was trained; None where only its builder knows.
    """

    def __init__(self, epoch: int, model: keras.Model | None = None) -> None:
        super().__init__(epoch)
        self.epoch, self.model = epoch, model


class CannotGoOn(Exception):  # not an error: training begins with the first epoch
    """What was kept of a training is not of a model like this one."""


@dataclass(frozen=True)
class Pause:
    """After which epoch a training pauses, and where its state lies until it goes on.

    The file has the model's weights, the states of what it draws at random, and the optimizer's;
    arrays alone, so that reading it runs no code.

    Attributes:
        path: of the file.
        training: what is trained, in words that no other training has.
        until: number of epochs after which to pause; 0 for never.
        after: number of epochs it goes on after; 0 for none.
    """

    path: Path
    training: str
    until: int = 0
    after: int = 0
    _state: Mapping[str, Array] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, path: Path, params: Params, precision: str, *, until: int, after: int | None = None
    ) -> "Pause":
        """Read what was kept of a training; a file that cannot be used is as none.

        Args:
            path: of the file.
            params: complete.
            precision: Keras's dtype policy.
            until: number of epochs after which to pause; 0 for never.
            after: number of epochs that were kept; None for as many as the file says.
        """
        training = json.dumps([precision, sorted(params.items())], default=str)
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                values = dict(file)
            epoch, written_for = int(values.pop(_EPOCH)), str(values.pop(_TRAINING))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # none, or damaged
            return cls(path, training, until)
        if written_for != training or after not in (None, epoch):
            return cls(path, training, until)
        return cls(path, training, until, epoch, values)

    def save(self, model: keras.Model, epoch: int) -> None:
        """Write the state of a training after an epoch, at once or not at all."""
        values = {str(n): _number(variable) for n, variable in enumerate(_variables(model))}
        values |= {_EPOCH: np.array(epoch), _TRAINING: np.array(self.training)}
        with own_files():
            make_folder(self.path.parent)
            with whole_file(self.path, to_disk=False) as file:  # it can be made again
                np.savez(file, **values)  # type: ignore[arg-type] # NumPy's keyword of a name

    def restore(self, model: keras.Model) -> None:
        """Put a model, built and compiled as then, into the state that was kept.

        Raises:
            CannotGoOn: it is another model; it is as it was.
        """
        model.optimizer.build(model.trainable_variables)
        variables = _variables(model)
        kept = [self._state.get(str(number)) for number in range(len(self._state))]
        if [None if v is None else v.shape for v in kept] != [tuple(v.shape) for v in variables]:
            raise CannotGoOn
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


def can_pause(model: keras.Model, params: Params, callbacks: Sequence[Any], *, looks: bool) -> bool:
    """Say whether all that a training goes on from is the model's and the optimizer's variables.

    Args:
        model: built; layers of the user's own may have states besides.
        params: its training choices.
        callbacks: of the user's, which may have states, too.
        looks: whether training looks at an inner part, whose best epoch it remembers.
    """
    return (
        not (looks or callbacks or params.get("frozen_epochs", 0))
        and is_keras_own(model)
        and all(
            keras.backend.standardize_dtype(variable.dtype).startswith(_KINDS)
            for variable in model.variables
        )
    )


def _variables(model: keras.Model) -> list[Any]:
    """Return weights, random states and the optimizer's variables, in their order."""
    measured = {id(variable) for variable in model.metrics_variables}
    own = [variable for variable in model.variables if id(variable) not in measured]
    return [*own, *model.optimizer.variables]


def _number(variable: Any) -> Array:
    return np.asarray(variable.numpy())
