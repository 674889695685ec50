"""Recorded learning curves, replayed through a study's own loop.

The product's loop, pruners and drivers run; only the executor is another one: it reads the curves
that `recording.py` wrote instead of training.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from recording import read_table

from search.executors import Executor, OnRecord
from search.executors.protocol import FoldKey, FoldTask
from search.study.budget import Budget
from search.study.drivers import FixedDriver
from search.study.feedback import Feedback
from search.study.loop import Study
from search.study.pruners import Pruner
from search.study.pruners.base import Rung, Scoreboard
from search.tasks.metrics import direction_of
from tracking.event_log import EventLog
from tracking.history import History
from tracking.objectives import OBJECTIVES, Objective
from tracking.records import (
    CLASSIFICATION,
    REGRESSION,
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    StudyStarted,
)

# By names, before any was recorded; but fashion_mnist-mlp and hpc-mlp have changed places since,
# as the first had been looked at before rules were fixed. The others are for reporting alone.
CHOSEN_BY = frozenset(
    {
        "digits-mlp",
        "mnist-mlp",
        "fashion_mnist-mlp",
        "hpc-mlp-epochs",
        "churn-mlp",
        "cells-mlp",
        "ames-mlp",
        "deliveries-mlp",
        "digits-lenet",
        "sst2-bilstm",
        # What earlier rules were chosen by.
        "diabetes-mlp",
        "fashion_mnist-lenet-8000",
        "fashion_mnist-mlp-cosine",
    }
)


@dataclass(frozen=True)
class Curves:
    """Recorded trainings of many settings drawn at random.

    Attributes:
        name: the table's.
        objective: the metric that was recorded.
        values: that metric of each setting's validation parts, (folds, epochs).
        loss: validation loss, likewise.
        seconds: of each epoch, likewise.
        independent: mean metric of a setting's models of plain Keras on samples that took no part,
            (settings,).
    """

    name: str
    objective: Objective
    values: list[Any]
    loss: list[Any]
    seconds: list[Any]
    independent: Any

    @property
    def folds(self) -> int:
        """How many folds each setting was trained on."""
        return len(self.values[0])

    def epochs(self, number: int) -> int:
        """Return how many epochs a setting has."""
        return int(self.values[number].shape[1])

    @property
    def spread(self) -> float:
        """Mean over settings of the standard deviation of a setting's folds."""
        return float(np.mean([each[:, -1].std(ddof=1) for each in self.values]))

    @classmethod
    def load(cls, path: Path, *, baselines: bool = False) -> "Curves":
        """Read a table, by default without its baselines."""
        header, lines = read_table(path)
        lines = [line for line in lines if baselines or not line["origin"]]
        name = next(n for n in lines[0] if n.startswith("val_") and n != "val_loss")[4:]
        return cls(
            name=header["table"],
            objective=_objective(name),
            values=[np.array(line[f"val_{name}"]) for line in lines],
            loss=[np.array(line["val_loss"]) for line in lines],
            seconds=[np.array(line["seconds"]) for line in lines],
            independent=np.array([line[f"independent_{name}"] for line in lines]).mean(axis=1),
        )


def _objective(metric: str) -> Objective:
    if metric == "accuracy":
        return OBJECTIVES["cv_accuracy"]
    return Objective(f"cv_{metric}", bool(direction_of(metric)), "", metric, f"val_{metric}")


class Recorded(Executor):
    """Reads what training would have given; keeps count.

    Attributes:
        epochs: number of epochs "trained".
        seconds: recorded time of these.
    """

    def __init__(self, curves: Curves) -> None:
        self._curves = curves
        self._tasks: deque[FoldTask] = deque()
        self.epochs = 0
        self.seconds = 0.0

    def submit(self, task: FoldTask) -> None:
        """Queue it."""
        self._tasks.append(task)

    def wait(self, on_record: OnRecord) -> FoldKey:
        """Tell the oldest task's curves."""
        task = self._tasks.popleft()
        number, (trial, fold) = int(task.params["number"]), task.key
        objective = self._curves.objective
        values = self._curves.values[number][fold - 1]
        loss = self._curves.loss[number][fold - 1]
        on_record(FoldStarted(at=0.0, trial=trial, fold=fold, kept=task.kept))
        until = task.until or len(values)
        for epoch in range(task.kept + 1, until + 1):
            self.epochs += 1
            self.seconds += float(self._curves.seconds[number][fold - 1, epoch - 1])
            metrics = {
                objective.epoch: float(values[epoch - 1]),
                "val_loss": float(loss[epoch - 1]),
            }
            shown = EpochEnded(at=0.0, trial=trial, fold=fold, epoch=epoch, metrics=metrics)
            if on_record(shown).stop:
                return task.key
        if until < len(values):
            on_record(FoldPaused(at=0.0, trial=trial, fold=fold, epoch=until))
            return task.key
        on_record(
            FoldEnded(
                at=0.0,
                trial=trial,
                fold=fold,
                metrics={objective.fold: float(values[-1])},
                loss=float(loss[-1]),
                seconds=0.0,
                predictions="",
                epochs=len(values),
            )
        )
        return task.key

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Strategy:
    """A way to evaluate proposals.

    Attributes:
        pruner: makes its pruner.
        folds: how many folds it uses; None for all.
        at_once: whether a trial may go on before all have been proposed, as it must where the
            sampler learns from values.
    """

    name: str
    pruner: Callable[[Objective], Pruner]
    folds: int | None = None
    at_once: bool = False


@dataclass(frozen=True)
class Replay:
    """What a strategy did with one order of proposals.

    Attributes:
        share: epochs trained, of those of the full evaluation.
        seconds: recorded processor time of these epochs.
        independent: score of the chosen setting.
        regret: how much better the best proposal scores, in the metric's unit.
        rank: of the chosen one among the values told in the end, 1 for the best; 0 without waiting.
        rank_of_means: the same where each is told its mean over the folds it has seen.
    """

    share: float
    epochs: int
    seconds: float
    independent: float
    regret: float
    rank: int
    rank_of_means: int


def replay(curves: Curves, strategy: Strategy, order: list[int]) -> Replay:
    """Run one study over the proposals in this order."""
    folds = strategy.folds or curves.folds
    history = History()
    history.add(study_of(folds, curves.objective))
    executor = Recorded(curves)
    driver = FixedDriver({"number": n, "epochs": curves.epochs(n)} for n in order)
    driver.learns = strategy.at_once
    pruner = strategy.pruner(curves.objective)
    study = Study(
        history=history,
        record=EventLog(history).append,
        driver=driver,
        pruner=pruner,
        executor=executor,
        budget=Budget(trials=len(order)),
    )
    study.run()
    best = history.best()
    if best is None:
        raise RuntimeError(f"{strategy.name} chose nothing")
    score = float(curves.independent[int(best.started.parameters["number"])])
    oriented = curves.objective.oriented
    told, means = _told(history, pruner.rungs(folds)) if pruner.waits else ({}, {})
    return Replay(
        share=executor.epochs / (curves.folds * sum(map(curves.epochs, order))),
        epochs=executor.epochs,
        seconds=executor.seconds,
        independent=score,
        regret=max(map(oriented, curves.independent[order])) - oriented(score),
        rank=_rank(told, best.number),
        rank_of_means=_rank(means, best.number),
    )


def _told(history: History, rungs: Sequence[Rung]) -> tuple[dict[int, float], dict[int, float]]:
    """Return what is told of the trials that saw a fold, and their means over the folds seen."""
    feedback = Feedback(FixedDriver(()), history, rungs)
    scoreboard = Scoreboard(history.objectives[0])
    seen = [trial for trial in history.trials.values() if trial.finished_folds()]
    outcomes = {trial.number: feedback.outcome(trial) for trial in seen}
    told = {number: outcome.values[0] for number, outcome in outcomes.items() if outcome}
    return told, {trial.number: scoreboard.means(trial)[-1] for trial in seen}


def _rank(values: dict[int, float], number: int) -> int:
    return 1 + sum(value > values[number] for value in values.values()) if values else 0


def study_of(folds: int, objective: Objective) -> StudyStarted:
    """Return the first record of a study that is replayed."""
    return StudyStarted(
        at=0.0,
        id="",
        study="replay",
        space="recorded",
        driver="fixed",
        settings={},
        parameters=[],
        dataset={},
        folds=folds,
        folds_digest="",
        task=CLASSIFICATION if objective == OBJECTIVES["cv_accuracy"] else REGRESSION,
        objectives=[objective.to_json()],
    )


def replays(curves: Curves, strategy: Strategy, trials: int, orders: int) -> list[Replay]:
    """Replay a strategy on the same random orders as every other one."""
    random = np.random.default_rng(0)
    count = len(curves.values)
    drawn = [random.permutation(count)[:trials].tolist() for _ in range(orders)]
    return [replay(curves, strategy, order) for order in drawn]
