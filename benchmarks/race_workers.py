"""How long a race takes on several workers, stage by stage; its workers sleep instead of training.

    python benchmarks/race_workers.py --workers 8 --trials 24 --confirm 2

Under a minute a round. LeNet's space, 5 folds of 4 epochs: the product's own loop, sampler,
journal, worker processes and pipes; an epoch is a sleep (`sleeping.py`). The journal tells when the
last first fold was over, when the race was and when the confirmation was. MLflow is away.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import machine
from sleeping import SleepingWork

FOLDS = 5


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--confirm", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epoch-seconds", type=float, default=0.4)
    asked = parser.parse_args()
    print(f"{machine.line(machine.describe())}; {asked.workers} workers, {asked.trials} trials")
    print("| first folds | race | confirmation | all |\n|---|---|---|---|")
    for _ in range(asked.rounds):
        stages = measure(run(asked))
        print(f"| {' | '.join(f'{seconds:.1f} s' for seconds in (*stages, sum(stages)))} |")


def run(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Run one study and return its records."""
    from search.study import autotune, session
    from search.study.opening import open_study
    from search.tracker import Tracker
    from tracking.home import Home

    settings = {"space": "lenet", "dataset": "digits", "study": "sleeping", "pruner": "racing"}
    settings |= {"folds": FOLDS, "epochs": 4, "trials": asked.trials, "confirm": asked.confirm}
    settings |= {"workers": asked.workers, "precision": "float32", "baselines": False, "seed": 1}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        home = Home(Path(name))
        opened = open_study(settings, home=home, data_dir=None, notify=lambda _: None)
        plain = autotune.work_of
        autotune.work_of = lambda *given: SleepingWork(
            **vars(plain(*given)), epoch_seconds=asked.epoch_seconds
        )
        nowhere = Tracker(home, "http://127.0.0.1:9")
        try:
            session.run_session(opened, nowhere, observe=lambda _: None, notify=lambda _: None)
        finally:
            autotune.work_of = plain
        lines = opened.folder.journal.read_text().splitlines()
    return [json.loads(line) for line in lines]


def measure(records: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Return the seconds of the three stages."""
    kinds = ("EpochEnded", "FoldEnded")
    begun = min(r["at"] for r in records if r["kind"] == "FoldStarted")
    first = max(r["at"] for r in records if r["kind"] in kinds and r["fold"] == 1)
    raced = max(r["at"] for r in records if r["kind"] == "TrialEnded")
    done = max((r["at"] for r in records if r["kind"] == "TrialConfirmed"), default=raced)
    return first - begun, raced - first, done - raced


if __name__ == "__main__":
    main()
