"""Searches and exports in this process; exports are loaded with TensorFlow alone and scored."""

import json
import re
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from probability_cases import Case, Data, data_of
from probability_scores import (
    LEVEL,
    class_scores,
    interval_scores,
    losses,
    number_scores,
    set_scores,
)

PLAIN, EXPORTED, REFITS = "plain", "exported", "refits"
ARMS: dict[str, dict[str, Any]] = {
    PLAIN: {"ensemble": "none", "refits": 1, "calibrate": False},
    EXPORTED: {},
    REFITS: {"refits": 5, "calibrate": True},
}
FORMATS = ("keras", "saved_model")
BATCHES = (1, 256)
REPEATS, LEAST_SECONDS = 20, 1.0


def search_here(settings: dict[str, Any], folder: Path, data_dir: Path | None) -> dict[str, float]:
    """Search in this process, in a home of its own, and return what it took."""
    import keras

    from search import run_study

    _warm_up()
    began, cpu_began = time.perf_counter(), _cpu_seconds()
    with (folder / "search.log").open("w") as log:
        result = run_study(
            **settings,
            executor="inline",
            home=folder / "home",
            data_dir=data_dir,
            notify=lambda notice: print(notice, file=log, flush=True),
        )
    found = {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(_cpu_seconds() - cpu_began, 1),
        "trials": len(result.history.trials),
        "complete": len(result.history.completed()),
    }
    keras.backend.clear_session()
    return found


def export_and_score(case: Case, seed: int, folder: Path, data_dir: Path | None) -> dict[str, Any]:
    """Export a study's models, and return their scores and costs."""
    import keras

    from search import load_study

    _warm_up()
    data = data_of(case, seed, folder, data_dir)
    study = load_study(case.name, home=folder / "home")
    arms: dict[str, dict[str, Any]] = {}
    lost: dict[str, Any] = {}
    # The first export may pay for what the second finds done, so they take turns.
    for arm in sorted(ARMS, reverse=seed % 2 == 0):
        cost = _exported(study, folder / arm, arm, data_dir)
        scores, lost[arm] = _scored(case, folder / arm, data)
        arms[arm] = {**cost, **scores}
    keras.backend.clear_session()
    return {
        "samples": len(lost[PLAIN]),
        "arms": arms,
        "difference": {arm: _apart(lost[arm] - lost[PLAIN]) for arm in (EXPORTED, REFITS)},
    }


def _apart(apart: Any) -> list[float]:
    """Return the mean of differences and its 95 % interval."""
    mean, half = float(apart.mean()), 1.96 * float(apart.std(ddof=1)) / len(apart) ** 0.5
    return [mean, mean - half, mean + half]


def _warm_up() -> None:
    """Import and start what every process must, which belongs to nobody's time."""
    import keras
    import mlflow.tensorflow
    import tensorflow as tf

    import search.export.final

    del mlflow, search
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(tf.zeros((8, 1)), tf.zeros((8, 1)), verbose=0)


def _exported(study: Any, target: Path, arm: str, data_dir: Path | None) -> dict[str, Any]:
    began, cpu_began = time.perf_counter(), _cpu_seconds()
    made = study.export(
        target,
        formats=FORMATS,
        overwrite=True,
        force=True,
        data_dir=data_dir,
        notify=print,
        **ARMS[arm],
    )
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": _cpu_seconds() - cpu_began,
        "train_seconds": made.export.train_seconds,
        "models": made.export.models,
        "members": made.export.members,
        "samples": made.export.samples,
        "epochs": made.export.epochs,
        "calibration": made.export.calibration,
        "parameters": made.export.model_parameters,
        "bytes": (target / "model.keras").stat().st_size,
    }


def _cpu_seconds() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _scored(case: Case, target: Path, data: Data) -> tuple[dict[str, Any], Any]:
    """Return a model's scores, and what each sample of the test set loses."""
    served = _Served(target)
    values = served.values(data.samples).astype(np.float64)
    times = {f"ms_{size}": served.milliseconds(data.samples, size) for size in BATCHES}
    known = _conformal(served.labels)
    scores: dict[str, float]
    if case.numbers:
        targets, values = data.targets.astype(float), values.ravel()
        scores = number_scores(targets, values)
        if known is not None:
            low, high = known.intervals(values[:, None], LEVEL)[:, 0].T
            scores |= interval_scores(targets, low, high)
    else:
        places = {name: place for place, name in enumerate(served.labels["classes"])}
        targets = np.array([places[str(target)] for target in data.targets])
        scores = class_scores(targets, values)
        if known is not None:
            scores |= set_scores(targets, known.sets(values, LEVEL))
    np.savez_compressed(target.with_suffix(".npz"), values=values, targets=targets)
    return {**scores, **times}, losses(targets, values)


def _conformal(labels: dict[str, Any]) -> Any:
    """Return what `predict --coverage` makes sets and intervals of; None where it is not known."""
    from search.analysis.coverage import Conformal

    return Conformal.from_json(labels["conformal"]) if "conformal" in labels else None


class _Served:
    """A SavedModel with the signature that takes samples as they are."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self.labels = json.loads((folder / "labels.json").read_text())
        self._loaded = tf.saved_model.load(str(folder / "saved_model"))
        self._signature = self._loaded.signatures["serving_default"]
        self._specs = self._signature.structured_input_signature[1]

    def values(self, samples: Any) -> Any:
        """Return probabilities or numbers, float32 `(n, units)`."""
        count = len(samples)
        parts = [self._call(samples, start, start + 1000) for start in range(0, count, 1000)]
        return np.concatenate([part.numpy() for part in parts])

    def milliseconds(self, samples: Any, size: int) -> float:
        """Return the median time of a prediction of so many samples, from tensors to numbers."""
        tensors = self._tensors(samples, 0, size)
        times: list[float] = []
        self._answer(tensors)  # compiles it
        began = time.perf_counter()
        while len(times) < REPEATS or time.perf_counter() - began < LEAST_SECONDS:
            start = time.perf_counter()
            self._answer(tensors).numpy()
            times.append(1000 * (time.perf_counter() - start))
        return float(np.median(times))

    def _call(self, samples: Any, start: int, stop: int) -> Any:
        return self._answer(self._tensors(samples, start, stop))

    def _answer(self, tensors: dict[str, Any]) -> Any:
        (values,) = self._signature(**tensors).values()
        return values

    def _tensors(self, samples: Any, start: int, stop: int) -> dict[str, Any]:
        """Return so many samples as the signature's tensors."""
        import tensorflow as tf

        part = samples[start:stop]
        if hasattr(part, "columns"):
            return self._columns(part)
        ((name, spec),) = self._specs.items()
        if isinstance(part, np.ndarray) and len(spec.shape) == part.ndim + 1:
            part = part[..., None]
        return {name: tf.constant(part, spec.dtype)}

    def _columns(self, frame: Any) -> dict[str, Any]:
        import tensorflow as tf

        if len(self._specs) == 1:
            ((name, spec),) = self._specs.items()
            used = [column["name"] for column in self.labels["columns"]]
            return {name: tf.constant(frame[used].to_numpy(np.float64), spec.dtype)}
        tensors = {}
        for column in frame.columns:
            name = re.sub(r"\W", "_", column)
            if name in self._specs:  # a column may have been left out
                is_text = self._specs[name].dtype == tf.string
                values = frame[column].fillna("").astype(str) if is_text else frame[column]
                dtype = str if is_text else np.float64
                tensors[name] = tf.constant(values.to_numpy(dtype), self._specs[name].dtype)
        return tensors
