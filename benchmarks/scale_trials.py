"""What ten thousand trials cost the coordinator, MLflow and its pages, beside a hundred.

Run: `python benchmarks/scale_trials.py [--trials 10000] [--samplers tpe,random] [--rounds 3]` (ten
minutes; what is finished is kept, and the same command goes on; the studies stay in a folder). The
product's own loop runs a study of LeNet's space on digits: driver, racing, journal, printed lines,
all but the training, which is made up and takes no time (`made_trials.py`). MLflow is away, so that
proposing and recording is all there is to time: the mean time from one proposal to the next over
the hundred trials around the hundredth and over the last hundred proposed, by the clock and by the
processor time of the process, which other work on the machine hardly lengthens. Every round is a
fresh process.

Then a study of a hundred trials is brought to its home's MLflow by `search sync`, and the home is
copied, with each trial in MLflow so often that there are as many as asked (`multiplied.py`).
`search ui` serves each, and a headless Chromium opens the study's first page, in a new window and
once more in the same: from the navigation to the first rows.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import kept
import machine
from made_trials import make_study
from multiplied import multiply

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.serving import served  # noqa: E402 # the path comes first
from tests.browser.visitor import find_browser, visiting  # noqa: E402
from tracking.home import Home  # noqa: E402
from tracking.records import Record, TrialStarted  # noqa: E402

FEW = 100
FIRST_ROW = "[role=gridcell][col-id='attributes.`Run Name`'] a"
MOST_TIMES, MOST_MB, MOST_SECONDS = 2.0, 1000.0, 2.0  # what is aimed at


def main() -> None:
    """Take what measurements are missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--samplers", default="tpe,random")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-pages", action="store_true", help="leave MLflow and its pages out")
    parser.add_argument(
        "--homes", type=Path, default=Path("scale_trials"), help="folder of studies"
    )
    parser.add_argument("--out", type=Path, default=Path("scale_trials.json"))
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # home, sampler, trials: a child
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(Path(asked.one[0]), asked.one[1], int(asked.one[2]))))
        return
    known = kept.read(asked.out, {"trials": asked.trials})
    for name, take in steps(asked).items():
        if all(run["name"] != name for run in known["runs"]):
            kept.add(asked.out, known, {"name": name} | take())
            print(known["runs"][-1], flush=True)
    print_tables(known, asked)


def steps(asked: argparse.Namespace) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return what is to be measured by its name, in order."""
    samplers, homes = asked.samplers.split(","), asked.homes.resolve()
    found: dict[str, Callable[[], dict[str, Any]]] = {}
    for number in range(asked.rounds):
        for sampler in samplers:
            home = homes / f"{sampler}-{number}"
            found[f"{sampler} {number}"] = partial(in_fresh_process, home, sampler, asked.trials)
    if not asked.no_pages:
        found["few"] = partial(in_fresh_process, homes / "few", samplers[0], FEW)
        found["sync"] = partial(sync, homes / "few")
        found["many"] = partial(many, homes / "few", homes / "many", asked.trials)
        for trials, home in ((FEW, homes / "few"), (asked.trials, homes / "many")):
            for number in range(asked.rounds):
                found[f"page {trials} {number}"] = partial(first_page, home)
    return found


def in_fresh_process(home: Path, sampler: str, trials: int) -> dict[str, Any]:
    """Run one study in a process of its own; return what it measured."""
    command = [sys.executable, __file__, "--one", str(home), sampler, str(trials)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(home: Path, sampler: str, trials: int) -> dict[str, float]:
    """Run one study; return milliseconds a trial at both ends, and the process's memory."""
    moments: list[tuple[float, float]] = []

    def on_record(record: Record) -> None:
        if isinstance(record, TrialStarted):
            moments.append((time.perf_counter(), time.process_time()))

    began = time.perf_counter()
    make_study(Home(home), trials, sampler=sampler, on_record=on_record)
    whole = time.perf_counter() - began
    first, last = moments[FEW // 2 : FEW // 2 + FEW + 1], moments[-FEW - 1 :]
    clock, processor = (
        [1000 * (window[-1][key] - window[0][key]) / (len(window) - 1) for window in (first, last)]
        for key in (0, 1)
    )
    return {
        "near few, clock": clock[0],
        "near all, clock": clock[1],
        "near few, processor": processor[0],
        "near all, processor": processor[1],
        "whole": whole,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


def sync(home: Path) -> dict[str, float]:
    """Bring a home's study to MLflow; return how long that took, and the process's memory."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "search", "sync", "--home", str(home)]
    code, used = wait(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL))
    if code:
        raise SystemExit(f"sync ended with {code}")
    return {"seconds": time.perf_counter() - began, "megabytes": used}


def many(few: Path, home: Path, trials: int) -> dict[str, int]:
    """Make a home with many trials in MLflow out of one with few."""
    multiply(few, home, trials // FEW, FEW)
    return {"bytes": Home(home).database.stat().st_size}


def wait(process: "subprocess.Popen[bytes]") -> tuple[int, float]:
    """Wait for a process; return its exit code and its largest memory in megabytes."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss / 1000


def first_page(home: Path) -> dict[str, float]:
    """Return the seconds from opening a study's page to its first rows: in a new window, again."""
    browser, seconds = find_browser(), []
    if browser is None:
        raise SystemExit("no browser is installed: no chromium, chromium-browser or google-chrome")
    with served(home) as links, visiting(browser, 1400, 900) as visitor:
        for _ in range(2):
            visitor.page.goto("about:blank")
            began = time.perf_counter()
            visitor.page.goto(links["made"]["best trials first"], wait_until="commit")
            visitor.page.locator(FIRST_ROW).first.wait_for()
            seconds.append(time.perf_counter() - began)
    return {"new": seconds[0], "again": seconds[1]}


def print_tables(known: dict[str, Any], asked: argparse.Namespace) -> None:
    """Print the medians for people."""

    def median(name: str, key: str) -> float:
        values = [run[key] for run in known["runs"] if run["name"].startswith(f"{name} ")]
        return statistics.median(values)

    print(f"\n{machine.line(known['machine'])}; medians")
    print(f"| sampler | by | near {FEW} | near {asked.trials:,} | times | aimed at |")
    print("|---|---|---|---|---|---|")
    for sampler in asked.samplers.split(","):
        for by in ("clock", "processor"):
            few, many = (median(sampler, f"{where}, {by}") for where in ("near few", "near all"))
            cells = (f"{few:.1f} ms", f"{many:.1f} ms", f"{many / few:.2f}", f"{MOST_TIMES:g}")
            print(f"| {sampler} | {by} | {' | '.join(cells)} |")
        print(
            f"| {sampler} | memory | | {median(sampler, 'megabytes'):.0f} MB | | {MOST_MB:g} MB |"
        )
    if asked.no_pages:
        return
    [brought] = [run for run in known["runs"] if run["name"] == "sync"]
    print(
        f"\n{FEW} trials were brought to MLflow in {brought['seconds']:.0f} s, starting included."
    )
    print("\n| trials in MLflow | first page, new window | again | aimed at |")
    print("|---|---|---|---|")
    for trials in (FEW, asked.trials):
        new, again = (median(f"page {trials}", key) for key in ("new", "again"))
        print(f"| {trials:,} | {new:.2f} s | {again:.2f} s | {MOST_SECONDS:g} s |")


if __name__ == "__main__":
    main()
