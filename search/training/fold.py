"""One fold of one trial: a model is built, trained and scored. Runs in a worker."""

import gc
import time
import traceback
from collections.abc import Callable

import keras
import tensorflow as tf

from search.data.arrays import Array
from search.data.inputs import Encoder
from search.errors import machine_cause, own_files
from search.executors.protocol import FoldTask, Verdict
from search.seeds import derive
from search.tasks.classification import Predictions, macro_f1, output_units
from search.training.batches import Part
from search.training.building import Built
from search.training.fit import Diverged, Epoch, Fitted, fit
from search.training.fold_data import FoldData
from search.training.latency import latency_ms
from spaces import cause_of, value_text
from spaces.declaring.importing import shortened
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldStarted,
    Json,
    Notice,
    Record,
)

Report = Callable[[Record], Verdict]

LONGEST_ERROR, LONGEST_REASON = 20_000, 500  # characters


class _Stopped(Exception):  # not an error: the coordinator's word
    pass


def train_fold(
    data: FoldData, task: FoldTask, report: Report, *, interruptible: bool = False
) -> None:
    """Train params on one fold and score them there.

    Everything that happens goes to `report`, last a `FoldEnded`, or an `AttemptFailed` with the
    traceback of whatever went wrong: `Exception` is caught here and nowhere below. Nothing more is
    reported after a verdict to stop.

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
        """Train, score, report."""
        trial, fold = self._task.key
        self._send(FoldStarted(at=time.time(), trial=trial, fold=fold, device=_device()))
        if doubt := self._data.export_doubt(self._task.params):
            self._notice(doubt)
        started = time.monotonic()
        data, params = self._data, self._task.params
        encoder = data.learn(fold, params)
        training, validation = data.parts(fold, encoder)
        seed = derive(data.seed, "fold", fold)
        with data.built(params, encoder, seed=seed) as built:
            self._tell()
            model = self._checked(built.model, encoder)
            if self._task.describe:
                self._model = {"parameters": model.count_params(), "summary": _summary(model)}
            fitted = self._fitted(built, seed, training, validation)
            if fitted.model is model:  # what is traced anew leaves something behind
                keras.backend.clear_session(free_memory=False)
                gc.collect()
        self._send(self._ended(fitted, validation.own_labels, started, encoder))

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

    def _fitted(self, built: Built, seed: int, training: Part, validation: Part) -> Fitted:
        data = self._data

        def on_epoch(epoch: Epoch) -> None:
            metrics = dict(epoch.metrics)
            if "macro_f1" in data.objectives and epoch.values is not None:
                predictions = Predictions.of(epoch.values, validation.own_labels)
                metrics["val_macro_f1"] = macro_f1(predictions, len(data.classes))
            self._send(
                EpochEnded(
                    at=time.time(),
                    trial=self._task.trial,
                    fold=self._task.fold,
                    epoch=epoch.number,
                    metrics=metrics,
                    model=self._model if epoch.number == 1 else {},
                )
            )

        try:
            return fit(
                built.model,
                training,
                validation,
                self._task.params,
                classes=len(data.classes),
                seed=seed,
                on_epoch=on_epoch,
                unfreeze=built.unfreeze,
                programs=data.programs,
                notify=self._notice,
            )
        except Diverged as error:
            raise Diverged(f"{error} of fold {self._task.fold}") from error

    def _ended(self, fitted: Fitted, labels: Array, started: float, encoder: Encoder) -> FoldEnded:
        values, scores = fitted.chosen.values, fitted.chosen.scores
        if values is None or scores is None:
            raise RuntimeError("a fold was trained without its validation part")
        predictions, folder = Predictions.of(values, labels), self._data.folder
        path = folder.predictions(self._task.trial, self._task.fold)
        with own_files():
            predictions.save(path)
        return FoldEnded(
            at=time.time(),
            trial=self._task.trial,
            fold=self._task.fold,
            accuracy=scores.accuracy,
            loss=scores.loss,
            macro_f1=macro_f1(predictions, len(self._data.classes)),
            seconds=time.monotonic() - started,
            epochs=fitted.epochs,
            scored_epoch=fitted.chosen.number,
            predictions=str(path.relative_to(folder.root)),
            outputs=fitted.outputs.meaning,
            latency_ms=self._latency(encoder),
        )

    def _checked(self, model: object, encoder: Encoder) -> keras.Model:
        data, space = self._data, self._data.space
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"the `build` of space {space.name} must return a keras.Model; it returned"
                f" {type(model).__name__}. Does it end with `return model`?"
            )
        output_units(model, len(data.classes), self._first_sample(encoder))
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


def _summary(model: keras.Model) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    return "\n".join(lines)
