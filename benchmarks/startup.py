"""Seconds from command to first training step: this project, a KerasTuner and an Optuna script.

    python benchmarks/startup.py --out startup.json [--rounds 5]

About 8 minutes on two cores. Every finished start is kept in the JSON file; the same command goes
on from there. Set SEARCH_DATA_DIR or `--data-dir` (a folder that has `fashion_mnist/`).

All three begin to search LeNet's space on the same 6,000 images of Fashion-MNIST, read from the
same files; the peers' scripts are those of `benchmarks/peers/`. Each start is a fresh process, one
after the other in turns, with the files in the system's cache, and is ended after its first step.
Two cases: `first`, in an empty folder, where MLflow's database and this project's copy of the data
are yet to be made; `again`, in a folder where a search has been before.

Counted are the seconds from the process's start until the first training step has been computed,
graph and all; `begun` is when its epoch began. In an empty folder this project also measures how
fast its workers are, which comes before and is counted. The times are noted by a hook in Keras's
optimizer and callbacks, the same for all, that Python loads at its start: `peers/first_step/`.
Measured in the same rounds is what the scripts cannot do without, a fresh Python that imports
TensorFlow, or Keras, and no more.
"""

import argparse
import gzip
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from kept import add, read
from machine import line

PEERS, PROJECT = Path(__file__).resolve().parent / "peers", Path(__file__).resolve().parent.parent
SCRIPTS = {"keras-tuner": "keras_tuner_cv.py", "optuna": "optuna_folds.py"}
OURS = "foldwise"
TOOLS = (OURS, *SCRIPTS)
IMPORTS = ("tensorflow", "keras")
CASES = ("again", "first")
SAMPLES, LONGEST = 6_000, 180.0  # seconds


def main() -> None:
    """Measure the starts that are not in the JSON file yet, and print the table."""
    asked = parse()
    kept = read(asked.out, {"ours": asked.ours})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "part.npy", part(asked))
        for number in range(asked.rounds):
            for case, tool in turns(number):
                place = {"case": case, "tool": tool, "round": number}
                if any(place.items() <= run.items() for run in kept["runs"]):
                    continue
                run = place | start(asked, tool, case, folder)
                add(asked.out, kept, run)
                print(f"round {number}  {case:6} {tool:12} {run['computed']:6.2f} s", flush=True)
    print_table(kept)


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("startup.json"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("SEARCH_DATA_DIR"))
    parser.add_argument("--ours", default="", help="more options for `run`, in one string")
    asked = parser.parse_args()
    if asked.data_dir is None:
        parser.error("set SEARCH_DATA_DIR, or name the folder of the data with `--data-dir`")
    asked.data_dir = Path(asked.data_dir).resolve()
    return asked


def turns(number: int) -> list[tuple[str, str]]:
    """Return cases and tools; each tool is first in its turn."""
    shift = number % len(TOOLS)
    tools = (*TOOLS[shift:], *TOOLS[:shift])
    return [(case, tool) for case in CASES for tool in tools] + [
        ("import", name) for name in IMPORTS
    ]


def part(asked: argparse.Namespace) -> Any:
    """Return the numbers of the samples that `--limit-samples` takes."""
    from search.data.folds import stratified_part

    with gzip.open(asked.data_dir / "fashion_mnist" / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return stratified_part(labels, SAMPLES, 0)


def start(asked: argparse.Namespace, tool: str, case: str, folder: Path) -> dict[str, float]:
    """Return when a start's first epoch began and its first step was computed, in seconds."""
    if case == "import":
        return imported(tool)
    place = folder / case / tool
    if case == "first":
        shutil.rmtree(place, ignore_errors=True)
    if not place.exists():
        place.mkdir(parents=True)
        if case == "again":
            finish(asked, tool, place, folder)
            first_step(command(asked, tool, folder), place, asked)  # as long a search, once before
    return first_step(command(asked, tool, folder), place, asked)


def command(asked: argparse.Namespace, tool: str, folder: Path, *, tiny: bool = False) -> list[str]:
    """Return the command that searches; a tiny search comes to its end soon."""
    trials, folds, epochs = ("1", "2", "1") if tiny else ("12", "5", "4")
    if tool != OURS:
        return [
            *(sys.executable, str(PEERS / SCRIPTS[tool]), "--out", "chosen.json"),
            *("--data", str(asked.data_dir / "fashion_mnist")),
            *("--part", str(folder / "part.npy")),
            *("--trials", trials, "--folds", folds, "--epochs", epochs),
        ]
    study = "tiny" if tiny else f"study-{time.time_ns()}"
    return [
        *(sys.executable, "-m", "search", "run", "--space", "lenet", "--study", study),
        *("--dataset", "fashion_mnist", "--limit-samples", str(SAMPLES), "--no-baselines"),
        *("--trials", trials, "--folds", folds, "--epochs", epochs, *asked.ours.split()),
    ]


def surroundings(asked: argparse.Namespace) -> dict[str, str]:
    """Return the environment of all commands."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join((str(PEERS / "first_step"), str(PROJECT))),
        "SEARCH_DATA_DIR": str(asked.data_dir),
    }


def finish(asked: argparse.Namespace, tool: str, place: Path, folder: Path) -> None:
    """Let a tiny search come to its end."""
    with (place / "log").open("w") as log:
        subprocess.run(
            command(asked, tool, folder, tiny=True),
            cwd=place,
            env=surroundings(asked),
            stdout=log,
            stderr=log,
            check=True,
        )


def first_step(command: list[str], place: Path, asked: argparse.Namespace) -> dict[str, float]:
    """Start a command, wait for its first step, and end it with all its processes."""
    files = {event: place / f"step.{event}" for event in ("begun", "computed")}
    for file in files.values():
        file.unlink(missing_ok=True)
    environment = surroundings(asked) | {"FIRST_STEP": str(place / "step")}
    with (place / "log").open("w") as log:
        began = time.time()
        process = subprocess.Popen(
            command, cwd=place, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        while not files["computed"].exists():
            if process.poll() is not None or time.time() > began + LONGEST:
                break
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not files["computed"].exists():
        raise SystemExit(
            f"{command} did not come to a step:\n{(place / 'log').read_text()[-3000:]}"
        )
    return {event: float(file.read_text()) - began for event, file in files.items()}


def imported(name: str) -> dict[str, float]:
    """Return how long a fresh Python takes that imports a package and no more."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    began = time.time()
    subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        env=environment,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.time() - began
    return {"begun": seconds, "computed": seconds}


def print_table(kept: dict[str, Any]) -> None:
    """Print medians and the range of all rounds."""
    print(f"\n{line(kept['machine'])}\n")
    print("| case | command | rounds | first step computed | least, most | first epoch begun |")
    print("|---|---|---|---|---|---|")
    for case in (*CASES, "import"):
        for tool in (*TOOLS, *IMPORTS):
            runs = [run for run in kept["runs"] if (run["case"], run["tool"]) == (case, tool)]
            if runs:
                print(row(case, tool, runs))
    for case in CASES:
        print(verdict(case, kept["runs"]))


def row(case: str, tool: str, runs: list[dict[str, Any]]) -> str:
    """Return one line of the table."""
    times = sorted(run["computed"] for run in runs)
    bare = case == "import"
    cells = (
        "" if bare else case,
        f"`import {tool}` alone" if bare else tool,
        str(len(runs)),
        f"{statistics.median(times):.2f} s",
        f"{times[0]:.2f}, {times[-1]:.2f}",
        "" if bare else f"{statistics.median(run['begun'] for run in runs):.2f} s",
    )
    return f"| {' | '.join(cells)} |"


def verdict(case: str, runs: list[dict[str, Any]]) -> str:
    """Return one line: whether this project is no slower than either peer."""
    medians = {
        tool: statistics.median(times)
        for tool in TOOLS
        if (times := [r["computed"] for r in runs if (r["case"], r["tool"]) == (case, tool)])
    }
    if len(medians) < len(TOOLS):
        return f"{case}: not measured yet"
    quickest = min(medians[tool] for tool in SCRIPTS)
    met = "met" if medians[OURS] <= quickest else "missed"
    return f"{case}: {medians[OURS]:.2f} s, the quicker peer {quickest:.2f} s: {met}"


if __name__ == "__main__":
    main()
