"""Learning curves of many settings, recorded once: what `racing.py` replays.

    python benchmarks/recording.py --out benchmarks/curves-lenet.jsonl --settings 42

Draws settings of a space at random and trains each on every fold, all epochs, without stopping.
One setting a line: `setting`; `val_accuracy`, `val_loss`, `seconds`, each folds x epochs (an
epoch's time includes its validation); `test_accuracy`, a fold each: the fold's model on training
samples that no fold has. Those models were part of the choice, and so was their luck; so each
setting is trained once more on all folds, cut and seeded anew, and `further_test_accuracy` is what
these models score on the same samples: the independent 5-fold score of the setting. Of another task
than classification the same are named by its main metric: `val_rmse`. The test set stays shut. Of
scikit-learn's diabetes data:

    python -c "from sklearn.datasets import load_diabetes as load
    load(as_frame=True).frame.to_csv('diabetes.csv', index=False)"
    python benchmarks/recording.py --out benchmarks/curves-diabetes.jsonl --space mlp --settings 40
    --epochs 20 --samples 240 --dataset csv:diabetes.csv --target target --task regression

Lines that are there already are not trained again. Processes of one thread each share
the work.
"""

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from search.study.settings import parse_overrides
from spaces import Params, Space, get_space, narrow

INDEPENDENT = 5_000  # samples


def proposals(asked: argparse.Namespace) -> tuple[Space, list[Params]]:
    """Return the narrowed space and the settings to record, the same for the same seed."""
    from search.study.drivers import make_driver

    overrides = {"epochs": str(asked.epochs), **parse_overrides(list(asked.set or ()))}
    space = narrow(get_space(asked.space), overrides).space
    driver = make_driver("optuna", "random", space, asked.seed)
    settings = [driver.ask(number) for number in range(asked.settings)]
    return space, [params for params in settings if params is not None]


@dataclass(frozen=True)
class FoldData:
    """What all trainings share; `apart` are the samples that no fold has."""

    space: Space
    settings: list[Params]
    inputs: Any
    labels: Any
    task: Any
    kind: str
    folds: Any
    confirmation_folds: Any
    apart: Any
    seed: int


@cache
def fold_data(options: tuple[tuple[str, Any], ...]) -> FoldData:
    """Load everything, once a process, which gets one thread."""
    import numpy as np
    import tensorflow as tf

    from search.data import Reading, load
    from search.data.folds import stratified_part
    from search.data.inputs import make_inputs
    from search.data.splits import make_folds
    from search.seeds import derive

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    asked = argparse.Namespace(**dict(options))
    space, settings = proposals(asked)
    dataset = load(
        asked.dataset,
        home=asked.home,
        data_dir=asked.data_dir,
        reading=Reading(target=asked.target, task=asked.task),
        notify=_unheard,
    )
    labels, task = np.asarray(dataset.train_labels), dataset.task
    folds = make_folds(
        labels, task=task, folds=asked.folds, seed=asked.seed, limit_samples=asked.samples
    )
    others = np.setdiff1d(np.arange(len(labels)), folds.used)
    anew = derive(asked.seed, "confirmation")
    return FoldData(
        space=space,
        settings=settings,
        inputs=make_inputs(dataset, space.input_for(dataset.kind)),
        labels=labels,
        task=task,
        kind=dataset.kind,
        folds=folds,
        confirmation_folds=make_folds(
            labels, task=task, folds=asked.folds, seed=anew, leave_out=others
        ),
        apart=others
        if len(others) <= INDEPENDENT
        else others[stratified_part(task.strata(labels[others], 1), INDEPENDENT, asked.seed)],
        seed=asked.seed,
    )


def record(options: tuple[tuple[str, Any], ...], number: int) -> dict[str, Any]:
    """Train one setting on all folds and return its line."""
    shared = fold_data(options)
    params, count = shared.settings[number], len(shared.folds)
    rows = [_fold(shared, shared.folds, fold, params) for fold in range(count)]
    confirmation_folds = [
        _fold(shared, shared.confirmation_folds, fold, params, count) for fold in range(count)
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    name = f"test_{shared.task.scored[0]}"
    independent = [row[name] for row in confirmation_folds]
    return {"number": number, "setting": params, **columns, f"further_{name}": independent}


def _fold(
    shared: FoldData, folds: Any, fold: int, params: Params, before: int = 0
) -> dict[str, Any]:
    import keras

    from search.data.inputs import spec_of
    from search.seeds import derive
    from search.training.batches import Part
    from search.training.fit import Epoch, fit, predict

    train, validation = folds.train[fold], folds.validation[fold]
    encoder = shared.inputs.learn(train, params)
    seed = derive(shared.seed, "fold", before + fold + 1)
    keras.utils.set_random_seed(seed)
    model = shared.space.build(params, spec_of(encoder, shared.kind, shared.task))
    epochs: list[tuple[Epoch, float]] = []
    began = time.monotonic()
    fitted = fit(
        model,
        Part(shared.inputs.take(encoder, train), shared.labels[train]),
        Part(shared.inputs.take(encoder, validation), shared.labels[validation]),
        params,
        task=shared.task,
        seed=seed,
        on_epoch=lambda epoch: epochs.append((epoch, time.monotonic())),
    )
    values = predict(model, shared.inputs.take(encoder, shared.apart), fitted.outputs)
    name = shared.task.scored[0]
    score = shared.task.metric(name).of(values, shared.labels[shared.apart])
    keras.backend.clear_session()
    times = [began, *(at for _, at in epochs)]
    return {
        f"val_{name}": [round(epoch.metrics[f"val_{name}"], 5) for epoch, _ in epochs],
        "val_loss": [round(epoch.metrics["val_loss"], 5) for epoch, _ in epochs],
        "seconds": [round(later - earlier, 3) for earlier, later in pairwise(times)],
        f"test_{name}": round(score, 5),
    }


def _unheard(notice: str) -> None:
    del notice


def main() -> None:
    """Record what is not recorded yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--space", default="lenet")
    parser.add_argument("--dataset", default="fashion_mnist")
    parser.add_argument("--target", help="as for `run`")
    parser.add_argument("--task", help="as for `run`")
    parser.add_argument("--set", action="append", help="as for `run`")
    parser.add_argument("--settings", type=int, default=42)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--samples", type=int, default=8_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--home", type=Path, default=Path("mlruns"))
    parser.add_argument("--data-dir", type=Path, default=None)
    asked = parser.parse_args()
    done = {line["number"] for line in _read(asked.out)}
    numbers = [number for number in range(asked.settings) if number not in done]
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = "1"
    options = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in vars(asked).items())
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(asked.processes, mp_context=context) as pool,
        asked.out.open("a") as file,
    ):
        for made in as_completed([pool.submit(record, options, number) for number in numbers]):
            line = made.result()
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(line["number"], line["setting"], flush=True)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
