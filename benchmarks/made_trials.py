"""Folds that train nothing: the records of real ones, made up. Not run by itself.

`train` reports what `search.training.fold.train_fold` would, in the same order and at the same
sizes, and heeds the same verdicts; scores depend on params, fold and epoch alone. No TensorFlow.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np

from search.executors import Executor, OnRecord
from search.executors.protocol import FoldKey, FoldTask, Verdict
from search.tasks.classification import ClassPredictions
from tracking.home import Home, StudyFolder
from tracking.records import EpochEnded, FoldEnded, FoldStarted, Record

SUMMARY = "\n".join(f"layer {n:<24} (None, 28, 28, 32) {n * 1000:>12,}" for n in range(16))

Report = Callable[[Record], Verdict]


class InstantExecutor(Executor):
    """Trains made-up folds in the coordinator's own process, in no time.

    Args:
        folder: where each fold leaves its predictions.
        labels: true classes in each fold's validation part.
    """

    slots = 1

    def __init__(self, folder: StudyFolder, labels: list[Any]) -> None:
        self._folder = folder
        self._labels = labels
        self._tasks: deque[FoldTask] = deque()

    def submit(self, task: FoldTask) -> None:
        """Queue the task."""
        self._tasks.append(task)

    def wait(self, on_record: OnRecord) -> FoldKey:
        """Train the oldest task's fold."""
        task = self._tasks.popleft()
        train(task, on_record, self._folder, self._labels)
        return task.key

    def close(self) -> None:
        """Forget what is queued."""
        self._tasks.clear()


def train(
    task: FoldTask,
    report: Report,
    folder: StudyFolder,
    labels: list[Any],
    *,
    epoch_seconds: float = 0.0,
) -> None:
    """Report a fold's records, sleeping so long for each epoch.

    Args:
        task: the fold.
        report: takes a record and says whether to go on.
        folder: where the fold leaves its predictions.
        labels: true classes in the validation part of each of the study's folds; those that
            confirm trials take turns with them.
        epoch_seconds: seconds of an epoch.
    """
    key = {"trial": task.trial, "fold": task.fold}
    model = {"parameters": 61_706, "summary": SUMMARY} if task.describe else {}
    verdict = report(FoldStarted(at=time.time(), device="CPU", **key))
    epochs, score = int(task.params["epochs"]), level(task.params, task.fold)
    for epoch in range(1, epochs + 1):
        if verdict.stop:
            return
        time.sleep(epoch_seconds)
        shown = metrics(score - 0.3 * (1 / epoch - 1 / epochs))
        ended = EpochEnded(at=time.time(), **key, epoch=epoch, metrics=shown, model=model)
        verdict, model = report(ended), {}
    if verdict.stop:
        return
    path = folder.predictions(task.trial, task.fold)
    _predictions(labels[(task.fold - 1) % len(labels)], score).save(path)
    report(
        FoldEnded(
            at=time.time(),
            **key,
            accuracy=score,
            loss=1.3 - score,
            macro_f1=score - 0.01,
            seconds=epochs * epoch_seconds,
            epochs=epochs,
            scored_epoch=epochs,
            predictions=str(path.relative_to(folder.root)),
        )
    )


def _predictions(labels: Any, score: float) -> ClassPredictions:
    """Return predictions of which about such a share is right."""
    classes = int(labels.max()) + 1
    is_right = np.arange(len(labels)) < score * len(labels)
    predicted = np.where(is_right, labels, (labels + 1) % classes)
    shares = np.full(len(labels), 0.5, np.float32)
    return ClassPredictions(labels, predicted, shares, shares)


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
    from search.cli.live import Progress
    from search.study import autotune as planned
    from search.study import session
    from search.study.opening import open_study
    from search.tracker import Tracker

    settings = {"space": "lenet", "dataset": "digits", "study": "made", "trials": trials}
    settings |= {"pruner": pruner, "sampler": sampler, "executor": "inline"}
    opened = open_study(settings, home=home, data_dir=None, notify=print)
    labels = np.asarray(opened.dataset.train_labels)
    parts = [labels[part] for part in opened.folds.validation]
    planned.make_executor = lambda *_, **__: InstantExecutor(opened.folder, parts)
    nowhere = Tracker(home, "http://127.0.0.1:9")
    with Progress(quiet=quiet)(opened) as display:

        def observe(record: Record) -> None:
            display(record)
            on_record(record)

        session.run_session(opened, nowhere, observe=observe, notify=lambda _: None)


def level(params: dict[str, Any], fold: int) -> float:
    """Return an accuracy: a smooth valley in every number, and some chance of setting and fold."""
    away = sum(
        (math.log10(value) + 2.7) ** 2 / 12
        if name == "learning_rate"
        else (value / 40 - 1) ** 2 / 30
        for name, value in params.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    )
    chance = crc32(repr((sorted(params.items()), fold)).encode()) / 2**32
    return 0.2 + 0.72 / (1 + away) + 0.02 * chance


def metrics(score: float) -> dict[str, float]:
    """Return an epoch's metrics."""
    return {
        "loss": 1.25 - score,
        "accuracy": score + 0.01,
        "val_loss": 1.3 - score,
        "val_accuracy": score,
    }
