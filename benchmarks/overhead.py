"""What the harness costs beside a bare loop over the same fits.

Run: `python benchmarks/overhead.py [--rounds 3] [--case NAME]` (about 20 minutes in all; set
SEARCH_DATA_DIR, or `--dataset digits` without the real images). In every round it times, one after
the other and each in a fresh process:

- harness: `python -m search run --pruner none` with one worker in float32, everything on, in a
  home that has a study already.
- bare: one process that trains the same settings on the same folds by the project's own `fit`, with
  the same precision, threads and kept programs. No coordinator, no journal, no MLflow, no pictures,
  no kept predictions, nothing reported.
- plain: one process that for each setting and fold builds, compiles and fits the same model on the
  same arrays with Keras's `validation_data`, then predicts the validation part, as a notebook does.

What the harness costs is its time less that of `bare`; `plain` tells what it is worth. All three
count from the first fold's start to the last trial's end, so that importing TensorFlow counts for
none. `between` is how long, of the harness's time, no fold was being trained, and needs no second
measurement. Noted as well: how long after the last trial the command ended (MLflow has everything
then), and the memory of the coordinator and of the worker.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

CASES = {
    # name: (trials, folds, epochs, samples); the first and last have trials of 30 s or more
    "long trials": (2, 5, 4, 4_000),
    "short trials": (6, 3, 1, 600),
    "many short trials": (40, 2, 1, 300),
    "all images": (1, 5, 1, 60_000),
}
PRECISION = "float32"  # of all, as the plain loop's
LONG = 30.0  # seconds
AIMED_SHARE, AIMED_SECONDS = 0.02, 0.1  # of a long trial; a trial


def main() -> None:
    """Run the rounds and print one table; the numbers also go to a JSON file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dataset", default="fashion_mnist")
    parser.add_argument("--out", type=Path, default=Path("overhead.json"))
    parser.add_argument("--case", choices=CASES, action="append")
    for name in LOOPS:  # in processes of their own
        parser.add_argument(f"--{name}", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name, loop in LOOPS.items():
        task = getattr(options, name)
        if task:
            loop(json.loads(task.read_text()))
            return
    rows = []
    for name in options.case or CASES:
        rounds = [one_round(options.dataset, *CASES[name]) for _ in range(options.rounds)]
        rows.append(summarise(name, rounds))
        print(json.dumps(rows[-1]), file=sys.stderr)
    options.out.write_text(json.dumps(rows, indent=2) + "\n")
    print_table(rows)


def one_round(dataset: str, trials: int, folds: int, epochs: int, samples: int) -> dict[str, float]:
    """Time the harness, then the loops over the settings that it proposed."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        prepare(home)
        document, memory = run_harness(home, dataset, trials, folds, epochs, samples)
        records = read_records(home, document["study"])
        started = next(r["at"] for r in records if r["kind"] == "FoldStarted")
        ended = [r["at"] for r in records if r["kind"] == "TrialEnded"][-1]
        shipped = [r["at"] for r in records if r["kind"] == "SessionEnded"][-1]
        task = home / "task.json"
        task.write_text(
            json.dumps(
                {
                    "home": str(home),
                    "dataset": dataset,
                    "settings": [trial["parameters"] for trial in document["trials"]],
                    "study": document["study"],
                }
            )
        )
        loops = {name: run_loop(name, task) for name in LOOPS}
    fits = sum(r["seconds"] for r in records if r["kind"] == "FoldEnded")
    return {
        "trials": trials,
        **loops,
        "harness": ended - started,
        "between": (ended - started - fits) / trials,
        "shipping_after": document["finished_at"] - shipped,
        **memory,
    }


def prepare(home: Path) -> None:
    """Have a study in the home, so that MLflow's tables are there: they are made once."""
    command = [sys.executable, "-m", "search", "run", "--space", "mlp", "--dataset", "digits"]
    command += ["--trials", "1", "--folds", "1", "--epochs", "1", "--home", str(home), "--json"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def run_harness(
    home: Path, dataset: str, trials: int, folds: int, epochs: int, samples: int
) -> tuple[dict, dict[str, float]]:
    """Run the study; return its JSON document and the peak memory of its processes in MB."""
    limit = ["--limit-samples", str(samples)]
    command = [
        *(sys.executable, "-m", "search", "run", "--space", "lenet", "--dataset", dataset),
        *("--trials", str(trials), "--folds", str(folds), "--epochs", str(epochs)),
        *("--workers", "1", "--precision", PRECISION, "--pruner", "none"),
        *("--home", str(home), "--json", *limit),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peaks = {"coordinator_mb": 0.0, "worker_mb": 0.0}
    watcher = threading.Thread(target=watch_memory, args=(process.pid, peaks), daemon=True)
    watcher.start()
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the harness failed with exit code {process.returncode}")
    return json.loads(output) | {"finished_at": time.time()}, peaks


def watch_memory(pid: int, peaks: dict[str, float]) -> None:
    """Note the largest resident size of the coordinator and of its worker, in MB."""
    while True:
        try:
            coordinator = psutil.Process(pid)
            size = coordinator.memory_info().rss / 1e6
            peaks["coordinator_mb"] = max(peaks["coordinator_mb"], size)
            for child in coordinator.children():
                size = child.memory_info().rss / 1e6
                peaks["worker_mb"] = max(peaks["worker_mb"], size)
        except psutil.Error:
            return
        time.sleep(0.2)


def read_records(home: Path, study: str) -> list[dict]:
    """Return the records of a study's journal."""
    journal = home / "studies" / study / "journal.jsonl"
    return [json.loads(line) for line in journal.read_text().splitlines()]


def run_loop(name: str, task: Path) -> float:
    """Run a loop in a process of its own and return its seconds."""
    command = [sys.executable, __file__, f"--{name}", str(task)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return float(done.stdout.decode().split()[-1])


def plain_loop(task: dict) -> None:
    """Build and fit each setting on each fold as a notebook would; print the seconds."""
    import keras
    import numpy as np

    from search.data import load
    from search.data.folds import Folds
    from search.data.inputs import data_spec
    from search.training.compiling import compile_model
    from spaces import get_space
    from tracking.home import Home

    home = Home(Path(task["home"]))
    space = get_space("lenet")
    dataset = load(task["dataset"], home=home.root)
    images = np.asarray(dataset.prepared(space.input_for("image")))
    labels = np.asarray(dataset.train_labels)
    folds = Folds.load(home.study(task["study"]).folds)
    spec = data_spec(dataset, space)
    started = time.time()
    for params in task["settings"]:
        for train, validation in zip(folds.train, folds.validation, strict=True):
            keras.utils.set_random_seed(0)
            model = space.build(params, spec)
            compile_model(model, params, dataset.task, images[:8], steps=1)  # no schedule in use
            model.fit(
                images[train],
                labels[train],
                validation_data=(images[validation], labels[validation]),
                batch_size=params["batch_size"],
                epochs=params["epochs"],
                verbose=0,
            )
            model.predict(images[validation], verbose=0)
            keras.backend.clear_session()
    print(time.time() - started)


def bare_loop(task: dict) -> None:
    """Train each setting on each fold as the project's worker does, and no more; print seconds."""
    import keras

    from search.data.inputs import spec_of
    from search.seeds import derive
    from search.study.autotune import work_of
    from search.study.opening import open_study
    from search.training.fit import fit
    from search.training.fold_data import FoldData
    from tracking.home import Home

    opened = open_study(
        {"study": task["study"]}, home=Home(Path(task["home"])), data_dir=None, notify=_unheard
    )
    data = FoldData.open(work_of(opened, PRECISION))
    gc.freeze()  # as workers do
    started = time.time()
    for params in task["settings"]:
        for fold in range(1, len(data.folds) + 1):
            encoder = data.learn(fold, params)
            training, validation = data.parts(fold, encoder)
            seed = derive(data.seed, "fold", fold)
            keras.utils.set_random_seed(seed)
            model = data.space.build(params, spec_of(encoder, data.kind, data.task))
            fit(
                model,
                training,
                validation,
                params,
                task=data.task,
                seed=seed,
                on_epoch=_unheard,
                programs=data.programs,
            )
            del model
            keras.backend.clear_session(free_memory=False)
            gc.collect()
    print(time.time() - started)


def _unheard(_: object) -> None:
    pass


LOOPS = {"bare": bare_loop, "plain": plain_loop}


def summarise(name: str, rounds: list[dict[str, float]]) -> dict[str, float | str]:
    """Return medians over the rounds, the cost a trial in seconds and as a share of the loop."""
    median = {key: statistics.median(entry[key] for entry in rounds) for key in rounds[0]}
    costs = [entry["harness"] - entry["bare"] for entry in rounds]
    return {
        "case": name,
        **{key: round(value, 3) for key, value in median.items()},
        "seconds_a_trial": round(median["bare"] / median["trials"], 2),
        "cost_a_trial": round(statistics.median(costs) / median["trials"], 3),
        "share": round(
            statistics.median(c / e["bare"] for c, e in zip(costs, rounds, strict=True)), 4
        ),
        "against_plain": round(statistics.median(e["harness"] / e["plain"] for e in rounds), 3),
    }


COLUMNS = {
    "case": "case",
    "bare": "bare s",
    "harness": "harness s",
    "plain": "plain s",
    "seconds_a_trial": "s a trial",
    "cost_a_trial": "cost s/trial",
    "share": "share",
    "between": "between s/trial",
    "against_plain": "of plain",
    "shipping_after": "after s",
    "coordinator_mb": "coord MB",
    "worker_mb": "worker MB",
}


def print_table(rows: list[dict[str, float | str]]) -> None:
    """Print the summary for people, and what was aimed at."""
    print("| " + " | ".join(COLUMNS.values()) + " |\n|" + "---|" * len(COLUMNS))
    for row in rows:
        print("| " + " | ".join(str(row[key]) for key in COLUMNS) + " |")
    for row in rows:
        print(verdict(row))


def verdict(row: dict[str, float | str]) -> str:
    """Return one line: of long trials the share, of short ones the seconds, met or missed.

    A tenth of a second is less than two long trainings differ by themselves.
    """
    if float(row["seconds_a_trial"]) >= LONG:
        share = float(row["share"])
        met = "met" if share < AIMED_SHARE else "missed"
        return (
            f"{row['case']}: {100 * share:.1f} %, under {100 * AIMED_SHARE:.0f} % aimed at: {met}"
        )
    met = "met" if float(row["cost_a_trial"]) < AIMED_SECONDS else "missed"
    return f"{row['case']}: {row['cost_a_trial']} s a trial, under {AIMED_SECONDS} aimed at: {met}"


if __name__ == "__main__":
    main()
