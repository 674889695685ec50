"""A training that pauses between two epochs, and goes on later as if it had not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np

from search.data.arrays import Array
from search.training.program import is_keras_own
from spaces import Params
from tracking.files import make_folder, whole_file

_EPOCH, _PARAMS = "epoch", "params"
_KINDS = "biuf"  # of numbers, as NumPy files have them


class Paused(Exception):  # not an error: as asked
    """A training has paused.

    Attributes:
        epoch: after which.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = epoch


@dataclass(frozen=True)
class Pause:
    """After which epoch a training pauses, and where its state lies until it goes on.

    The file has the model's weights, the states of what it draws at random, and the optimizer's;
    arrays alone, so that reading it runs no code.

    Attributes:
        path: of the file. A training whose params it was written for goes on from it.
        until: number of epochs after which to pause; 0 for never.
    """

    path: Path
    until: int

    def save(self, model: keras.Model, params: Params, epoch: int) -> None:
        """Write the state of a training after an epoch, at once or not at all."""
        values = {str(n): _number(variable) for n, variable in enumerate(_variables(model))}
        values |= {_EPOCH: np.array(epoch), _PARAMS: np.array(_text(params))}
        make_folder(self.path.parent)
        with whole_file(self.path) as file:
            np.savez(file, **values)  # type: ignore[arg-type] # NumPy's keyword of a name

    def restore(self, model: keras.Model, params: Params) -> int:
        """Put a model, built and compiled as then, into the state of the file.

        Returns:
            After how many epochs that is; 0 where there is no such file, or of another training:
            then the model is as it was.
        """
        if not self.path.exists():
            return 0
        try:
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                values = dict(file)
            epoch, written_for = int(values.pop(_EPOCH)), str(values.pop(_PARAMS))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return 0  # damaged
        model.optimizer.build(model.trainable_variables)
        variables = _variables(model)
        shapes = [values[str(n)].shape for n in range(len(values)) if str(n) in values]
        if written_for != _text(params) or shapes != [tuple(v.shape) for v in variables]:
            return 0
        for number, variable in enumerate(variables):
            variable.assign(values[str(number)])
        return epoch


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
        and all(np.dtype(variable.numpy().dtype).kind in _KINDS for variable in model.variables)
    )


def _variables(model: keras.Model) -> list[Any]:
    """Return weights, random states and the optimizer's variables, in their order."""
    measured = {id(variable) for variable in model.metrics_variables}
    own = [variable for variable in model.variables if id(variable) not in measured]
    return [*own, *model.optimizer.variables]


def _number(variable: Any) -> Array:
    return np.asarray(variable.numpy())


def _text(params: Params) -> str:
    return json.dumps(sorted(params.items()), default=str)
