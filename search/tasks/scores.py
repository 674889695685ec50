"""Scores from predictions."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search.errors import DataError
from tracking.files import whole_file

Array = npt.NDArray[Any]

_ARRAYS = ("labels", "predicted", "confidence", "truth")
# All that NumPy raises for a file that is no archive, or a broken one.
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)
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
    def load(cls, path: Path, *, labels: Array | None = None) -> "Predictions":
        """Read what `save` wrote.

        Args:
            path: the file; it is closed again even if it is broken.
            labels: true classes of the samples it should be of, int64 `(n,)`; None if not known.

        Raises:
            DataError: it is missing, damaged, or of other samples.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                found = cls(*(arrays[name] for name in _ARRAYS))
            fault = found._fault()
        except FileNotFoundError as error:
            raise DataError(f"the predictions in {path} are missing") from error
        except _UNREADABLE as error:
            raise DataError(f"the predictions in {path} cannot be read ({error})") from error
        if labels is not None and not fault and not np.array_equal(found.labels, labels):
            fault = f"they are of other samples than the fold's {len(labels):,}"
        if fault:
            raise DataError(f"the predictions in {path} cannot be used: {fault}")
        return found

    @property
    def right(self) -> Array:
        """For each sample whether the prediction is right, bool `(n,)`."""
        return np.equal(self.labels, self.predicted)

    def _fault(self) -> str:
        classes, shares = (self.labels, self.predicted), (self.confidence, self.truth)
        if any(array.shape != (len(self.labels),) for array in (*classes, *shares)):
            return "there is not one prediction a sample"
        if any(array.dtype.kind not in "iu" or (array < 0).any() for array in classes):
            return "there are classes that are no numbers from 0"
        return ""


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
