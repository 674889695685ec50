"""Training by a `fit` of the user's own, or by Keras's where callbacks act on batches.

Whatever trains, the fold's validation part is scored here after each epoch, and never handed out.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from search.seeds import derive
from search.tasks import Metric, Task
from search.tasks.models import first_of
from search.training.batches import Part
from search.training.building import Built, set_seed
from search.training.checkpoint import CannotGoOn, Pause, Paused
from search.training.compiling import compile_model
from search.training.fit import (
    PLATEAU_FACTOR,
    PLATEAU_PATIENCE,
    Diverged,
    Epoch,
    EpochReporter,
    Fitted,
    averaged,
    cut_inner,
    first_metric,
    fit,
    needs_inner,
    row_weights,
    weights_digest,
)
from search.training.program import Program, Programs
from search.training.scoring import numbers_in
from search.training.streaming import Streamed, picked, some_of
from search.training.targets import AUTO_SCALING, Targets, targets_for
from spaces import FIT_ARGUMENTS, Params, Space, acts_on_batches, not_taken, written_path

OFF = "off"  # numbers to predict are not standardised

_INNER = (
    "`fit` of space {space} gets as `validation_data` a tenth of the training part of each fold,"
    " which it should not train on: what it decides by that, as early stopping does, cannot flatter"
    " the fold's score, which is of the validation part"
)


def fit_built(
    built: Built,
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
    callbacks: Sequence[Any] = (),
    programs: Programs | None = None,
    notify: Callable[[str], None] | None = None,
    pause: Pause | None = None,
) -> Fitted:
    """Train a model as its space says: by the space's own `fit`, or as in `fit`.

    A `fit` of one's own gets numbers to predict as they are, since its code may count on their
    unit.

    Args:
        built: the model, with the space of the same run of code.
        training: what it learns from.
        validation: what it is scored on, or None.
        params: complete.
        task: what is predicted.
        seed: decides what the training draws at random.
        on_epoch: called after every epoch; what it raises ends the training and reaches the caller.
        watched: as in `fit`.
        own: as in `fit`.
        scaling: as in `fit`, for the built-in training and Keras's.
        tuned_by: as in `fit`.
        callbacks: of the user's, for this training alone. One that acts on batches lets Keras's own
            `fit` train, which is slower.
        programs: those of earlier folds, for the built-in training.
        notify: takes what the user should know.
        pause: as in `fit`; of a `fit` of one's own nothing is kept.

    Raises:
        Paused: as in `fit`.
        CannotGoOn: as in `fit`.
        Diverged: the loss is no longer a finite number.
        ValueError: as in `fit`; or the space's `fit` did not train the model.
    """
    space = built.space
    if space.fit is None and not any(map(acts_on_batches, callbacks)):
        return fit(
            built.model,
            training,
            validation,
            params,
            task=task,
            seed=seed,
            on_epoch=on_epoch,
            watched=watched,
            own=own,
            scaling=scaling,
            tuned_by=tuned_by,
            unfreeze=space.unfreeze,
            callbacks=callbacks,
            programs=programs,
            notify=notify,
            pause=pause,
        )
    if pause is not None and pause.after:
        raise CannotGoOn
    if pause is not None and pause.until:
        on_epoch = _pausing(on_epoch, pause.until, int(params.get("epochs", 0)))
    model = built.model
    rest, inner = training, None
    if space.fit is not None or needs_inner(params, callbacks):
        rest, inner = cut_inner(training, task, seed)
    batches = -(-len(rest.indices) // int(params.get("batch_size", 32)))
    some = some_of(training.inputs)
    if not space.compiled:
        steps = batches * int(params.get("epochs", 1))
        compile_model(model, params, task, some, steps=steps)
    targets = targets_for(
        model,
        task,
        some,
        training.own_labels,
        training.own_weights,
        scaling=scaling if space.fit is None else OFF,
    )
    for text in (targets.notice, "" if space.fit is None else _INNER.format(space=space.name)):
        if text and notify is not None:
            notify(text)
    scored = EpochReporter(
        Program(model, training.inputs, names=task.outputs),
        targets,
        validation,
        None,
        on_epoch,
        False,
        watched or first_metric(task),
        own,
        tuning=None if tuned_by is None else (tuned_by, inner or rest),
        remains=True,
    )
    reporter = _Reporter(model, scored)
    arguments = _arguments(rest, inner, targets, params, task) | {
        "callbacks": [reporter, *callbacks]
    }
    before = weights_digest(model)
    set_seed(derive(seed, "fit"))  # whatever was drawn since the model was built
    if space.fit is None:
        trained = _KerasFit(model, params, task, batches, space)
        with targets.measuring(model):
            reporter.watch(partial(trained.fit, **arguments))
    else:
        refused = {*space.set_by_fit, *not_taken(space.fit, FIT_ARGUMENTS)}
        x, y = arguments.pop("x"), arguments.pop("y")
        given = {name: value for name, value in arguments.items() if name not in refused}
        with _folder_of_its_own(callbacks):
            reporter.watch(partial(space.fit, params, model, x, y, **given))
    _check_trained(model, before, space)
    if not reporter.epochs:  # a `fit` that does not pass on `callbacks`
        scored.on_epoch_end(0, {})
    return scored.fitted()


def _pausing(on_epoch: Callable[[Epoch], None], until: int, epochs: int) -> Callable[[Epoch], None]:
    """Return what is called after every epoch, and ends the training after one before the last."""

    def pausing(epoch: Epoch) -> None:
        on_epoch(epoch)
        if epoch.number == until < epochs:
            raise Paused(until)

    return pausing


def _check_trained(model: keras.Model, before: str, space: Space) -> None:
    """Check that a model was trained.

    Args:
        model: after its training.
        before: digest of its weights before it.
        space: whose model it is.

    Raises:
        ValueError: its weights are as they were.
        Diverged: they are no numbers.
    """
    if weights_digest(model) == before:
        raise ValueError(
            f"the `fit` of space {space.name} must train the model that it is given; it returned,"
            " and the model's weights are as they were before. Does it train another model, or a"
            " copy?"
        )
    trained = (keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights)
    if not all(np.isfinite(np.asarray(weight, np.float32)).all() for weight in trained):
        raise Diverged("weights of the model are no longer finite numbers at the end")


def _arguments(
    rest: Part, inner: Part | None, targets: Targets, params: Params, task: Task
) -> dict[str, Any]:
    """Return what a `fit` is called with, but for callbacks."""
    x, y = _arrays(rest, targets)
    given: dict[str, Any] = {"x": x, "y": y}
    if inner is not None:
        held = _arrays(inner, targets)
        given["validation_data"] = held if inner.weights is None else (*held, inner.own_weights)
    given |= {name: params[name] for name in ("epochs", "batch_size") if name in params}
    weights = row_weights(rest, task, params)
    if weights is not None:
        given["sample_weight"] = weights[rest.indices]
    return {**given, "verbose": 0}


class _Left(BaseException):
    """Ends a `fit` of the user's; no `Exception`, which it might take for one of its own."""


class _Reporter(keras.callbacks.Callback):  # type: ignore[misc] # Keras is untyped
    """Scores the model after each epoch, whoever trains it.

    Args:
        model: that is scored, whatever model the callback is given.
        scored: takes its epochs.
    """

    def __init__(self, model: keras.Model, scored: EpochReporter) -> None:
        super().__init__()
        self._mine = model
        self._scored = scored
        self._error: BaseException | None = None
        self.epochs = 0

    def watch(self, training: Callable[[], object]) -> None:
        """Run a training; what ended it after an epoch is raised, whatever became of it within."""
        try:
            training()
        except (_Left, Exception):
            if self._error is None:
                raise
        if self._error is not None:
            raise self._error

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Leave where the user's code has gone on."""
        self._leave()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Score; epochs are counted over all calls of Keras's `fit`."""
        self._leave()
        self.epochs += 1
        try:
            with averaged(self._mine):
                self._scored.on_epoch_end(self.epochs - 1, _of_training(logs or {}))
        except BaseException as error:  # noqa: BLE001 # raised again by `watch`
            self._error = error
            self._leave()

    def _leave(self) -> None:
        """Leave the training once it is over, also where the user's code has gone on."""
        if self._error is not None:
            raise _Left from self._error


def _of_training(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers about the training part in what a callback is told."""
    kept: dict[str, float] = {}
    for name, value in logs.items():
        try:
            kept |= {} if name.startswith("val_") else dict(numbers_in({name: value}))
        except (TypeError, ValueError):  # no numbers
            continue
    return kept


def _arrays(part: Part, targets: Targets) -> tuple[Any, Any]:
    """Return samples and targets of a part as arrays, several inputs and outputs by their names.

    Raises:
        ValueError: the samples do not fit in memory.
    """
    if isinstance(part.inputs, Streamed):
        raise ValueError(
            "a `fit` of one's own, and Keras's for callbacks that act on batches, get all samples"
            f" as arrays; {part.inputs.notice.partition(':')[0]}. Give workers more memory with"
            " `--worker-memory`, or limit the samples with `--limit-samples`"
        )
    return picked(part.inputs, part.indices), targets.encode(part.own_labels)


@dataclass(frozen=True)
class _KerasFit:
    """Trains with Keras's `fit` as the built-in training would, for callbacks on batches."""

    model: keras.Model
    params: Params
    task: Task
    batches: int
    space: Space

    def fit(
        self, x: Any, y: Any, *, callbacks: Sequence[Any], epochs: int, **arguments: Any
    ) -> None:
        """Train.

        Raises:
            ValueError: images are to be moved at random, which Keras's `fit` does not do; or
                averaged weights are to be chosen by their loss, which it does not know.
        """
        if self.params.get("augmentation", False):
            raise ValueError(
                "callbacks that act on batches let Keras's own `fit` train, which does not augment"
                " images: set `augmentation=off`, or put the layers for it into the model"
            )
        if self.params.get("ema", 0) and self._choices():
            raise ValueError(
                "callbacks that act on batches let Keras's own `fit` train, which stops early and"
                " lowers learning rates by the weights of the moment, not by their averages: set"
                " `ema=0`, or `early_stopping=off` and another schedule than `plateau`"
            )
        reporter, *users = callbacks
        acting = [reporter, *self._choices(), *users]
        unfreeze = self.space.unfreeze
        frozen = min(int(self.params.get("frozen_epochs", 0)), epochs) if unfreeze else 0
        if frozen:
            self.model.fit(x, y, callbacks=acting, epochs=frozen, **arguments)
        if unfreeze is not None and 0 < frozen < epochs:
            compile_model(
                self.model,
                self.params,
                self.task,
                first_of(x, 8),
                steps=self.batches * (epochs - frozen),
                factor=unfreeze(self.model, self.params),
            )
        if frozen < epochs:
            self.model.fit(x, y, callbacks=acting, epochs=epochs, initial_epoch=frozen, **arguments)

    def _choices(self) -> list[Any]:
        """Return what the training choices ask for, on the model's own loss of the inner part."""
        made: list[Any] = []
        watched = {"monitor": "val_loss", "mode": "min"}
        if self.params.get("schedule") == "plateau":
            made.append(
                keras.callbacks.ReduceLROnPlateau(
                    **watched, factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE
                )
            )
        if self.params.get("early_stopping", False):
            patience = int(self.params.get("patience", 3))
            made.append(
                keras.callbacks.EarlyStopping(
                    **watched, patience=patience, restore_best_weights=True
                )
            )
        return made


@contextmanager
def _folder_of_its_own(known: Sequence[Any]) -> Iterator[None]:
    """Run code in an empty working directory, so that no two folds write over the same files.

    Keras's callbacks must write there: a checkpoint that is read back must be the fold's own.

    Args:
        known: callbacks whose paths are known to be the fold's own.
    """
    before, temporary = Path.cwd(), tempfile.tempdir
    lists = keras.callbacks.CallbackList
    set_model = lists.set_model

    def checked(self: Any, model: Any) -> None:
        for callback in self.callbacks:
            path = written_path(callback)
            if path is None or any(callback is one for one in known):
                continue
            if Path.cwd() not in Path(path).absolute().parents:
                raise ValueError(
                    f"{type(callback).__name__} writes to {path}, as that of every other fold does,"
                    " maybe at the same time: give it a relative path. Each fold's `fit` runs in an"
                    " empty folder of its own"
                )
        set_model(self, model)

    with tempfile.TemporaryDirectory(prefix="foldwise-fit-") as folder:
        os.chdir(folder)
        tempfile.tempdir = folder  # of folders that the user's code makes for this
        lists.set_model = checked
        try:
            yield
        finally:
            lists.set_model = set_model
            tempfile.tempdir = temporary
            os.chdir(before)
