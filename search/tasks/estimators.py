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

    def __init__(self, values: Array | None = None) -> None:
        self.values = values

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


class _Scores(ClassifierMixin, _Predicted):  # type: ignore[misc]
    @property
    def classes_(self) -> Array:
        return np.arange(np.asarray(self.values).shape[1])

    def predict(self, X: Any) -> Array:  # noqa: N803
        found: Array = self._rows(X).argmax(axis=1)
        return found

    def decision_function(self, X: Any) -> Array:  # noqa: N803
        found = self._rows(X)
        return found[:, 1] if found.shape[1] == 2 else found


class _Probabilities(_Scores):
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


def estimator(task: str, scored: Scored) -> _Predicted:
    """Return an estimator of a task whose rows are predicted already."""
    values = scored.values
    if task == REGRESSION:
        return _Numbers(values)
    if task == MULTI_LABEL:
        return _Labels(values)
    return _Probabilities(values) if scored.are_probabilities else _Scores(values)
