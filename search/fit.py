"""Training one model: the only caller of `model.fit`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from search.evaluation import score
from spaces import Settings

PREDICTION_BATCH = 512

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Part:
    """Samples with their labels.

    Attributes:
        images: `(n, ...)`, as the model receives them (images: uint8 pixels 0..255).
        labels: int64 `(n,)`, class numbers from 0.
    """

    images: Array
    labels: Array


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch.

    Attributes:
        number: from 1.
        metrics: `loss`, `accuracy` over the training part as it was trained (nats, fraction);
            with a validation part also `val_loss`, `val_accuracy` after the epoch.
        probabilities: float32 `(n, classes)` for the validation part; None without one.
    """

    number: int
    metrics: dict[str, float]
    probabilities: Array | None


class Diverged(ArithmeticError):
    """The training loss became infinite or not a number."""


def compile_model(model: keras.Model, setting: Settings) -> None:
    """Compile with the setting's optimizer and learning rate; a compiled model keeps its own.

    XLA is off: on CPUs it was slower than oneDNN for the models tried.
    """
    if model.compiled:
        return
    optimizer = keras.optimizers.get(
        {
            "class_name": str(setting["optimizer"]),
            "config": {"learning_rate": setting["learning_rate"]},
        }
    )
    model.compile(
        optimizer=optimizer,
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )


def fit(
    model: keras.Model,
    training: Part,
    validation: Part | None,
    setting: Settings,
    *,
    on_epoch: Callable[[Epoch], None],
) -> None:
    """Train a compiled model for the setting's epochs.

    The validation part is predicted once an epoch, in large batches; its scores and the
    probabilities handed to `on_epoch` come from that one pass.

    Args:
        model: compiled.
        training: what it learns from, shuffled every epoch.
        validation: what it is scored on, or None.
        setting: its `epochs` and `batch_size` are used.
        on_epoch: called after every epoch; what it raises ends the training and reaches the caller.

    Raises:
        Diverged: the loss is no longer a finite number.
    """
    model.fit(
        training.images,
        training.labels,
        batch_size=setting["batch_size"],
        epochs=setting["epochs"],
        verbose=0,
        callbacks=[_EpochReporter(validation, on_epoch)],
    )


def predict(model: keras.Model, images: Array) -> Array:
    """Return class probabilities, float32 `(n, classes)`."""
    probabilities = model.predict(images, batch_size=PREDICTION_BATCH, verbose=0)
    return np.asarray(probabilities, dtype=np.float32)


class _EpochReporter(keras.callbacks.Callback):  # type: ignore[misc] # Keras is untyped
    def __init__(self, validation: Part | None, on_epoch: Callable[[Epoch], None]) -> None:
        super().__init__()
        self._validation = validation
        self._on_epoch = on_epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        if not math.isfinite(metrics.get("loss", 0.0)):
            raise Diverged(f"the loss became {metrics['loss']} in epoch {epoch + 1}")
        probabilities = None
        if self._validation is not None:
            probabilities = predict(self.model, self._validation.images)
            scores = score(probabilities, self._validation.labels)
            metrics |= {"val_loss": scores.loss, "val_accuracy": scores.accuracy}
        self._on_epoch(Epoch(epoch + 1, metrics, probabilities))
