"""Accounts for the time of a search of the kind that `race_peers.py` runs: what it is spent on.

    python benchmarks/accounting.py --out accounting.json
    python benchmarks/accounting.py --out accounting.json --write    (the tables into docs)

About five minutes on two idle cores. LeNet's space on 6,000 images of Fashion-MNIST, 12 trials, 5
folds, 4 epochs, racing, in an empty folder: with the workers that the plan chooses, and with one.
Every finished search is kept in the JSON file; the same command goes on from there. Set
SEARCH_DATA_DIR or `--data-dir`.

The product is not changed for it: `tracer/` on PYTHONPATH wraps functions of the command's
processes, which write down spans. What lies inside a span is taken off it. A graph is optimised
when it runs first; the tracer runs it once on next to nothing, so that this can be told from
training. Shares are of the workers' time, from command to end, and of the processor time of all
processes. The second is the one to compare where a machine has other things to do.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from kept import add, read
from machine import line
from page import put

Span: TypeAlias = dict[str, Any]

PROJECT = Path(__file__).resolve().parent.parent
TRACER, PAGE = PROJECT / "benchmarks" / "tracer", PROJECT / "docs" / "performance.md"
CASES = {"as planned": (), "one worker": ("--workers", "1")}
START, REST, END_OF_IT, COORDINATOR = "start", "waiting for a fold", "end", "coordinator"
# Row of the table, and the tracer's spans that it is the sum of.
ROWS = {
    START: "command to worker ready: interpreter, TensorFlow, data",
    "measuring": "measuring precisions for the plan",
    "trying to save": "trying whether a model can be exported",
    "building": "building and compiling models, setting kept ones back",
    "tracing": "tracing programs",
    "optimising": "TensorFlow optimising their graphs",
    "steps": "training steps",
    "validation": "validation: predicting",
    "scoring": "validation: metrics, predictions to disk",
    "around the steps": "around the steps: orders, callbacks, clearing",
    "messages": "reports and the coordinator's answers",
    REST: "no fold to train",
    END_OF_IT: "last fold to end of command: MLflow, exit",
    COORDINATOR: "coordinator: driver, journal, MLflow (beside the workers)",
}
SAME = {"samples": "around the steps", "clearing": "around the steps", "loading": START}


def main() -> None:
    """Run the searches that are not in the JSON file yet, and print or write the tables."""
    asked = parse()
    names = ("trials", "samples", "folds", "epochs", "ours")
    kept = read(asked.out, {name: getattr(asked, name) for name in names})
    for number in range(asked.rounds):
        for case in CASES:
            place = {"case": case, "round": number}
            if any(place.items() <= run.items() for run in kept["runs"]):
                continue
            run = place | search(asked, case, number)
            add(asked.out, kept, run)
            print(f"round {number}  {case:10} {run['seconds']:7.1f} s", flush=True)
    text = "\n".join(tables(kept))
    print(f"\n{text}")
    if asked.write:
        put(PAGE, "accounting", text)


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("accounting.json"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--samples", type=int, default=6_000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("SEARCH_DATA_DIR"))
    parser.add_argument("--ours", default="", help="more options for `run`, in one string")
    parser.add_argument("--write", action="store_true", help="the tables into docs/performance.md")
    asked = parser.parse_args()
    if asked.data_dir is None:
        parser.error("set SEARCH_DATA_DIR, or name the folder of the data with `--data-dir`")
    return asked


def search(asked: argparse.Namespace, case: str, number: int) -> dict[str, Any]:
    """Run a search in an empty folder and return its account."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "spans").mkdir()
        command = [
            *(sys.executable, "-m", "search", "run", "--space", "lenet", "--no-baselines"),
            *("--dataset", "fashion_mnist", "--limit-samples", str(asked.samples)),
            *("--trials", str(asked.trials), "--folds", str(asked.folds)),
            *("--epochs", str(asked.epochs), "--seed", str(number), "--home", str(folder)),
            *(*CASES[case], "--json", *asked.ours.split()),
        ]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join((str(TRACER), str(PROJECT))),
            "SEARCH_DATA_DIR": str(asked.data_dir.resolve()),
            "TRACER": str(folder / "spans"),
        }
        used, load, began = processor_seconds(), os.getloadavg()[0], time.time()
        with (folder / "log").open("w") as log:
            done = subprocess.run(
                command, cwd=folder, env=environment, stdout=log, stderr=log, check=False
            )
        ended, used = time.time(), processor_seconds() - used
        if done.returncode:
            raise SystemExit(f"{command} failed:\n{(folder / 'log').read_text()[-3000:]}")
        (journal,) = folder.glob("studies/*/journal.jsonl")
        records = [json.loads(text) for text in journal.read_text().splitlines()]
        files = [path.read_text().splitlines() for path in (folder / "spans").iterdir()]
        return {
            "seconds": ended - began,
            "processor": used,
            "load": load,
            **account([[json.loads(each) for each in lines] for lines in files], began, ended),
            **counts(records),
        }


def processor_seconds() -> float:
    """Return user and system seconds of all processes that have ended, workers included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def account(processes: list[list[Span]], began: float, ended: float) -> dict[str, Any]:
    """Return wall and processor seconds of all workers by row, and how often each was.

    What no span has is waiting; the time of a worker's start and end is the command's.
    """
    workers = [spans for spans in processes if any(one["name"] == "loading" for one in spans)]
    wall: dict[str, float] = defaultdict(float)
    processor: dict[str, float] = defaultdict(float)
    times: dict[str, int] = defaultdict(int)
    for spans in workers:
        ready = max(one["ended"] for one in spans if one["name"] == "loading")
        for name, seconds, cpu in own_parts(spans):
            row = SAME.get(name, name)
            processor[row] += cpu
            times[row] += 1
            if row != START:
                wall[row] += seconds
        wall[START] += ready - began
        processor[START] += min(one["process"] - one["cpu"] for one in spans)  # before any span
    last = max(one["ended"] for spans in workers for one in spans)
    wall[END_OF_IT] = (ended - last) * len(workers)
    wall[REST] = (ended - began) * len(workers) - sum(wall.values())
    return {"workers": len(workers), "wall": wall, "cpu": processor, "times": times}


def own_parts(spans: list[Span]) -> Iterator[tuple[str, float, float]]:
    """Yield the name of each span, and its seconds without what is told apart inside of it.

    Spans are written when they end, so what is inside comes first. Of what is measured for the
    plan, all is measuring.
    """
    inside: dict[int, list[Span]] = defaultdict(list)
    probes = [one for one in spans if one["name"] == "measuring"]
    for one in spans:
        if one["thread"] != "main":
            continue
        within = inside.pop(one["depth"] + 1, [])
        inside[one["depth"]].append(one)
        if one["name"] != "measuring" and any(lies_in(one, probe) for probe in probes):
            continue
        parts = [] if one["name"] == "measuring" else within
        yield (
            one["name"],
            one["ended"] - one["began"] - sum(part["ended"] - part["began"] for part in parts),
            one["cpu"] - sum(part["cpu"] for part in parts),
        )


def lies_in(one: Span, other: Span) -> bool:
    """Say whether a span is inside another one."""
    return bool(other["began"] <= one["began"] and one["ended"] <= other["ended"])


def counts(records: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return how much was trained."""
    kinds = [record["kind"] for record in records]
    return {
        "trials_begun": kinds.count("TrialStarted"),
        "folds_begun": kinds.count("FoldStarted"),
        "epochs_trained": kinds.count("EpochEnded"),
    }


def tables(kept: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the tables: how much was trained, and what the time was spent on."""
    options = kept["options"]
    yield f"{line(kept['machine'])}; {options['trials']} trials x {options['folds']} folds x"
    yield f"{options['epochs']} epochs of {options['samples']:,} images; medians where there are"
    yield "several rounds."
    yield ""
    cases = {case: [run for run in kept["runs"] if run["case"] == case] for case in CASES}
    cases = {case: runs for case, runs in cases.items() if runs}
    yield "| | workers | wall | processor | trials | folds | epochs | programs traced | load |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for case, runs in cases.items():
        cells = [
            f"{middle(run[name] for run in runs):.0f}"
            for name in ("trials_begun", "folds_begun", "epochs_trained")
        ]
        programs = f"{middle(run['times'].get('tracing', 0) for run in runs):.0f}"
        seconds = [
            f"{middle(run[name] for run in runs):.0f} s" for name in ("seconds", "processor")
        ]
        load = f"{middle(run['load'] for run in runs):.1f}"
        yield row(case, str(runs[0]["workers"]), *seconds, *cells, programs, load)
    yield ""
    yield row("", *(f"{case}: {what}" for case in cases for what in ("time", "processor")))
    yield row("---", *["---"] * (2 * len(cases)))
    for name, told in ROWS.items():
        cells = [
            f"{100 * middle(share(run, name, of) for run in runs):.1f} %"
            for runs in cases.values()
            for of in ("wall", "cpu")
        ]
        yield row(told, *("" if cell == "0.0 %" else cell for cell in cells))


def share(run: dict[str, Any], name: str, of: str) -> float:
    """Return a row's fraction of the workers' wall time, or of all processor time."""
    if of == "wall":
        return float(run["wall"].get(name, 0.0) / (run["seconds"] * run["workers"]))
    if name == COORDINATOR:
        return 1.0 - float(sum(run["cpu"].values()) / run["processor"])
    return float(run["cpu"].get(name, 0.0) / run["processor"])


def middle(numbers: Iterable[float]) -> float:
    """Return the median."""
    return float(statistics.median(numbers))


def row(*cells: str) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
