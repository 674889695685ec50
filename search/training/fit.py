"""Training one model: epochs, scores after each, and what acts on them."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from search.data.arrays import Array
from search.data.folds import inner_part
from search.data.pictures import background
from search.seeds import derive
from search.tasks.classification import Outputs, are_probabilities, output_units
from search.training.batches import Augmentation, Part, lengths_of, shuffled, spread
from search.training.compiling import compile_model
from search.training.program import Program, Programs
from search.training.streaming import picked, resident, some_of
from search.training.targets import Scores, Targets
from spaces import Params

INNER_FRACTION = 0.1
FOR_FILL = 1000  # training images whose border tells what comes in when they are moved
PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.3, 1

Unfreeze = Callable[[Any, Mapping[str, Any]], float]


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch.

    Attributes:
        number: from 1.
        metrics: `loss` (nats) and, if the model measures it, `accuracy` (fraction) over the
            training part as it was trained; what else the model measures, under its own names;
            with a validation part also `val_loss`, `val_accuracy` after the epoch.
        values: float32 `(n, classes)` for the validation part, as `Outputs.values` has them; None
            without one.
        scores: of the validation part; None without one.
    """

    number: int
    metrics: dict[str, float]
    values: Array | None = None
    scores: Scores | None = None


@dataclass(frozen=True)
class Fitted:
    """A finished training.

    Attributes:
        chosen: the epoch whose weights the model has now: the last, or with early stopping the
            one that was best on the inner part.
        epochs: number of epochs trained.
        model: what was trained: the model given, or the one that was kept of an earlier fold.
        outputs: what its outputs mean.
    """

    chosen: Epoch
    epochs: int
    model: keras.Model
    outputs: Outputs


class Diverged(ArithmeticError):
    """The loss became infinite or not a number."""


def fit(
    model: keras.Model,
    training: Part,
    validation: Part | None,
    params: Params,
    *,
    classes: int,
    seed: int,
    on_epoch: Callable[[Epoch], None],
    unfreeze: Unfreeze | None = None,
    programs: Programs | None = None,
    notify: Callable[[str], None] | None = None,
) -> Fitted:
    """Compile and train a model as the setting says.

    The validation part is predicted once an epoch, in large batches; its scores and the
    values handed to `on_epoch` come from that one pass. Early stopping and the plateau
    schedule look at an inner part, a stratified tenth of the training part (in whole groups; where
    samples have a time, the latest) that is then not trained on; never at the validation part.

    Args:
        model: built; a compiled one keeps its loss and optimizer.
        training: what it learns from, shuffled every epoch.
        validation: what it is scored on, or None.
        params: the training choices.
        classes: number of classes.
        seed: decides shuffling, augmentation and the inner part.
        on_epoch: called after every epoch; what it raises ends the training and reaches the caller.
        unfreeze: makes more of the model trainable after the setting's `frozen_epochs`.
        programs: those of earlier folds; with one of the same setting, that one's model is trained
            in place of `model`, from `model`'s initial values.
        notify: takes what the user should know about the model's outputs.

    Raises:
        Diverged: the loss is no longer a finite number.
        ValueError: the model's output does not fit the classes, or its loss the labels; or no inner
            part can be cut off the training part.
    """
    training, inner = _split(training, params, seed)
    frozen = int(params.get("frozen_epochs", 0)) if unfreeze is not None else 0
    kept = programs if unfreeze is None or not frozen else None
    run = _Run(model, training, inner, validation, params, classes, seed, on_epoch, kept, notify)
    epochs = int(params["epochs"])
    if unfreeze is None or not frozen:
        return run.train(0, epochs)
    done = run.train(0, min(frozen, epochs))
    if frozen >= epochs:
        return done
    first = done.epochs  # early stopping may have ended the frozen epochs
    return run.train(first, first + epochs - frozen, factor=unfreeze(model, params))


def predict(model: keras.Model, inputs: Array, outputs: Outputs) -> Array:
    """Return a value a class, float32 `(n, classes)`, as `Outputs.values` has them."""
    return outputs.values(Program(model, inputs).outputs(inputs))


@dataclass(frozen=True)
class _Run:
    model: keras.Model
    training: Part
    inner: Part | None
    validation: Part | None
    params: Params
    classes: int
    seed: int
    on_epoch: Callable[[Epoch], None]
    programs: Programs | None
    notify: Callable[[str], None] | None

    def train(self, first: int, last: int, *, factor: float | None = None) -> Fitted:
        """Train the epochs from `first` (0 is the first) up to `last`."""
        batches = math.ceil(len(self.training.indices) / self._batch_size)
        program, targets = self._program(batches * (last - first), factor)
        if targets.notice and self.notify is not None:
            self.notify(targets.notice)
        stops = bool(self.params.get("early_stopping", False))
        reporter = _EpochReporter(
            program, targets, self.validation, self.inner, self.on_epoch, stops
        )
        self._run_epochs(program, targets, [reporter, *self._callbacks()], first, last)
        return reporter.fitted()

    @property
    def _batch_size(self) -> int:
        return int(self.params["batch_size"])

    def _program(self, steps: int, factor: float | None) -> tuple[Program, Targets]:
        """Return the program of the model, or of one that was kept for these params."""
        model, inputs = self.model, self.training.inputs
        augmentation = Augmentation.of(self.params)
        params, precision = tuple(sorted(self.params.items())), keras.config.dtype_policy().name
        key = (params, precision, steps, augmentation, tuple(inputs.shape[1:]))
        kept = self.programs.take(key, model) if self.programs is not None else None
        if kept is not None:
            return kept
        own = not model.compiled
        some = some_of(inputs)
        units = output_units(model, self.classes, some)
        if own or factor is not None:
            logits = not are_probabilities(model, some)
            compile_model(
                model, self.params, units=units, steps=steps, logits=logits, factor=factor
            )
        program = Program(model, inputs, augmentation)
        targets = Targets.of(model, self.classes, some)
        if self.programs is not None and own:
            self.programs.keep(key, program, targets)
        return program, targets

    def _run_epochs(
        self, program: Program, targets: Targets, acting: list[Any], first: int, last: int
    ) -> None:
        """Do what Keras's own `fit` does around the steps of each epoch."""
        model, part = program.model, self.training
        inputs = resident(part.inputs)
        wanted: tuple[Array, ...] = (targets.encode(part.labels),)
        weights = _weights(part, balanced=bool(self.params.get("class_weights", False)))
        if weights is not None:
            wanted = (*wanted, weights)
        lengths = lengths_of(inputs) if program.trims else None
        fill = 0.0
        if Augmentation.of(self.params) is not None:
            fill = background(picked(inputs, spread(part.indices, FOR_FILL)))
        callbacks = keras.callbacks.CallbackList(acting, model=model, epochs=last, verbose=0)
        model.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(first, last):
            callbacks.on_epoch_begin(epoch)
            batches = shuffled(
                part.indices,
                batch_size=self._batch_size,
                seed=self.seed,
                epoch=epoch,
                lengths=lengths,
            )
            seed = derive(self.seed, "augmentation", epoch)
            logs = program.train(inputs, wanted, batches, seed=seed, fill=fill)
            with _averaged(model):
                callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        model.optimizer.finalize_variable_values(model.trainable_weights)
        callbacks.on_train_end()

    def _callbacks(self) -> list[Any]:
        made: list[Any] = []
        if self.params.get("schedule") == "plateau":
            made.append(
                keras.callbacks.ReduceLROnPlateau(
                    "inner_loss", mode="min", factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE
                )
            )
        if self.params.get("early_stopping", False):
            patience = int(self.params.get("patience", 3))
            made.append(
                keras.callbacks.EarlyStopping(
                    "inner_loss", mode="min", patience=patience, restore_best_weights=True
                )
            )
        return made


@contextmanager
def _averaged(model: keras.Model) -> Iterator[None]:
    """Give a model the averages of its weights for a moment, where its optimizer keeps them.

    It ends its training with them, so they are what is scored and, if an epoch is chosen, kept.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not getattr(optimizer, "use_ema", False):
        yield
        return
    before = [variable.numpy() for variable in model.trainable_weights]
    optimizer.finalize_variable_values(model.trainable_weights)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_weights, before, strict=True):
            variable.assign(value)


def _split(training: Part, params: Params, seed: int) -> tuple[Part, Part | None]:
    if not params.get("early_stopping", False) and params.get("schedule") != "plateau":
        return training, None
    rows, labels = training.indices, training.own_labels
    size = max(1, round(len(rows) * INNER_FRACTION))
    groups, time = (
        None if beside is None else beside[rows] for beside in (training.groups, training.time)
    )
    rest, inner = inner_part(labels, size, seed, groups=groups, time=time)
    return replace(training, rows=rows[rest]), replace(training, rows=rows[inner])


def _weights(part: Part, *, balanced: bool) -> Array | None:
    """Return each row's weight in the loss, float32; None if all count the same.

    Args:
        part: what is trained on.
        balanced: all classes of the part weigh the same, before samples' own weights, and the mean
            is 1.
    """
    if not balanced:
        return None if part.weights is None else part.weights.astype(np.float32)
    counts = np.bincount(part.own_labels, minlength=int(part.labels.max()) + 1)
    present = np.count_nonzero(counts)
    shares = len(part.indices) / (present * np.maximum(counts, 1))
    own = 1.0 if part.weights is None else part.weights
    weights: Array = (shares[part.labels] * own).astype(np.float32)
    return weights


class _EpochReporter(keras.callbacks.Callback):  # type: ignore[misc] # Keras is untyped
    """Scores the parts after each epoch, before the callbacks that act on `inner_loss`."""

    def __init__(
        self,
        program: Program,
        targets: Targets,
        validation: Part | None,
        inner: Part | None,
        on_epoch: Callable[[Epoch], None],
        choose: bool,
    ) -> None:
        super().__init__()
        self._program = program
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
        return Fitted(self._chosen, self._epochs, self._program.model, self._targets.outputs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = {} if logs is None else logs
        metrics = self._training_metrics(logs)
        if not math.isfinite(metrics.get("loss", 0.0)):
            raise Diverged(f"the loss became {metrics['loss']} in epoch {epoch + 1}")
        values = scores = None
        if self._validation is not None:
            values, scores = self._score(self._validation)
            metrics |= {"val_loss": scores.loss, "val_accuracy": scores.accuracy}
            if not math.isfinite(scores.loss):
                raise Diverged(f"the validation loss became {scores.loss} in epoch {epoch + 1}")
        done = Epoch(epoch + 1, metrics, values, scores)
        self._choose_from(done, logs)
        self._on_epoch(done)

    def _choose_from(self, done: Epoch, logs: dict[str, float]) -> None:
        self._epochs = done.number
        if self._inner is not None:
            loss = self._score(self._inner)[1].loss
            logs["inner_loss"] = loss  # for the callbacks that come after this one
        if not self._choose:
            self._chosen = done
        elif self._chosen is None or logs["inner_loss"] < self._best:  # as EarlyStopping does
            self._best, self._chosen = logs["inner_loss"], done

    def _score(self, part: Part) -> tuple[Array, Scores]:
        found = self._program.outputs(part.inputs, part.indices)
        return self._targets.score(found, part.own_labels, part.own_weights)

    def _training_metrics(self, logs: Mapping[str, float]) -> dict[str, float]:
        """Return what the model measured; `accuracy` is its accuracy under whatever name it has."""
        found = {
            _printable(name): float(value)
            for name, value in logs.items()
            if name == "loss" or math.isfinite(value)
        }
        accuracy = self._targets.training_accuracy(self._program.model)
        if accuracy is not None and accuracy in logs:
            return {**found, "accuracy": float(logs[accuracy])}
        if accuracy is None and self._program.tells:
            return found
        return {name: value for name, value in found.items() if name not in ("accuracy", "acc")}


def _printable(name: str) -> str:
    """Return a metric's name in the letters that MLflow takes."""
    return re.sub(r"[^\w\-./ ]", "_", name)
