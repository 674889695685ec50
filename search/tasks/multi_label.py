"""Labels of which a sample has any number: which of them a model gives it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError
from search.tasks.base import MULTI_LABEL, Array, Metric, OutputMeaning, Predictions, Scored, Task
from search.tasks.classification import LOGITS, check_bounds, sigmoid
from search.tasks.thresholds import DecidingOutputs
from tracking.records import Json

THRESHOLD = 0.5


@dataclass(frozen=True)
class LabelOutputs(DecidingOutputs):
    """What a model's outputs mean of labels.

    Attributes:
        meaning: `probabilities`, or `logits`, each of which has its own sigmoid.
        thresholds: tuned ones: the probability of each label above which it is given; empty for
            0.5.
    """

    meaning: str
    thresholds: tuple[float, ...] = ()

    def values(self, outputs: Array) -> Array:
        """Return the probability of each label, float32 `(n, labels)`."""
        found = np.asarray(outputs, np.float32)
        if self.meaning == LOGITS:
            return sigmoid(found)
        check_bounds(found)
        return np.asarray(np.clip(found, 0, 1), np.float32)

    def margins(self, values: Array) -> Array:
        return values.astype(np.float64)

    def told(self, above: Array) -> Array:
        return above.astype(np.float32)

    def to_json(self) -> Json:
        tuned = {"thresholds": list(self.thresholds)} if self.thresholds else {}
        return {"task": MULTI_LABEL, "meaning": self.meaning, **tuned}

    @classmethod
    def from_json(cls, known: Json) -> "LabelOutputs":
        return cls(str(known["meaning"]), tuple(map(float, known.get("thresholds", ()))))


@dataclass(frozen=True)
class LabelPredictions(Predictions):
    """How probable a model found each label of each sample.

    Attributes:
        labels: which it has, uint8 `(n, labels)`, 0 or 1.
        probabilities: float32 `(n, labels)`.
        thresholds: above which each is given, float64 `(n, labels)`; None for 0.5.
    """

    labels: Array
    probabilities: Array
    thresholds: Array | None = None

    @property
    def targets(self) -> Array:
        return self.labels

    @property
    def predicted(self) -> Array:
        """The labels it is given, uint8 `(n, labels)`."""
        cuts = THRESHOLD if self.thresholds is None else self.thresholds
        return np.asarray(self.probabilities > cuts, np.uint8)

    @property
    def errors(self) -> Array:
        """Fraction of its labels that are wrong, float64 `(n,)`."""
        wrong: Array = np.not_equal(self.predicted, self.labels).mean(axis=1)
        return wrong

    def fault(self) -> str:
        if self.labels.ndim != 2 or self.labels.shape != self.probabilities.shape:
            return "there is not one prediction a label"
        if self.labels.dtype != np.uint8 or (self.labels > 1).any():
            return "there are labels that are neither 0 nor 1"
        if self.thresholds is not None and self.thresholds.shape != self.labels.shape:
            return "there is not one threshold a label"
        return ""


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of labels for each sample; targets are uint8 `(n, labels)`, 0 or 1."""

    name: ClassVar[str] = MULTI_LABEL
    objective: ClassVar[str] = "cv_macro_f1"
    scored: ClassVar[tuple[str, ...]] = ("macro_f1", "exact_match", "hamming_loss")
    activation: ClassVar[str] = "sigmoid"
    unit: ClassVar[str] = "label"
    units_named: ClassVar[str] = "labels"

    @property
    def predictions(self) -> type[LabelPredictions]:
        return LabelPredictions

    def check(self, targets: Array, what: str) -> None:
        wanted = (len(targets), len(self.names))
        if targets.dtype != np.uint8 or targets.shape != wanted or (targets > 1).any():
            raise DataError(
                f"{what} must be 0 or 1 for each of {len(self.names)} labels; got {targets.dtype}"
                f" {targets.shape}"
            )

    def strata(self, targets: Array, parts: int) -> NDArray[np.int64]:
        """Return the set of labels of each sample; samples of rare sets, its rarest frequent label.

        What comes in fewer samples than there are folds is one stratum.
        """
        sets, numbers = np.unique(targets, axis=0, return_inverse=True)
        found = numbers.reshape(-1)
        rare = np.bincount(found, minlength=len(sets))[found] < parts
        totals = targets.sum(axis=0, dtype=np.int64)
        order = np.argsort(totals, kind="stable")
        order = order[totals[order] >= parts]
        has = np.column_stack([targets[:, order], np.ones(len(targets), np.uint8)])
        rarest = has.argmax(axis=1) + len(sets)  # of samples with none of them, one more
        found = np.where(rare, rarest, found)
        counts = np.bincount(found)
        return np.asarray(np.where(counts[found] < parts, len(counts), found), np.int64)

    @property
    def has_threshold(self) -> bool:
        return True

    def predicted(
        self, values: Array, targets: Array, outputs: OutputMeaning | None = None
    ) -> LabelPredictions:
        cuts = outputs.thresholds if isinstance(outputs, LabelOutputs) else ()
        return LabelPredictions(
            np.asarray(targets, np.uint8),
            np.asarray(values, np.float32),
            np.tile(np.array(cuts), (len(targets), 1)) if cuts else None,
        )

    def metric(self, name: str) -> Metric | None:
        return {known.name: known for known in (_MacroF1(), _ExactMatch(), _HammingLoss())}.get(
            name
        )

    def report(self, predictions: LabelPredictions, weights: Array | None = None) -> Json:
        """Return scikit-learn's report by label, and `confusion`: counts by label.

        Counts are `[[true negatives, false positives], [false negatives, true positives]]`.
        """
        from sklearn.metrics import classification_report, multilabel_confusion_matrix

        true, given = predictions.labels, predictions.predicted
        only: Json = {}
        if len(self.names) == 1:  # which scikit-learn takes for two classes
            true, given, only = true[:, 0], given[:, 0], {"labels": [1]}
        report: Json = classification_report(
            true,
            given,
            target_names=list(self.names),
            sample_weight=weights,
            output_dict=True,
            zero_division=0.0,
            **only,
        )
        counts = multilabel_confusion_matrix(true, given, **only)
        return {
            "report": report,
            "confusion": {
                name: matrix.tolist() for name, matrix in zip(self.names, counts, strict=True)
            },
        }


class _MacroF1(Metric):
    name, larger, limits, is_of_decisions = "macro_f1", True, (0.0, 1.0), True
    meaning = "unweighted mean of the labels' F1"

    def of(self, scored: Scored) -> float:
        given, true, weights = (
            scored.values > THRESHOLD,
            scored.targets.astype(bool),
            scored.weights,
        )
        counted = np.ones(len(true)) if weights is None else np.asarray(weights, np.float64)
        hits = counted @ (given & true)
        sums = counted @ given.astype(np.float64) + counted @ true.astype(np.float64)
        return float(np.where(sums > 0, 2 * hits / np.where(sums > 0, sums, 1), 0.0).mean())


class _ExactMatch(Metric):
    name, larger, limits, is_of_decisions = "exact_match", True, (0.0, 1.0), True
    meaning = "fraction of samples whose labels are all right"

    def of(self, scored: Scored) -> float:
        right = ((scored.values > THRESHOLD) == scored.targets.astype(bool)).all(axis=1)
        return float(np.average(right, weights=scored.weights))


class _HammingLoss(Metric):
    name, larger, limits, is_of_decisions = "hamming_loss", False, (0.0, 1.0), True
    meaning = "fraction of labels that are wrong"

    def of(self, scored: Scored) -> float:
        wrong = ((scored.values > THRESHOLD) != scored.targets.astype(bool)).mean(axis=1)
        return float(np.average(wrong, weights=scored.weights))
