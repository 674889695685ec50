"""Training one model: epochs, scores after each, and what acts on them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from search.data.arrays import Array
from search.data.folds import inner_part
from search.data.pictures import background
from search.seeds import derive
from search.tasks import Metric, OutputMeaning, Task
from search.training.batches import Augmentation, Part, lengths_of, shuffled, spread
from search.training.compiling import compile_model
from search.training.program import Program, Programs
from search.training.scoring import measured, own_metrics, printable
from search.training.streaming import picked, resident, some_of
from search.training.targets import AUTO_SCALING, Scores, Targets, targets_for
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
        metrics: `loss` and, if the model measures it, `accuracy` (fraction) over the training part
            as it was trained; what else the model measures, under its own names; with a validation
            part also `val_loss` and `val_NAME` of each score after the epoch.
        values: float `(n, units)` for the validation part, as `OutputMeaning.values` has them; None
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
    outputs: OutputMeaning


class Diverged(ArithmeticError):
    """The loss became infinite or not a number."""


def fit(
    model: keras.Model,
    training: Part,
    validation: Part | None,
    params: Params,
    *,
    task: Task,
    seed: int,
    on_epoch: Callable[[Epoch], None],
    watched: Sequence[Metric] = (),
    own: Sequence[str] = (),
    scaling: str = AUTO_SCALING,
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
        task: what is predicted.
        seed: decides shuffling, augmentation and the inner part.
        on_epoch: called after every epoch; what it raises ends the training and reaches the caller.
        watched: metrics of the validation part, computed after every epoch; by default the task's
            first.
        own: names of the model's own metrics that are computed there, too.
        scaling: `auto` standardises numbers to predict where that does no harm, `off` never.
        unfreeze: makes more of the model trainable after the setting's `frozen_epochs`.
        programs: those of earlier folds; with one of the same setting, that one's model is trained
            in place of `model`, from `model`'s initial values.
        notify: takes what the user should know about the model's outputs.

    Raises:
        Diverged: the loss is no longer a finite number.
        ValueError: the model's output does not fit the task, or its loss the targets; no inner part
            can be cut off the training part; or a watched metric cannot be computed.
    """
    learned = training.own_labels, training.own_weights
    training, inner = _split(training, params, task, seed)
    frozen = int(params.get("frozen_epochs", 0)) if unfreeze is not None else 0
    kept = programs if unfreeze is None or not frozen else None
    run = _Run(
        model=model,
        training=training,
        inner=inner,
        validation=validation,
        params=params,
        task=task,
        seed=seed,
        on_epoch=on_epoch,
        programs=kept,
        notify=notify,
        learned=learned,
        scoring=(watched or _first(task), own),
        scaling=scaling,
    )
    epochs = int(params["epochs"])
    if unfreeze is None or not frozen:
        return run.train(0, epochs)
    done = run.train(0, min(frozen, epochs))
    if frozen >= epochs:
        return done
    first = done.epochs  # early stopping may have ended the frozen epochs
    return run.train(first, first + epochs - frozen, factor=unfreeze(model, params))


def predict(model: keras.Model, inputs: Array, outputs: OutputMeaning) -> Array:
    """Return what a model says in the task's form, `(n, units)`, as `outputs.values` has them."""
    return outputs.values(Program(model, inputs).outputs(inputs))


def _first(task: Task) -> list[Metric]:
    metric = task.metric(task.scored[0])
    return [] if metric is None else [metric]


@dataclass(frozen=True, kw_only=True)
class _Run:
    model: keras.Model
    training: Part
    inner: Part | None
    validation: Part | None
    params: Params
    task: Task
    seed: int
    on_epoch: Callable[[Epoch], None]
    programs: Programs | None
    notify: Callable[[str], None] | None
    learned: tuple[Array, Array | None]  # targets of the training part, inner part and all; weights
    scoring: tuple[Sequence[Metric], Sequence[str]]  # watched, and the model's own
    scaling: str

    def train(self, first: int, last: int, *, factor: float | None = None) -> Fitted:
        """Train the epochs from `first` (0 is the first) up to `last`."""
        batches = math.ceil(len(self.training.indices) / self._batch_size)
        program, found = self._program(batches * (last - first), factor)
        targets = found.on(*self.learned, scaling=self.scaling)
        if targets.notice and self.notify is not None:
            self.notify(targets.notice)
        stops = bool(self.params.get("early_stopping", False))
        reporter = _EpochReporter(
            program, targets, self.validation, self.inner, self.on_epoch, stops, *self.scoring
        )
        with targets.measuring(program.model):
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
        compile_model(model, self.params, self.task, some, steps=steps, factor=factor)
        program = Program(model, inputs, augmentation)
        targets = targets_for(model, self.task, some)
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
        balanced = self.task.has_classes and self.params.get("class_weights", False)
        weights = _weights(part, balanced=bool(balanced))
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


def _split(training: Part, params: Params, task: Task, seed: int) -> tuple[Part, Part | None]:
    if not params.get("early_stopping", False) and params.get("schedule") != "plateau":
        return training, None
    rows, targets = training.indices, training.own_labels
    size = max(1, round(len(rows) * INNER_FRACTION))
    groups, time = (
        None if beside is None else beside[rows] for beside in (training.groups, training.time)
    )
    rest, inner = inner_part(targets, size, seed, task=task, groups=groups, time=time)
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
        watched: Sequence[Metric],
        own: Sequence[str],
    ) -> None:
        super().__init__()
        self._program = program
        self._targets = targets
        self._validation = validation
        self._inner = inner
        self._on_epoch = on_epoch
        self._choose = choose
        self._watched = watched
        self._own = own
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
            values, scores = self._scored(self._validation, epoch + 1)
            told = {"loss": scores.loss, **scores.metrics}
            metrics |= {f"val_{name}": value for name, value in told.items()}
        done = Epoch(epoch + 1, metrics, values, scores)
        self._choose_from(done, logs)
        self._on_epoch(done)

    def _choose_from(self, done: Epoch, logs: dict[str, float]) -> None:
        self._epochs = done.number
        if self._inner is not None:
            logs["inner_loss"] = self._inner_loss(
                self._inner
            )  # for the callbacks that come after this one
        if not self._choose:
            self._chosen = done
        elif self._chosen is None or logs["inner_loss"] < self._best:  # as EarlyStopping does
            self._best, self._chosen = logs["inner_loss"], done

    def _scored(self, part: Part, epoch: int) -> tuple[Array, Scores]:
        """Return values and scores of a part."""
        found, targets, weights = self._outputs(part), part.own_labels, part.own_weights
        values, loss = self._targets.score(found, targets, weights)
        if not math.isfinite(loss):
            raise Diverged(f"the validation loss became {loss} in epoch {epoch}")
        metrics = {
            metric.name: measured(metric, values, targets, weights, self._targets.outputs)
            for metric in self._watched
        }
        own = [name for name in self._own if name not in ("loss", *metrics)]
        of_model = own_metrics(self._program.model, own, self._targets, part, found)
        return values, Scores(loss, metrics | of_model)

    def _inner_loss(self, part: Part) -> float:
        return self._targets.score(self._outputs(part), part.own_labels, part.own_weights)[1]

    def _outputs(self, part: Part) -> Array:
        return self._program.outputs(part.inputs, part.indices)

    def _training_metrics(self, logs: Mapping[str, float]) -> dict[str, float]:
        """Return what the model measured."""
        numbers = {
            name: float(value)
            for name, value in logs.items()
            if name == "loss" or math.isfinite(value)
        }
        program = self._program
        found = self._targets.training_metrics(program.model, numbers, tells=program.tells)
        return {printable(name): value for name, value in found.items()}
