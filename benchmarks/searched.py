"""Published scores beside those of models that a search found, on the full datasets.

    python benchmarks/searched.py                              # every row of `ROWS`, seed 0
    python benchmarks/searched.py --only mlp@mnist --seed 1    # one row, another seed
    python benchmarks/searched.py --write docs/results.md      # only put the tables into the page

A row is what a user would type: `run`, which sees training data alone, then `export`, which trains
the best trial's model on all of them and opens the test set. Both run in a home of their own below
`--homes` and are timed as they end: wall time, and processor time over all cores, which hardly
depends on what else the machine does. Rows that the JSON file has are not run again. Ctrl-C ends a
search after the folds in training; the same command goes on with it and adds up the times. A search
that was killed begins anew.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kept
from machine import describe
from page import put
from searched_rows import ROWS, Row

HERE = Path(__file__).parent
SPENT = "spent.json"  # in a row's home


@dataclass(frozen=True)
class Timed:
    """One command that ended well.

    Attributes:
        printed: the JSON document on its standard output.
        seconds: wall time.
        cpu_seconds: processor time of it and its workers, over all cores.
    """

    printed: dict[str, Any]
    seconds: float
    cpu_seconds: float


def main() -> None:
    """Run the rows that are asked for and not there yet, or only write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="SPACE@DATASET", help="only these rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=HERE / "searched.json")
    parser.add_argument("--homes", type=Path, default=Path("mlruns/searched"))
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("SEARCH_DATA_DIR"))
    parser.add_argument("--write", type=Path, help="only put the tables into this page")
    asked = parser.parse_args()
    unknown = set(asked.only or ()) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"there are no rows {sorted(unknown)}; known: {[row.name for row in ROWS]}")
    finished = kept.read(asked.json, {})
    if asked.write:
        put(asked.write, "searched", table(finished["runs"]))
        put(asked.write, "searched commands", commands())
        return
    for row in ROWS:
        if asked.only and row.name not in asked.only:
            continue
        if _latest(finished["runs"], row, asked.seed) is None:
            kept.add(asked.json, finished, measure(row, asked.seed, asked.homes, asked.data_dir))
    print(table(finished["runs"]))


def measure(row: Row, seed: int, homes: Path, data_dir: Path | None) -> dict[str, Any]:
    """Search, export, and return the row of the JSON file.

    Raises:
        SystemExit: a command failed or was interrupted, or an earlier call came as far as `export`.
    """
    home = homes / f"{row.study}-{seed}"
    run, export = row.commands(seed)
    spent = _spent(home, run)
    if spent is None:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
    machine, done = describe(), []
    for command in (run, export):
        print(f"{row.name}, seed {seed}: {shlex.join(command)}", file=sys.stderr)
        _keep_spent(home, command, None)
        done.append(timed(command, home, data_dir, spent or (0.0, 0.0)))
        spent = None
    return _run(row, seed, machine, *done)


def _spent(home: Path, run: list[str]) -> tuple[float, float] | None:
    """Return the times of an interrupted search that can go on; None where one begins anew."""
    if not (home / SPENT).exists():
        return None
    kept = json.loads((home / SPENT).read_text())
    if kept["command"][1] == "export":
        raise SystemExit(
            f"`{shlex.join(kept['command'])}` was interrupted, and may have opened the test set."
            f" Look at what {home} has before you delete it"
        )
    # None where it was killed: nobody knows for how long it had run.
    return kept["seconds"] if kept["command"] == run else None


def _keep_spent(home: Path, command: list[str], seconds: tuple[float, float] | None) -> None:
    (home / SPENT).write_text(json.dumps({"command": command, "seconds": seconds}))


def timed(
    command: list[str], home: Path, data_dir: Path | None, spent: tuple[float, float]
) -> Timed:
    """Run a command of Foldwise's in a home and return what it printed and took.

    Args:
        command: as a user types it.
        home: of its study.
        data_dir: folder of datasets; None for the usual places.
        spent: wall and processor time of earlier calls that were interrupted, seconds.

    Raises:
        SystemExit: it failed or was interrupted; what it took is kept for the next call.
    """
    where = ["--home", str(home), "--json"]
    if command[1] == "export":
        where += ["--out", str(home / "exported")]
    if data_dir is not None:
        where += ["--data-dir", str(data_dir)]
    started = time.monotonic()
    signal.signal(signal.SIGINT, lambda *_: None)  # the command has it, too, and ends by itself
    with tempfile.TemporaryFile("w+") as output:
        full = [sys.executable, "-m", "search", *command[1:], *where]
        process = subprocess.Popen(full, stdout=output, cwd=HERE.parent)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = spent[0] + time.monotonic() - started
        cpu_seconds = spent[1] + used.ru_utime + used.ru_stime
        if process.returncode:
            _keep_spent(home, command, (seconds, cpu_seconds))
            raise SystemExit(f"`{shlex.join(command)}` ended with {process.returncode}")
        output.seek(0)
        return Timed(json.load(output), seconds, cpu_seconds)


def _run(row: Row, seed: int, machine: dict[str, Any], run: Timed, export: Timed) -> dict[str, Any]:
    trials = run.printed["trials"]
    best = next(trial for trial in trials if trial["trial"] == run.printed["best_trial"])
    test, exported = export.printed["test"], export.printed["export"]
    return {
        "row": row.name,
        "seed": seed,
        "commands": [shlex.join(command) for command in row.commands(seed)],
        "accuracy": test["accuracy"],
        "interval": test["intervals"]["accuracy"],
        "test_samples": test["samples"],
        "test_set_openings": export.printed["test_set_openings"],
        "trials": dict(Counter(trial["state"] for trial in trials)),
        "plan": run.printed["plan"],
        "best_trial": best["trial"],
        "parameters": best["parameters"],
        "held_out": best["scores"].get("cv_accuracy"),
        "folds": len(best["folds"]),
        "models": exported["models"],
        "members": exported.get("members", []),
        "trained_on": exported.get("samples", 0),
        "model_sha256": test["model_sha256"],
        "search_seconds": round(run.seconds, 1),
        "search_cpu_seconds": round(run.cpu_seconds, 1),
        "export_seconds": round(export.seconds, 1),
        "export_cpu_seconds": round(export.cpu_seconds, 1),
        "machine": machine,
        "load_at_the_end": round(os.getloadavg()[0], 2),
    }


def table(runs: list[dict[str, Any]]) -> str:
    """Return the Markdown table of the rows that have run."""
    lines = [
        "| `--only` | published | published setting here | searched, exported | another seed"
        " | held out | trials | CPU time | wall time | test set opened |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    here = _published_here()
    for row in ROWS:
        first, second = (_latest(runs, row, seed) for seed in (0, 1))
        if first is not None:
            lines.append(_line(row, here.get(row.name, ""), _openings(runs, row), first, second))
    return "\n".join(lines)


def _openings(runs: list[dict[str, Any]], row: Row) -> Counter[int]:
    """Return how often each seed has opened a row's test set, with earlier commands, too."""
    found: Counter[int] = Counter()
    for run in runs:
        if run["row"] == row.name:
            found[run["seed"]] += run["test_set_openings"]
    return found


def _line(
    row: Row,
    here: str,
    openings: Counter[int],
    first: dict[str, Any],
    second: dict[str, Any] | None,
) -> str:
    both = [run for run in (first, second) if run is not None]
    low, high = first["interval"]
    cells = (
        f"`{row.name}`",
        f"{row.published:.4g}: {row.source}",
        here or "-",
        f"**{first['accuracy']:.4f}** ({low:.4f} to {high:.4f})",
        "-" if second is None else f"**{second['accuracy']:.4f}**",
        ", ".join(f"{run['held_out']:.4f}" for run in both),
        ", ".join(str(sum(run["trials"].values())) for run in both),
        ", ".join(_minutes(run, "cpu_seconds") for run in both),
        ", ".join(_minutes(run, "seconds") for run in both),
        ", ".join(_times(openings[run["seed"]]) for run in both),
    )
    return f"| {' | '.join(cells)} |"


def _minutes(run: dict[str, Any], name: str) -> str:
    return f"{(run[f'search_{name}'] + run[f'export_{name}']) / 60:.0f} min"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _published_here() -> dict[str, str]:
    """Return for each row the best of its space's published settings, trained by `published.py`."""
    trainings = json.loads((HERE / "published.json").read_text())
    found: dict[str, dict[str, list[float]]] = {}
    for each in trainings:
        if each["scored_on"] in ("test", "validation"):
            settings = found.setdefault(f"{each['space']}@{each['dataset']}", {})
            settings.setdefault(each["baseline"], []).append(each["accuracy"])
    return {name: _best(settings) for name, settings in found.items()}


def _best(settings: dict[str, list[float]]) -> str:
    name, scores = max(settings.items(), key=lambda item: sum(item[1]) / len(item[1]))
    return f"{sum(scores) / len(scores):.4f} (`{name}`, seeds: {len(scores)})"


def commands() -> str:
    """Return the commands of all rows as a block of the page."""
    lines: Iterator[str] = (
        wrapped for row in ROWS for each in row.commands(0) for wrapped in _wrapped(each)
    )
    return "\n".join(["```console", *lines, "```"])


def _wrapped(command: list[str]) -> Iterator[str]:
    """Yield a command in lines of at most 110 signs."""
    line, *words = "$ foldwise", *map(shlex.quote, command[1:])
    while words:
        taken = 2 if words[0].startswith("-") and len(words) > 1 else 1
        piece, words = " ".join(words[:taken]), words[taken:]
        if len(line) + len(piece) > 110:
            yield f"{line} \\"
            line = f"    {piece}"
        else:
            line = f"{line} {piece}"
    yield line


def _latest(runs: list[dict[str, Any]], row: Row, seed: int) -> dict[str, Any] | None:
    """Return the run of a row's present commands with a seed; None if there is none."""
    wanted = [shlex.join(command) for command in row.commands(seed)]
    return next((run for run in reversed(runs) if run["commands"] == wanted), None)


if __name__ == "__main__":
    main()
