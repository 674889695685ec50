"""What publishing to a slow MLflow server costs the training.

Run: `python benchmarks/publishing.py [--rounds 3] [--delay 2]`, about two minutes a round. In every
round it runs the same study on digits twice, one after the other, the second first in every other
round:

- local: MLflow's store is the home's own database.
- slow: MLflow is a real server behind a proxy that keeps every call waiting, 2 s unless told.

Both are measured by the study's journal: the seconds of all folds, as the worker took them, and the
time from the first trial's start to the last one's end. Importing TensorFlow counts for both.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults.processes import StudyRun  # noqa: E402 # a script finds its own folder only
from tests.faults.servers import Manner, Proxy, Server  # noqa: E402

OPTIONS = ("--pruner", "none", "--folds", "3", "--epochs", "4", "--limit-samples", "1200")
# What has not arrived when the study is over is left: only the training is measured.
NO_WAITING = (("search.tracker", "_QUIET_SECONDS", 0.5), ("search.tracker", "_DRAIN_SECONDS", 0.5))
KINDS = ("local", "slow")


def main() -> None:
    """Run the rounds and print one table; the numbers also go to a JSON file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--delay", type=float, default=2.0, help="seconds a call")
    parser.add_argument("--out", type=Path, default=Path("publishing.json"))
    options = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as name, Server(Path(name, "server")) as server:
        for number in range(options.rounds):
            folder = Path(name, f"round-{number}")
            rounds.append(one_round(folder, server, number, options.trials, options.delay))
            print(json.dumps(rounds[-1]), file=sys.stderr)
    document = {"trials": options.trials, "delay": options.delay, "rounds": rounds}
    options.out.write_text(json.dumps(document | {"medians": medians(rounds)}, indent=2) + "\n")
    print_table(medians(rounds))


def one_round(
    folder: Path, server: Server, number: int, trials: int, delay: float
) -> dict[str, dict[str, float]]:
    """Run the study both ways, which one first by the round's number."""
    found = {}
    for kind in KINDS if number % 2 == 0 else reversed(KINDS):
        with Proxy(server, Manner(delay=delay)) as proxy:
            address = proxy.address if kind == "slow" else None
            found[kind] = measure(StudyRun(folder / kind, address, changes=NO_WAITING), trials)
            found[kind]["calls"] = sum(proxy.calls.values())
    return {kind: found[kind] for kind in KINDS}


def measure(run: StudyRun, trials: int) -> dict[str, float]:
    """Run a study and read its journal."""
    try:
        done = run.start(*OPTIONS, trials=trials).wait(timeout=3600)
    finally:
        run.clean_up()
    if done.code:
        raise SystemExit(f"the study failed with exit code {done.code}: {done.err}")
    began, ended = run.records("TrialStarted")[0], run.records("TrialEnded")[-1]
    return {
        "folds": run.train_seconds(),
        "whole": ended["at"] - began["at"],
        "waiting": done.json["records_not_in_mlflow"],
    }


def medians(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the median of every figure over the rounds, and the median cost of a round."""
    found = {
        kind: {
            key: round(statistics.median(entry[kind][key] for entry in rounds), 3)
            for key in rounds[0][kind]
        }
        for kind in KINDS
    }
    costs = {
        key: round(statistics.median(e["slow"][key] / e["local"][key] - 1 for e in rounds), 4)
        for key in ("folds", "whole")
    }
    return found | {"cost": costs}


def print_table(found: dict[str, dict[str, float]]) -> None:
    """Print the medians for people."""
    print("| MLflow | folds s | first start to last end s | calls | records left |")
    print("|---|---|---|---|---|")
    for kind in KINDS:
        row = found[kind]
        cells = (f"{row['folds']:.2f}", f"{row['whole']:.2f}", int(row["calls"]))
        print(f"| {kind} | " + " | ".join(map(str, cells)) + f" | {int(row['waiting'])} |")
    cost = found["cost"]
    print(f"| cost | {cost['folds']:+.1%} | {cost['whole']:+.1%} | | |")


if __name__ == "__main__":
    main()
