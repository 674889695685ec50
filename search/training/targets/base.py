"""What every kind of targets can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import keras

from search.data.arrays import Array
from search.tasks import OutputMeaning, Task

AUTO_SCALING = "auto"


@dataclass(frozen=True)
class Scores:
    """How well outputs fit targets.

    Attributes:
        loss: of classes the mean cross-entropy, nats, or the model's own where its outputs are no
            probabilities; of other tasks the model's own.
        metrics: others, by name.
    """

    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict)


class Targets(ABC):
    """What a compiled model's loss wants, and what the model's outputs are.

    Attributes:
        outputs: what the model's outputs mean.
        notice: what the user should know about how they are read; empty if nothing is unusual.
    """

    outputs: OutputMeaning
    notice: str

    @classmethod
    @abstractmethod
    def of(cls, model: keras.Model, task: Task, sample: Any) -> Self:
        """Find out by trying; see `targets_for`."""

    def on(
        self, training: Array, weights: Array | None = None, *, scaling: str = AUTO_SCALING
    ) -> Self:
        """Return the same for a model that is trained on certain targets.

        Args:
            training: in the task's form, `(n, ...)`.
            weights: `(n,)`, by which they count; None if all count the same.
            scaling: `auto` standardises numbers where that does no harm, `off` never.
        """
        return self

    @abstractmethod
    def encode(self, targets: Array) -> Any:
        """Return targets in the task's form as the loss asks for them."""

    @abstractmethod
    def score(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[Array, float]:
        """Return what a model's outputs say in the task's form, and their loss.

        Weights `(n,)` count as in Keras's `validation_data=(x, y, weights)`.
        """

    def placed(self, model: keras.Model, outputs: Array) -> Any:
        """Return outputs `(n, units)` in the list or dictionary in which the model returns them."""
        found = keras.ops.convert_to_tensor(outputs)
        try:
            return keras.tree.map_structure(lambda _: found, model.output)
        except (AttributeError, ValueError):  # a class of its own
            return found

    def training_metrics(
        self, model: keras.Model, found: dict[str, float], *, tells: bool
    ) -> dict[str, float]:
        """Return what a model measured while training, without what measures nothing here.

        Args:
            model: that was trained.
            found: by name, its loss included.
            tells: whether a step of the model's own says what they are.
        """
        return found

    @contextmanager
    def measuring(self, model: keras.Model) -> Iterator[None]:
        """Let a model's own metrics measure in the targets' own units for a moment."""
        yield


def metrics_of(model: keras.Model) -> list[Any]:
    """Return all of a model's metrics, those within others included."""
    found: list[Any] = []
    for metric in model.metrics:
        found += [metric, *getattr(metric, "metrics", [])]
    return found
