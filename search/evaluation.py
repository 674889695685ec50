"""Scores from predictions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tracking.files import whole_file

Array = npt.NDArray[Any]

_SMALLEST = 1e-7  # Keras's own clip, so that losses compare with Keras's


@dataclass(frozen=True)
class Scores:
    """How well probabilities fit labels.

    Attributes:
        accuracy: fraction of samples whose likeliest class is the true one.
        loss: mean cross-entropy, nats; or the model's own, where its outputs are no probabilities.
    """

    accuracy: float
    loss: float


@dataclass(frozen=True)
class Predictions:
    """What a model said of some samples, in the form that is kept on disk.

    Attributes:
        labels: true classes, int64 `(n,)`.
        predicted: likeliest classes, int64 `(n,)`.
        confidence: probability given to the likeliest class, float32 `(n,)`; or its score, where
            a model's outputs are no probabilities.
        truth: the same of the true class.
    """

    labels: Array
    predicted: Array
    confidence: Array
    truth: Array

    @classmethod
    def of(cls, values: Array, labels: Array) -> "Predictions":
        """Return the predictions in probabilities or scores of shape `(n, classes)`."""
        predicted = values.argmax(axis=1)
        rows = np.arange(len(labels))
        return cls(labels, predicted, values[rows, predicted], values[rows, labels])

    @classmethod
    def joined(cls, parts: "list[Predictions]") -> "Predictions":
        """Return the predictions of all parts, one after another."""
        return cls(
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.predicted for part in parts]),
            np.concatenate([part.confidence for part in parts]),
            np.concatenate([part.truth for part in parts]),
        )

    def save(self, path: Path) -> None:
        """Write to an `.npz` file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            np.savez(
                file,
                labels=self.labels,
                predicted=self.predicted,
                confidence=self.confidence,
                truth=self.truth,
            )

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Read what `save` wrote."""
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return cls(arrays["labels"], arrays["predicted"], arrays["confidence"], arrays["truth"])


def score(probabilities: Array, labels: Array) -> Scores:
    """Return the scores of probabilities `(n, classes)` against labels `(n,)`."""
    truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return Scores(
        accuracy=float((probabilities.argmax(axis=1) == labels).mean()),
        loss=float(-np.log(np.clip(truth, _SMALLEST, 1.0)).mean()),
    )


def confusion_matrix(predictions: Predictions, classes: int) -> list[list[int]]:
    """Return counts: rows are true classes, columns predicted ones."""
    pairs = predictions.labels * classes + predictions.predicted
    counts = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    matrix: list[list[int]] = counts.tolist()
    return matrix


def macro_f1(predictions: Predictions, classes: int) -> float:
    """Return the unweighted mean of the classes' F1; a class nobody predicts counts as 0."""
    matrix = np.array(confusion_matrix(predictions, classes), dtype=np.float64)
    hits, sums = np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1)
    return float(np.where(sums > 0, 2 * hits / np.maximum(sums, 1), 0.0).mean())


def classification_report(predictions: Predictions, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return scikit-learn's report: precision, recall, F1 and support by class, and averages."""
    from sklearn.metrics import classification_report as report

    result: dict[str, Any] = report(
        predictions.labels,
        predictions.predicted,
        labels=list(range(len(classes))),
        target_names=list(classes),
        output_dict=True,
        zero_division=0.0,
    )
    return result
