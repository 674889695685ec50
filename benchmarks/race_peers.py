"""One search of LeNet's space by this project, by KerasTuner and by Optuna: time and choice.

    python benchmarks/race_peers.py --out race_peers.json
    python benchmarks/race_peers.py --out tiny.json --trials 2 --samples 600 --epochs 1 --rounds 1

About 70 minutes on two cores as it comes. Every finished search is kept in the JSON file; the same
command goes on from there. Set SEARCH_DATA_DIR or `--data-dir` (a folder that has
`fashion_mnist/` with the IDX files).

In every round the three search the same space with the same number of proposals, folds, epochs and
samples: the very same images, a stratified part drawn with the round's seed. They take turns in
being first. Each is a fresh process in a fresh folder; counted is the wall time from command to
end, with imports, data, search and everything that MLflow is told.

- foldwise: `python -m search run` as it comes, so with racing. `--no-baselines`, as the peers have
  no published settings to begin with; `--ours` adds options.
- keras-tuner, optuna: `benchmarks/peers/`, as their users write them.

A choice is judged by its independent 5-fold score, by one piece of code for all: plain Keras in
float32 trains the chosen setting on 5 folds of as many samples as were searched on, but others, and
the mean accuracy of the five models on 10,000 images that took no part in anything is the score.
The test set stays shut.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from kept import add, read
from machine import line

Pair: TypeAlias = tuple[dict[str, Any], dict[str, Any]]  # this project's run, the peer's

OURS, TUNER, OPTUNA = "foldwise", "keras-tuner", "optuna"
TOOLS = (OURS, TUNER, OPTUNA)
SCRIPTS = {TUNER: "keras_tuner_cv.py", OPTUNA: "optuna_folds.py"}
AIMS = {TUNER: 1 / 10, OPTUNA: 1 / 8}  # of the peer's time, at most
NO_WORSE = 0.002  # accuracy
PEERS, PROJECT = Path(__file__).parent / "peers", Path(__file__).parent.parent
JUDGED_ON = 10_000  # samples


@dataclass(frozen=True)
class Run:
    """One finished search.

    Attributes:
        tool: whose.
        round: from 0; also the seed.
        seconds: wall time from command to end.
        params: the chosen ones, complete.
        score: its cross-validated accuracy by the tool's own account.
        judged: its independent 5-fold score.
        folds: what that is the mean of.
        environment: what this project's study noted of its session; else empty.
    """

    tool: str
    round: int
    seconds: float
    params: dict[str, Any]
    score: float
    judged: float = 0.0
    folds: list[float] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Run the searches that are not in the JSON file yet, and print the table."""
    asked = parse()
    names = ("trials", "samples", "folds", "epochs", "ours")
    kept = read(asked.out, {name: getattr(asked, name) for name in names})
    for tool, number in turns(asked.rounds):
        if any((run["tool"], run["round"]) == (tool, number) for run in kept["runs"]):
            continue
        found = judged(search(asked, tool, number), asked)
        add(asked.out, kept, asdict(found))
        print(f"round {number}  {tool:12} {found.seconds:7.1f} s  {found.judged:.4f}", flush=True)
    print_table(kept)


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("race_peers.json"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--samples", type=int, default=6_000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("SEARCH_DATA_DIR"))
    parser.add_argument("--ours", default="", help="more options for `run`, in one string")
    asked = parser.parse_args()
    if asked.data_dir is None:
        parser.error("set SEARCH_DATA_DIR, or name the folder of the data with `--data-dir`")
    return asked


def turns(rounds: int) -> Iterator[tuple[str, int]]:
    """Yield tools and rounds such that each tool is first as often as the others."""
    for number in range(rounds):
        for place in range(len(TOOLS)):
            yield TOOLS[(place + number) % len(TOOLS)], number


def search(asked: argparse.Namespace, tool: str, number: int) -> Run:
    """Run one search in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "part.npy", part(asked, number)[0])
        command = ours(asked, number, folder) if tool == OURS else peer(asked, number, tool)
        environment = os.environ | {
            "PYTHONPATH": str(PROJECT),
            "SEARCH_DATA_DIR": str(asked.data_dir),
        }
        output, log = folder / "stdout", folder / "stderr"
        began = time.monotonic()
        with output.open("w") as out, log.open("w") as errors:
            done = subprocess.run(
                command, cwd=folder, env=environment, stdout=out, stderr=errors, check=False
            )
        seconds = time.monotonic() - began
        if done.returncode:
            raise SystemExit(f"{tool} failed:\n{log.read_text()[-3000:]}")
        return Run(tool=tool, round=number, seconds=seconds, **chosen(tool, folder))


def ours(asked: argparse.Namespace, number: int, folder: Path) -> list[str]:
    """Return this project's command."""
    return [
        *(sys.executable, "-m", "search", "run", "--space", "lenet", "--no-baselines"),
        *("--dataset", "fashion_mnist", "--limit-samples", str(asked.samples)),
        *("--trials", str(asked.trials), "--folds", str(asked.folds)),
        *("--epochs", str(asked.epochs), "--seed", str(number)),
        *("--home", str(folder), "--json", *asked.ours.split()),
    ]


def peer(asked: argparse.Namespace, number: int, tool: str) -> list[str]:
    """Return a peer's command."""
    return [
        *(sys.executable, str((PEERS / SCRIPTS[tool]).resolve())),
        *("--data", str(data_folder(asked))),
        *("--part", "part.npy", "--out", "chosen.json"),
        *("--trials", str(asked.trials), "--folds", str(asked.folds)),
        *("--epochs", str(asked.epochs), "--seed", str(number)),
    ]


def chosen(tool: str, folder: Path) -> dict[str, Any]:
    """Return setting and score of the choice, and how this project's session ran."""
    if tool != OURS:
        found: dict[str, Any] = json.loads((folder / "chosen.json").read_text())
        return found
    best = json.loads((folder / "stdout").read_text())["best"]
    (journal,) = folder.glob("studies/*/journal.jsonl")
    records = [json.loads(text) for text in journal.read_text().splitlines()]
    session = next(record for record in records if record["kind"] == "SessionStarted")
    known = {
        key: value
        for key, value in session["environment"].items()
        if key not in ("versions", "host", "pid", "platform", "git")
    }
    return {"params": best["parameters"], "score": best["value"], "environment": known}


def part(asked: argparse.Namespace, number: int) -> tuple[Any, Any, Any]:
    """Return three lots of samples that share none.

    What is searched on (what `--limit-samples` and `--seed` take), what the judge trains on, what
    it scores on.
    """
    from search.data.folds import stratified_part

    with gzip.open(data_folder(asked) / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    searched = stratified_part(labels, asked.samples, number)
    others = np.setdiff1d(np.arange(len(labels)), searched)
    trained = others[stratified_part(labels[others], asked.samples, 1_000 + number)]
    rest = np.setdiff1d(others, trained)
    return searched, trained, rest[stratified_part(labels[rest], JUDGED_ON, 2_000 + number)]


def data_folder(asked: argparse.Namespace) -> Path:
    """Return the folder of the IDX files."""
    return Path(asked.data_dir).resolve() / "fashion_mnist"


def judged(run: Run, asked: argparse.Namespace) -> Run:
    """Return a search with the independent score of its choice, made in a process of its own."""
    _, train, apart = part(asked, run.round)
    task = {
        "params": run.params,
        "epochs": asked.epochs,
        "seed": run.round,
        "data": str(data_folder(asked)),
        "train": train.tolist(),
        "apart": apart.tolist(),
    }
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, str(PEERS / "judge.py")],
        input=json.dumps(task).encode(),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    folds = json.loads(done.stdout.decode().splitlines()[-1])
    return replace(run, judged=statistics.fmean(folds), folds=folds)


def print_table(kept: dict[str, Any]) -> None:
    """Print medians of times and means of scores, and whether the aims are met."""
    options = kept["options"]
    print(f"\n{line(kept['machine'])}")
    print(
        f"LeNet's space, {options['trials']} trials x {options['folds']} folds x"
        f" {options['epochs']} epochs, {options['samples']:,} images of Fashion-MNIST\n"
    )
    print("| tool | rounds | median time | of its time foldwise takes | own score | independent |")
    print("|---|---|---|---|---|---|")
    for tool in TOOLS:
        runs = [run for run in kept["runs"] if run["tool"] == tool]
        if runs:
            print(row(tool, runs, kept["runs"]))
    for tool, aim in AIMS.items():
        found = pairs(kept["runs"], tool)
        if found:
            print(verdict(tool, aim, found))


def row(tool: str, runs: list[dict[str, Any]], all_runs: list[dict[str, Any]]) -> str:
    """Return one line of the table."""
    times = sorted(run["seconds"] for run in runs)
    cells = (
        tool,
        str(len(runs)),
        f"{statistics.median(times):.0f} s ({times[0]:.0f} to {times[-1]:.0f})",
        "" if tool == OURS else f"{share(pairs(all_runs, tool)):.3f}",
        f"{statistics.fmean(run['score'] for run in runs):.4f}",
        f"{statistics.fmean(run['judged'] for run in runs):.4f}",
    )
    return f"| {' | '.join(cells)} |"


def pairs(runs: list[dict[str, Any]], tool: str) -> list[Pair]:
    """Return this project's and a tool's run of each round that has both."""
    by_place = {(run["tool"], run["round"]): run for run in runs}
    return [
        (by_place[OURS, number], run)
        for (of, number), run in by_place.items()
        if of == tool and (OURS, number) in by_place
    ]


def share(found: list[Pair]) -> float:
    """Return the median over rounds of this project's time as a share of a tool's."""
    if not found:
        return float("nan")
    return statistics.median(mine["seconds"] / theirs["seconds"] for mine, theirs in found)


def verdict(tool: str, aim: float, found: list[Pair]) -> str:
    """Return one line: both aims against a peer, each met or missed."""
    gap = statistics.fmean(mine["judged"] - theirs["judged"] for mine, theirs in found)
    return (
        f"{tool}: at most {aim:.3f} of its time aimed at, {share(found):.3f} measured:"
        f" {'met' if share(found) <= aim else 'missed'}; the choice at most"
        f" {100 * NO_WORSE:.1f} points worse aimed at, {100 * gap:+.2f} points measured:"
        f" {'met' if gap >= -NO_WORSE else 'missed'}"
    )


if __name__ == "__main__":
    main()
