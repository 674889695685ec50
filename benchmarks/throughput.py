"""Training samples a second of the published baselines: plain Keras and this project.

    python benchmarks/throughput.py --out throughput.json
    python benchmarks/throughput.py --out tiny.json --only mlp/small --rounds 1 --seconds 0.2

About 20 minutes on two cores. Every finished measurement is kept in the JSON file; the same command
goes on from there. Set SEARCH_DATA_DIR. `--all` takes the networks of 58 million weights, too.

In every round and for each baseline, one after the other and each in fresh processes:

- plain: `model.fit` on NumPy arrays, in float32, with default threads, texts padded to the full
  length, as published code has it (`benchmarks/peers/plain_fit.py`); same batch size. Once without
  validation, which the aims are held against, and once with `validation_data`.
- foldwise: `python -m search run` over settings that differ from the baseline in a thousandth of
  the learning rate alone, so that all workers have a trial; one hold-out split, `--pruner none`,
  everything on. The execution plan is the one that a study of 20 trials of this setting over five
  folds of all samples makes; it is begun first, and ended when its plan is known. `--ours` adds
  options.

Both are counted by the epoch, the first of each training left out, which builds and traces. This
project's epochs contain the validation pass, as large a part as plain Keras's, and all its records;
its rate is that of one training times the number of trainings side by side. `whole` counts all
samples trained between the first fold's start and the last one's end: building, tracing and the
last worker's being alone included. Early stopping is off in both, so that all samples train.

The limit is the processor's: the best of large matrix products, measured in the same run, against
the operations in the model's own products, forward and backward. Padding does not count as work.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from kept import add, read
from machine import line

from search.data.folds import Folds
from spaces import get_space, names
from tracking.home import Home

AIMS = {"lenet": 1.6, "cnn": 1.5, "mlp": 3.0, "bilstm": 1.5}
HUGE = ("resnet152v2", "vgg16")
SIZES = {"mnist": 60_000, "fashion_mnist": 60_000, "sst2": 67_349}
PEERS, PROJECT = Path(__file__).resolve().parent / "peers", Path(__file__).resolve().parent.parent
SEARCH = (sys.executable, "-m", "search", "run")
TRAINED = 0.8  # of a study's samples with `--folds 1`


def main() -> None:
    """Measure what is not in the JSON file yet, and print the table."""
    asked = parse()
    kept = read(asked.out, {"seconds": asked.seconds, "epochs": asked.epochs, "ours": asked.ours})
    kept.setdefault("peak", None)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        kept["peak"] = kept["peak"] or python(PEERS / "peak.py")
        for number in range(asked.rounds):
            for space, baseline in cases(asked):
                place = {"baseline": f"{space}/{baseline}", "round": number}
                if any(place.items() <= run.items() for run in kept["runs"]):
                    continue
                run = place | measure(asked, space, baseline, number, home)
                add(asked.out, kept, run)
                print(progress(run), flush=True)
    print_table(kept)


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("throughput.json"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of a plain epoch, about")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--only", nargs="+", metavar="SPACE/BASELINE")
    parser.add_argument("--all", action="store_true", help="the largest networks, too")
    parser.add_argument("--ours", default="", help="more options for `run`, in one string")
    return parser.parse_args()


def cases(asked: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield spaces and baselines."""
    for space in names():
        if space in HUGE and not asked.all:
            continue
        for baseline in get_space(space).published:
            if not asked.only or f"{space}/{baseline}" in asked.only:
                yield space, baseline


def measure(
    asked: argparse.Namespace, space: str, baseline: str, number: int, home: Path
) -> dict[str, Any]:
    """Measure one baseline both ways; every second round the other way goes first."""
    params, samples = settle(space, baseline), size(asked, space, baseline)
    modes = [
        lambda: {"plain": plain(asked, space, params, samples, home)},
        lambda: {"ours": ours(asked, space, params, samples, home)},
    ]
    found: dict[str, Any] = {}
    for mode in modes[:: 1 if number % 2 == 0 else -1]:
        found |= mode()
    return found


def settle(space: str, baseline: str) -> dict[str, Any]:
    """Return the baseline's complete params, with all samples training at a constant rate."""
    known = get_space(space)
    off = {"early_stopping": False, "schedule": "constant", "epochs": 1}
    return known.complete({**known.baselines[baseline], **off})


def size(asked: argparse.Namespace, space: str, baseline: str) -> int:
    """Return a number of training samples that plain Keras takes about `--seconds` for."""
    known = get_space(space)
    total, published = SIZES[known.dataset], known.published[baseline]
    rate = total * published.epochs / published.seconds
    return max(500, min(int(asked.seconds * rate), int(TRAINED * total)))


def plain(
    asked: argparse.Namespace, space: str, params: dict[str, Any], samples: int, home: Path
) -> dict[str, Any]:
    """Return the rates of plain Keras, in samples a second."""
    found = python(
        PEERS / "plain_fit.py",
        *("--space", space, "--dataset", get_space(space).dataset, "--home", str(home)),
        *("--setting", json.dumps(params)),
        *("--samples", str(samples), "--epochs", str(asked.epochs)),
    )
    return {
        "rate": found["samples"] / statistics.median(found["plain"]),
        "validated": found["samples"] / statistics.median(found["validated"]),
        "operations": found["operations"],
    }


def ours(
    asked: argparse.Namespace, space: str, params: dict[str, Any], samples: int, home: Path
) -> dict[str, Any]:
    """Return the rates of a study, in samples a second, and how its session ran."""
    place = home / "-".join(map(str, params.values())).replace("/", "-")
    given = ["--space", space, "--pruner", "none", "--no-baselines", *fixed(space, params)]
    given = [*given, *asked.ours.split(), "--home", str(place), "--json"]
    if not place.exists():
        plan(given, Home(place))
    study = Home(place).study(f"speed-{time.time_ns()}")
    run(
        [
            *(*SEARCH, *given, "--sampler", "random", "--study", study.root.name),
            *("--limit-samples", str(int(samples / TRAINED)), "--folds", "1"),
            *("--trials", str(2 * len(os.sched_getaffinity(0))), "--epochs", str(asked.epochs)),
        ]
    )
    records = [json.loads(text) for text in study.journal.read_text().splitlines()]
    return rates(records, len(Folds.load(study.folds).train[0]))


def plan(given: list[str], home: Home) -> None:
    """Begin a long study, which measures how to compute, and end it when it has."""
    command = [*SEARCH, *given, "--trials", "20", "--epochs", "10", "--study", "long"]
    journal = home.study("long").journal
    process = subprocess.Popen(
        command, env=surroundings(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None:
        if journal.exists() and '"SessionStarted"' in journal.read_text():
            process.terminate()  # as Ctrl-C
            break
        time.sleep(0.1)
    process.wait()


def fixed(space: str, params: dict[str, Any]) -> list[str]:
    """Return the options that leave nothing but a thousandth of the learning rate to choose."""
    known, options = get_space(space), []
    for name, value in params.items():
        if name == "epochs":
            continue
        text = ("off", "on")[value] if isinstance(value, bool) else str(value)
        if name == "learning_rate":
            text = f"{value}:{value * 1.001:.6g}"
            if not known[name].contains(value * 1.001):
                text = f"{value * 0.999:.6g}:{value}"
        options += ["--set", f"{name}={text}"]
    return options


def rates(records: list[dict[str, Any]], samples: int) -> dict[str, Any]:
    """Return what a study's journal tells of its speed.

    Args:
        records: all of them.
        samples: that a fold trains on.
    """
    ends: dict[tuple[int, int], list[float]] = {}
    for record in records:
        if record["kind"] == "EpochEnded":
            ends.setdefault((record["trial"], record["fold"]), []).append(record["at"])
    began = {(r["trial"], r["fold"]): r["at"] for r in records if r["kind"] == "FoldStarted"}
    ended = {(r["trial"], r["fold"]): r["at"] for r in records if r["kind"] == "FoldEnded"}
    epochs = [b - a for times in ends.values() for a, b in pairwise(times)]
    span = max(ended.values()) - min(began.values())
    beside = max(sum(began[other] <= began[key] < ended[other] for other in ended) for key in ended)
    session = next(record for record in records if record["kind"] == "SessionStarted")
    return {
        "rate": beside * samples / statistics.median(epochs),
        "whole": samples * sum(len(times) for times in ends.values()) / span,
        "beside": beside,
        "precision": session["environment"]["precision"],
        "plan": session["environment"].get("plan", {}).get("told", ""),
    }


def python(script: Path, *arguments: str) -> Any:
    """Run a script in a fresh process and return the JSON on its last line."""
    return json.loads(run([sys.executable, str(script), *arguments]).splitlines()[-1])


def run(command: list[str]) -> str:
    """Run a command to its end and return its output."""
    done = subprocess.run(command, env=surroundings(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def surroundings() -> dict[str, str]:
    """Return the environment of all commands."""
    return os.environ | {"PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def progress(run: dict[str, Any]) -> str:
    """Return one line for one finished measurement."""
    return (
        f"round {run['round']}  {run['baseline']:18} plain {run['plain']['rate']:8,.0f}"
        f"  foldwise {run['ours']['rate']:8,.0f} (whole {run['ours']['whole']:,.0f})"
    )


def print_table(kept: dict[str, Any]) -> None:
    """Print medians over the rounds, samples a second."""
    peak = kept["peak"]
    print(f"\n{line(kept['machine'])}")
    print(
        f"peak of matrix products: {peak['float32']:.0f} GFLOP/s in float32,"
        f" {peak['bfloat16']:.0f} in bfloat16\n"
    )
    print(
        "| baseline | batch | plain | plain, validated | foldwise | whole | against plain | aim |"
        " against validated | of the peak: plain | foldwise |"
    )
    print("|" + "---|" * 11)
    for name in dict.fromkeys(run["baseline"] for run in kept["runs"]):
        print(row(name, [run for run in kept["runs"] if run["baseline"] == name], peak))


def row(name: str, runs: list[dict[str, Any]], peak: dict[str, float]) -> str:
    """Return one line of the table."""
    space, _, baseline = name.partition("/")
    kind = "bfloat16" if "bfloat16" in runs[0]["ours"]["precision"] else "float32"
    work = runs[0]["plain"]["operations"] / 1e9

    def median(side: str, key: str) -> float:
        return statistics.median(run[side][key] for run in runs)

    def against(key: str) -> float:
        return statistics.median(run["ours"]["rate"] / run["plain"][key] for run in runs)

    aim = AIMS.get(space)
    cells = (
        f"`{name}`",
        str(settle(space, baseline)["batch_size"]),
        f"{median('plain', 'rate'):,.0f}",
        f"{median('plain', 'validated'):,.0f}",
        f"{median('ours', 'rate'):,.0f}",
        f"{median('ours', 'whole'):,.0f}",
        f"{against('rate'):.2f}",
        "" if aim is None else f"{aim:g}: {'met' if against('rate') >= aim else 'missed'}",
        f"{against('validated'):.2f}",
        f"{100 * median('plain', 'rate') * work / peak['float32']:.0f} %",
        f"{100 * median('ours', 'rate') * work / peak[kind]:.0f} % ({kind})",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
