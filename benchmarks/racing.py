"""Racing against other ways to evaluate the same proposals, replayed on recorded curves.

    python benchmarks/racing.py --curves benchmarks/curves-lenet.jsonl
    python benchmarks/racing.py --curves ... --json racing.json --write docs/performance.md

Every strategy gets the same proposals in the same order. It is the study's own loop that runs,
with the product's pruners; only the executor is another one: it reads the curves that
`recording.py` wrote instead of training. Counted are epochs trained, as a share of what the full
evaluation of all folds trains, and the recorded time of these epochs. A choice is judged by the
independent 5-fold score of the chosen setting, of models trained anew on other folds and scored on
samples that took no part; `regret` is how much the best proposal's is better, in points, or of
other metrics than accuracy in units of the folds' spread: the mean over settings of the standard
deviation of a setting's folds. A second table has what racing tells the sampler in the end: the
rank of the chosen trial among the told.

Strategies that are not the product's own, after Bergman, Purucker and Hutter, "Don't waste your
time: early stopping cross-validation", 2024: *aggressive* stops a trial whose mean over the folds
so far is below the best complete trial's mean, *forgiving* one whose mean is below that trial's
worst fold.
"""

import argparse
import json
import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from search.executors import Executor, OnRecord
from search.executors.protocol import FoldKey, FoldTask
from search.study.budget import Budget
from search.study.drivers import FixedDriver
from search.study.feedback import Feedback
from search.study.loop import Study
from search.study.pruners import NoPruner, Pruner, make_pruner
from search.study.pruners.base import Scoreboard
from search.tasks.metrics import direction_of
from tracking.event_log import EventLog
from tracking.history import History, TrialHistory
from tracking.objectives import OBJECTIVES, Objective
from tracking.records import (
    CLASSIFICATION,
    REGRESSION,
    EpochEnded,
    FoldEnded,
    FoldStarted,
    StudyStarted,
)

START, END = "<!-- racing: begin -->", "<!-- racing: end -->"
RACING = "**racing**"


@dataclass(frozen=True)
class Curves:
    """Recorded trainings of many settings.

    Attributes:
        objective: the metric that was recorded.
        values: that metric of each setting's validation parts, (folds, epochs).
        loss: validation loss, likewise.
        seconds: of each epoch, likewise.
        independent: mean metric of a setting's models on samples that took no part, (settings,):
            of models trained anew where there are any, else of the folds' own.
    """

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
    def unit(self) -> float:
        """What regret is told in: a point of accuracy, else the spread of a setting's folds."""
        if self.objective == OBJECTIVES["cv_accuracy"]:
            return 0.01
        return float(np.mean([each[:, -1].std(ddof=1) for each in self.values]))

    @classmethod
    def load(cls, path: Path) -> "Curves":
        """Read one setting a line."""
        lines = [json.loads(text) for text in path.read_text().splitlines()]
        lines.sort(key=lambda line: line.get("number", 0))
        names = [n for n in lines[0] if n.startswith("val_") and n != "val_loss"]
        name = names[0].removeprefix("val_")
        values = [np.array(line[f"val_{name}"]) for line in lines]
        spent = [np.asarray(line["seconds"]) for line in lines]  # of some only the total is known
        return cls(
            objective=_objective(name),
            values=values,
            loss=[np.array(line["val_loss"]) for line in lines],
            seconds=[
                each if each.ndim else np.full(known.shape, each / known.size)
                for each, known in zip(spent, values, strict=True)
            ],
            independent=np.array(
                [line.get(f"further_test_{name}", line[f"test_{name}"]) for line in lines]
            ).mean(axis=1),
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
        on_record(FoldStarted(at=0.0, trial=trial, fold=fold))
        for epoch in range(1, len(values) + 1):
            self.epochs += 1
            self.seconds += float(self._curves.seconds[number][fold - 1, epoch - 1])
            metrics = {
                objective.epoch: float(values[epoch - 1]),
                "val_loss": float(loss[epoch - 1]),
            }
            shown = EpochEnded(at=0.0, trial=trial, fold=fold, epoch=epoch, metrics=metrics)
            if on_record(shown).stop:
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
    Strategy("Bergman, aggressive", partial(BergmanPruner, forgiving=False)),
    Strategy("Bergman, forgiving", partial(BergmanPruner, forgiving=True)),
)


@dataclass(frozen=True)
class Replay:
    """What a strategy did with one order of proposals.

    Attributes:
        share: epochs trained, of those of the full evaluation.
        seconds: recorded time of these epochs.
        independent: score of the chosen setting, fraction.
        regret: how much better the best proposal scores, in `Curves.unit`.
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
    history.add(_study(folds, curves.objective))
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
    told, means = _told(history) if pruner.waits else ({}, {})
    return Replay(
        share=executor.epochs / (curves.folds * sum(map(curves.epochs, order))),
        epochs=executor.epochs,
        seconds=executor.seconds,
        independent=score,
        regret=(max(map(oriented, curves.independent[order])) - oriented(score)) / curves.unit,
        rank=_rank(told, best.number),
        rank_of_means=_rank(means, best.number),
    )


def _told(history: History) -> tuple[dict[int, float], dict[int, float]]:
    """Return what is told of the trials that saw a fold, and their means over the folds seen."""
    feedback = Feedback(FixedDriver(()), history, waits=True)
    scoreboard = Scoreboard(history.objectives[0])
    seen = [trial for trial in history.trials.values() if trial.finished_folds()]
    outcomes = {trial.number: feedback.outcome(trial) for trial in seen}
    told = {number: outcome.values[0] for number, outcome in outcomes.items() if outcome}
    return told, {trial.number: scoreboard.means(trial)[-1] for trial in seen}


def _rank(values: dict[int, float], number: int) -> int:
    return 1 + sum(value > values[number] for value in values.values()) if values else 0


def _study(folds: int, objective: Objective) -> StudyStarted:
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
    """Replay a strategy on the same random orders as every other one; none: as recorded."""
    if not orders:
        return [replay(curves, strategy, list(range(trials)))]
    random = np.random.default_rng(0)
    count = len(curves.values)
    return [
        replay(curves, strategy, random.permutation(count)[:trials].tolist()) for _ in range(orders)
    ]


def table(results: dict[str, dict[int, list[Replay]]]) -> str:
    """Return a Markdown table; values after ± are standard errors."""
    trials = sorted({n for of in results.values() for n in of})
    lines = [
        "| strategy | trials | epochs trained | of full | time | score of the choice | regret"
        " | 90th percentile | worst |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for count in trials:
        for name, of in results.items():
            done = of[count]
            regrets = [one.regret for one in done]
            lines.append(
                f"| {name} | {count} | {_mean(done, 'epochs'):.0f} | {_mean(done, 'share'):.3f}"
                f" | {_mean(done, 'seconds'):.0f} s | {_mean(done, 'independent'):.4f}"
                f" | {_mean(done, 'regret'):.3f} ± {_error(done, 'regret'):.3f}"
                f" | {np.percentile(regrets, 90):.2f} | {max(regrets):.2f} |"
            )
    return "\n".join(lines)


def ranks_table(raced: dict[int, list[Replay]]) -> str:
    """Return a Markdown table of the chosen trial's rank among the told."""
    lines = [
        "| trials | told | the choice is told best | its rank, mean | worst |",
        "|---|---|---|---|---|",
    ]
    for count, done in sorted(raced.items()):
        for name, field in (("means over folds seen", "rank_of_means"), ("comparable", "rank")):
            ranks = [int(getattr(one, field)) for one in done]
            lines.append(
                f"| {count} | {name} | {ranks.count(1)} of {len(ranks)} | {np.mean(ranks):.2f}"
                f" | {max(ranks)} |"
            )
    return "\n".join(lines)


def _mean(done: list[Replay], name: str) -> float:
    return statistics.fmean(float(getattr(one, name)) for one in done)


def _error(done: list[Replay], name: str) -> float:
    if len(done) < 2:
        return 0.0
    return statistics.stdev(float(getattr(one, name)) for one in done) / math.sqrt(len(done))


def main() -> None:
    """Replay all strategies and print, or write, the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--curves", type=Path, required=True)
    parser.add_argument("--trials", type=int, nargs="+", default=[20, 40])
    parser.add_argument("--orders", type=int, default=200, help="0: once, as recorded")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", type=Path, help="put the table between this document's marks")
    asked = parser.parse_args()
    curves = Curves.load(asked.curves)
    results: dict[str, dict[int, list[Replay]]] = {}
    began = time.monotonic()
    for strategy in STRATEGIES:
        results[strategy.name] = {
            trials: replays(curves, strategy, trials, asked.orders) for trials in asked.trials
        }
    lengths = sorted({curves.epochs(number) for number in range(len(curves.values))})
    epochs = " to ".join(map(str, sorted({lengths[0], lengths[-1]})))
    made = (
        f"{asked.curves.name}: {len(curves.values)} settings x {curves.folds} folds x {epochs}"
        f" epochs, {asked.orders} orders of proposals.\n\n{table(results)}"
        f"\n\n{ranks_table(results[RACING])}"
    )
    print(made)
    print(f"\nreplayed in {time.monotonic() - began:.0f} s")
    if asked.json:
        flat = {
            name: {str(n): [asdict(one) for one in done] for n, done in of.items()}
            for name, of in results.items()
        }
        asked.json.write_text(json.dumps(flat))
    if asked.write:
        before, _, rest = asked.write.read_text().partition(START)
        _, _, after = rest.partition(END)
        asked.write.write_text(f"{before}{START}\n{made}\n{END}{after}")


if __name__ == "__main__":
    main()
