"""How many more trials an hour several worker processes give than one.

Run: `python benchmarks/workers.py [--workers 2] [--rounds 3] [--space mlp]` (about 8 minutes; set
SEARCH_DATA_DIR, or `--dataset digits` without the real images). In every round the same study, the
same proposals of the random sampler without pruning, is run with one worker as it comes (with all
cores to itself) and with several, one after the other. Counted is the time from the first fold's
start to the last trial's end, so that importing TensorFlow counts for neither.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Run the rounds and print one table; the numbers also go to a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="mlp")
    parser.add_argument("--dataset", default="fashion_mnist")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--samples", type=int, default=6_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("workers.json"))
    asked = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], asked.workers: []}
    for number in range(1, asked.rounds + 1):
        for workers, known in rates.items():
            known.append(asked.trials / seconds(asked, workers) * 3600)
            print(f"round {number}  {workers} workers  {known[-1]:.0f} trials an hour", flush=True)
    asked.out.write_text(json.dumps({**vars(asked), "out": str(asked.out), "rates": rates}) + "\n")
    alone = statistics.median(rates[1])
    print(f"\n{asked.space}, {asked.samples:,} images, {os.cpu_count()} cores, medians")
    print("| workers | trials an hour | against one |\n|---|---|---|")
    for workers, known in rates.items():
        rate = statistics.median(known)
        print(f"| {workers} | {rate:.0f} | {rate / alone:.2f} |")


def seconds(asked: argparse.Namespace, workers: int) -> float:
    """Run the study and return the seconds from its first fold's start to its last trial's end."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "search", "run", "--space", asked.space),
            *("--dataset", asked.dataset, "--limit-samples", str(asked.samples)),
            *("--sampler", "random", "--pruner", "none", "--no-baselines"),
            *("--trials", str(asked.trials), "--folds", "3", "--epochs", "5"),
            *("--workers", str(workers), "--study", "race", "--home", folder, "--json"),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        journal = Path(folder) / "studies" / "race" / "journal.jsonl"
        records = [json.loads(line) for line in journal.read_text().splitlines()]
    began = next(record["at"] for record in records if record["kind"] == "FoldStarted")
    ended = [record["at"] for record in records if record["kind"] == "TrialEnded"]
    if len(ended) != asked.trials:
        raise SystemExit(f"{len(ended)} of {asked.trials} trials ended")
    return ended[-1] - began


if __name__ == "__main__":
    main()
