"""When to stop, which trial is the best, and how good its score says it is: on recorded curves.

    python benchmarks/stopping.py                                   # all tables
    python benchmarks/stopping.py --tables churn-mlp --orders 20
    python benchmarks/stopping.py --write docs/stopping.md

The study's own loop, pruners, stopping rule and decision run over random orders of the settings in
`benchmarks/tables`, after the space's baselines; the executor reads what `recording.py` wrote.
Settings and independent scores are those of `racing.py`, and so are the tables that rules were
chosen by. Tables hold 40 to 48 settings, so studies aim at 40 trials beside the baselines.

Measured, over all orders of a table:

- *saved*: share of the 40 trials that `--stop auto` leaves out; *lost*: by how much the
  independent score of the best by score is worse for it.
- *worse*: share of searches whose best trial has a worse independent score than the best baseline;
  by the best score, and as `decide` says. *given up*: what the independent score loses by that
  decision where the leader is better.
- *too good*: the best trial's score less its independent score; *by choice*: the same, less the
  median of that difference over all settings, which is the samples' doing and not the choice's.

Fractions are told in points, errors in percent of the table's best independent score.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from page import put
from recording import TABLES, read_table
from replaying import CHOSEN_BY, Curves, Recorded, study_of

from search.analysis.comparison.decision import decide
from search.study.budget import Budget
from search.study.drivers import FixedDriver
from search.study.loop import Study
from search.study.pruners import make_pruner
from tracking.event_log import EventLog
from tracking.history import History, TrialHistory
from tracking.objectives import OBJECTIVES

TRIALS = 40


@dataclass(frozen=True)
class Searched:
    """What one search came to, in points, or percent of the best independent score."""

    saved: float
    lost: float
    worse_by_score: float
    worse: float
    gained_by_score: float
    gained: float
    too_good: float
    by_choice: float


class Table:
    """A recorded table with its baselines.

    Args:
        path: its file.
    """

    def __init__(self, path: Path) -> None:
        self.curves = Curves.load(path, baselines=True)
        self._ends = _last_epochs(self.curves)
        origins = [line["origin"] for line in read_table(path)[1]]
        self.baselines = {
            name: {"number": number, "epochs": self.curves.epochs(number)}
            for number, name in enumerate(origins)
            if name
        }
        self.sampled = [number for number, name in enumerate(origins) if not name]
        goal = self.curves.objective
        self.scores = np.array([goal.oriented(float(v[:, -1].mean())) for v in self.curves.values])
        self.independent = np.array([goal.oriented(float(v)) for v in self.curves.independent])
        is_fraction = goal == OBJECTIVES["cv_accuracy"]
        self.unit = 100.0 if is_fraction else 100.0 / abs(float(self.independent.max()))
        self.offset = float(np.median((self.scores - self.independent)[self.sampled]))

    def search(
        self, order: list[int], pruner: str, *, stops: bool, begun: History | None = None
    ) -> History:
        """Run one study over settings in an order, after the baselines, or go on with it."""
        history = begun or History()
        if begun is None:
            start = study_of(self.curves.folds, self.curves.objective)
            history.add(replace(start, baseline_first=True, split={"share": 0.25}))
        study = Study(
            history=history,
            record=EventLog(history).append,
            driver=FixedDriver({"number": n, "epochs": self.curves.epochs(n)} for n in order),
            pruner=make_pruner(pruner, self.curves.objective),
            executor=Recorded(self._ends if pruner == "none" else self.curves),
            budget=Budget(
                trials=len(order) + len(self.baselines), baselines=self.baselines, stops_early=stops
            ),
        )
        study.run()
        return history

    def searched(self, order: list[int], pruner: str) -> Searched:
        """Measure what stopping and deciding do to a search."""
        stopped = self.search(order, pruner, stops=True)
        early, kept = _number(stopped.leader()), len(stopped.trials)
        # What a race has ended cannot go on as if it had not; without one a study can.
        begun = stopped if pruner == "none" else None
        full = self.search(order, pruner, stops=False, begun=begun)
        tried = len(full.trials) - kept
        leader, decision = _number(full.leader()), decide(full)
        best = leader if decision is None else _number(full.trials[decision.best])
        baseline = next((_number(t) for t in full.completed() if t.started.is_baseline), best)
        score = self.independent
        by_score, by_rule = score[leader] - score[baseline], score[best] - score[baseline]
        over = self.scores[leader] - score[leader]
        return Searched(
            saved=100 * tried / len(order),
            lost=self.unit * float(score[leader] - score[early]),
            worse_by_score=100.0 * bool(by_score < 0),
            worse=100.0 * bool(by_rule < 0),
            gained_by_score=self.unit * float(by_score),
            gained=self.unit * float(by_rule),
            too_good=self.unit * float(over),
            by_choice=self.unit * float(over - self.offset),
        )


def _last_epochs(curves: Curves) -> Curves:
    """Return each fold's last epoch alone, which is all that counts where nothing is pruned."""
    parts = (curves.values, curves.loss, curves.seconds)
    values, loss, seconds = ([one[:, -1:] for one in part] for part in parts)
    return replace(curves, values=values, loss=loss, seconds=seconds)


def _number(trial: TrialHistory | None) -> int:
    if trial is None:
        raise RuntimeError("no trial is complete")
    return int(trial.started.parameters["number"])


def measured(path: Path, pruner: str, orders: int) -> tuple[str, bool, Searched]:
    """Return a table's name, whether it has baselines, and means over random orders."""
    table, random = Table(path), np.random.default_rng(0)
    count = min(TRIALS, len(table.sampled))
    drawn = [random.permutation(table.sampled)[:count].tolist() for _ in range(orders)]
    done = [table.searched(order, pruner) for order in drawn]
    return table.curves.name, bool(table.baselines), mean_of(done)


def mean_of(several: list[Searched]) -> Searched:
    """Return the mean of each number."""
    names = [field.name for field in fields(Searched)]
    return Searched(**{n: statistics.fmean(getattr(one, n) for one in several) for n in names})


_HEAD = (
    "| table | saved, % | lost | worse by score, % | worse, % | over the baseline by score"
    " | over the baseline | too good | by choice |"
)


def text_of(done: dict[str, tuple[bool, Searched]]) -> str:
    """Return Markdown tables, of those rules were chosen by and of the others."""
    lines = []
    for title, is_chosen_by in (("Reported", False), ("Rules were chosen by", True)):
        found = {n: one for n, one in sorted(done.items()) if (n in CHOSEN_BY) == is_chosen_by}
        if not found:
            continue
        lines += ["", f"{title}:", "", _HEAD, "|---" * 9 + "|"]
        lines += [_row(name, one, has) for name, (has, one) in found.items()]
    return "\n".join(lines[1:])


def _row(name: str, one: Searched, has_baselines: bool) -> str:
    guarded = (
        f"{one.worse_by_score:.0f} | {one.worse:.0f} | {one.gained_by_score:+.2f}"
        f" | {one.gained:+.2f}"
        if has_baselines
        else "- | - | - | -"
    )
    return (
        f"| {name} | {one.saved:.0f} | {one.lost:+.2f} | {guarded} | {one.too_good:+.2f}"
        f" | {one.by_choice:+.2f} |"
    )


def main() -> None:
    """Measure all tables and print, or write, the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", nargs="+", help="names; by default all")
    parser.add_argument("--pruner", nargs="+", default=["none", "racing"])
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=TABLES)
    parser.add_argument("--write", type=Path, help="put the tables between this document's marks")
    asked = parser.parse_args()
    names = asked.tables or sorted(p.name.split(".")[0] for p in asked.folder.glob("*.jsonl.gz"))
    began, parts = time.monotonic(), [f"{asked.orders} orders of each table."]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.processes, mp_context=context) as pool:
        for pruner in asked.pruner:
            jobs = [
                pool.submit(measured, asked.folder / f"{name}.jsonl.gz", pruner, asked.orders)
                for name in names
            ]
            done = {name: (has, one) for name, has, one in (job.result() for job in jobs)}
            print(f"{pruner}: {time.monotonic() - began:.0f} s", flush=True)
            parts.append(f"With `--pruner {pruner}`.\n\n{text_of(done)}")
    made = "\n\n".join(parts)
    print(made)
    if asked.write:
        put(asked.write, "stopping", made)


if __name__ == "__main__":
    main()
