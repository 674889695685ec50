"""Training one model: the only caller of `model.fit`."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from search.augmentation import Augmentation
from search.compiling import compile_model
from search.datasets.images import background
from search.evaluation import score
from search.feeding import image_batches, outputs, sequence_batches, takes_any_length
from search.folds import stratified_part
from search.targets import Targets, output_units
from spaces import Settings

INNER_FRACTION = 0.1
PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.3, 1

Array = npt.NDArray[Any]
Thaw = Callable[[Any, Mapping[str, Any]], float]


@dataclass(frozen=True)
class Part:
    """Samples with their labels.

    Attributes:
        inputs: `(n, ...)`, as the model receives them.
        labels: int64 `(n,)`, class numbers from 0.
    """

    inputs: Array
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


@dataclass(frozen=True)
class Fitted:
    """A finished training.

    Attributes:
        chosen: the epoch whose weights the model has now: the last, or with early stopping the
            one that was best on the inner part.
        epochs: number of epochs trained.
    """

    chosen: Epoch
    epochs: int


class Diverged(ArithmeticError):
    """The loss became infinite or not a number."""


def fit(
    model: keras.Model,
    training: Part,
    validation: Part | None,
    setting: Settings,
    *,
    classes: int,
    seed: int,
    on_epoch: Callable[[Epoch], None],
    thaw: Thaw | None = None,
) -> Fitted:
    """Compile and train a model as the setting says.

    The validation part is predicted once an epoch, in large batches; its scores and the
    probabilities handed to `on_epoch` come from that one pass. Early stopping and the plateau
    schedule look at an inner part, a stratified tenth of the training part that is then not
    trained on; never at the validation part.

    Args:
        model: built; a compiled one keeps its loss and optimizer.
        training: what it learns from, shuffled every epoch.
        validation: what it is scored on, or None.
        setting: the training choices.
        classes: number of classes.
        seed: decides shuffling, augmentation and the inner part.
        on_epoch: called after every epoch; what it raises ends the training and reaches the caller.
        thaw: makes more of the model trainable after the setting's `frozen_epochs`.

    Raises:
        Diverged: the loss is no longer a finite number.
        ValueError: the model's output does not fit the classes.
    """
    training, inner = _split(training, setting, seed)
    run = _Run(model, training, inner, validation, setting, classes, seed, on_epoch)
    frozen = int(setting.get("frozen_epochs", 0)) if thaw is not None else 0
    epochs = int(setting["epochs"])
    if thaw is None or not frozen:
        return run.train(0, epochs)
    done = run.train(0, min(frozen, epochs))
    if frozen >= epochs:
        return done
    factor = thaw(model, setting)
    return run.train(frozen, epochs, factor=factor)


def predict(model: keras.Model, inputs: Array, classes: int) -> Array:
    """Return class probabilities of a compiled model, float32 `(n, classes)`."""
    return Targets.of(model, classes, inputs).probabilities(outputs(model, inputs))


@dataclass(frozen=True)
class _Run:
    model: keras.Model
    training: Part
    inner: Part | None
    validation: Part | None
    setting: Settings
    classes: int
    seed: int
    on_epoch: Callable[[Epoch], None]

    def train(self, first: int, last: int, *, factor: float | None = None) -> Fitted:
        """Train the epochs from `first` (0 is the first) up to `last`."""
        batches = math.ceil(len(self.training.labels) / int(self.setting["batch_size"]))
        steps = batches * (last - first)
        units = output_units(self.model, self.classes, self.training.inputs)
        compile_model(self.model, self.setting, units=units, steps=steps, factor=factor)
        targets = Targets.of(self.model, self.classes, self.training.inputs)
        stops = bool(self.setting.get("early_stopping", False))
        reporter = _EpochReporter(targets, self.validation, self.inner, self.on_epoch, stops)
        self.model.fit(
            **self._data(targets),
            epochs=last,
            initial_epoch=first,
            verbose=0,
            callbacks=[reporter, *self._callbacks()],
        )
        return reporter.fitted()

    def _data(self, targets: Targets) -> dict[str, Any]:
        setting, inputs = self.setting, self.training.inputs
        labels = targets.encode(self.training.labels)
        size = int(setting["batch_size"])
        weights = _weights(self.training.labels) if setting.get("class_weights", False) else None
        arrays = (inputs, labels) if weights is None else (inputs, labels, weights)
        backdrop = background(inputs) if inputs.ndim == 4 else 0.0
        augmentation = Augmentation.of(setting, backdrop)
        if takes_any_length(self.model):
            made = sequence_batches(arrays, batch_size=size, seed=self.seed)
        elif augmentation is not None:
            made = image_batches(arrays, batch_size=size, seed=self.seed, augmentation=augmentation)
        else:  # Keras's own way is the quickest
            return {"x": inputs, "y": labels, "sample_weight": weights, "batch_size": size}
        return {"x": made, "shuffle": False}  # they come shuffled

    def _callbacks(self) -> list[Any]:
        made: list[Any] = []
        if self.setting.get("schedule") == "plateau":
            made.append(
                keras.callbacks.ReduceLROnPlateau(
                    "inner_loss", mode="min", factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE
                )
            )
        if self.setting.get("early_stopping", False):
            patience = int(self.setting.get("patience", 3))
            made.append(
                keras.callbacks.EarlyStopping(
                    "inner_loss", mode="min", patience=patience, restore_best_weights=True
                )
            )
        return made


def _split(training: Part, setting: Settings, seed: int) -> tuple[Part, Part | None]:
    if not setting.get("early_stopping", False) and setting.get("schedule") != "plateau":
        return training, None
    size = max(1, round(len(training.labels) * INNER_FRACTION))
    inner = stratified_part(training.labels, size, seed)
    rest = np.setdiff1d(np.arange(len(training.labels)), inner)
    return (
        Part(training.inputs[rest], training.labels[rest]),
        Part(training.inputs[inner], training.labels[inner]),
    )


def _weights(labels: Array) -> Array:
    """Return each sample's weight, such that all classes weigh the same and the mean is 1."""
    counts = np.bincount(labels)
    present = np.count_nonzero(counts)
    weights: Array = (len(labels) / (present * counts[labels])).astype(np.float32)
    return weights


class _EpochReporter(keras.callbacks.Callback):  # type: ignore[misc] # Keras is untyped
    """Scores the parts after each epoch, before the callbacks that act on `inner_loss`."""

    def __init__(
        self,
        targets: Targets,
        validation: Part | None,
        inner: Part | None,
        on_epoch: Callable[[Epoch], None],
        choose: bool,
    ) -> None:
        super().__init__()
        self._targets = targets
        self._validation = validation
        self._inner = inner
        self._on_epoch = on_epoch
        self._choose = choose
        self._best = math.inf
        self._chosen: Epoch | None = None
        self._epochs = 0

    def fitted(self) -> Fitted:
        """Return what came of the training."""
        if self._chosen is None:
            raise RuntimeError("a training must have at least one epoch")
        return Fitted(self._chosen, self._epochs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = {} if logs is None else logs
        metrics = _training_metrics(logs)
        if not math.isfinite(metrics.get("loss", 0.0)):
            raise Diverged(f"the loss became {metrics['loss']} in epoch {epoch + 1}")
        probabilities = None
        if self._validation is not None:
            probabilities = self._predict(self._validation)
            scores = score(probabilities, self._validation.labels)
            metrics |= {"val_loss": scores.loss, "val_accuracy": scores.accuracy}
            if not math.isfinite(scores.loss):
                raise Diverged(f"the validation loss became {scores.loss} in epoch {epoch + 1}")
        done = Epoch(epoch + 1, metrics, probabilities)
        self._choose_from(done, logs)
        self._on_epoch(done)

    def _choose_from(self, done: Epoch, logs: dict[str, float]) -> None:
        self._epochs = done.number
        if self._inner is not None:
            loss = score(self._predict(self._inner), self._inner.labels).loss
            logs["inner_loss"] = loss  # for the callbacks that come after this one
        if not self._choose:
            self._chosen = done
        elif self._chosen is None or logs["inner_loss"] < self._best:  # as EarlyStopping does
            self._best, self._chosen = logs["inner_loss"], done

    def _predict(self, part: Part) -> Array:
        return self._targets.probabilities(outputs(self.model, part.inputs))


def _training_metrics(logs: Mapping[str, float]) -> dict[str, float]:
    """Return `loss` and, under whatever name the model has it, `accuracy`."""
    found = {"loss": float(logs["loss"])} if "loss" in logs else {}
    for name, value in logs.items():
        if name in ("acc", "accuracy") or name.endswith(("_accuracy", "_acc")):
            return {**found, "accuracy": float(value)}
    return found
