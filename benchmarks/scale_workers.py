"""How busy the coordinator keeps 1 to 64 workers.

Run: `python benchmarks/scale_workers.py [--workers 1,2,4,8,16,32,64] [--executors local,ray]
[--rounds 3]` (half an hour in all; Ray needs `pip install foldwise[ray]`). In every round, for each
number of workers and each executor, a study runs in a fresh process: the product's own loop, TPE,
journal, MLflow in the home's database, worker processes and pipes. Only the training is replaced:
an epoch is a sleep (`sleeping.py`), so that 64 workers fit two cores. 5 folds of 10 epochs, every
trial complete.

Counted are the epochs that ended between the moment when the last worker had begun and the moment
when the first had nothing more to do. Efficiency is the time these epochs slept, divided by
workers times that time: 1 is a coordinator that costs nothing. The journal tells all of it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine
from sleeping import SleepingWork

AIMS = {16: 0.95, 64: 0.9}
FOLDS, EPOCHS = 5, 10


def main() -> None:
    """Run the rounds and print one table; the numbers also go to a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="1,2,4,8,16,32,64")
    parser.add_argument("--executors", default="local,ray")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epoch-seconds", type=float, default=0.2)
    parser.add_argument("--trials", type=int, default=4, help="of each worker")
    parser.add_argument("--out", type=Path, default=Path("scale_workers.json"))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # executor, workers: a child
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked, asked.one[0], int(asked.one[1]))))
        return
    found: dict[str, dict[int, list[dict[str, float]]]] = {
        executor: {int(n): [] for n in asked.workers.split(",")}
        for executor in asked.executors.split(",")
    }
    described = machine.describe()
    for number in range(1, asked.rounds + 1):
        for executor, by_workers in found.items():
            for workers, rounds in by_workers.items():
                rounds.append(in_fresh_process(asked, executor, workers))
                told = f"{rounds[-1]['efficiency']:.3f}  coordinator {rounds[-1]['cpu']:.0%}"
                print(f"round {number}  {executor:6} {workers:3} workers  {told}", flush=True)
    asked.out.write_text(json.dumps({"machine": described, "found": found}) + "\n")
    print_table(found, described)


def print_table(
    found: dict[str, dict[int, list[dict[str, float]]]], described: dict[str, Any]
) -> None:
    """Print the medians for people."""
    print(f"\n{machine.line(described)}; medians")
    print("| workers | " + " | ".join(f"{e} | of one core" for e in found) + " | aimed at |")
    print("|---|" + "---|---|" * len(found) + "---|")
    for workers in next(iter(found.values())):
        cells = [
            f"{statistics.median(each[key] for each in by_workers[workers]):{form}}"
            for by_workers in found.values()
            for key, form in (("efficiency", ".3f"), ("cpu", ".0%"))
        ]
        aim = AIMS.get(workers)
        print(f"| {workers} | {' | '.join(cells)} | {aim or ''} |")


def in_fresh_process(asked: argparse.Namespace, executor: str, workers: int) -> dict[str, float]:
    """Measure one study in a process of its own."""
    command = [sys.executable, __file__, "--one", executor, str(workers)]
    command += ["--epoch-seconds", str(asked.epoch_seconds), "--trials", str(asked.trials)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    [told] = [line for line in done.stdout.splitlines() if line.startswith('{"seconds"')]
    measured: dict[str, float] = json.loads(told)  # Ray has things to say, too
    return measured


def one(asked: argparse.Namespace, executor: str, workers: int) -> dict[str, float]:
    """Run one study and read its journal."""
    from search.study import autotune as planned
    from search.study import session
    from search.study.opening import open_study
    from search.tracker import Tracker
    from tracking.home import Home

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        home = Home(Path(name))
        settings = {"space": "lenet", "dataset": "digits", "study": "sleeping", "pruner": "none"}
        settings |= {"folds": FOLDS, "epochs": EPOCHS, "trials": asked.trials * workers}
        settings |= {"executor": executor, "workers": workers, "precision": "float32"}
        opened = open_study(settings, home=home, data_dir=None, notify=lambda _: None)
        plain = planned.work_of
        planned.work_of = lambda *given: SleepingWork(
            **vars(plain(*given)), epoch_seconds=asked.epoch_seconds
        )
        if executor == "ray":
            start_cluster(workers)
        began = os.times()
        session.run_session(opened, Tracker(home), observe=lambda _: None, notify=lambda _: None)
        ended = os.times()
        lines = opened.folder.journal.read_text().splitlines()
    cpu = ended.user + ended.system - began.user - began.system
    return measure([json.loads(line) for line in lines], workers, asked.epoch_seconds) | {
        "cpu": cpu / (ended.elapsed - began.elapsed)
    }


def start_cluster(workers: int) -> None:
    """Start a Ray cluster of this machine that thinks it has so many processors."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=60)


def measure(records: list[dict[str, Any]], workers: int, epoch_seconds: float) -> dict[str, float]:
    """Return how many seconds were counted, and the efficiency in them."""
    begun = [r["at"] for r in records if r["kind"] == "FoldStarted" and r["fold"] == 1]
    all_begun = sorted(begun)[workers - 1]
    ended = [r["at"] for r in records if r["kind"] == "TrialEnded"]
    first_idle = sorted(ended)[-workers]
    counted = sum(all_begun < r["at"] <= first_idle for r in records if r["kind"] == "EpochEnded")
    seconds = first_idle - all_begun
    return {"seconds": seconds, "efficiency": counted * epoch_seconds / workers / seconds}


if __name__ == "__main__":
    main()
