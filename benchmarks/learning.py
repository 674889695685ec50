"""Studies that learn from earlier ones, leaving one dataset out, on recorded learning curves.

    python benchmarks/learning.py                                # all mlp tables; minutes
    python benchmarks/learning.py --tables hpc-mlp --orders 20
    python benchmarks/learning.py --write docs/tables.md

It is the product's own driver that learns. Of every order, a new study of one table learns from up
to five others, never of the same dataset. Each earlier study has evaluated the baselines and a
random half of its table's settings; nothing else of its table is known. The driver chooses among
the settings that earlier studies evaluated, known there or predicted; it draws none besides, as a
table does not have them. What the new study proposes becomes the nearest setting of its table that
it has not had, whose value is the mean over folds after the last epoch. A choice, the best by that
value, is judged by its independent score.

Without learning, and below it, settings come in random order: Optuna's TPE draws its first ten at
random, too, and forty are nearly all that a table has.

Misleading histories are `negated` (the scores of all earlier studies with their signs changed),
`shuffled` (dealt out anew) and `opposed` (five studies of the very dataset, negated). What they
cost is counted in trials until a value is reached: the mean best value of studies without learning
after 10, 20 and 30 trials.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from page import put
from recording import TABLES, read_table
from replaying import CHOSEN_BY

from search.study.drivers import Driver, FixedDriver, Outcome
from search.study.learning.earlier import EarlierStudy, Learned
from search.study.learning.prior import Encoding, LearningDriver, Surrogate
from search.tasks.metrics import direction_of
from spaces import Params, Space, get_space, narrow

EARLIER = 5
HALVES = 10  # different random halves of a table
TRIALS, FEW = 40, 10
TARGETS = (10, 20, 30)
ALIKE = 0.05  # folds' standard deviations: a choice that is worse by less is as good
# Of other ranges, and so of other settings.
LEFT_OUT = frozenset(
    {"diabetes-mlp", "fashion_mnist-mlp-cosine", "fashion_mnist-mlp-epochs", "hpc-mlp-epochs"}
)
KINDS = ("learned", "negated", "shuffled", "opposed")


@dataclass(frozen=True)
class Recorded:
    """A table: its settings, the baselines first, and what they came to; larger is better.

    Attributes:
        spread: mean over settings of the standard deviation of a setting's folds.
        points: what 1 of a value is in points; 100 of accuracies.
    """

    name: str
    dataset: str
    space: Space
    baselines: int
    settings: list[Params]
    values: Any
    independent: Any
    spread: float
    points: float

    @classmethod
    def load(cls, path: Path) -> "Recorded":
        """Read a table."""
        header, lines = read_table(path)
        metric = next(n for n in lines[0] if n.startswith("val_") and n != "val_loss")[4:]
        sign = 1.0 if direction_of(metric) else -1.0
        last = [np.array([fold[-1] for fold in line[f"val_{metric}"]]) for line in lines]
        return cls(
            name=header["table"],
            dataset=header["dataset"],
            space=narrow(get_space(header["space"]), header["overrides"]).space,
            baselines=sum(bool(line["origin"]) for line in lines),
            settings=[line["setting"] for line in lines],
            values=sign * np.array([each.mean() for each in last]),
            independent=sign * np.array([np.mean(line[f"independent_{metric}"]) for line in lines]),
            spread=float(np.mean([each.std(ddof=1) for each in last])),
            points=100.0 if metric == "accuracy" else 1.0,
        )


@cache
def table(path: Path) -> Recorded:
    """Read a table once a process."""
    return Recorded.load(path)


@cache
def earlier(path: Path, half: int, kind: str) -> EarlierStudy:
    """Return a study that evaluated the baselines and a random half of a table's settings."""
    of = table(path)
    random = np.random.default_rng([half, len(of.settings)])
    drawn = of.baselines + random.permutation(len(of.settings) - of.baselines)
    numbers = [*range(of.baselines), *sorted(drawn[: len(drawn) // 2])]
    values = of.values[numbers]
    if kind == "negated":
        values = -values
    if kind == "shuffled":
        values = random.permutation(values)
    trials = zip((of.settings[n] for n in numbers), map(float, values), strict=True)
    return EarlierStudy(of.name, f"{of.name}-{half}-{kind}", of.dataset, "", "", tuple(trials))


def _ranges(path: Path) -> str:
    return ", ".join(parameter.describe() for parameter in table(path).space.parameters)


def _surrogate(path: Path, half: int, kind: str, target: Path) -> Surrogate:
    """Return an earlier study's surrogate; spaces of the same ranges share it."""
    key = (path, half, kind, _ranges(target))
    if key not in _surrogates:
        _surrogates[key] = Surrogate(earlier(path, half, kind), table(target).space)
    return _surrogates[key]


_surrogates: dict[tuple[Path, int, str, str], Surrogate] = {}


class Learning(LearningDriver):
    """The product's driver, without settings of its own drawing: a table does not have them."""

    def __init__(self, target: Path, judges: list[Surrogate], order: int) -> None:
        learned = Learned(tuple(judge.study for judge in judges))
        super().__init__(shuffled(target, order), learned, table(target).space, order)
        self.__dict__["_judges"] = judges  # made once for all orders

    def _draws(self, number: int) -> dict[Any, Params]:
        return {}


def shuffled(target: Path, order: int) -> Driver:
    """Return a driver that proposes a table's settings in random order."""
    of = table(target)
    random = np.random.default_rng([order, 9])
    return FixedDriver((of.settings[n] for n in random.permutation(len(of.settings))), of.space)


def learning(target: Path, others: Sequence[Path], order: int, kind: str) -> Driver:
    """Return a study's driver that learns from others, or, of kind "", does not."""
    if not kind:
        return shuffled(target, order)
    random = np.random.default_rng([order, 7])
    chosen = [others[n] for n in random.permutation(len(others))[:EARLIER]]
    halves = [int(random.integers(HALVES)) for _ in chosen]
    if kind == "opposed":
        chosen, kind = [target] * len(chosen), "negated"
    judges = zip(chosen, halves, strict=True)
    return Learning(target, [_surrogate(path, half, kind, target) for path, half in judges], order)


def run(of: Recorded, driver: Driver, trials: int) -> list[int]:
    """Run a study over a table's settings; return which it evaluated, in order."""
    coded = Encoding(of.settings, of.space)
    rows = coded.rows(of.settings)
    left = dict.fromkeys(range(len(of.settings)))
    had = []
    for number in range(min(trials, len(of.settings))):
        if number < of.baselines:
            found = number
            driver.adopt(number, of.settings[found], sampled=False)
        else:
            params = driver.ask(number)
            if params is None:
                break
            distance = ((rows - coded.rows([params])) ** 2).sum(axis=1)
            found = min(left, key=lambda n: distance[n])
        del left[found]
        had.append(found)
        driver.tell(number, of.settings[found], Outcome("complete", (float(of.values[found]),)))
    return had


def replay(
    target: Path, others: Sequence[Path], order: int, kinds: Sequence[str]
) -> dict[str, list[int]]:
    """Run one order with and without learning."""
    of = table(target)
    return {kind: run(of, learning(target, others, order, kind), TRIALS) for kind in ("", *kinds)}


def _chosen(of: Recorded, had: list[int], trials: int) -> float:
    """Return the independent score of the best by value of the first trials."""
    return float(of.independent[max(had[:trials], key=lambda n: of.values[n])])


def _until(of: Recorded, had: list[int], target: float) -> int:
    """Return after how many trials a value is reached."""
    return next((n for n, one in enumerate(had, 1) if of.values[one] >= target), len(had) + 1)


@dataclass(frozen=True)
class Row:
    """What came out for one table.

    Attributes:
        gain: mean independent score after ten trials with learning less that after 40 without, in
            units of the folds' spread, and its standard error.
        few: the same, of ten without.
        spread: standard deviation over orders.
        points: `gain` in points or the metric's unit.
        cost: by kind, how many more trials it takes, as a share.
    """

    name: str
    gain: float
    error: float
    spread: float
    few: float
    points: float
    cost: dict[str, float]


def row(of: Recorded, done: list[dict[str, list[int]]]) -> Row:
    """Sum up a table's orders."""
    full = np.array([_chosen(of, one[""], TRIALS) for one in done])
    few = np.array([_chosen(of, one[""], FEW) for one in done])
    learned = np.array([_chosen(of, one["learned"], FEW) for one in done])
    gain = (learned - full) / of.spread
    best = {t: [max(of.values[n] for n in one[""][:t]) for one in done] for t in TARGETS}
    targets = [statistics.fmean(best[t]) for t in TARGETS]
    needed = {
        kind: sum(statistics.fmean(_until(of, one[kind], t) for one in done) for t in targets)
        for kind in done[0]
    }
    return Row(
        name=of.name,
        gain=float(gain.mean()),
        error=float(gain.std(ddof=1) / len(gain) ** 0.5),
        spread=float(gain.std(ddof=1)),
        few=float((few - full).mean() / of.spread),
        points=float((learned - full).mean() * of.points),
        cost={kind: needed[kind] / needed[""] - 1 for kind in needed if kind},
    )


def replayed(target: Path, others: Sequence[Path], orders: Sequence[int]) -> list[Any]:
    """Replay some orders of one table."""
    return [replay(target, others, order, KINDS) for order in orders]


def markdown(rows: list[Row], orders: int) -> str:
    """Return the results as a Markdown table with its summary."""
    lines = [
        f"{orders} orders; in units of the folds' spread, mean ± standard error (standard deviation"
        " over orders).",
        "",
        "| table | 10 without - 40 without | 10 with learning - 40 without"
        " | trials to the same value, with learning | negated | shuffled | opposed |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        star = "" if one.name in CHOSEN_BY else "*"
        costs = " | ".join(f"{one.cost[kind]:+.0%}" for kind in KINDS)
        lines.append(
            f"| {one.name}{star} | {one.few:+.2f} | {one.gain:+.2f} ± {one.error:.2f}"
            f" ({one.spread:.2f}) | {costs} |"
        )
    strict = sum(one.gain >= 0 for one in rows)
    alike = sum(one.gain >= -ALIKE for one in rows)
    means = ", ".join(
        f"{kind} {statistics.fmean(one.cost[kind] for one in rows):+.1%}" for kind in KINDS
    )
    lines += [
        "",
        f"With ten trials at least as good as with 40 without learning: {strict} of {len(rows)}"
        f" tables; no worse by {ALIKE} of the folds' spread: {alike}. Trials to the same value,"
        f" mean over tables: {means}. Tables with a star took no part in choosing the rules.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Replay all tables and print, or write, the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", nargs="+", help="names; by default all of mlp")
    parser.add_argument("--folder", type=Path, default=TABLES)
    parser.add_argument("--chosen-by", action="store_true", help="those alone that choose rules")
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", type=Path, help="put the table between this document's marks")
    asked = parser.parse_args()
    known = {
        path: read_table(path)[0]
        for path in sorted(asked.folder.glob("*.jsonl.gz"))
        if path.name.split(".")[0] not in LEFT_OUT
    }
    names = {path: path.name.split(".")[0] for path in known}
    paths = [path for path, header in known.items() if header["space"] == "mlp"]
    if asked.chosen_by:
        paths = [path for path in paths if names[path] in CHOSEN_BY]
    targets = [path for path in paths if not asked.tables or names[path] in asked.tables]
    rows, began = [], time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.processes, mp_context=context) as pool:
        jobs = []
        for target in targets:
            mine = known[target]["dataset"]
            others = [path for path in paths if known[path]["dataset"] != mine]
            parts = [range(n, asked.orders, asked.processes) for n in range(asked.processes)]
            jobs.append((target, [pool.submit(replayed, target, others, part) for part in parts]))
        for target, parts in jobs:
            done = [one for part in parts for one in part.result()]
            rows.append(row(table(target), done))
            print(f"{rows[-1]}, {time.monotonic() - began:.0f} s", flush=True)
    made = markdown(rows, asked.orders)
    print(made)
    if asked.write:
        put(asked.write, "learning", made)


if __name__ == "__main__":
    main()
