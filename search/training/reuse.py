"""Programs kept from one fold to the next, so that a setting is traced once, not once a fold."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import keras

from search.training.batches import Array
from search.training.program import Program
from search.training.targets import Targets

MOST_WEIGHTS = 20_000_000  # of all models that are kept
MOST_PROGRAMS = 8


class Programs:
    """The programs of the last settings, with their models.

    A model built anew for the next fold lends its initial values to the one that is kept, which
    then trains as the new one would have. Kept are models whose every layer is Keras's own and no
    `Lambda`: code of one's own may hold state that cannot be set back.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def take(self, key: Hashable, model: keras.Model) -> tuple[Program, Targets] | None:
        """Return the program kept under a key, set back to a new model's values; None without one.

        Args:
            key: names everything that the program depends on but the model's initial values.
            model: built as the kept one was, not compiled.
        """
        kept = self._kept.get(key)
        if kept is None or model.compiled or not kept.resembles(model):
            return None
        self._kept.move_to_end(key)
        kept.set_back(model)
        return kept.program, kept.targets

    def keep(self, key: Hashable, program: Program, targets: Targets) -> None:
        """Keep a program that has not trained yet; the oldest ones make room."""
        model = program.model
        if model.count_params() > MOST_WEIGHTS // 2 or not _is_keras_own(model):
            return
        self._kept[key] = _Kept(program, targets)
        while len(self._kept) > MOST_PROGRAMS or self._weights() > MOST_WEIGHTS:
            self._kept.popitem(last=False)

    def _weights(self) -> int:
        return sum(kept.program.model.count_params() for kept in self._kept.values())


class _Kept:
    def __init__(self, program: Program, targets: Targets) -> None:
        self.program = program
        self.targets = targets
        optimizer = program.model.optimizer
        optimizer.build(program.model.trainable_variables)
        self._optimizer: list[Array] = [variable.numpy() for variable in optimizer.variables]

    def resembles(self, model: keras.Model) -> bool:
        return _shapes(self.program.model) == _shapes(model)

    def set_back(self, model: keras.Model) -> None:
        """Give the kept model a new one's weights and random states, and a new optimizer's."""
        kept = self.program.model
        for mine, new in zip(kept.variables, model.variables, strict=True):
            mine.assign(new)
        for variable, value in zip(kept.optimizer.variables, self._optimizer, strict=True):
            variable.assign(value)


def _shapes(model: keras.Model) -> list[tuple[Any, ...]]:
    return [(tuple(v.shape), v.dtype, v.trainable) for v in model.variables]


def _is_keras_own(model: keras.Model) -> bool:
    """Say whether model and layers are of Keras's own classes, those inside others included."""
    return all(
        type(one).__module__.startswith("keras.") and not isinstance(one, keras.layers.Lambda)
        for one in (model, *_layers(model))
    )


def _layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    return list(layer._flatten_layers(include_self=False))
