"""Racing against other ways to evaluate the same proposals, replayed on recorded learning curves.

    python benchmarks/racing.py                                  # all tables; about an hour
    python benchmarks/racing.py --tables churn-mlp --trials 20 --orders 20
    python benchmarks/racing.py --json build/racing.json --write docs/tables.md

Every strategy gets the same proposals in the same orders, in the study's own loop; see
`replaying.py`. A file given by `--json` keeps every finished table, and the same command goes on
from there. Counted are epochs trained, as a share of what the full
evaluation of all folds trains. A choice is judged by the chosen setting's independent score:
`regret` is how much better the best proposal's is, in units of the folds' spread (the mean over
settings of the standard deviation of a setting's folds), or in points of accuracy.

Half of the tables are there to choose rules by, the other half to report them (`CHOSEN_BY`).
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
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from page import put
from recording import TABLES
from replaying import CHOSEN_BY, Curves, Replay, Strategy, replays

from search.study.pruners import NoPruner, Pruner, make_pruner
from tracking.history import History, TrialHistory
from tracking.objectives import OBJECTIVES, Objective
from tracking.records import EpochEnded

RACING = "**racing**"


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
            rung = max(1, round(share * epochs * history.known_study().folds))
            if done != rung:
                continue
            own = self._scoreboard.epoch(trial, last.fold, last.epoch)
            before = list(self._scoreboard.folds(trial).values())
            seen[trial.number] = statistics.fmean([*before, own])
            better = sum(value > seen[trial.number] for value in seen.values())
            if better >= max(1, len(seen) // 3):
                return "not among the best third"
        return ""


STRATEGIES = (
    Strategy("full 5-fold", NoPruner),
    Strategy("single split", NoPruner, folds=1),
    Strategy(RACING, partial(make_pruner, "racing")),
    Strategy("racing, at once", partial(make_pruner, "racing"), at_once=True),
    Strategy("median", partial(make_pruner, "median")),
    Strategy("wilcoxon", partial(make_pruner, "wilcoxon")),
    Strategy("hyperband", partial(make_pruner, "hyperband")),
    Strategy("ASHA", AshaPruner),
    Strategy("Bergman, aggressive", partial(BergmanPruner, forgiving=False)),
    Strategy("Bergman, forgiving", partial(BergmanPruner, forgiving=True)),
)


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


def read_results(path: Path | None, orders: int) -> dict[int, Results]:
    """Return what a file has of so many orders, by number of trials."""
    if path is None or not path.exists():
        return {}
    known = json.loads(path.read_text())
    if known["orders"] != orders:
        raise SystemExit(f"{path} has {known['orders']} orders; name another file")
    return {
        int(trials): {
            name: {strategy: Summary(**one) for strategy, one in table.items()}
            for name, table in of.items()
        }
        for trials, of in known["results"].items()
    }


def write_results(path: Path, orders: int, results: dict[int, Results]) -> None:
    """Write what is finished, whole or not at all."""
    flat = {
        trials: {
            name: {strategy: asdict(one) for strategy, one in table.items()}
            for name, table in of.items()
        }
        for trials, of in results.items()
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"orders": orders, "results": flat}))
    part.replace(path)


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
    results = read_results(asked.json, asked.orders)
    began = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.processes, mp_context=context) as pool:
        jobs = {
            pool.submit(replayed, path, trials, asked.orders): trials
            for trials in asked.trials
            for path in paths
            if path.name.partition(".")[0] not in results.setdefault(trials, {})
        }
        for job in as_completed(jobs):
            name, count, found = job.result()
            results[jobs[job]][name] = found
            if asked.json:
                write_results(asked.json, asked.orders, results)
            print(f"{name}, {count} trials, {time.monotonic() - began:.0f} s", flush=True)
    shown = ("single split", RACING, "hyperband", "ASHA")
    made = f"{asked.orders} orders.\n\n{overview(results)}\n\n{by_table(results, shown)}"
    print(made)
    if asked.write:
        put(asked.write, "racing", made)


if __name__ == "__main__":
    main()
