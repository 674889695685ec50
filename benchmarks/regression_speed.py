"""Training samples a second of an MLP that predicts numbers: plain Keras and this project.

    python benchmarks/regression_speed.py
    python benchmarks/regression_speed.py --rounds 1 --epochs 2 --rows 2000

About 4 minutes on two idle cores. 20,000 made rows of 20 columns, float32, `mlp/small` at its batch
size; every measurement in fresh processes, the ways in turn.

- plain: `model.fit` on NumPy arrays with standardised targets, default threads, no validation.
- foldwise: `search.training.fit.fit` as workers call it, with a validation pass over a quarter more
  rows and the task's metrics after every epoch; once in one process with default threads, once in
  a process for each core with one thread each, whose rates are added.

The first epoch, which builds and traces, is left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

COLUMNS, AIM = 20, 3.0


def main() -> None:
    """Measure, and print a line a round and the ratios of the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--way", choices=("plain", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps((plain if asked.way == "plain" else ours)(asked)))
        return
    cores = os.cpu_count() or 1
    found: dict[str, list[float]] = {"plain": [], "one process": [], f"{cores} processes": []}
    for _ in range(asked.rounds):
        found["plain"].append(rate(asked, "plain", 1, 0))
        found["one process"].append(rate(asked, "ours", 1, 0))
        found[f"{cores} processes"].append(rate(asked, "ours", cores, 1))
        print({name: round(rates[-1]) for name, rates in found.items()}, flush=True)
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    best = max(medians, key=lambda name: medians[name])
    times = medians[best] / medians["plain"]
    print(f"{best}: {times:.2f} times plain Keras (aim {AIM:g})")


def rate(asked: argparse.Namespace, way: str, processes: int, threads: int) -> float:
    """Return rows a second of so many processes side by side."""
    command = [sys.executable, __file__, "--way", way, "--threads", str(threads)]
    command += ["--rows", str(asked.rows), "--epochs", str(asked.epochs)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    started = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for _ in range(processes)
    ]
    answers = [process.communicate()[0].decode().split()[-1] for process in started]
    return sum(float(answer) for answer in answers)


def made(asked: argparse.Namespace) -> tuple[Any, Any, Any, Any]:
    """Return rows, numbers, `mlp/small`'s params and its model."""
    import keras
    import numpy as np
    import tensorflow as tf

    from spaces import DataSpec, get_space

    if asked.threads:
        tf.config.threading.set_intra_op_parallelism_threads(asked.threads)
        tf.config.threading.set_inter_op_parallelism_threads(asked.threads)
    random = np.random.default_rng(0)
    rows = random.normal(size=(asked.rows * 5 // 4, COLUMNS)).astype(np.float32)
    numbers = 100 + 10 * np.sin(rows[:, :1].astype(np.float64)) + rows[:, 1:2]
    space = get_space("mlp")
    params = space.complete({**space.baselines["small"], "epochs": asked.epochs})
    keras.utils.set_random_seed(0)
    spec = DataSpec((COLUMNS,), 0, "table", 0, "regression", 1, "linear")
    return rows, numbers, params, space.build(params, spec)


def plain(asked: argparse.Namespace) -> float:
    """Return rows a second of Keras's own `fit`."""
    import keras

    rows, numbers, params, model = made(asked)
    rows, numbers = rows[: asked.rows], numbers[: asked.rows]
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    model.compile(keras.optimizers.Adam(params["learning_rate"]), "mse")
    scaled = ((numbers - numbers.mean()) / numbers.std()).astype("float32")
    sizes = {"batch_size": params["batch_size"], "epochs": asked.epochs}
    model.fit(rows, scaled, callbacks=[clock], verbose=0, **sizes)
    return asked.rows / statistics.median(later - earlier for earlier, later in pairwise(ends))


def ours(asked: argparse.Namespace) -> float:
    """Return rows a second of a worker's training, its validation pass included."""
    import numpy as np
    import tensorflow as tf

    from search.tasks import Regression
    from search.training.batches import Part
    from search.training.fit import fit

    rows, numbers, params, model = made(asked)
    task, inputs, ends = Regression(("y",)), tf.constant(rows), list[float]()
    fit(
        model,
        Part(inputs, numbers, np.arange(asked.rows)),
        Part(inputs, numbers, np.arange(asked.rows, len(rows))),
        params,
        task=task,
        seed=0,
        on_epoch=lambda _: ends.append(time.perf_counter()),
    )
    return asked.rows / statistics.median(later - earlier for earlier, later in pairwise(ends))


if __name__ == "__main__":
    main()
