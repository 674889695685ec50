"""Time of a study of a hypermodel with its own `fit`, beside KerasTuner's own tuner.

    python benchmarks/own_fit.py --out own_fit.json

About five minutes on two cores; nothing else should run. The same hypermodel is searched on the
same made images, one training a trial, each search in a fresh process and both in turn, `--rounds`
times:

- keras-tuner: `RandomSearch(...).search(x, y, validation_data=...)`, as its guide has it. It saves
  each trial's best weights.
- foldwise: `run_study(..., folds=1)` with random search in one float32 worker; with its records,
  predictions, MLflow, and a pass over the fold's validation part after each epoch beside that of
  `fit` itself.

What is tuned does not change the cost of a training. Of the samples, a fifth validates the fold;
`fit` gets 90 % of the rest to train on and 10 % as `validation_data` (decision 0025). KerasTuner's
gets as many of each. `seconds` are those of all trials, from the first build to the last score;
`whole` those of the process, imports, the search for parameters and the made data included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe, line

HYPERMODEL = """
import keras
import keras_tuner


class Tuned(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential(
            [
                keras.layers.Input((28, 28, 1)),
                keras.layers.Conv2D(16, 3, activation="relu"),
                keras.layers.MaxPooling2D(),
                keras.layers.Flatten(),
                keras.layers.Dense(64, "relu"),
                keras.layers.Dense(10, "softmax"),
            ]
        )
        rate = hp.Float("rate", 1e-4, 1e-2, sampling="log")
        model.compile(
            keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        return model

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, shuffle=hp.Boolean("shuffle", default=True), **kwargs)
"""


def main() -> None:
    """Measure both and print the times."""
    args = parse()
    if args.part:
        print(json.dumps({"keras-tuner": by_keras_tuner, "foldwise": by_foldwise}[args.part](args)))
        return
    found: dict[str, list[dict[str, float]]] = {"keras-tuner": [], "foldwise": []}
    for _ in range(args.rounds):
        for part, measured in found.items():
            measured.append(in_process(part, args))
    args.out.write_text(
        json.dumps({"machine": line(describe()), "measured": found}, indent=1) + "\n"
    )
    for part, measured in found.items():
        seconds = float(np.median([one["seconds"] for one in measured]))
        whole = float(np.median([one["whole"] for one in measured]))
        print(f"{part:12} {seconds:6.1f} s for {args.trials} trials, {whole:6.1f} s in all")


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("own_fit.json"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=6_000)
    parser.add_argument("--part", choices=("keras-tuner", "foldwise"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def in_process(part: str, args: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of one search in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tuned.py").write_text(HYPERMODEL)
        began = time.perf_counter()
        given = [f"--{name}={getattr(args, name)}" for name in ("trials", "epochs", "samples")]
        done = subprocess.run(
            [sys.executable, __file__, *given, "--part", part, "--folder", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return {**found, "whole": time.perf_counter() - began}


def images(count: int) -> tuple[Any, Any]:
    """Return made images, uint8 `(count, 28, 28, 1)`, and their classes."""
    random = np.random.default_rng(0)
    classes = np.arange(count) % 10
    patterns = random.integers(0, 256, (10, 28, 28, 1))
    noisy = patterns[classes] / 2 + random.normal(64, 60, (count, 28, 28, 1))
    return np.clip(noisy, 0, 255).astype(np.uint8), classes


def by_keras_tuner(args: argparse.Namespace) -> dict[str, float]:
    """Search with KerasTuner's own tuner."""
    import keras_tuner

    sys.path.insert(0, str(args.folder))
    from tuned import Tuned

    x, y = images(args.samples)
    x = x.astype("float32") / 255
    trained, held = int(0.72 * args.samples), int(0.8 * args.samples)
    tuner = keras_tuner.RandomSearch(
        Tuned(), "val_accuracy", max_trials=args.trials, seed=0, directory=args.folder
    )
    began = time.perf_counter()
    tuner.search(
        x[:trained],
        y[:trained],
        validation_data=(x[trained:held], y[trained:held]),
        epochs=args.epochs,
        batch_size=32,
        verbose=0,
    )
    return {"seconds": time.perf_counter() - began}


def by_foldwise(args: argparse.Namespace) -> dict[str, float]:
    """Search with this project."""
    from search import run_study
    from tracking.records import FoldEnded, FoldStarted

    result = run_study(
        f"{args.folder / 'tuned.py'}:Tuned",
        data=images(args.samples),
        test=False,
        folds=1,
        trials=args.trials,
        epochs=args.epochs,
        sampler="random",
        pruner="none",
        workers=1,
        precision="float32",
        home=args.folder / "home",
        notify=_unheard,
    )
    records = [
        record
        for trial in result.history.trials.values()
        for fold in trial.folds.values()
        for record in (fold.started, fold.ended)
    ]
    begun = min(record.at for record in records if isinstance(record, FoldStarted))
    ended = max(record.at for record in records if isinstance(record, FoldEnded))
    return {"seconds": ended - begun}


def _unheard(_: str) -> None:
    pass


if __name__ == "__main__":
    main()
