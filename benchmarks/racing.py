"""Racing against other ways to evaluate the same proposals, replayed on recorded learning curves.

    python benchmarks/racing.py                                  # all tables; about an hour
    python benchmarks/racing.py --tables hpc-mlp --trials 20 --orders 20
    python benchmarks/racing.py --json build/racing.json --write docs/tables.md

Every strategy gets the same proposals in the same orders. It is the study's own loop that runs,
with the product's pruners; only the executor is another one: it reads the curves that
`recording.py` wrote instead of training. Counted are epochs trained, as a share of what the full
evaluation of all folds trains. A choice is judged by the chosen setting's independent score:
`regret` is how much better the best proposal's is, in units of the folds' spread (the mean over
settings of the standard deviation of a setting's folds), or in points of accuracy.

Half of the tables are there to choose rules by, the other half to report them: see `CHOSEN_BY`.
Tables of the same form from elsewhere are replayed by their paths.

Strategies that are not the product's own, after Bergman, Purucker and Hutter, "Don't waste your
time: early stopping cross-validation", 2024: *aggressive* stops a trial whose mean over the folds
so far is below the best complete trial's mean, *forgiving* one whose mean is below that trial's
worst fold. Asynchronous successive halving (Li et al., "A system for massively parallel
hyperparameter tuning", 2020) has rungs by epochs over all folds and keeps a third at each.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from recording import TABLES, read_table

from search.executors import Executor, OnRecord
from search.executors.protocol import FoldKey, FoldTask
from search.study.budget import Budget
from search.study.drivers import FixedDriver
from search.study.feedback import Feedback
from search.study.loop import Study
from search.study.pruners import NoPruner, Pruner, make_pruner
from search.study.pruners.base import Rung, Scoreboard
from search.tasks.metrics import direction_of
from tracking.event_log import EventLog
from tracking.history import History, TrialHistory
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

START, END = "<!-- racing: begin -->", "<!-- racing: end -->"
RACING = "**racing**"


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


class BergmanPruner(Pruner):
    """Bergman et al.'s rules; `forgiving` compares with the incumbent's worst fold."""

    def __init__(self, objective: Objective, *, forgiving: bool) -> None:
        super().__init__(objective)
        self._forgiving = forgiving

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Compare the mean over the finished folds with the best complete trial."""
        best = next(iter(history.completed()), None)
        mine = trial.finished_folds()
        if best is None or isinstance(trial.last_report(), EpochEnded):  # a fold is in training
            return ""
        theirs = list(self._scoreboard.folds(best).values())
        limit = min(theirs) if self._forgiving else statistics.fmean(theirs)
        mean = self._scoreboard.mean(trial, mine)
        return "" if mean >= limit else "worse than the incumbent"


class AshaPruner(Pruner):
    """Asynchronous successive halving over all epochs of all folds, in the folds' order.

    Rungs lie at 1/27, 1/9 and 1/3 of them; at each a trial goes on if it is among the best third of
    those that have been there. Compared is the mean over what a trial has seen of each fold last.
    """

    SHARES = (1 / 27, 1 / 9, 1 / 3)

    def __init__(self, objective: Objective) -> None:
        super().__init__(objective)
        self._seen: dict[float, dict[int, float]] = {share: {} for share in self.SHARES}

    def reason_to_stop(self, trial: TrialHistory, history: History) -> str:
        """Compare at the rung that has just been reached."""
        last = trial.last_report()
        if not isinstance(last, EpochEnded):
            return ""
        epochs = int(trial.started.parameters["epochs"])
        done = (last.fold - 1) * epochs + last.epoch
        for share, seen in self._seen.items():
            rung = max(1, round(share * epochs * history.knownstudy_of().folds))
            if done != rung:
                continue
            own = self._scoreboard.epoch(trial, last.fold, last.epoch)
            before = list(self._scoreboard.folds(trial).values())
            seen[trial.number] = statistics.fmean([*before, own])
            better = sum(value > seen[trial.number] for value in seen.values())
            if better >= max(1, len(seen) // 3):
                return "not among the best third"
        return ""


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
    """

    name: str
    pruner: Callable[[Objective], Pruner]
    folds: int | None = None


STRATEGIES = (
    Strategy("full 5-fold", NoPruner),
    Strategy("single split", NoPruner, folds=1),
    Strategy(RACING, partial(make_pruner, "racing")),
    Strategy("median", partial(make_pruner, "median")),
    Strategy("wilcoxon", partial(make_pruner, "wilcoxon")),
    Strategy("hyperband", partial(make_pruner, "hyperband")),
    Strategy("ASHA", AshaPruner),
    Strategy("Bergman, aggressive", partial(BergmanPruner, forgiving=False)),
    Strategy("Bergman, forgiving", partial(BergmanPruner, forgiving=True)),
)


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
    pruner = strategy.pruner(curves.objective)
    study = Study(
        history=history,
        record=EventLog(history).append,
        driver=FixedDriver({"number": n, "epochs": curves.epochs(n)} for n in order),
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


@dataclass(frozen=True)
class Summary:
    """What a strategy did on one table, over all orders.

    Attributes:
        share: mean share of the full evaluation's epochs.
        beyond: mean regret beyond full evaluation's, in units of the folds' spread.
        error: its standard error over orders.
        beyond_at_90: the 90th percentile of regret beyond that of full evaluation, likewise.
        points: `beyond` in points of accuracy; None of other metrics.
        points_at_90: `beyond_at_90`, likewise.
        seconds: mean recorded processor time.
        told_first: share of orders in which the choice is told best; None without waiting.
    """

    share: float
    beyond: float
    error: float
    beyond_at_90: float
    points: float | None
    points_at_90: float | None
    seconds: float
    told_first: float | None


def summary(curves: Curves, done: list[Replay], full: list[Replay]) -> Summary:
    """Compare a strategy with full evaluation on the same orders."""
    regrets, of_full = (np.array([one.regret for one in of]) for of in (done, full))
    beyond = (regrets - of_full) / curves.spread
    tail = float(np.percentile(regrets, 90) - np.percentile(of_full, 90))
    points = curves.objective == OBJECTIVES["cv_accuracy"]
    told = [one.rank for one in done if one.rank]
    return Summary(
        share=statistics.fmean(one.share for one in done),
        beyond=float(beyond.mean()),
        error=float(beyond.std(ddof=1) / len(beyond) ** 0.5) if len(beyond) > 1 else 0.0,
        beyond_at_90=tail / curves.spread,
        points=float((regrets - of_full).mean()) * 100 if points else None,
        points_at_90=tail * 100 if points else None,
        seconds=statistics.fmean(one.seconds for one in done),
        told_first=told.count(1) / len(told) if told else None,
    )


def replayed(path: Path, trials: int, orders: int) -> tuple[str, int, dict[str, Summary]]:
    """Replay all strategies on a table; return its name, its number of trials, and summaries."""
    curves = Curves.load(path)
    count = min(trials, len(curves.values))
    done = {each.name: replays(curves, each, count, orders) for each in STRATEGIES}
    full = done[STRATEGIES[0].name]
    return curves.name, count, {name: summary(curves, of, full) for name, of in done.items()}


Results = dict[str, dict[str, Summary]]  # by table and strategy


def overview(results: dict[int, Results]) -> str:
    """Return a Markdown table of the means over tables, in two halves."""
    lines = []
    halves = (("reported", False), ("chosen by", True))
    for title, is_chosen_by in halves:
        lines += [
            "",
            f"Tables that rules were {title}" if is_chosen_by else "Tables for reporting alone",
            "",
            "| strategy | trials | of full, mean | most | regret beyond full"
            " | 90th percentile, points | most on a table, points |",
            "|---|---|---|---|---|---|---|",
        ]
        for trials, of in sorted(results.items()):
            tables = [t for name, t in of.items() if (name in CHOSEN_BY) == is_chosen_by]
            if not tables:
                continue
            for strategy in STRATEGIES:
                each = [table[strategy.name] for table in tables]
                tails = [one.points_at_90 for one in each if one.points_at_90 is not None]
                means = [one.points for one in each if one.points is not None]
                lines.append(
                    f"| {strategy.name} | {trials} | {statistics.fmean(o.share for o in each):.3f}"
                    f" | {max(o.share for o in each):.3f}"
                    f" | {statistics.fmean(o.beyond for o in each):+.3f}"
                    f" | {statistics.fmean(tails):+.2f} | {max(means):+.2f} |"
                )
    return "\n".join(lines[1:])


def by_table(results: dict[int, Results], strategies: tuple[str, ...]) -> str:
    """Return a Markdown table with a line for each table and number of trials."""
    head = " | ".join(f"{name}: of full | regret beyond full" for name in strategies)
    lines = [f"| table | trials | {head} |", "|---" * (2 + 2 * len(strategies)) + "|"]
    for trials, of in sorted(results.items()):
        for name, table in sorted(of.items()):
            cells = " | ".join(
                f"{table[s].share:.3f} | {table[s].beyond:+.3f} ± {table[s].error:.3f}"
                for s in strategies
            )
            lines.append(f"| {name} | {trials} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Replay all strategies and print, or write, the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", nargs="+", help="names, or paths of others; by default all")
    parser.add_argument("--trials", type=int, nargs="+", default=[20, 40])
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", type=Path, help="put the tables between this document's marks")
    asked = parser.parse_args()
    paths = [
        known if (known := TABLES / f"{name}.jsonl.gz").exists() else Path(name)
        for name in asked.tables or ()
    ] or sorted(TABLES.glob("*.jsonl.gz"))
    results: dict[int, Results] = {trials: {} for trials in asked.trials}
    began = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.processes, mp_context=context) as pool:
        jobs = [
            (trials, pool.submit(replayed, path, trials, asked.orders))
            for path in paths
            for trials in asked.trials
        ]
        for trials, job in jobs:
            name, count, found = job.result()
            results[trials][name] = found
            print(f"{name}, {count} trials, {time.monotonic() - began:.0f} s", flush=True)
    shown = ("single split", RACING, "hyperband", "ASHA")
    made = f"{asked.orders} orders.\n\n{overview(results)}\n\n{by_table(results, shown)}"
    print(made)
    if asked.json:
        flat = {
            str(trials): {
                name: {strategy: asdict(one) for strategy, one in table.items()}
                for name, table in of.items()
            }
            for trials, of in results.items()
        }
        asked.json.write_text(json.dumps(flat))
    if asked.write:
        before, _, rest = asked.write.read_text().partition(START)
        _, _, after = rest.partition(END)
        asked.write.write_text(f"{before}{START}\n{made}\n{END}{after}")


if __name__ == "__main__":
    main()
