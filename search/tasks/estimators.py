"""Estimators as scikit-learn's scorers take them, of predictions that are there already.

Importing scikit-learn takes a second, which a command that scores nothing should not pay: import
this module where a score is computed.
"""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from search.tasks.base import MULTI_LABEL, REGRESSION, Array, Scored


class _Predicted(BaseEstimator):  # type: ignore[misc] # scikit-learn is untyped
    """An estimator that has predicted already: its samples are row numbers."""

    def __init__(self, values: Array | None = None, classes: Array | None = None) -> None:
        self.values = values
        self.classes = classes

    def fit(self, X: Any, y: Any) -> "_Predicted":  # noqa: N803 # scikit-learn's names
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _rows(self, X: Any) -> Array:  # noqa: N803
        found: Array = np.asarray(self.values)[np.asarray(X)[:, 0]]
        return found


class _Numbers(RegressorMixin, _Predicted):  # type: ignore[misc]
    def predict(self, X: Any) -> Array:  # noqa: N803
        found = self._rows(X)
        return found[:, 0] if found.shape[1] == 1 else found


class _Classes(ClassifierMixin, _Predicted):  # type: ignore[misc]
    @property
    def classes_(self) -> Array:
        if self.classes is not None:
            return self.classes
        return np.arange(np.asarray(self.values).shape[1])

    def predict(self, X: Any) -> Array:  # noqa: N803
        found: Array = self.classes_[self._rows(X).argmax(axis=1)]
        return found


class _Scores(_Classes):
    def decision_function(self, X: Any) -> Array:  # noqa: N803
        return decisions(self._rows(X))


class _Probabilities(_Classes):
    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        found = self._rows(X).astype(np.float64)
        found /= found.sum(axis=1, keepdims=True)  # float32 sums to 1 but roughly
        return found


class _Labels(ClassifierMixin, _Predicted):  # type: ignore[misc]
    @property
    def classes_(self) -> list[Array]:
        return [np.arange(2)] * np.asarray(self.values).shape[1]

    def predict(self, X: Any) -> Array:  # noqa: N803
        return (self._rows(X) > 0.5).astype(np.int64)

    def decision_function(self, X: Any) -> Array:  # noqa: N803
        return self._rows(X)


def decisions(values: Array) -> Array:
    """Return scores of classes as scikit-learn's `decision_function` has them, float64.

    Args:
        values: `(n, classes)`; of two classes half of how far the second's is above the first's
            is returned, `(n,)`.
    """
    found = values.astype(np.float64)
    return (found[:, 1] - found[:, 0]) / 2 if found.shape[1] == 2 else found


def estimator(task: str, scored: Scored, classes: Array | None = None) -> _Predicted:
    """Return an estimator of a task whose rows are predicted already.

    Args:
        task: its name.
        scored: the predictions.
        classes: what class numbers stand for; None for the numbers.
    """
    values = scored.values
    if task == REGRESSION:
        return _Numbers(values)
    if task == MULTI_LABEL:
        return _Labels(values)
    kind = _Probabilities if scored.are_probabilities else _Scores
    return kind(values, classes)
