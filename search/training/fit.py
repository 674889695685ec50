"""Training one model: epochs, scores after each, and what acts on them."""

import hashlib
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
from search.tasks.thresholds import DecidingOutputs
from search.training.batches import Augmentation, Part, lengths_of, shuffled, spread
from search.training.checkpoint import CannotGoOn, Pause, Paused, can_pause
from search.training.compiling import compile_model
from search.training.program import Program, Programs, states_kept
from search.training.scoring import measured, own_metrics, printable
from search.training.streaming import picked, resident, shape_of, some_of
from search.training.targets import AUTO_SCALING, Scores, Targets, targets_for
from spaces import Params, is_kerass, watches_validation

INNER_FRACTION = 0.1
FOR_THRESHOLD = 20_000  # samples that a threshold is tuned on, at most
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
        outputs: what the model's outputs meant then, with the thresholds of that epoch; None
            without a validation part.
    """

    number: int
    metrics: dict[str, float]
    values: Array | None = None
    scores: Scores | None = None
    outputs: OutputMeaning | None = None


@dataclass(frozen=True)
class Fitted:
    """A finished training.

    Attributes:
        chosen: the epoch whose weights the model has now: the last, or with early stopping the
            one that was best on the inner part.
        epochs: number of epochs trained.
        model: what was trained: the model given, or the one that was kept of an earlier fold.
        outputs: what its outputs mean, with tuned thresholds where they were asked for.
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
    tuned_by: Metric | None = None,
    unfreeze: Unfreeze | None = None,
    callbacks: Sequence[Any] = (),
    programs: Programs | None = None,
    notify: Callable[[str], None] | None = None,
    pause: Pause | None = None,
) -> Fitted:
    """Compile and train a model as the setting says.

    The validation part is predicted once an epoch, in large batches; its scores and the
    values handed to `on_epoch` come from that one pass. Early stopping, the plateau
    schedule and callbacks that watch `val_` numbers look at an inner part, a stratified tenth of
    the training part (in whole groups; where samples have a time, the latest) that is then not
    trained on; never at the validation part.

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
        tuned_by: the metric that thresholds of the outputs are tuned by after every epoch, on the
            inner part where there is one, else on the training part; None for no tuning.
        unfreeze: makes more of the model trainable after the setting's `frozen_epochs`.
        callbacks: the user's, none of which acts on batches; called as in Keras's `fit`.
        programs: those of earlier folds; with one of the same setting, that one's model is trained
            in place of `model`, from `model`'s initial values.
        notify: takes what the user should know about the model's outputs.
        pause: goes on from what it has, and pauses where it says; of a training that cannot go on
            from that nothing is written where it pauses. None for neither.

    Raises:
        Paused: after the epoch where it was asked to.
        CannotGoOn: what was kept is of another model.
        Diverged: the loss is no longer a finite number.
        ValueError: the model's output does not fit the task, or its loss the targets; no inner part
            can be cut off the training part; or a watched metric cannot be computed.
    """
    learned = training.own_labels, training.own_weights
    inner = None
    if needs_inner(params, callbacks):
        training, inner = cut_inner(training, task, seed)
    frozen = int(params.get("frozen_epochs", 0)) if unfreeze is not None else 0
    are_kerass = all(map(is_kerass, callbacks))  # code of the user's may change the model
    kept = programs if (unfreeze is None or not frozen) and are_kerass else None
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
        scoring=(watched or first_metric(task), own),
        scaling=scaling,
        tuned_by=tuned_by,
        callbacks=tuple(callbacks),
        pause=pause,
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
    return outputs.values(Program(model, inputs, names=outputs.names).outputs(inputs))


def first_metric(task: Task) -> list[Metric]:
    """Return the metric that is watched where nothing else is asked for."""
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
    tuned_by: Metric | None
    callbacks: tuple[Any, ...]
    pause: Pause | None

    def train(self, first: int, last: int, *, factor: float | None = None) -> Fitted:
        """Train the epochs from `first` (0 is the first) up to `last`."""
        batches = math.ceil(len(self.training.indices) / self._batch_size)
        program, found = self._program(batches * (last - first), factor)
        targets = found.on(*self.learned, scaling=self.scaling)
        if targets.notice and self.notify is not None:
            self.notify(targets.notice)
        stops = bool(self.params.get("early_stopping", False))
        reporter = EpochReporter(
            program,
            targets,
            self.validation,
            self.inner if needs_inner(self.params, ()) else None,
            self.on_epoch,
            stops,
            *self.scoring,
            tuning=None if self.tuned_by is None else (self.tuned_by, self.inner or self.training),
            remains=bool(self.callbacks),
        )
        acting = [reporter, *self._callbacks()]
        if self.inner is not None and any(map(watches_validation, self.callbacks)):
            acting.append(_InnerLogs(self.inner, targets, self._batch_size))
        known = self._known_before(program.model)
        until = self._until(last)
        with targets.measuring(program.model):
            self._run_epochs(
                program, targets, [*acting, *self.callbacks], max(first, known), until, last
            )
        return reporter.fitted()

    def _known_before(self, model: keras.Model) -> int:
        """Go on from what was kept, if anything was; return after which epoch."""
        if self.pause is None or not self.pause.after:
            return 0
        if not self._can_pause(model):
            raise CannotGoOn
        self.pause.restore(model)
        return self.pause.after

    def _until(self, last: int) -> int:
        until = self.pause.until if self.pause is not None else 0
        return min(until, last) if until else last

    def _can_pause(self, model: keras.Model) -> bool:
        looks = needs_inner(self.params, self.callbacks)
        return can_pause(model, self.params, self.callbacks, looks=looks)

    @property
    def _batch_size(self) -> int:
        return int(self.params["batch_size"])

    def _program(self, steps: int, factor: float | None) -> tuple[Program, Targets]:
        """Return the program of the model, or of one that was kept for these params."""
        model, inputs = self.model, self.training.inputs
        augmentation = Augmentation.of(self.params)
        params, precision = tuple(sorted(self.params.items())), keras.config.dtype_policy().name
        key = (params, precision, steps, augmentation, shape_of(inputs))
        kept = self.programs.take(key, model) if self.programs is not None else None
        if kept is not None:
            return kept
        own = not model.compiled
        some = some_of(inputs)
        with states_kept(model):
            compile_model(model, self.params, self.task, some, steps=steps, factor=factor)
            program = Program(model, inputs, augmentation, self.task.outputs)
            targets = targets_for(model, self.task, some)
        if self.programs is not None and own:
            self.programs.keep(key, program, targets)
        return program, targets

    def _run_epochs(
        self,
        program: Program,
        targets: Targets,
        acting: list[Any],
        first: int,
        until: int,
        last: int,
    ) -> None:
        """Do what Keras's own `fit` does around the steps of each epoch.

        Raises:
            Paused: before the last epoch.
        """
        model, part = program.model, self.training
        inputs = resident(part.inputs)
        wanted: tuple[Array, ...] = (targets.encode(part.labels),)
        weights = row_weights(part, self.task, self.params)
        if weights is not None:
            wanted = (*wanted, weights)
        lengths = lengths_of(inputs) if program.trims else None
        fill = 0.0
        if Augmentation.of(self.params) is not None:
            fill = background(picked(inputs, spread(part.indices, FOR_FILL)))
        callbacks = keras.callbacks.CallbackList(
            acting,
            add_history=bool(self.callbacks),
            model=model,
            epochs=last,
            steps=math.ceil(len(part.indices) / self._batch_size),
            verbose=0,
        )
        model.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(first, until):
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
            with averaged(model):
                callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        if until < last and not model.stop_training:
            if self.pause is not None and self._can_pause(model):
                self.pause.save(model, until)
            raise Paused(until, model)
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
def averaged(model: keras.Model) -> Iterator[None]:
    """Give a model the averages of its weights for a moment, where its optimizer keeps them.

    It ends its training with them, so they are what is scored and, if an epoch is chosen, kept.
    """
    known: Any = getattr(model, "optimizer", None)  # None where a model is not compiled
    optimizer = getattr(known, "inner_optimizer", known)
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


def needs_inner(params: Params, callbacks: Sequence[Any]) -> bool:
    """Say whether training choices or callbacks look at an inner part."""
    chosen = params.get("early_stopping", False) or params.get("schedule") == "plateau"
    return bool(chosen) or any(map(watches_validation, callbacks))


def cut_inner(training: Part, task: Task, seed: int) -> tuple[Part, Part]:
    """Return a training part without its inner part, and that.

    Raises:
        ValueError: none can be cut off.
    """
    rows, targets = training.indices, training.own_labels
    size = max(1, round(len(rows) * INNER_FRACTION))
    groups, time = (
        None if beside is None else beside[rows] for beside in (training.groups, training.time)
    )
    rest, inner = inner_part(targets, size, seed, task=task, groups=groups, time=time)
    return replace(training, rows=rows[rest]), replace(training, rows=rows[inner])


def row_weights(part: Part, task: Task, params: Params) -> Array | None:
    """Return the weight in the loss of each row of all samples, float32; None if all count alike.

    With `class_weights` all classes of the part weigh the same, before samples' own weights, and
    the mean is 1.
    """
    if not task.has_classes or not params.get("class_weights", False):
        return None if part.weights is None else part.weights.astype(np.float32)
    counts = np.bincount(part.own_labels, minlength=int(part.labels.max()) + 1)
    present = np.count_nonzero(counts)
    shares = len(part.indices) / (present * np.maximum(counts, 1))
    own = 1.0 if part.weights is None else part.weights
    weights: Array = (shares[part.labels] * own).astype(np.float32)
    return weights


def weights_digest(model: keras.Model) -> str:
    """Return a digest of all of a model's weights."""
    digest = hashlib.blake2b(digest_size=16)
    for value in model.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


class StopAfter(keras.callbacks.Callback):  # type: ignore[misc] # Keras is untyped
    """Ends a training after an epoch, before the last that its schedule is made for."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """End it."""
        if epoch + 1 >= self._epochs:
            self.model.stop_training = True


class _InnerLogs(keras.callbacks.Callback):  # type: ignore[misc] # Keras is untyped
    """Adds the `val_` numbers of the inner part to what the callbacks after it are told."""

    def __init__(self, inner: Part, targets: Targets, batch_size: int) -> None:
        super().__init__()
        self._arguments = {
            "x": picked(inner.inputs, inner.indices),
            "y": targets.encode(inner.own_labels),
            "sample_weight": inner.own_weights,
            "batch_size": batch_size,
        }

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        found = self.model.evaluate(**self._arguments, verbose=0, return_dict=True)
        if logs is not None:
            logs.update({f"val_{name}": value for name, value in found.items()})


class EpochReporter(keras.callbacks.Callback):  # type: ignore[misc] # Keras is untyped
    """Scores the parts after each epoch, before the callbacks that act on `inner_loss`.

    Args:
        program: predicts.
        targets: say what the predictions mean.
        validation: what is scored; None if nothing is.
        inner: what callbacks are told the loss of, as `inner_loss`; None without such callbacks.
        on_epoch: called after each epoch.
        choose: whether the epoch that is best on the inner part counts; else the last.
        watched: metrics of the validation part.
        own: names of the model's own metrics that are computed there, too.
        tuning: the metric that thresholds are tuned by, and the samples; None for no tuning.
        remains: whether the weights that remain are what counts, since others than the built-in
            training may change them after an epoch is scored, or restore those of an earlier one.
    """

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
        *,
        tuning: tuple[Metric, Part] | None = None,
        remains: bool = False,
    ) -> None:
        super().__init__()
        self._scored_weights: dict[str, int] | None = {} if remains else None
        self._program = program
        self._targets = targets
        self._validation = validation
        self._inner = inner
        self._on_epoch = on_epoch
        self._choose = choose
        self._watched = watched
        self._own = own
        self._tuning = tuning
        self._best = math.inf
        self._chosen: Epoch | None = None
        self._epochs = 0

    def fitted(self) -> Fitted:
        """Return what came of the training."""
        if self._chosen is None:
            raise RuntimeError("a training must have at least one epoch")
        if self._scored_weights is not None:
            now = weights_digest(self._program.model)
            number = self._scored_weights.get(now, self._epochs)
            if number != self._chosen.number or now not in self._scored_weights:
                with self._targets.measuring(self._program.model):  # the training has ended
                    self._chosen = self._epoch(number, {})
        outputs = self._chosen.outputs or self._meaning()
        return Fitted(self._chosen, self._epochs, self._program.model, outputs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Score the parts, and tell of the epoch.

        Raises:
            Diverged: a loss is not finite.
        """
        logs = {} if logs is None else logs
        metrics = self._training_metrics(logs)
        if not math.isfinite(metrics.get("loss", 0.0)):
            raise Diverged(f"the loss became {metrics['loss']} in epoch {epoch + 1}")
        done = self._epoch(epoch + 1, metrics)
        if self._scored_weights is not None:
            self._scored_weights[weights_digest(self._program.model)] = done.number
        self._choose_from(done, logs)
        self._on_epoch(done)

    def _epoch(self, number: int, metrics: dict[str, float]) -> Epoch:
        """Return an epoch with the scores of the weights as they are now."""
        values = scores = outputs = None
        if self._validation is not None:
            outputs = self._meaning()
            values, scores = self._scored(self._validation, number, outputs)
            told = {"loss": scores.loss, **scores.metrics}
            metrics |= {f"val_{name}": value for name, value in told.items()}
        return Epoch(number, metrics, values, scores, outputs)

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

    def _meaning(self) -> OutputMeaning:
        """Return what outputs of the weights as they are now mean."""
        outputs = self._targets.outputs
        if self._tuning is None or not isinstance(outputs, DecidingOutputs):
            return outputs
        metric, part = self._tuning
        some = replace(part, rows=spread(part.indices, FOR_THRESHOLD))
        values = outputs.values(self._outputs(some))
        return outputs.tuned(metric, values, some.own_labels, some.metric_weights)

    def _scored(self, part: Part, epoch: int, outputs: OutputMeaning) -> tuple[Array, Scores]:
        """Return values and scores of a part."""
        found, targets, weights = self._outputs(part), part.own_labels, part.own_weights
        values, loss = self._targets.score(found, targets, weights)
        if not math.isfinite(loss):
            raise Diverged(f"the validation loss became {loss} in epoch {epoch}")
        metrics = {
            metric.name: measured(metric, values, targets, part.metric_weights, outputs)
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
