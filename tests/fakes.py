"""Stand-ins that behave like the real thing, fast: no TensorFlow, no processes."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from search.executors import Executor, OnRecord
from search.executors.protocol import FoldKey, FoldTask
from search.tasks import Classification
from spaces import DataSpec, ImageInput, Parameter, Params, Space
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    Record,
    TrialEnded,
)

Score = Callable[[Params, int], float]


class ScriptedExecutor(Executor):
    """Trains folds by a function of params and fold.

    Keeps the (trial, fold) pairs it "trained" from the first epoch on, and all it was given. After
    `interrupt_after` of these it raises KeyboardInterrupt, as Ctrl-C would: in the next fold, or
    with `before_verdict` while the
    coordinator's word on that fold is on its way. A score below 0 fails the fold. Each entry of
    `breaks`, trial, fold and cause, breaks that fold off once; with fold 0 it is the trial's first
    after it has ended. With several slots the earliest trial's fold is trained first, or, with
    `side_by_side`, all take turns epoch by epoch. Records are as `told` makes them. Keeps the
    params it was given.
    """

    def __init__(
        self,
        score: Score,
        interrupt_after: int | None = None,
        before_verdict: bool = False,
        breaks: Sequence[tuple[int, int, str]] = (),
        slots: int = 1,
        side_by_side: bool = False,
        told: Callable[[Record], Record] = lambda record: record,
    ) -> None:
        self.slots = slots
        self._told = told
        self._side_by_side = side_by_side
        self._breaks = list(breaks)
        self.params: list[Params] = []
        self._score = score
        self._left = interrupt_after
        self._before_verdict = before_verdict
        self._running: list[tuple[FoldTask, Iterator[Record]]] = []
        self.trained: list[tuple[int, int]] = []
        self.given: list[tuple[int, int]] = []

    def submit(self, task: FoldTask) -> None:
        assert len(self._running) < self.slots
        self.params.append(task.params)
        self.given.append(task.key)
        self._running.append((task, self._train(task)))

    def wait(self, on_record: OnRecord) -> FoldKey:
        while True:
            first = 0 if self._side_by_side else min(range(len(self._running)), key=self._trial)
            task, records = self._running.pop(first)
            record = next(records, None)
            if record is None or on_record(self._told(record)).stop:
                return task.key
            self._running.append((task, records))

    def _trial(self, place: int) -> int:
        return self._running[place][0].trial

    def close(self) -> None:
        self._running.clear()

    def _broken_by(self, trial: int, fold: int) -> str:
        for entry in self._breaks:
            if entry[:2] == (trial, fold):
                self._breaks.remove(entry)
                return entry[2]
        return ""

    def _train(self, task: FoldTask) -> Iterator[Record]:
        trial, fold = task.key
        yield FoldStarted(at=time.time(), trial=trial, fold=fold, kept=task.kept)
        cause = self._broken_by(trial, fold)
        if cause:
            yield attempt_failed(trial, cause, fold)
            return
        if self._left is not None:
            if self._left == 0:
                raise KeyboardInterrupt
            self._left -= 1
        if not task.kept:
            self.trained.append((trial, fold))
        score = self._score(task.params, fold)
        if score < 0:
            yield attempt_failed(trial, "error", fold, reason="a bad setting")
            return
        epochs = int(task.params.get("epochs", 1))
        until = task.until or epochs
        for epoch in range(task.kept + 1, until + 1):
            yield epoch_ended(trial, fold, epoch, score * epoch / epochs)
        yield fold_paused(task, until) if until < epochs else fold_ended(trial, fold, score)
        if self._before_verdict and self._left == 0:
            raise KeyboardInterrupt
        cause = self._broken_by(trial, 0)
        if cause:
            yield attempt_failed(trial, cause, fold)


def toy_space(*parameters: Parameter) -> Space:
    """A space that is never built."""

    def build(parameters: object, data: DataSpec) -> None:
        raise NotImplementedError

    return Space(
        name="toy",
        dataset="digits",
        inputs=ImageInput(size=(8, 8)),
        parameters=parameters,
        build=build,
    )


def fold_ended(trial: int, fold: int, accuracy: float) -> FoldEnded:
    return FoldEnded(
        at=time.time(),
        trial=trial,
        fold=fold,
        accuracy=accuracy,
        loss=1.0 - accuracy,
        macro_f1=accuracy,
        seconds=0.1,
        epochs=1,
        predictions=f"predictions/trial-{trial:05d}-fold-{fold:02d}.npz",
    )


def fold_paused(task: FoldTask, epoch: int) -> FoldPaused:
    return FoldPaused(at=time.time(), trial=task.trial, fold=task.fold, epoch=epoch, seconds=0.01)


def ended(
    trial: int,
    state: str,
    value: float | None,
    *,
    reason: str = "",
    accuracy: float | None = None,
) -> TrialEnded:
    known = value if accuracy is None else accuracy
    scores = {} if known is None or state != "complete" else _scores(known)
    return TrialEnded(
        at=time.time(), trial=trial, state=state, value=value, reason=reason, scores=scores
    )


def attempt_failed(trial: int, cause: str, fold: int = 1, *, reason: str = "") -> AttemptFailed:
    told = reason or f"it broke off: {cause}"
    return AttemptFailed(at=time.time(), trial=trial, fold=fold, cause=cause, reason=told)


def epoch_ended(trial: int, fold: int, epoch: int, shown: float) -> EpochEnded:
    metrics = {
        "loss": 1.0,
        "accuracy": 0.5,
        "val_accuracy": shown,
        "val_loss": 1.0 - shown,
        "val_macro_f1": shown,
    }
    return EpochEnded(at=time.time(), trial=trial, fold=fold, epoch=epoch, metrics=metrics)


def by_metrics(record: Record, **metrics: Callable[[float], float]) -> Record:
    """Return a record of another task: with metrics that are made of what was its accuracy."""
    if isinstance(record, EpochEnded):
        shown = record.metrics["val_accuracy"]
        made = {f"val_{name}": of(shown) for name, of in metrics.items()}
        return replace(record, metrics={"loss": 1.0, "val_loss": 1.0 - shown} | made)
    if isinstance(record, FoldEnded) and record.accuracy is not None:
        made = {name: of(record.accuracy) for name, of in metrics.items()}
        return replace(record, accuracy=None, macro_f1=None, metrics=made)
    return record


def _scores(accuracy: float) -> dict[str, float]:
    return {"cv_accuracy": accuracy, "cv_loss": 1.0 - accuracy, "macro_f1": accuracy}


def some_classes(count: int) -> Classification:
    """Return the task of naming one of so many classes."""
    return Classification(tuple(f"class {number}" for number in range(count)))
