"""One trial: a setting goes over the folds and comes back as a value. Runs in a worker."""

import gc
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from search.data.arrays import Array
from search.data.folds import CONFIRMATIONS
from search.data.inputs import Encoder
from search.errors import DataError, machine_cause, own_files
from search.executors.protocol import TrialTask, Verdict
from search.seeds import derive
from search.tasks.classification import (
    Predictions,
    classification_report,
    confusion_matrix,
    macro_f1,
    output_units,
)
from search.training.batches import Part
from search.training.building import Built
from search.training.fit import Diverged, Epoch, Fitted, fit
from search.training.fold_data import Bench
from search.training.latency import latency_ms
from spaces import Settings, cause_of, value_text
from spaces.declaring.importing import shortened
from tracking.objectives import OBJECTIVES
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldStarted,
    Notice,
    Record,
    TrialConfirmed,
    TrialEnded,
)

Report = Callable[[Record], Verdict]

LONGEST_ERROR, LONGEST_REASON = 20_000, 500  # characters


class _Stopped(Exception):  # not an error: the coordinator's word
    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


def evaluate_trial(
    bench: Bench, task: TrialTask, report: Report, *, interruptible: bool = False
) -> None:
    """Evaluate a setting on those folds of a task that are not finished yet.

    Everything that happens goes to `report`, last a `TrialEnded` if the trial is over (a
    `TrialConfirmed` if the task confirms it). This is the trial boundary: whatever goes wrong
    inside becomes a failed trial with its traceback, or an `AttemptFailed` where memory or disk
    room did not suffice.

    Args:
        bench: the study's data and space.
        task: the setting and its folds.
        report: takes a record and says how to go on.
        interruptible: whether a KeyboardInterrupt is the user's; else it is the space's own.
    """
    trial = _Trial(bench, task, report)
    try:
        trial.run()
    except _Stopped as stop:
        if not stop.verdict.halt:
            report(trial.ended("pruned", reason=stop.verdict.reason))
    except BaseException as error:  # the trial boundary
        if interruptible and isinstance(error, KeyboardInterrupt):
            raise
        listed = _listed(task.parameters)
        told = shortened(f"{traceback.format_exc()}\nThe setting: {listed}\n", LONGEST_ERROR)
        cause, reason = _cause(error), cause_of(error, LONGEST_REASON)
        if cause:
            at = time.time()
            report(AttemptFailed(at=at, trial=task.trial, cause=cause, reason=reason, error=told))
        elif task.confirms:
            report(trial.confirmed(reason=reason, error=told))
        else:
            report(trial.ended("failed", reason=reason, error=told))


class _Trial:
    def __init__(self, bench: Bench, task: TrialTask, report: Report) -> None:
        self._bench = bench
        self._task = task
        self._report = report
        self._folds: dict[int, FoldEnded] = {ended.fold: ended for ended in task.finished}
        self._predictions: dict[int, Predictions] = {}
        self._epochs_unfinished = 0
        self._fold_began = 0.0
        self._weights = 0
        self._summary = ""

    def run(self) -> None:
        """Train what is left; end the trial where that was the last of it."""
        lost = self._read_predictions()
        if self._task.stop:
            self._describe_anew()
            raise _Stopped(Verdict(stop=True, reason=self._task.stop))
        for fold, fault in lost.items():
            text = f"trial {self._task.trial}, fold {fold} is trained again: {fault}"
            self._send(Notice(at=time.time(), text=text, trial=self._task.trial))
            del self._folds[fold]
        for fold in self._task.folds:
            if fold not in self._folds:
                self._send(FoldStarted(at=time.time(), trial=self._task.trial, fold=fold))
                if doubt := self._bench.export_doubt(self._task.parameters):
                    self._notice(doubt)
                self._folds[fold] = self._evaluate(fold)
                self._epochs_unfinished = 0
                self._send(self._folds[fold])
        if self._task.confirms:
            self._report(self.confirmed())
        elif len(self._folds) == len(self._bench.folds):
            if not self._summary:  # every fold was finished in an earlier session
                self._describe_anew()
            self._report(self.ended("complete"))

    def _read_predictions(self) -> dict[int, str]:
        """Read the predictions of the finished folds; return what is wrong, by fold."""
        lost = {}
        for fold, ended in self._folds.items():
            path = self._bench.folder.root / ended.predictions
            try:
                labels = self._bench.validation_labels(fold)
                self._predictions[fold] = Predictions.load(path, labels=labels)
            except DataError as error:
                lost[fold] = str(error)
        return lost

    def confirmed(self, *, reason: str = "", error: str = "") -> TrialConfirmed:
        """Return the record that tells how the further folds went."""
        folds = [self._folds[fold] for fold in sorted(self._folds)]
        return TrialConfirmed(
            at=time.time(),
            trial=self._task.trial,
            repeats=CONFIRMATIONS,
            scores={} if error else _means(folds) | {"macro_f1": _mean(folds, "macro_f1")},
            reason=reason,
            error=error,
        )

    def ended(self, state: str, *, reason: str = "", error: str = "") -> TrialEnded:
        """Return the trial's last record, with the scores its finished folds allow."""
        finished = [self._folds[fold] for fold in sorted(self._folds)]
        predictions = [self._predictions[n] for n in sorted(self._folds) if n in self._predictions]
        is_whole = 0 < len(finished) == len(predictions)
        joined = Predictions.joined(predictions) if is_whole else None
        classes = self._bench.classes
        scores = {}
        if state == "complete" and joined is not None:
            scores = _means(finished) | {"macro_f1": macro_f1(joined, len(classes))}
            scores |= self._measured()
        return TrialEnded(
            at=time.time(),
            trial=self._task.trial,
            state=state,
            value=self._value(state, finished, scores),
            reason=reason,
            scores=scores,
            train_seconds=sum(fold.seconds for fold in finished) + self._seconds_unfinished(),
            epochs_trained=sum(fold.epochs for fold in finished) + self._epochs_unfinished,
            model_parameters=self._weights,
            confusion=confusion_matrix(joined, len(classes)) if joined else [],
            report=classification_report(joined, classes) if joined else {},
            summary=self._summary,
            device=_device(),
            error=error,
        )

    def _seconds_unfinished(self) -> float:
        return time.monotonic() - self._fold_began if self._epochs_unfinished else 0.0

    def _evaluate(self, fold: int) -> FoldEnded:
        started = self._fold_began = time.monotonic()
        bench, setting = self._bench, self._task.parameters
        encoder = bench.learn(fold, setting)
        training, validation = bench.parts(fold, encoder)
        seed = derive(bench.seed, "fold", fold)
        with bench.built(setting, encoder, seed=seed) as built:
            self._tell()
            model = self._checked(built.model, encoder)
            self._describe(model)
            fitted = self._fitted(fold, built, seed, training, validation)
            if fitted.model is model:  # what is traced anew leaves something behind
                keras.backend.clear_session(free_memory=False)
                gc.collect()
        return self._fold_ended(fold, fitted, validation.own_labels, started)

    def _fitted(
        self, fold: int, built: Built, seed: int, training: Part, validation: Part
    ) -> Fitted:
        bench = self._bench

        def on_epoch(epoch: Epoch) -> None:
            self._epochs_unfinished = epoch.number
            metrics = dict(epoch.metrics)
            if "macro_f1" in bench.objectives and epoch.values is not None:
                predictions = Predictions.of(epoch.values, validation.own_labels)
                metrics["val_macro_f1"] = macro_f1(predictions, len(bench.classes))
            self._send(
                EpochEnded(
                    at=time.time(),
                    trial=self._task.trial,
                    fold=fold,
                    epoch=epoch.number,
                    metrics=metrics,
                )
            )

        try:
            return fit(
                built.model,
                training,
                validation,
                self._task.parameters,
                classes=len(bench.classes),
                seed=seed,
                on_epoch=on_epoch,
                thaw=built.thaw,
                programs=bench.programs,
                notify=self._notice,
            )
        except Diverged as error:
            raise Diverged(f"{error} of fold {fold}") from error

    def _fold_ended(self, fold: int, fitted: Fitted, labels: Array, started: float) -> FoldEnded:
        values, scores = fitted.chosen.values, fitted.chosen.scores
        if values is None or scores is None:
            raise RuntimeError("a fold was trained without its validation part")
        predictions = self._predictions[fold] = Predictions.of(values, labels)
        path = self._bench.folder.predictions(self._task.trial, fold)
        with own_files():
            predictions.save(path)
        return FoldEnded(
            at=time.time(),
            trial=self._task.trial,
            fold=fold,
            accuracy=scores.accuracy,
            loss=scores.loss,
            macro_f1=macro_f1(predictions, len(self._bench.classes)),
            seconds=time.monotonic() - started,
            epochs=fitted.epochs,
            scored_epoch=fitted.chosen.number,
            predictions=str(path.relative_to(self._bench.folder.root)),
            outputs=fitted.outputs.meaning,
        )

    def _checked(self, model: object, encoder: Encoder) -> keras.Model:
        bench, space = self._bench, self._bench.space
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"the `build` of space {space.name} must return a keras.Model; it returned"
                f" {type(model).__name__}. Does it end with `return model`?"
            )
        first = bench.folds.train[0][:1]
        output_units(model, len(bench.classes), bench.inputs.take(encoder, first))
        return model

    @contextmanager
    def _model(self) -> Iterator[tuple[keras.Model, Encoder]]:
        """Yield a model of the setting, not trained, and the encoder of its inputs."""
        encoder = self._bench.learn(1, self._task.parameters)
        with self._bench.built(self._task.parameters, encoder) as built:
            yield self._checked(built.model, encoder), encoder

    def _describe_anew(self) -> None:
        with self._model() as (model, _):
            self._describe(model)

    def _tell(self) -> None:
        """Report what was found out about the space's models."""
        notices = self._bench.models.notices
        while notices:
            self._notice(notices.pop(0))

    def _measured(self) -> dict[str, float]:
        if "latency_ms" not in self._bench.objectives:
            return {}
        first = self._bench.folds.train[0][:1]
        with self._model() as (model, encoder):
            return {"latency_ms": latency_ms(model, self._bench.inputs.take(encoder, first))}

    def _value(
        self, state: str, finished: list[FoldEnded], scores: dict[str, float]
    ) -> float | None:
        objective = OBJECTIVES[self._bench.objectives[0]]
        if state == "complete":
            return scores[objective.name]
        return _mean(finished, objective.fold) if finished and state == "pruned" else None

    def _notice(self, text: str) -> None:
        self._send(Notice(at=time.time(), trial=self._task.trial, text=text))

    def _describe(self, model: keras.Model) -> None:
        if not self._summary:
            lines: list[str] = []
            model.summary(print_fn=lines.append)
            self._weights, self._summary = model.count_params(), "\n".join(lines)

    def _send(self, record: Record) -> None:
        verdict = self._report(record)
        if verdict.stop:
            raise _Stopped(verdict)


def _cause(error: BaseException) -> str:
    """Return which want on the machine's side an error tells of, if it does."""
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        return "memory"
    return machine_cause(error)


def _listed(setting: Settings) -> str:
    return ", ".join(f"{name}={value_text(value)}" for name, value in setting.items())


def _device() -> str:
    return "GPU" if tf.config.list_logical_devices("GPU") else "CPU"


def _means(folds: list[FoldEnded]) -> dict[str, float]:
    """Return the means over folds, and the spread of their accuracies."""
    accuracies = [fold.accuracy for fold in folds]
    return {
        "cv_accuracy": statistics.fmean(accuracies),
        "cv_accuracy_std": statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        "cv_loss": _mean(folds, "loss"),
    }


def _mean(folds: list[FoldEnded], name: str) -> float:
    return statistics.fmean(getattr(fold, name) for fold in folds)
