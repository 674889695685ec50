"""How long a report takes to write, and how large it is.

Run: `python benchmarks/report.py [--trials 500] [--folds 5] [--epochs 10] [--json FILE]`. It makes
up a study on the handwritten digits (journal, folds and predictions) in a temporary home, once with
every trial complete and once as a race, and writes the report of each in a fresh process as the
command does, without MLflow.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from search.data import Dataset, load
from search.data.folds import Folds
from search.data.splits import make_folds
from search.tasks.classification import ClassPredictions, confusion_matrix
from tracking.home import Home, StudyFolder
from tracking.journal import encode
from tracking.records import (
    EpochEnded,
    FoldEnded,
    FoldStarted,
    Record,
    SessionEnded,
    SessionStarted,
    StudyStarted,
    TrialEnded,
    TrialStarted,
)

PARAMETERS = [
    ("conv_1_filters", "int", "32..64", None),
    ("conv_1_kernel", "choice", "3 | 5", None),
    ("extra_conv", "boolean", "off | on", None),
    ("conv_2_filters", "int", "32..128", "extra_conv=True"),
    ("dropout", "float", "0..0.5 step 0.05", None),
    ("learning_rate", "float", "0.0001..0.01 log", None),
    ("batch_size", "int", "16..256 log", None),
]


def main() -> None:
    """Make the studies, report on them, and print one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)  # of the child process
    options = parser.parse_args()
    if options.write:
        print(json.dumps(timed(options.write)))
        return
    results = []
    for kind in ("complete", "racing"):
        with tempfile.TemporaryDirectory() as folder:
            make_study(Path(folder), options, racing=kind == "racing")
            command = [sys.executable, __file__, "--write", folder]
            began = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            whole = time.perf_counter() - began
            results.append({"study": kind, "process": whole, **json.loads(done.stdout)})
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    print_table(results)


def timed(home: Path) -> dict[str, Any]:
    """Write the report and return its seconds, its bytes and each figure's seconds."""
    began = time.perf_counter()
    from search.analysis.report.figures import figures
    from search.analysis.report.report import Reported, report
    from search.studies import known_study

    imported = time.perf_counter()
    folder, history = known_study(Home(home), "made")
    read = time.perf_counter()
    page = report([Reported(history, folder)], home=home).encode()
    (home / "report.html").write_bytes(page)
    written = time.perf_counter()
    figures(history)
    return {
        "import": imported - began,
        "read": read - imported,
        "report": written - read,
        "figures": time.perf_counter() - written,
        "bytes": len(page),
    }


def make_study(home: Path, options: argparse.Namespace, *, racing: bool) -> None:
    """Write a study's journal and folds, and the predictions of every complete trial."""
    dataset = load("digits", home=home)
    folds = make_folds(np.asarray(dataset.train_labels), folds=options.folds, seed=0)
    folder = Home(home).study("made")
    folder.root.mkdir(parents=True)
    folds.save(folder.folds)
    with folder.journal.open("wb") as file:
        for record in records(dataset, folds, folder, options, racing=racing):
            file.write(encode(record))


def records(
    dataset: Dataset,
    folds: Folds,
    folder: StudyFolder,
    options: argparse.Namespace,
    *,
    racing: bool,
) -> Iterator[Record]:
    """Yield a study: trial 0 and 1 are baselines; of a race one trial in five is complete."""
    chance, at = random.Random(0), 1_790_000_000.0  # noqa: S311 # no secret
    settings = {"space": "lenet", "dataset": "digits", "seed": 0, "epochs": options.epochs}
    yield StudyStarted(
        at=at,
        id="0" * 32,
        study="made",
        space="lenet",
        driver="optuna",
        settings={**settings, "sampler": "tpe", "pruner": "racing" if racing else "none"},
        parameters=[
            {"name": n, "kind": k, "range": r, "searched": True, "default": None, "when": w}
            for n, k, r, w in PARAMETERS
        ],
        dataset={
            "name": dataset.name,
            "source": dataset.source,
            "digest": dataset.digest,
            "classes": list(dataset.classes),
            "kind": "image",
            "samples": folds.samples,
        },
        folds=len(folds),
        folds_digest=folds.digest,
    )
    yield SessionStarted(at=at, trials=options.trials, environment={"versions": {}})
    for trial in range(options.trials):
        stops = racing and trial > 1 and trial % 5
        yield from made_trial(chance, folds, folder, trial, options.epochs, stops=bool(stops))
    yield SessionEnded(at=at, reason="complete")


def made_trial(
    chance: random.Random,
    folds: Folds,
    folder: StudyFolder,
    trial: int,
    epochs: int,
    *,
    stops: bool,
) -> Iterator[Record]:
    """Yield one trial's records; one that stops does so after the first epoch."""
    at, params = 1_790_000_000.0, made_setting(chance)
    level = made_level(chance, params)
    origin = f"baseline:number-{trial}" if trial < 2 else "sampled"
    yield TrialStarted(at=at, trial=trial, parameters={**params, "epochs": epochs}, origin=origin)
    parts = []
    for fold in range(1, 2 if stops else len(folds) + 1):
        yield FoldStarted(at=at, trial=trial, fold=fold)
        accuracy = level + chance.gauss(0, 0.01)
        for epoch in range(1, 2 if stops else epochs + 1):
            reached = accuracy - 0.4 / epoch**1.5
            metrics = {"loss": 1.2 - reached, "accuracy": reached + 0.01}
            metrics |= {"val_loss": 1.25 - reached, "val_accuracy": reached}
            yield EpochEnded(at=at, trial=trial, fold=fold, epoch=epoch, metrics=metrics)
        if stops:
            continue
        parts.append(made_predictions(folds, fold, accuracy))
        parts[-1].save(folder.predictions(trial, fold))
        yield FoldEnded(
            at=at,
            trial=trial,
            fold=fold,
            accuracy=accuracy,
            loss=1.25 - accuracy,
            macro_f1=accuracy,
            seconds=6.0,
            epochs=epochs,
            predictions="",
        )
    yield ended(trial, level, parts, epochs * len(folds), stops=stops)


def ended(
    trial: int, level: float, parts: list[ClassPredictions], epochs: int, *, stops: bool
) -> TrialEnded:
    """Return a trial's outcome."""
    common: dict[str, Any] = {"at": 1_790_000_000.0, "trial": trial, "model_parameters": 50_000}
    if stops:
        return TrialEnded(
            **common,
            state="pruned",
            value=None,
            reason="in fold 1 after epoch 1",
            train_seconds=1.5,
            epochs_trained=1,
        )
    scores = {"cv_accuracy": level, "cv_accuracy_std": 0.01, "cv_loss": 1.25 - level}
    return TrialEnded(
        **common,
        state="complete",
        value=level,
        scores={**scores, "macro_f1": level},
        train_seconds=30.0,
        epochs_trained=epochs,
        confusion=confusion_matrix(ClassPredictions.joined(parts), 10),
    )


def made_setting(chance: random.Random) -> dict[str, Any]:
    """Return values for all parameters in use."""
    extra = chance.random() < 0.5
    return {
        "conv_1_filters": chance.randint(32, 64),
        "conv_1_kernel": chance.choice([3, 5]),
        "extra_conv": extra,
        **({"conv_2_filters": chance.randint(32, 128)} if extra else {}),
        "dropout": round(0.05 * chance.randint(0, 10), 2),
        "learning_rate": 10 ** chance.uniform(-4, -2),
        "batch_size": chance.randint(16, 256),
    }


def made_level(chance: random.Random, params: dict[str, Any]) -> float:
    """Return an accuracy that the learning rate decides most, and the dropout a little."""
    away = np.log10(params["learning_rate"]) + 3
    return float(0.95 - 0.12 * away**2 - 0.1 * params["dropout"] + chance.gauss(0, 0.01))


def made_predictions(folds: Folds, fold: int, accuracy: float) -> ClassPredictions:
    """Return predictions on the digits of a fold's validation part, so many of them right."""
    from sklearn.datasets import load_digits

    chance = np.random.default_rng(fold)
    labels = np.resize(load_digits().target, 10_000)[folds.validation[fold - 1]].astype(np.int64)
    wrong = chance.random(len(labels)) > accuracy
    predicted = np.where(wrong, (labels + 1) % 10, labels)
    sure = chance.uniform(0.5, 1.0, len(labels)).astype(np.float32)
    return ClassPredictions(labels, predicted, sure, np.where(wrong, 1 - sure, sure))


def print_table(results: list[dict[str, Any]]) -> None:
    """Print one row a study."""
    print(f"{'study':10}{'process s':>11}{'import s':>10}{'read s':>8}{'report s':>10}{'MB':>7}")
    for row in results:
        print(
            f"{row['study']:10}{row['process']:11.1f}{row['import']:10.1f}{row['read']:8.1f}"
            f"{row['report']:10.1f}{row['bytes'] / 1e6:7.2f}"
        )


if __name__ == "__main__":
    main()
