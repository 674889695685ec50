"""One class of two or more: what a model's numbers for a sample are, and how good they are."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError
from search.tasks.base import (
    CLASSIFICATION,
    Array,
    Metric,
    OutputMeaning,
    Predictions,
    Scored,
    Task,
)
from search.tasks.models import are_bounded
from search.tasks.thresholds import DecidingOutputs
from tracking.records import Json

PROBABILITIES, LOGITS, SCORES = "probabilities", "logits", "scores"
SIGMOID_LOGITS = "sigmoid logits"
MEANINGS = (PROBABILITIES, LOGITS, SIGMOID_LOGITS, SCORES)


@dataclass(frozen=True)
class Outputs(DecidingOutputs):
    """What a model's outputs mean, and which class they name.

    Attributes:
        meaning: `probabilities`; `logits`, whose softmax (of a single one the sigmoid) is; `sigmoid
            logits`, each of which has its own sigmoid; or `scores`, of which only the order counts.
        classes: number of classes.
        threshold: of one number a sample: above it the second class is meant.
        thresholds: a tuned one: the probability of the second class, or half of how far its score
            is above that of the first, above which it is predicted; empty for the larger one.
    """

    meaning: str
    classes: int
    threshold: float = 0.5
    thresholds: tuple[float, ...] = ()

    def values(self, outputs: Array) -> Array:
        """Return float32 `(n, classes)`, the largest of a row for the predicted class.

        They are probabilities, or the scores as they are; a single score is given with both signs,
        less its threshold. Shares that do not sum to 1, as of a sigmoid for each class, are divided
        by their sum.

        Args:
            outputs: `(n, classes)`, or `(n, 1)` for the second of two classes.

        Raises:
            ValueError: what were probabilities of an untrained model no longer are.
        """
        found = np.asarray(outputs, np.float32)
        is_one = found.shape[1] == 1
        if self.meaning == SCORES:
            above = found - np.float32(self.threshold)
            return np.concatenate([-above, above], axis=1) if is_one else found
        if self.meaning == SIGMOID_LOGITS or (self.meaning == LOGITS and is_one):
            found = sigmoid(found)
        elif self.meaning == LOGITS:
            found = _softmax(found)
        check_bounds(found)
        found = np.maximum(found, 0)
        if is_one:
            return np.concatenate([1 - found, found], axis=1)
        return _shares(found)

    @property
    def are_probabilities(self) -> bool:
        return self.meaning != SCORES

    @property
    def neutral(self) -> float:
        return 0.5 if self.are_probabilities else 0.0

    def margins(self, values: Array) -> Array:
        second = values[:, 1:].astype(np.float64)
        return second if self.are_probabilities else (second - values[:, :1]) / 2

    def told(self, above: Array) -> Array:
        return np.concatenate([~above, above], axis=1).astype(np.float32)

    def to_json(self) -> Json:
        return {
            "task": CLASSIFICATION,
            "meaning": self.meaning,
            "classes": self.classes,
            "threshold": self.threshold,
            **({"thresholds": list(self.thresholds)} if self.thresholds else {}),
        }

    @classmethod
    def from_json(cls, known: Json) -> "Outputs":
        return cls(
            str(known["meaning"]),
            int(known["classes"]),
            float(known["threshold"]),
            tuple(map(float, known.get("thresholds", ()))),
        )


def check_bounds(values: Array) -> None:
    """Check that values are probabilities.

    Raises:
        ValueError: some are far below 0 or above 1.
    """
    if not are_bounded(values) and np.isfinite(values).all():
        raise ValueError(
            "outputs that are probabilities must lie between 0 and 1; they reached from"
            f" {values.min():g} to {values.max():g}. End the model with a softmax or sigmoid"
        )


def sigmoid(values: Array) -> Array:
    """Return the probabilities of logits, float32."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-values.astype(np.float64))), np.float32)


def _softmax(values: Array) -> Array:
    powers = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _shares(values: Array) -> Array:
    """Return rows that sum to 1; those that do but for rounding, as of a softmax, stay as they are.

    Each row is looked at alone: what a sample is given must not depend on the others.
    """
    sums = values.sum(axis=1, keepdims=True)
    equal = np.float32(1 / values.shape[1])
    shares = np.where(sums > 0, values / np.where(sums > 0, sums, 1), equal)
    return np.where(np.abs(sums - 1) < _ROUNDING, values, shares)


MOST_KEPT = 256  # classes whose probabilities are all kept: 2 bytes each for each sample
_SMALLEST = 1e-7  # Keras's own clip, so that losses compare with Keras's
_ROUNDING = 1e-6  # of a sum of probabilities in float32


@dataclass(frozen=True)
class ClassPredictions(Predictions):
    """Which class a model named for each sample.

    Attributes:
        labels: true classes, int64 `(n,)`.
        predicted: likeliest classes, or those of a tuned threshold, int64 `(n,)`.
        confidence: probability given to the predicted class, float32 `(n,)`; or its score, where
            a model's outputs are no probabilities.
        truth: the same of the true class.
        halves: probability of each class, float16 `(n, classes)`; None where there are scores, more
            than `MOST_KEPT` classes, or a file of an earlier version. `probabilities` reads them.
    """

    labels: Array
    predicted: Array
    confidence: Array
    truth: Array
    halves: Array | None = None

    @classmethod
    def of(
        cls, values: Array, labels: Array, outputs: OutputMeaning | None = None
    ) -> "ClassPredictions":
        """Return the predictions in probabilities or scores of shape `(n, classes)`.

        Args:
            values: the probabilities or scores.
            labels: true classes, `(n,)`.
            outputs: with a tuned threshold of two classes; None for the likeliest class.
        """
        predicted = (values if outputs is None else outputs.decided(values)).argmax(axis=1)
        rows = np.arange(len(labels))
        are_shares = outputs is not None and outputs.are_probabilities
        is_kept = are_shares and values.shape[1] <= MOST_KEPT
        return cls(
            labels,
            predicted,
            values[rows, predicted],
            values[rows, labels],
            values.astype(np.float16) if is_kept else None,
        )

    @property
    def probabilities(self) -> Array | None:
        """The probability of each class, float32 `(n, classes)`; None where it is not known.

        Float16 has 11 bits, which are too few close to 1. So the largest of a row is what the
        others leave, which is right to 1 / 2,000 of what they are.
        """
        if self.halves is None:
            return None
        found = self.halves.astype(np.float32)
        rows, places = np.arange(len(found)), found.argmax(axis=1)
        found[rows, places] = 0
        found[rows, places] = 1 - found.sum(axis=1)
        return found

    @property
    def targets(self) -> Array:
        return self.labels

    @property
    def errors(self) -> Array:
        """1 for each wrong prediction, 0 for each right one, float64 `(n,)`."""
        return np.not_equal(self.labels, self.predicted).astype(np.float64)

    @property
    def right(self) -> Array:
        """For each sample whether the prediction is right, bool `(n,)`."""
        return np.equal(self.labels, self.predicted)

    def fault(self) -> str:
        classes, shares = (self.labels, self.predicted), (self.confidence, self.truth)
        if any(array.shape != (len(self.labels),) for array in (*classes, *shares)):
            return "there is not one prediction a sample"
        if any(array.dtype.kind not in "iu" or (array < 0).any() for array in classes):
            return "there are classes that are no numbers from 0"
        if self.halves is not None and self.halves.shape[:1] != self.labels.shape:
            return "there are not all probabilities of each sample"
        return ""


@dataclass(frozen=True)
class Classification(Task):
    """One class for each sample; targets are class numbers from 0, int64 `(n,)`."""

    name: ClassVar[str] = CLASSIFICATION
    objective: ClassVar[str] = "cv_accuracy"
    scored: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")
    activation: ClassVar[str] = "softmax"
    has_classes: ClassVar[bool] = True
    unit: ClassVar[str] = "class"
    units_named: ClassVar[str] = "classes"

    @property
    def shapes(self) -> str:
        return f"{super().shapes}{' or (n, 1)' if self.units == 2 else ''}"

    def misfit(self, units: int) -> str:
        """Return why outputs do not fit; two classes may also have one."""
        if (units, self.units) == (1, 2):
            return ""
        fault = super().misfit(units)
        if not fault:
            return ""
        hint = ". If the target is a number to predict, give `--task regression`"
        return f"{fault}{' or 1' if self.units == 2 else ''}{hint if units == 1 else ''}"

    @property
    def predictions(self) -> type[ClassPredictions]:
        return ClassPredictions

    def check(self, targets: Array, what: str) -> None:
        classes = len(self.names)
        if targets.ndim != 1 or targets.dtype.kind not in "iu":
            raise DataError(
                f"{what} must be whole numbers of shape (n,); got {targets.dtype} {targets.shape}"
            )
        wrong = np.flatnonzero((targets < 0) | (targets >= classes))
        if len(wrong):
            raise DataError(
                f"{what} must be within 0..{classes - 1}; number {wrong[0] + 1:,} is"
                f" {targets[wrong[0]]}, and {len(wrong):,} in all are outside."
                " The file is damaged or belongs to another dataset: get it again."
            )

    def strata(self, targets: Array, parts: int) -> NDArray[np.int64]:
        return np.asarray(targets, np.int64)

    @property
    def has_threshold(self) -> bool:
        return self.units == 2

    def predicted(
        self, values: Array, targets: Array, outputs: OutputMeaning | None = None
    ) -> ClassPredictions:
        return ClassPredictions.of(values, targets, outputs)

    def metric(self, name: str) -> Metric | None:
        known: dict[str, Metric] = {"accuracy": _Accuracy(), "macro_f1": _MacroF1()}
        return known.get(name)

    def report(self, predictions: ClassPredictions, weights: Array | None = None) -> Json:
        return classification_report(predictions, self.names, weights)

    def confusion(self, predictions: ClassPredictions) -> list[list[int]]:
        return confusion_matrix(predictions, len(self.names))


class _Accuracy(Metric):
    name, larger, limits, is_of_decisions = "accuracy", True, (0.0, 1.0), True
    meaning = "fraction of samples whose likeliest class is the true one"

    def of(self, scored: Scored) -> float:
        right = scored.values.argmax(axis=1) == scored.targets
        return float(np.average(right, weights=scored.weights))


class _MacroF1(Metric):
    name, larger, limits, is_of_decisions = "macro_f1", True, (0.0, 1.0), True
    meaning = "unweighted mean of the classes' F1"

    def of(self, scored: Scored) -> float:
        predictions = ClassPredictions.of(scored.values, scored.targets)
        return macro_f1(predictions, scored.values.shape[1], scored.weights)


def cross_entropy(probabilities: Array, labels: Array, weights: Array | None = None) -> float:
    """Return the mean cross-entropy, nats, of probabilities `(n, classes)` and labels `(n,)`.

    Of weights `(n,)` it is the mean product with each sample's, as in Keras.
    """
    truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses = -np.log(np.clip(truth, _SMALLEST, 1.0))
    return float((losses if weights is None else losses * weights).mean())


def confusion_matrix(predictions: ClassPredictions, classes: int) -> list[list[int]]:
    """Return counts: rows are true classes, columns predicted ones."""
    matrix: list[list[int]] = _pairs(predictions, classes, None).astype(np.int64).tolist()
    return matrix


def macro_f1(predictions: ClassPredictions, classes: int, weights: Array | None = None) -> float:
    """Return the unweighted mean of the classes' F1, as scikit-learn's `f1_score`.

    A class that is true of a sample and never predicted, or the reverse, counts as 0; one that is
    neither is left out.

    Args:
        predictions: of all samples.
        classes: their number.
        weights: `(n,)`, by which samples count; None if all count the same.
    """
    matrix = _pairs(predictions, classes, weights)
    hits, sums = np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1)
    found = np.where(sums > 0, 2 * hits / np.where(sums > 0, sums, 1), 0.0)
    occur = np.union1d(predictions.labels, predictions.predicted)  # also without weight
    return float(found[occur].mean())


def _pairs(predictions: ClassPredictions, classes: int, weights: Array | None) -> Array:
    pairs = predictions.labels * classes + predictions.predicted
    counts = np.bincount(pairs, weights=weights, minlength=classes * classes)
    return counts.astype(np.float64).reshape(classes, classes)


def classification_report(
    predictions: ClassPredictions, classes: tuple[str, ...], weights: Array | None = None
) -> dict[str, Any]:
    """Return scikit-learn's report: precision, recall, F1 and support by class, and averages."""
    from sklearn.metrics import classification_report as report

    result: dict[str, Any] = report(
        predictions.labels,
        predictions.predicted,
        labels=list(range(len(classes))),
        target_names=list(classes),
        sample_weight=weights,
        output_dict=True,
        zero_division=0.0,
    )
    return result
