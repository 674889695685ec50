"""What a worker is asked for: train and score one fold of one trial, or measure how fast it is."""

import gc
import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from search.data.arrays import Array
from search.data.inputs import Encoder
from search.errors import machine_cause, own_files
from search.executors.protocol import FoldTask, Probe, ProbeResult, Verdict
from search.seeds import derive
from search.tasks import Scored
from search.tasks.models import output_units, summary_of
from search.tasks.thresholds import DecidingOutputs
from search.training.batches import Batches, Part, lengths_of, shuffled, spread
from search.training.building import Built
from search.training.checkpoint import CannotGoOn, Pause, Paused
from search.training.compiling import compile_model
from search.training.fit import Diverged, Epoch, Fitted
from search.training.fold_data import FoldData
from search.training.own_fit import fit_built
from search.training.program import Program
from search.training.scoring import measured, printable
from search.training.streaming import Streamed, some_of
from search.training.targets import Scores, targets_for
from spaces import cause_of, fold_callbacks, value_text
from spaces.declaring.importing import shortened
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    Json,
    Notice,
    Record,
)

Report = Callable[[Record], Verdict]

LONGEST_ERROR, LONGEST_REASON = 20_000, 500  # characters

WARM_UP, TIMED = 10, 60
ROUND = 16  # batches between two looks at the clock
CHECKED = 2_000  # samples, at most


class _Stopped(Exception):  # not an error: the coordinator's word
    pass


def train_fold(
    data: FoldData, task: FoldTask, report: Report, *, interruptible: bool = False
) -> None:
    """Train params on one fold and score them there.

    Everything that happens goes to `report`, last a `FoldEnded`, a `FoldPaused`, or an
    `AttemptFailed` with the traceback of whatever went wrong: `Exception` is caught here and
    nowhere below. Nothing more is reported after a verdict to stop.

    Args:
        data: the study's data and space.
        task: the params and the fold.
        report: takes a record and says whether to go on.
        interruptible: whether a KeyboardInterrupt is the user's; else it is the space's own.
    """
    fold = _Fold(data, task, report)
    try:
        fold.train()
    except _Stopped:
        pass
    except BaseException as error:  # the boundary
        if interruptible and isinstance(error, KeyboardInterrupt):
            raise
        fold.break_off(error)


class _Fold:
    def __init__(self, data: FoldData, task: FoldTask, report: Report) -> None:
        self._data = data
        self._task = task
        self._report = report
        self._model: Json = {}  # what it is, once it is built, where the task asks

    def train(self) -> None:
        """Train, score, report; or pause, where the task says so.

        What was kept of the fold turns out only once its model is built whether it can be gone on
        with; where it cannot, training begins with the first epoch.
        """
        pause = self._pause()
        try:
            self._train(pause)
        except CannotGoOn:
            self._train(None if pause is None else replace(pause, after=0))

    def _pause(self) -> Pause | None:
        """Return where to pause and what was kept; None for neither."""
        task = self._task
        if not (task.until or task.kept):
            return None
        return Pause.of(
            self._data.folder.checkpoint(*task.key),
            task.params,
            self._data.precision,
            until=task.until,
            after=task.kept,
        )

    def _train(self, pause: Pause | None) -> None:
        trial, fold = self._task.key
        started = FoldStarted(at=time.time(), trial=trial, fold=fold, device=_device())
        self._send(started if pause is None else replace(started, kept=pause.after))
        if doubt := self._data.export_doubt(self._task.params):
            self._notice(doubt)
        began = time.monotonic()
        data, params = self._data, self._task.params
        encoder = data.learn(fold, params)
        training, validation = data.parts(fold, encoder)
        if isinstance(training.inputs, Streamed):
            self._notice(training.inputs.notice)
        seed = derive(data.seed, "fold", fold)
        with data.built(params, encoder, seed=seed) as built:
            self._tell()
            model = self._checked(built.model, encoder)
            if self._task.describe:
                self._model = {"parameters": model.count_params(), "summary": summary_of(model)}
            fitted = self._fitted(built, seed, training, validation, pause)
            if fitted.model is model or fitted.model is None:
                # What is traced anew leaves something behind.
                keras.backend.clear_session(free_memory=False)
                gc.collect()
        seconds = time.monotonic() - began
        if isinstance(fitted, Paused):
            epoch = fitted.epoch
            self._send(
                FoldPaused(at=time.time(), trial=trial, fold=fold, epoch=epoch, seconds=seconds)
            )
            return
        self._send(self._ended(fitted, validation, began, encoder))

    def break_off(self, error: BaseException) -> None:
        """Report what went wrong."""
        listed = ", ".join(f"{k}={value_text(v)}" for k, v in self._task.params.items())
        told = shortened(f"{traceback.format_exc()}\nThe params: {listed}\n", LONGEST_ERROR)
        self._report(
            AttemptFailed(
                at=time.time(),
                trial=self._task.trial,
                fold=self._task.fold,
                cause=_cause(error),
                reason=cause_of(error, LONGEST_REASON),
                error=told,
                model=self._model,
            )
        )

    def _tell(self) -> None:
        """Report what was found out about the space's models."""
        notices = self._data.models.notices
        while notices:
            self._notice(notices.pop(0))

    def _fitted(
        self, built: Built, seed: int, training: Part, validation: Part, pause: Pause | None
    ) -> Fitted | Paused:
        data = self._data

        def on_epoch(epoch: Epoch) -> None:
            self._send(
                EpochEnded(
                    at=time.time(),
                    trial=self._task.trial,
                    fold=self._task.fold,
                    epoch=epoch.number,
                    metrics=dict(epoch.metrics),
                    model=self._model if epoch.number == 1 else {},
                )
            )

        try:
            return fit_built(
                built,
                training,
                validation,
                self._task.params,
                task=data.task,
                seed=seed,
                on_epoch=on_epoch,
                watched=data.scoring.watched,
                own=data.scoring.own,
                scaling=data.scaling,
                tuned_by=data.scoring.tuned_by,
                callbacks=fold_callbacks(
                    built.space, data.callbacks, self._task.params, *self._task.key
                ),
                programs=data.programs,
                notify=self._notice,
                pause=pause,
            )
        except Paused as paused:
            return paused.with_traceback(None)  # which has the model
        except Diverged as error:
            raise Diverged(f"{error} of fold {self._task.fold}") from error

    def _ended(
        self, fitted: Fitted, validation: Part, started: float, encoder: Encoder
    ) -> FoldEnded:
        values, scores = fitted.chosen.values, fitted.chosen.scores
        if values is None or scores is None:
            raise RuntimeError("a fold was trained without its validation part")
        outputs, task = fitted.outputs, self._data.task
        predictions = task.predicted(values, validation.own_labels, outputs)
        metrics = self._metrics(fitted, values, scores, validation)
        folder = self._data.folder
        path = folder.predictions(self._task.trial, self._task.fold)
        with own_files():
            predictions.save(path)
        of_classes = task.has_classes  # which have fields of their own
        return FoldEnded(
            at=time.time(),
            trial=self._task.trial,
            fold=self._task.fold,
            accuracy=metrics.pop("accuracy") if of_classes else None,
            loss=scores.loss,
            macro_f1=metrics.pop("macro_f1") if of_classes else None,
            metrics=metrics,
            seconds=time.monotonic() - started,
            epochs=fitted.epochs,
            scored_epoch=fitted.chosen.number,
            predictions=str(path.relative_to(folder.root)),
            outputs=outputs.meaning,
            thresholds=list(outputs.thresholds) if isinstance(outputs, DecidingOutputs) else [],
            latency_ms=self._latency(encoder),
        )

    def _metrics(
        self, fitted: Fitted, values: Array, scores: Scores, validation: Part
    ) -> dict[str, float]:
        """Return all metrics of the epoch that is scored; one that is no objective may be left out.

        Raises:
            ValueError: one of an objective cannot be computed.
        """
        scoring, of_epoch = self._data.scoring, scores.metrics
        names = [f"val_{printable(name)}" for name in scoring.own]
        found = {name: fitted.chosen.metrics[name] for name in names}
        for metric in scoring.recorded:
            if metric in scoring.watched:
                found[metric.name] = of_epoch[metric.name]
                continue
            try:
                found[metric.name] = measured(
                    metric, values, validation.own_labels, validation.metric_weights, fitted.outputs
                )
            except ValueError as error:
                self._notice(f"{error}. It is left out")
        return found

    def _checked(self, model: object, encoder: Encoder) -> keras.Model:
        data, space = self._data, self._data.space
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"the `build` of space {space.name} must return a keras.Model; it returned"
                f" {type(model).__name__}. Does it end with `return model`?"
            )
        output_units(model, data.task, self._first_sample(encoder))
        return model

    def _first_sample(self, encoder: Encoder) -> Array:
        return self._data.inputs.take(encoder, self._data.folds.train[0][:1])

    def _latency(self, encoder: Encoder) -> float | None:
        """Measure a model of the params, not trained, where that is an objective."""
        if "latency_ms" not in self._data.objectives or not self._task.describe:
            return None
        with self._data.built(self._task.params, encoder) as built:
            return latency_ms(built.model, self._first_sample(encoder))

    def _notice(self, text: str) -> None:
        self._send(Notice(at=time.time(), trial=self._task.trial, text=text))

    def _send(self, record: Record) -> None:
        if self._report(record).stop:
            raise _Stopped


def _cause(error: BaseException) -> str:
    """Return which fault on the machine's side an error tells of, or `error`."""
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        return "memory"
    return machine_cause(error) or "error"


def _device() -> str:
    return "GPU" if tf.config.list_logical_devices("GPU") else "CPU"


def latency_ms(model: keras.Model, sample: Array) -> float:
    """Return the median milliseconds of a prediction at batch size 1 on this machine.

    Weights do not matter, so the model need not be trained. The first calls, which trace and
    allocate, are not timed.

    Args:
        model: built.
        sample: `(1, ...)`, as the model receives it.
    """
    predict = tf.function(lambda inputs: model(inputs, training=False))
    inputs = tf.constant(sample)
    seconds = [_timed(predict, inputs) for _ in range(WARM_UP + TIMED)]
    return statistics.median(seconds[WARM_UP:]) * 1000


def _timed(predict: tf.types.experimental.PolymorphicFunction, inputs: tf.Tensor) -> float:
    started = time.perf_counter()
    # Outputs that lie on a device are only there once they are fetched.
    [tensor.numpy() for tensor in tf.nest.flatten(predict(inputs))]
    return time.perf_counter() - started


def measure(data: FoldData, probe: Probe) -> ProbeResult:
    """Train a setting on the first fold for a moment and return how that went.

    The first batches, which trace and allocate, are not timed.
    """
    try:
        return _measured(data, probe)
    finally:
        keras.backend.clear_session(free_memory=False)


def _measured(data: FoldData, probe: Probe) -> ProbeResult:
    params = probe.params
    encoder = data.learn(1, params)
    training, validation = data.parts(1, encoder)
    seed = derive(data.seed, "fold", 1)
    with replace(data, precision=probe.precision).built(params, encoder, seed=seed) as built:
        return _trained(data, probe, built.model, training, validation)


def _trained(
    data: FoldData, probe: Probe, model: keras.Model, training: Part, validation: Part
) -> ProbeResult:
    params, task = probe.params, data.task
    some = some_of(training.inputs)
    compile_model(model, params, task, some, steps=1_000)
    program = Program(model, training.inputs, names=task.outputs)
    learned = training.own_labels, training.own_weights
    targets = targets_for(model, task, some, *learned, scaling=data.scaling)
    wanted = (targets.encode(training.labels),)
    batches = shuffled(
        training.indices,
        batch_size=int(params["batch_size"]),
        seed=data.seed,
        epoch=0,
        lengths=lengths_of(training.inputs) if program.trims else None,
    )
    rows = spread(validation.indices, CHECKED)
    program.train(training.inputs, wanted, _some(batches, 0, 2), seed=0)
    program.outputs(training.inputs, rows)
    began, done, samples = time.perf_counter(), 0, 0
    while done < probe.steps if probe.steps else time.perf_counter() < began + probe.seconds:
        piece = _some(batches, done, ROUND)
        program.train(training.inputs, wanted, piece, seed=0)
        done, samples = done + len(piece), samples + len(piece.order)
    seconds = time.perf_counter() - began
    found = program.outputs(training.inputs, rows)
    checked = validation.labels[rows]
    values, loss = targets.score(found, checked)
    accuracy = task.metric("accuracy")
    score = -loss if accuracy is None else accuracy.of(Scored(values, checked))
    return ProbeResult(samples, seconds, done, score, len(rows))


def _some(batches: Batches, first: int, count: int) -> Batches:
    """Return so many of the batches from `first` on, beginning anew after the last."""
    chosen = np.arange(first, first + count) % len(batches)
    pieces = [batches.order[batches.ends[i] : batches.ends[i + 1]] for i in chosen]
    return Batches(
        np.concatenate(pieces),
        np.cumsum([0, *map(len, pieces)]),
        None if batches.longest is None else batches.longest[chosen],
    )
