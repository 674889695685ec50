"""Metrics of a fold's validation part: which are computed, when, and by whom."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from search.data.arrays import Array
from search.tasks import Metric, NumberOutputs, OutputMeaning, Scored, Task
from search.tasks.metrics import OF_METRICS, function_places, objective_of
from search.tasks.thresholds import FIXED, TUNED, tuned_by
from search.training.batches import PREDICTION_BATCH, Part
from search.training.streaming import picked
from search.training.targets import Targets
from spaces import Fingerprint, SpaceError, cause_of
from spaces.declaring.fingerprint import fingerprint
from tracking.provenance import code_changes
from tracking.text import listed


@dataclass(frozen=True)
class Scoring:
    """Which metrics are computed of folds.

    Attributes:
        watched: after every epoch: the task's first, and those that are objectives.
        recorded: of the epoch that is scored: the task's, those that are objectives, and further
            ones that the study asks for.
        own: names of metrics that the models were compiled with, after every epoch.
        tuned_by: the metric that thresholds are tuned by; None for no tuning.
    """

    watched: tuple[Metric, ...]
    recorded: tuple[Metric, ...]
    own: tuple[str, ...]
    tuned_by: Metric | None = None

    @classmethod
    def of(
        cls, task: Task, objectives: Sequence[str], texts: Sequence[str], threshold: str = FIXED
    ) -> "Scoring":
        """Return what a study asks for.

        Args:
            task: what is predicted.
            objectives: names of what the study searches for.
            texts: objectives and further metrics, as `objective_of` reads them.
            threshold: the study's setting.

        Raises:
            SettingsError: there is no such metric.
        """
        found = [objective_of(text, task) for text in texts]
        named = {objective.name for objective, _ in found}
        found += [objective_of(name, task) for name in objectives if name not in named]
        scored = [metric for name in task.scored if (metric := task.metric(name)) is not None]
        sought = [metric for objective, metric in found if objective.name in objectives]
        own = [objective.fold for objective, metric in found if metric is None]
        return cls(
            watched=_each([*scored[:1], *sought]),
            recorded=_each([*scored, *(metric for _, metric in found)]),
            own=tuple(dict.fromkeys(o.removeprefix("val_") for o in own if o.startswith("val_"))),
            tuned_by=tuned_by(sought, task) if threshold == TUNED else None,
        )


def check_metrics(texts: Sequence[str], code: Fingerprint) -> None:
    """Check that functions among metrics are those of the study's opening.

    Args:
        texts: objectives and metrics.
        code: the study's fingerprint; empty to run any.

    Raises:
        SpaceError: one has changed.
    """
    for place in function_places(texts):
        found = fingerprint(place)["files"]
        now = {f"{OF_METRICS}{name}": digests for name, digests in found.items()}
        same = {"files": now, "packages": code.get("packages", {})}
        changes = code_changes(code, same, partly=True)
        if changes:
            raise SpaceError(
                f"the code of metric {place} changed while the study was being opened:"
                f" {'; '.join(changes)}. Give the command again."
            )


def _each(metrics: Sequence[Metric | None]) -> tuple[Metric, ...]:
    named = {metric.name: metric for metric in metrics if metric is not None}
    return tuple(named.values())


def measured(
    metric: Metric, values: Array, targets: Array, weights: Array | None, outputs: OutputMeaning
) -> float:
    """Return a metric of a model's values.

    Args:
        metric: which.
        values: float `(n, units)`, in the task's form.
        targets: `(n, ...)`.
        weights: `(n,)`, by which samples count; None if all count the same.
        outputs: of which the values were made.

    Raises:
        ValueError: these samples, or what the model's outputs are, do not allow it.
    """
    try:
        decided = outputs.decided(values) if metric.is_of_decisions else None
        scored = Scored(values, targets, weights, outputs.are_probabilities, decided)
        found = scored.by(metric)
    except Exception as error:
        said = cause_of(error).rstrip(".")
        if isinstance(outputs, NumberOutputs) and _allow(metric, targets, weights):
            raise ValueError(
                f"metric {metric.name} cannot be computed of what the model predicts, from"
                f" {values.min():.4g} to {values.max():.4g}: {said}. The targets allow it. Let the"
                ' model end with an activation that keeps to such numbers, as "softplus" does to'
                " positive ones, or choose another metric"
            ) from error
        raise ValueError(
            f"metric {metric.name} cannot be computed: {said}. Choose another, or see to what it"
            " needs"
        ) from error
    if not math.isfinite(found):
        raise ValueError(
            f"metric {metric.name} must be a number; of the {len(targets):,} samples of a fold's"
            f" validation part it is {found}. Where a class or label is missing there, fewer folds"
            " help; else choose another metric"
        )
    return found


def _allow(metric: Metric, targets: Array, weights: Array | None) -> bool:
    """Say whether a metric of numbers could be computed if they were predicted without error."""
    try:
        return math.isfinite(metric.of(Scored(targets, targets, weights)))
    except Exception:  # noqa: BLE001 # whatever libraries and users' functions raise
        return False


def own_metrics(
    model: keras.Model, names: Sequence[str], targets: Targets, part: Part, outputs: Array
) -> dict[str, float]:
    """Return metrics that a model was compiled with, of its outputs, by name.

    They are computed by Keras's own metric objects, which are reset before and after; by the
    model's own `test_step` where it has one.

    Args:
        model: compiled.
        names: of the metrics.
        targets: what its loss wants.
        part: what is measured on.
        outputs: of those samples, `(n, units)`.

    Raises:
        ValueError: it has no metric of such a name.
    """
    if not names:
        return {}
    model.reset_metrics()
    try:
        found = dict(numbers_in(_results(model, targets, part, outputs)))
    finally:
        model.reset_metrics()
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(
            "a metric called `val_...` must be one that the models are compiled with; there is no"
            f" {listed(missing)}, but {listed(tuple(found)) or 'none at all'}. Compile the models"
            " with it, or name a metric without `val_`"
        )
    return {printable(name): found[name] for name in names}


def _results(model: keras.Model, targets: Targets, part: Part, outputs: Array) -> Mapping[str, Any]:
    wanted, weights = targets.encode(part.own_labels), part.own_weights
    if _is_own(model, "test_step"):
        told: Mapping[str, Any] = {}
        for rows in _batches(len(part.indices)):
            some = [tf.nest.map_structure(partial(_rows, rows), wanted)]
            some += [] if weights is None else [weights[rows]]
            inputs = tf.nest.map_structure(tf.constant, picked(part.inputs, part.indices[rows]))
            told = model.test_step((inputs, *tf.nest.map_structure(tf.constant, some)))
        return told
    given = targets.placed(model, outputs)
    if _is_own(model, "compute_metrics"):
        inputs = tf.nest.map_structure(tf.constant, picked(part.inputs, part.indices))
        found: Mapping[str, Any] = model.compute_metrics(inputs, wanted, given, weights)
        return found
    wanted = tf.nest.map_structure(tf.constant, wanted)
    model.compute_metrics(None, wanted, given, weights)
    compiled = model._compile_metrics  # a metric that a step of its own updates has seen nothing
    return {} if compiled is None else compiled.result()


def _rows(rows: slice, values: Array) -> Array:
    found: Array = values[rows]
    return found


def _batches(count: int) -> Iterator[slice]:
    return (slice(i, i + PREDICTION_BATCH) for i in range(0, count, PREDICTION_BATCH))


def numbers_in(results: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield what metrics told by name: of a vector each number, of a dictionary each entry."""
    for name, value in results.items():
        if isinstance(value, dict):
            yield from numbers_in(value)
            continue
        found = np.asarray(value, np.float64)
        if found.ndim == 0:
            yield name, float(found)
        else:
            yield from ((f"{name}_{i}", float(one)) for i, one in enumerate(found.ravel()))


def printable(name: str) -> str:
    """Return a metric's name in the letters that MLflow takes."""
    return re.sub(r"[^\w\-./ ]", "_", name)


def _is_own(model: keras.Model, name: str) -> bool:
    return getattr(type(model), name) is not getattr(keras.Model, name)
