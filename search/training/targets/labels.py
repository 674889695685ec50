"""Labels of which a sample has any number: what a loss makes of them, and what outputs mean."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from search.data.arrays import Array
from search.tasks import LabelOutputs, Task
from search.tasks.classification import LOGITS, PROBABILITIES
from search.tasks.models import are_probabilities, are_shares, output_units
from search.tasks.multi_label import THRESHOLD
from search.training.targets.base import Targets, metrics_of
from search.training.targets.losses import (
    ROWS,
    Loss,
    declares_logits,
    has_own_step,
    ignores,
    loss_of,
    multiple,
)
from spaces import cause_of

_LABELS = 6  # that a loss is tried on, at most
_OF_CLASSES = (keras.metrics.CategoricalAccuracy, keras.metrics.SparseCategoricalAccuracy)
_SMALLEST = 1e-7  # Keras's own clip
_ENDING = (
    "end the model with `Dense({units}, activation='sigmoid')` and compile it with"
    " `binary_crossentropy`"
)


@dataclass(frozen=True)
class LabelTargets(Targets):
    """What a loss wants of labels: float32 `(n, labels)`, 0 or 1.

    Attributes:
        outputs: what they mean.
        loss: the model's own, of labels and outputs; None where it has none that can be called by
            itself.
        notice: what the user should know about how outputs are read; empty if nothing is unusual.
    """

    outputs: LabelOutputs
    loss: Loss | None = None
    notice: str = ""

    @classmethod
    def of(cls, model: keras.Model, task: Task, sample: Any) -> "LabelTargets":
        """Find out by trying what a compiled model's outputs are.

        Outputs that are bounded as probabilities are, whatever the weights, are probabilities;
        others are logits if the loss says so or is the cross-entropy of each one's sigmoid.

        Raises:
            ValueError: the model has not one output a label; its outputs compete, as those of a
                softmax do; or its loss does not tell what they are.
        """
        units = output_units(model, task, sample)
        ending = _ENDING.format(units=units)
        if are_shares(model, sample):
            raise ValueError(
                "the outputs of a model for labels must each be the probability of a label; these"
                f" sum to 1 whatever the weights, as those of a softmax: {ending}"
            )
        loss, name = loss_of(model, sample)
        bounded = are_probabilities(model, sample)
        if loss is not None:
            _check(loss, name, units, bounded=bounded)
        if bounded:
            return cls(LabelOutputs(PROBABILITIES), loss)
        if loss is None or has_own_step(model):
            notice = (
                "the model computes its loss in a step of its own, and its outputs are not"
                " probabilities: they are taken to be logits, each with a sigmoid. If they are not,"
                f" {ending}"
            )
            is_known = loss is not None and (declares_logits(model) or _is_of_sigmoids(loss, units))
            return cls(LabelOutputs(LOGITS), loss, "" if is_known else notice)
        if declares_logits(model) or _is_of_sigmoids(loss, units):
            return cls(LabelOutputs(LOGITS), loss)
        raise ValueError(
            f"it must be known which outputs are probabilities; {name} does not say how those of"
            f" this model become some. Use a loss with `from_logits=True`, or {ending}"
        )

    def encode(self, targets: Array) -> Array:
        """Return labels as float32."""
        return targets.astype(np.float32)

    def score(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[Array, float]:
        """Return the probabilities `(n, labels)`, and the model's own loss.

        It is the cross-entropy, a mean over labels, where the model has none by itself.
        """
        values = self.outputs.values(outputs)
        if self.loss is not None:
            return values, self.loss(self.encode(targets), outputs, weights)
        chances = np.clip(values.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
        losses = -np.log(np.where(targets > 0, chances, 1 - chances)).mean(axis=1)
        return values, float((losses if weights is None else losses * weights).mean())

    def training_metrics(
        self, model: keras.Model, found: dict[str, float], *, tells: bool
    ) -> dict[str, float]:
        """Return the metrics but those of classes, and those that cut logits off at another place.

        Keras reads "accuracy" as that of classes where there are several outputs.
        """
        if tells:
            return found
        cut = THRESHOLD if self.outputs.meaning == PROBABILITIES else 0
        wrong = {
            metric.name
            for metric in metrics_of(model)
            if isinstance(metric, _OF_CLASSES)
            or (isinstance(metric, keras.metrics.BinaryAccuracy) and metric.threshold != cut)
        }
        return {name: value for name, value in found.items() if name not in wrong}


def _check(loss: Loss, name: str, units: int, *, bounded: bool) -> None:
    """Check that a loss falls when outputs come nearer to the labels, each by itself.

    Raises:
        ValueError: it does not.
    """
    rule = f"{name} must be smaller the nearer each output is to its label, 0 or 1"
    remedy = _ENDING.format(units=units)
    labels = np.random.default_rng(0).integers(0, 2, (ROWS, units)).astype(np.float32)
    labels[0], labels[1] = 0, 1
    near = np.where(labels > 0, 0.9, 0.1).astype(np.float32)
    try:
        right = loss(labels, near)
        wrong = [loss(labels, _turned(near, label)) for label in range(min(units, _LABELS))]
        changed = near / 2 if bounded else near + 1
        competes = units > 1 and ignores(loss, labels, near, (labels, changed))
    except Exception as error:
        told = cause_of(error)[:200]
        raise ValueError(f"{rule}; of {units} labels it fails: {told}. So {remedy}") from error
    idle = [str(label + 1) for label, value in enumerate(wrong) if not right < value]  # or NaN
    if idle:
        raise ValueError(f"{rule}; it does not fall with output {', '.join(idle)}: {remedy}")
    if competes:
        raise ValueError(
            f"{rule}; it only compares the outputs of a sample with each other, as a softmax does:"
            f" {remedy}"
        )


def _turned(outputs: Array, label: int) -> Array:
    """Return outputs with those of one label the wrong way round."""
    found = outputs.copy()
    found[:, label] = 1 - found[:, label]
    return found


def _is_of_sigmoids(loss: Loss, units: int) -> bool:
    """Say whether a loss is the cross-entropy of each logit's sigmoid, up to a factor."""

    def pair(random: np.random.Generator) -> tuple[float, float]:
        labels = random.integers(0, 2, (ROWS, units)).astype(np.float32)
        outputs = random.normal(0, 2, (ROWS, units)).astype(np.float32)
        known = np.logaddexp(0, outputs.astype(np.float64)) - labels * outputs
        return loss(labels, outputs), float(known.sum())

    return multiple(pair) is not None
