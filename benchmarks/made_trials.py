"""Trials that train nothing: the records of real ones, made up. Not run by itself.

`evaluate` reports what `evaluate_trial` would, in the same order and at the same sizes, and heeds
the same verdicts; scores depend on setting, fold and epoch alone. No TensorFlow.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from statistics import fmean, stdev
from typing import Any
from zlib import crc32

from search.executors import Executor, OnRecord
from search.executors.protocol import TrialTask, Verdict
from tracking.home import Home, StudyFolder
from tracking.records import (
    EpochEnded,
    FoldEnded,
    FoldStarted,
    Record,
    TrialConfirmed,
    TrialEnded,
)

CLASSES = 10
PREDICTIONS = 20_000  # bytes of a fold's file
SUMMARY = "\n".join(f"layer {n:<24} (None, 28, 28, 32) {n * 1000:>12,}" for n in range(16))

Report = Callable[[Record], Verdict]


class InstantExecutor(Executor):
    """Evaluates made-up trials in the coordinator's own process, in no time."""

    slots = 1

    def __init__(self, folds: int) -> None:
        self._folds = folds
        self._tasks: deque[TrialTask] = deque()

    def submit(self, task: TrialTask) -> None:
        """Queue the task."""
        self._tasks.append(task)

    def wait(self, on_record: OnRecord) -> int:
        """Evaluate the oldest task."""
        task = self._tasks.popleft()
        evaluate(task, on_record, folds=self._folds)
        return task.trial

    def close(self) -> None:
        """Forget what is queued."""
        self._tasks.clear()


def evaluate(
    task: TrialTask,
    report: Report,
    *,
    folds: int,
    epoch_seconds: float = 0.0,
    folder: StudyFolder | None = None,
) -> None:
    """Report a task's records, sleeping so long for each epoch.

    Args:
        task: what to evaluate.
        report: takes a record and says how to go on.
        folds: number of the study's folds.
        epoch_seconds: seconds of an epoch.
        folder: where each fold leaves a file in place of its predictions; None for nowhere.
    """
    done = {ended.fold: ended for ended in task.finished}
    if task.stop:
        report(ended(task, done, "pruned", reason=task.stop))
        return
    for fold in task.folds:
        if fold in done:
            continue
        verdict, score = train(task, fold, report, epoch_seconds)
        if not verdict.stop:
            done[fold] = fold_ended(task, fold, score, epoch_seconds, folder)
            verdict = report(done[fold])
        if verdict.stop:
            if not verdict.halt:
                report(ended(task, done, "pruned", reason=verdict.reason))
            return
    if task.confirms:
        scores = means(done.values())
        report(TrialConfirmed(at=time.time(), trial=task.trial, repeats=2, scores=scores))
    elif len(done) == folds:
        report(ended(task, done, "complete"))


def train(
    task: TrialTask, fold: int, report: Report, epoch_seconds: float
) -> tuple[Verdict, float]:
    """Report a fold's epochs; return the last verdict, and the fold's accuracy."""
    verdict = report(FoldStarted(at=time.time(), trial=task.trial, fold=fold))
    epochs, score = int(task.parameters["epochs"]), level(task.parameters, fold)
    for epoch in range(1, epochs + 1):
        if verdict.stop:
            break
        time.sleep(epoch_seconds)
        known = metrics(score - 0.3 * (1 / epoch - 1 / epochs))
        verdict = report(
            EpochEnded(at=time.time(), trial=task.trial, fold=fold, epoch=epoch, metrics=known)
        )
    return verdict, score


def fold_ended(
    task: TrialTask, fold: int, score: float, epoch_seconds: float, folder: StudyFolder | None
) -> FoldEnded:
    """Return the record of a fold that was trained, its file in place."""
    epochs = int(task.parameters["epochs"])
    name = f"predictions/trial-{task.trial:05d}-fold-{fold:02d}.npz"
    if folder is not None:
        path = folder.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(PREDICTIONS))
    return FoldEnded(
        at=time.time(),
        trial=task.trial,
        fold=fold,
        accuracy=score,
        loss=1.3 - score,
        macro_f1=score - 0.01,
        seconds=epochs * epoch_seconds,
        epochs=epochs,
        scored_epoch=epochs,
        predictions=name,
    )


def make_study(
    home: Home,
    trials: int,
    *,
    pruner: str = "racing",
    sampler: str = "tpe",
    quiet: bool = False,
    on_record: Callable[[Record], None] = lambda _: None,
) -> None:
    """Run a study `made` of LeNet's space as `run` does, its lines included; MLflow hears nothing.

    Args:
        home: where it goes.
        trials: how many there are.
        pruner: the study's.
        sampler: the study's.
        quiet: leave the lines out.
        on_record: called with every record once it was recorded and shown.
    """
    from search.cli.live import make_display
    from search.study import session
    from search.study import workers as planned
    from search.study.opening import open_study
    from search.tracker import Tracker

    settings = {"space": "lenet", "dataset": "digits", "study": "made", "trials": trials}
    settings |= {"pruner": pruner, "sampler": sampler, "executor": "inline"}
    opened = open_study(settings, home=home, data_dir=None, notify=print)
    planned.make_executor = lambda *_, **__: InstantExecutor(opened.settings.folds)
    nowhere = Tracker(home, "http://127.0.0.1:9")
    with make_display(opened, quiet=quiet) as display:

        def observe(record: Record) -> None:
            display(record)
            on_record(record)

        session.run_session(opened, nowhere, observe=observe, notify=lambda _: None)


def level(setting: dict[str, Any], fold: int) -> float:
    """Return an accuracy: a smooth valley in every number, and some chance of setting and fold."""
    away = sum(
        (math.log10(value) + 2.7) ** 2 / 12
        if name == "learning_rate"
        else (value / 40 - 1) ** 2 / 30
        for name, value in setting.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    )
    chance = crc32(repr((sorted(setting.items()), fold)).encode()) / 2**32
    return 0.2 + 0.72 / (1 + away) + 0.02 * chance


def metrics(score: float) -> dict[str, float]:
    """Return an epoch's metrics."""
    return {
        "loss": 1.25 - score,
        "accuracy": score + 0.01,
        "val_loss": 1.3 - score,
        "val_accuracy": score,
    }


def means(folds: Iterable[FoldEnded]) -> dict[str, float]:
    """Return a trial's scores."""
    known = list(folds)
    accuracies = [fold.accuracy for fold in known]
    return {
        "cv_accuracy": fmean(accuracies),
        "cv_accuracy_std": stdev(accuracies) if len(known) > 1 else 0.0,
        "cv_loss": fmean(fold.loss for fold in known),
        "macro_f1": fmean(fold.macro_f1 for fold in known),
    }


def ended(
    task: TrialTask, done: dict[int, FoldEnded], state: str, *, reason: str = ""
) -> TrialEnded:
    """Return a trial's outcome, as large as a real one of ten classes."""
    scores = means(done.values()) if done else {}
    row = {"precision": 0.91234567, "recall": 0.91234567, "f1-score": 0.91234567, "support": 6000.0}
    names = [*map(str, range(CLASSES)), "macro avg", "weighted avg"]
    return TrialEnded(
        at=time.time(),
        trial=task.trial,
        state=state,
        value=scores.get("cv_accuracy"),
        reason=reason,
        scores=scores if state == "complete" else {},
        train_seconds=sum(fold.seconds for fold in done.values()),
        epochs_trained=sum(fold.epochs for fold in done.values()) or 1,
        model_parameters=61_706,
        confusion=[[600 - 10 * abs(i - j) for j in range(CLASSES)] for i in range(CLASSES)]
        if done
        else [],
        report={"accuracy": 0.9} | dict.fromkeys(names, row) if done else {},
        summary=SUMMARY,
        device="CPU",
    )
