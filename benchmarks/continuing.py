"""How long a study of many finished trials takes to be continued.

Run: `python benchmarks/continuing.py [--trials 10000] [--rounds 3]` (two minutes). A real study of
two trials on digits is run; its journal is then filled up with finished trials of the same space,
every fold and epoch of them, as a study would have written them (their scores are made up). Then
`python -m search run` goes on with it, and the time from starting the command to the record of the
next proposal is taken. Beside it stands the same study with its two trials only, whose time is that
of starting up; and how long it takes to parse the journal's lines as JSON and nothing else.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDS, EPOCHS = 5, 3
NOBODY = "http://127.0.0.1:9"


def main() -> None:
    """Make the studies, time the rounds and print one table; the numbers also go to JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--out", type=Path, default=Path("continuing.json"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        run(small, 2, asked.sampler).wait()
        shutil.copytree(small, large)
        records = fill(journal(large), asked.trials)
        seconds: dict[str, list[float]] = {"2 trials": [], f"{asked.trials:,} trials": []}
        for number in range(asked.rounds):
            for (name, known), home, known_trials in zip(
                seconds.items(), (small, large), (2, asked.trials), strict=True
            ):
                known.append(until_proposal(home, known_trials + number + 1, asked.sampler))
                print(f"round {number + 1}  {name}  {known[-1]:.2f} s", flush=True)
        parsing = parse(journal(large))
    medians = {name: statistics.median(known) for name, known in seconds.items()}
    print("\n| study | until the next proposal |\n|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.2f} s |")
    print(f"| parsing {records:,} lines as JSON, nothing else | {parsing:.2f} s |")
    asked.out.write_text(json.dumps({"seconds": seconds, "parsing": parsing}) + "\n")


def journal(home: Path) -> Path:
    """Return the one study's journal."""
    return home / "studies" / "many" / "journal.jsonl"


def run(home: Path, trials: int, sampler: str) -> subprocess.Popen:
    """Start the study, or go on with it."""
    command = [
        *(sys.executable, "-m", "search", "run", "--space", "mlp", "--dataset", "digits"),
        *("--study", "many", "--sampler", sampler, "--pruner", "none", "--no-baselines"),
        *("--folds", str(FOLDS), "--epochs", str(EPOCHS), "--limit-samples", "200"),
        *("--trials", str(trials), "--home", str(home), "--json"),
        *("--tracking-uri", NOBODY),  # else the end waits for MLflow to be told of all trials
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def until_proposal(home: Path, trials: int, sampler: str) -> float:
    """Return the seconds from the command to the journal's next `TrialStarted`."""
    path = journal(home)
    end = path.stat().st_size
    began = time.monotonic()
    process = run(home, trials, sampler)
    try:
        while b'"TrialStarted"' not in tail(path, end):
            if process.poll() is not None or time.monotonic() - began > 600:
                raise SystemExit("the study was not continued")
            time.sleep(0.005)
        return time.monotonic() - began
    finally:
        process.wait()


def tail(path: Path, start: int) -> bytes:
    """Return what was appended to a file."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read()


def fill(path: Path, trials: int) -> int:
    """Append finished trials to a journal; return how many records it has then."""
    from search.study.drivers import make_driver
    from spaces import get_space, narrow
    from tracking.home import END, beside
    from tracking.journal import Journal, encode, read_journal
    from tracking.journal_lines import crc_of
    from tracking.records import (
        EpochEnded,
        FoldEnded,
        FoldStarted,
        Record,
        TrialEnded,
        TrialStarted,
    )

    records = read_journal(path)
    model = next(record for record in records if isinstance(record, TrialEnded))
    space = narrow(get_space("mlp"), {"epochs": str(EPOCHS)}).space
    driver = make_driver("optuna", "random", space, seed=1)
    source = random.Random(0)  # noqa: S311 # no secret
    fold_ended = next(record for record in records if isinstance(record, FoldEnded))
    lines: list[Record] = []

    def add(kind: type[Record], model: Record | None = None, **values: object) -> None:
        known = model.to_json() if model else {}
        known.pop("kind", None)
        at = records[-1].at + 0.001 * (len(lines) + 1)
        lines.append(kind(**{**known, **values, "at": at}))

    for trial in range(2, trials):
        score = 0.5 + 0.4 * source.random()
        add(TrialStarted, trial=trial, parameters=driver.ask(trial), origin="sampled")
        for fold in range(1, FOLDS + 1):
            add(FoldStarted, trial=trial, fold=fold)
            for epoch in range(1, EPOCHS + 1):
                names = ("loss", "accuracy", "val_loss", "val_accuracy")
                metrics = {name: score + source.random() / 10 for name in names}
                add(EpochEnded, trial=trial, fold=fold, epoch=epoch, metrics=metrics)
            add(FoldEnded, fold_ended, trial=trial, fold=fold, accuracy=score)
        scores = {**model.scores, "cv_accuracy": score}
        add(TrialEnded, model, trial=trial, value=score, scores=scores)
    last = crc_of(path.read_bytes().splitlines()[-1])
    with path.open("ab") as file:
        for record in lines:
            line = encode(record, last)
            last = crc_of(line)
            file.write(line)
    beside(path, END).unlink()
    with Journal(path):  # it can be written to
        return len(records) + len(lines)


def parse(path: Path) -> float:
    """Return the seconds that parsing every line as JSON takes."""
    lines = path.read_bytes().splitlines()
    began = time.perf_counter()
    for line in lines:
        json.loads(line)
    return time.perf_counter() - began


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1]))
    main()
