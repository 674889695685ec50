"""Classes: in which form a loss wants their labels, and what a model's outputs mean."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from search.data.arrays import Array
from search.tasks import Task
from search.tasks.classification import (
    LOGITS,
    PROBABILITIES,
    SCORES,
    SIGMOID_LOGITS,
    Outputs,
    cross_entropy,
)
from search.tasks.models import are_probabilities, output_units
from search.training.targets.base import Targets, metrics_of
from search.training.targets.losses import (
    ROWS,
    Loss,
    declares_logits,
    has_own_step,
    ignores,
    loss_of,
    multiple,
    repeated,
)
from spaces import cause_of

INTEGERS, ONE_HOT, BINARY, SIGNS = "integers", "one-hot", "binary", "signs"

_CLASSES = 6  # that a loss is tried on, at most
_MARGIN, _NEAR = 0.75, 0.25  # how far from 0, and how near to 0 and 1, outputs satisfy a loss
_GRID = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True)
class ClassTargets(Targets):
    """What a loss wants of classes.

    Attributes:
        form: `integers` (n,), `one-hot` float32 (n, classes); for one output `binary` float32
            (n, 1), 0 and 1, or `signs`, -1 and 1.
        outputs: what they mean.
        loss: the model's own, of labels in their form and outputs; None where it has none that can
            be called by itself.
        notice: what the user should know about how outputs are read; empty if nothing is unusual.
    """

    form: str
    outputs: Outputs
    loss: Loss | None = None
    notice: str = ""

    @classmethod
    def of(cls, model: keras.Model, task: Task, sample: Any) -> "ClassTargets":
        """Find out what a compiled model's loss wants and what its outputs are.

        The form of labels is the one for which the loss is smaller when the outputs favour the
        true class. Outputs that are bounded as probabilities are, whatever the weights, are
        probabilities; others are logits if the loss says so or is the cross-entropy of logits, and
        else mere scores.

        Raises:
            ValueError: the model has not one output, or not one number a class; or its loss does
                not tell which class is the true one.
        """
        classes = task.units
        units = output_units(model, task, sample)
        loss, name = loss_of(model, sample)
        form = _form_without_loss(model, units, classes, sample)
        if loss is not None:
            form = _form(loss, units, classes, name)
        if are_probabilities(model, sample):
            meaning, threshold, notice = PROBABILITIES, 0.5, ""
        else:
            meaning, threshold, notice = _meaning(model, loss, name, form, units)
        return cls(form, Outputs(meaning, classes, threshold), loss, notice)

    def encode(self, targets: Array) -> Array:
        """Return class numbers `(n,)` in the form the loss asks for."""
        return _encoded(self.form, targets, self.outputs.classes)

    def score(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[Array, float]:
        """Return a model's outputs `(n, units)` as values a class, and their loss.

        It is the cross-entropy of the probabilities, or the model's own where outputs are no
        probabilities; NaN where it has none.
        """
        values = self.outputs.values(outputs)
        if self.outputs.are_probabilities:
            return values, cross_entropy(values, targets, weights)
        if self.loss is None:
            return values, math.nan
        return values, self.loss(self.encode(targets), outputs, weights)

    def training_metrics(
        self, model: keras.Model, found: dict[str, float], *, tells: bool
    ) -> dict[str, float]:
        """Return the metrics with the accuracy under that name, whatever the model calls it."""
        accuracy = self._training_accuracy(model)
        if accuracy is not None and accuracy in found:
            return {**found, "accuracy": found[accuracy]}
        if accuracy is None and tells:
            return found
        return {name: value for name, value in found.items() if name not in ("accuracy", "acc")}

    def _training_accuracy(self, model: keras.Model) -> str | None:
        """Return which of a model's metrics is its accuracy; None where it has no such metric.

        A metric that compares outputs with 0.5 measures nothing where the class is decided by
        another threshold: then the name is empty.
        """
        kinds: tuple[Any, ...] = (
            keras.metrics.CategoricalAccuracy,
            keras.metrics.SparseCategoricalAccuracy,
        )
        if self.form in (BINARY, SIGNS):
            kinds = (keras.metrics.BinaryAccuracy,)
        for metric in metrics_of(model):
            if isinstance(metric, kinds):
                known = getattr(metric, "threshold", self.outputs.threshold)
                fits = self.form != SIGNS and known == self.outputs.threshold
                return str(metric.name) if fits else ""
        return None


def _encoded(form: str, labels: Array, classes: int) -> Array:
    if form == ONE_HOT:
        return np.eye(classes, dtype=np.float32)[labels]
    if form == INTEGERS:
        return labels
    column = labels.astype(np.float32)[:, np.newaxis]
    return 2 * column - 1 if form == SIGNS else column


# The form of labels.


def _form(loss: Loss, units: int, classes: int, name: str) -> str:
    """Return the form of labels for which a loss is smaller when the outputs favour the true class.

    Raises:
        ValueError: there is none.
    """
    forms = (BINARY, SIGNS) if units == 1 else (INTEGERS, ONE_HOT)
    faults = {}
    for mixed in (False, True):  # losses over a batch, as Dice's, need both classes in it
        for form in forms:
            try:
                if _prefers_truth(loss, form, units, classes, mixed=mixed):
                    return form
                faults[form] = f"with {form} labels it does not fall when the true class gains"
            except Exception as error:  # noqa: BLE001 # it may refuse a form in any way
                faults[form] = f"with {form} labels: {cause_of(error)[:200]}"
    raise ValueError(
        f"{name} must be smaller the more the output of the true class stands out; tried on"
        f" {units} outputs for {classes} classes: {'; '.join(faults.values())}"
    )


def _prefers_truth(loss: Loss, form: str, units: int, classes: int, *, mixed: bool) -> bool:
    """Say whether a loss is smaller for outputs that favour the true class than another one.

    Args:
        loss: of labels and outputs.
        form: of the labels.
        units: of the outputs.
        classes: number of classes.
        mixed: try rows of two classes, whose outputs change places; else rows of one class.
    """
    for true in range(min(classes, _CLASSES)):
        for other in {(true + 1) % classes, (true - 1) % classes}:
            rows = np.where(mixed & (np.arange(ROWS) % 2 == 1), other, true)
            labels = _encoded(form, rows, classes)
            right = loss(labels, _favouring(rows, units))
            wrong = loss(labels, _favouring(true + other - rows, units))
            if not right < wrong - 1e-6 * abs(wrong):  # NaN included
                return False
    return True


def _favouring(rows: Array, units: int) -> Array:
    """Return outputs, probabilities all of them, that favour each row's class."""
    if units == 1:
        return np.where(rows, 0.9, 0.1).astype(np.float32)[:, np.newaxis]
    found = np.full((len(rows), units), 0.1 / (units - 1), np.float32)
    found[np.arange(len(rows)), rows] = 0.9
    return found


def _form_without_loss(model: keras.Model, units: int, classes: int, sample: Array) -> str:
    """Return the form for a model whose own step computes a loss: class numbers, if it takes them.

    Both are tried on a step whose effects are undone.
    """
    if units == 1:
        return BINARY
    if model.loss is not None or not has_own_step(model):
        return INTEGERS
    labels = np.arange(ROWS) % classes
    some = repeated(sample, ROWS)
    for form in (INTEGERS, ONE_HOT):
        wanted = tf.constant(_encoded(form, labels, classes))
        if _takes(model, some, wanted):
            return form
    return INTEGERS  # its first step will say what it lacks


def _takes(model: keras.Model, some: Any, wanted: Any) -> bool:
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    optimizer = model.optimizer.variables if model.optimizer is not None else []
    variables = [*model.variables, *optimizer]
    before = [variable.numpy() for variable in variables]
    try:
        model.train_step((some, wanted))
    except Exception:  # noqa: BLE001 # it may refuse a form in any way
        return False
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        model.reset_metrics()
    return True


# What outputs are that are not bounded as probabilities are.


def _meaning(
    model: keras.Model, loss: Loss | None, name: str, form: str, units: int
) -> tuple[str, float, str]:
    """Return meaning, threshold and notice for outputs that are no probabilities."""
    if declares_logits(model):
        each = units > 1 and loss is not None and not _ignores_shifts(loss, form, units)
        return SIGMOID_LOGITS if each else LOGITS, 0.0, ""
    own_step = has_own_step(model)
    if loss is None or (own_step and _is_cross_entropy(loss, form, units, logits=False)):
        return (
            LOGITS,
            0.0,
            "the model computes its loss in a step of its own, and its outputs are not"
            " probabilities: they are taken to be logits. If they are not, end the model with a"
            " softmax or sigmoid, or compile it with the loss they belong to",
        )
    if _is_cross_entropy(loss, form, units, logits=True):
        return LOGITS, 0.0, ""
    if units > 1 and _is_sum_of_sigmoids(loss, form, units):
        return SIGMOID_LOGITS, 0.0, ""
    threshold = _threshold(loss, form, name) if units == 1 else 0.0
    rule = (
        "the one with the largest output"
        if units > 1
        else f"the second where the output is above {threshold:g}"
    )
    return (
        SCORES,
        threshold,
        f"the model's outputs are not probabilities, and {name} does not say how to turn them into"
        f" some. So they are scored as they are: the predicted class is {rule}, and losses are the"
        " model's own. If you want probabilities, end the model with a softmax or sigmoid, or"
        " compile it with a loss that has `from_logits=True`",
    )


def _is_cross_entropy(loss: Loss, form: str, units: int, *, logits: bool) -> bool:
    """Say whether a loss is the cross-entropy of logits, or of probabilities, up to a factor."""
    classes = max(units, 2)

    def known(labels: Array, outputs: Array) -> float:
        return cross_entropy(Outputs(LOGITS, classes).values(outputs), labels)

    def given(outputs: Array) -> Array:
        return outputs if logits else Outputs(LOGITS, classes).values(outputs)[:, -units:]

    return _is_multiple(loss, form, units, known, given)


def _is_sum_of_sigmoids(loss: Loss, form: str, units: int) -> bool:
    """Say whether a loss is the sum of a cross-entropy for each logit's sigmoid, up to a factor."""

    def known(labels: Array, outputs: Array) -> float:
        truth = np.eye(units)[labels]
        return float((np.logaddexp(0, outputs.astype(np.float64)) - truth * outputs).sum())

    return _is_multiple(loss, form, units, known, lambda outputs: outputs)


def _is_multiple(
    loss: Loss,
    form: str,
    units: int,
    known: Callable[[Array, Array], float],
    given: Callable[[Array], Array],
) -> bool:
    classes = max(units, 2)

    def pair(random: np.random.Generator) -> tuple[float, float]:
        labels = random.integers(0, classes, ROWS)
        outputs = random.normal(0, 2, (ROWS, units)).astype(np.float32)
        return loss(_encoded(form, labels, classes), given(outputs)), known(labels, outputs)

    return multiple(pair) is not None


def _ignores_shifts(loss: Loss, form: str, units: int) -> bool:
    """Say whether a loss stays the same when all of a row's outputs grow, as a softmax does."""
    random = np.random.default_rng(0)
    labels = _encoded(form, random.integers(0, units, ROWS), units)
    outputs = random.normal(0, 2, (ROWS, units)).astype(np.float32)
    return ignores(loss, labels, outputs, (labels, outputs + 1))


def _threshold(loss: Loss, form: str, name: str) -> float:
    """Return the output of one unit above which the second class is meant.

    It is 0 where the outputs that satisfy the loss lie on both sides of it, as those of a hinge and
    logits do, and 0.5 where they are 0 and 1.

    Raises:
        ValueError: it is neither.
    """
    grid = np.array([*(-z for z in reversed(_GRID[1:])), *_GRID], np.float32)
    first, second = (
        _satisfying(loss, _encoded(form, np.full(ROWS, label), 2), grid) for label in (0, 1)
    )
    low, high = float(first.max()), float(second.min())
    if low <= -_MARGIN and high >= _MARGIN:
        return 0.0
    if abs(low) <= _NEAR and abs(high - 1) <= _NEAR:
        return 0.5
    raise ValueError(
        f"{name} must say by which output of the model the class is decided: it is least up to"
        f" {low:g} for the first class and from {high:g} on for the second. End the"
        " model with a sigmoid, or give it one output a class"
    )


def _satisfying(loss: Loss, labels: Array, grid: Array) -> Array:
    values = np.array([loss(labels, np.full((ROWS, 1), z, np.float32)) for z in grid])
    values = np.where(np.isfinite(values), values, np.inf)
    least = values.min()
    finite = values[np.isfinite(values)]
    found: Array = grid[values <= least + 1e-6 * (finite.max(initial=least) - least)]
    return found
