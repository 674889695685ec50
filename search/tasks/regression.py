"""Numbers to predict: how far predictions are from them."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError
from search.tasks.base import REGRESSION, Array, Metric, OutputMeaning, Predictions, Scored, Task
from tracking.records import Json

LEAST_IN_STRATUM = 2  # samples of a stratum in each fold
MOST_STRATA = 10
CELLS = 40  # a side of the picture of predictions against what is true
SIZES = 10  # groups of samples, by what is true, whose errors are told apart
NUMBERS = "numbers"


@dataclass(frozen=True)
class NumberOutputs(OutputMeaning):
    """What a model's outputs mean: numbers in units of their own.

    Attributes:
        scale: by which each output is multiplied.
        offset: that is then added to it.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    meaning = NUMBERS

    @classmethod
    def plain(cls, numbers: int) -> "NumberOutputs":
        """Return the meaning of outputs that are the numbers themselves."""
        return cls((1.0,) * numbers, (0.0,) * numbers)

    @property
    def is_plain(self) -> bool:
        """Whether outputs are the numbers themselves."""
        return self == self.plain(len(self.scale))

    def values(self, outputs: Array) -> Array:
        """Return numbers in the targets' own unit, float64 `(n, numbers)`."""
        found = np.asarray(outputs, np.float64).reshape(len(outputs), len(self.scale))
        return np.asarray(found * np.array(self.scale) + np.array(self.offset), np.float64)

    def to_json(self) -> Json:
        return {"task": REGRESSION, "scale": list(self.scale), "offset": list(self.offset)}

    @classmethod
    def from_json(cls, known: Json) -> "NumberOutputs":
        return cls(tuple(map(float, known["scale"])), tuple(map(float, known["offset"])))


@dataclass(frozen=True)
class NumberPredictions(Predictions):
    """The numbers a model predicted for each sample.

    Attributes:
        actual: float64 `(n, numbers)`.
        predicted: the same shape, in the same units.
    """

    actual: Array
    predicted: Array

    @property
    def targets(self) -> Array:
        return self.actual

    @property
    def errors(self) -> Array:
        """Squared error, of several numbers their mean in units of their spread, float64 `(n,)`."""
        off = self.predicted - self.actual
        if off.shape[1] > 1:
            spread = self.actual.std(axis=0)
            off = off / np.where(spread > 0, spread, 1)
        return np.asarray((off**2).mean(axis=1))

    def fault(self) -> str:
        if self.actual.ndim != 2 or self.actual.shape != self.predicted.shape:
            return "there is not one prediction a number"
        if not (np.isfinite(self.actual).all() and np.isfinite(self.predicted).all()):
            return "there are numbers that are not finite"
        return ""


@dataclass(frozen=True)
class Regression(Task):
    """One number or several for each sample; targets are float64 `(n, numbers)`."""

    name: ClassVar[str] = REGRESSION
    objective: ClassVar[str] = "cv_rmse"
    scored: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2")
    activation: ClassVar[str] = "linear"
    unit: ClassVar[str] = "number"
    units_named: ClassVar[str] = "numbers"

    @property
    def ranks(self) -> tuple[int, ...]:  # type: ignore[override]
        return (0, 1) if self.units == 1 else (1,)

    @property
    def shapes(self) -> str:
        return f"{super().shapes}{' or (n,)' if self.units == 1 else ''}"

    def misfit(self, units: int) -> str:
        fault = super().misfit(units)
        return f"{fault}. If the targets are classes, give `--task classification`" if fault else ""

    @property
    def predictions(self) -> type[NumberPredictions]:
        return NumberPredictions

    def check(self, targets: Array, what: str) -> None:
        wanted = (len(targets), len(self.names))
        if targets.dtype.kind != "f" or targets.shape != wanted:
            raise DataError(
                f"{what} must be numbers of shape (n, {len(self.names)}); got {targets.dtype}"
                f" {targets.shape}"
            )
        wrong = np.flatnonzero(~np.isfinite(targets).all(axis=1))
        if len(wrong):
            raise DataError(
                f"{what} must be finite numbers; number {wrong[0] + 1:,} is"
                f" {targets[wrong[0]].tolist()}, and {len(wrong):,} in all are not. Fill them in,"
                " or leave the samples out."
            )

    def strata(self, targets: Array, parts: int) -> NDArray[np.int64]:
        """Return the quantile of each sample's number, of several that of the mean of their ranks.

        There are up to `MOST_STRATA`, of equal size, with `LEAST_IN_STRATUM` samples of each in
        every fold.
        """
        ranks = np.argsort(np.argsort(targets, axis=0, kind="stable"), axis=0).mean(axis=1)
        count = max(1, min(MOST_STRATA, len(targets) // (parts * LEAST_IN_STRATUM)))
        order = np.argsort(np.argsort(ranks, kind="stable"))
        return np.asarray(order * count // max(len(targets), 1), np.int64)

    def spread(self, targets: Array) -> NDArray[np.float64]:
        """Return the standard deviation of each number, 1 where it is always the same."""
        found = np.asarray(targets, np.float64).std(axis=0)
        return np.where(found > 0, found, 1.0)

    def predicted(
        self, values: Array, targets: Array, outputs: OutputMeaning | None = None
    ) -> NumberPredictions:
        return NumberPredictions(
            np.asarray(targets, np.float64), np.asarray(values, np.float64).reshape(targets.shape)
        )

    def metric(self, name: str) -> Metric | None:
        return {known.name: known for known in (_Rmse(), _Mae(), _R2())}.get(name)

    def report(self, predictions: NumberPredictions, weights: Array | None = None) -> Json:
        """Return scores, density, residuals and errors by size of each number, by its name."""
        return {
            "numbers": {
                name: _described(predictions.actual[:, i], predictions.predicted[:, i], weights)
                for i, name in enumerate(self.names)
            }
        }


class _Rmse(Metric):
    """Of several numbers the mean of theirs, as scikit-learn's `root_mean_squared_error`."""

    name, larger, limits = "rmse", False, (0.0, math.inf)
    meaning = "root of the mean squared error, in the target's unit"

    def of(self, scored: Scored) -> float:
        squared = np.average(_off(scored) ** 2, axis=0, weights=scored.weights)
        return float(np.sqrt(squared).mean())


class _Mae(Metric):
    name, larger, limits = "mae", False, (0.0, math.inf)
    meaning = "mean absolute error, in the target's unit"

    def of(self, scored: Scored) -> float:
        return float(np.average(np.abs(_off(scored)), axis=0, weights=scored.weights).mean())


class _R2(Metric):
    name, larger, limits = "r2", True, (-math.inf, 1.0)
    meaning = "share of the target's variance that is explained (R²)"

    def of(self, scored: Scored) -> float:
        targets, weights = scored.targets, scored.weights
        if len(targets) < 2:
            return float("nan")
        middle = np.average(targets, axis=0, weights=weights)
        total = np.average((targets - middle) ** 2, axis=0, weights=weights)
        left = np.average(_off(scored) ** 2, axis=0, weights=weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(total > 0, 1 - left / total, np.where(left > 0, 0.0, 1.0))
        return float(shares.mean())


def _off(scored: Scored) -> Array:
    targets = scored.targets
    return np.asarray(scored.values, np.float64).reshape(targets.shape) - targets


def _described(actual: Array, predicted: Array, weights: Array | None) -> Json:
    off = predicted - actual
    low, high = float(min(actual.min(), predicted.min())), float(max(actual.max(), predicted.max()))
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, CELLS + 1)
    density = np.histogram2d(actual, predicted, bins=(edges, edges))[0].astype(int)
    counts, off_edges = np.histogram(off, bins=CELLS)
    scored = Scored(predicted[:, np.newaxis], actual[:, np.newaxis], weights)
    return {
        "rmse": _Rmse().of(scored),
        "mae": _Mae().of(scored),
        "r2": _R2().of(scored),
        "bias": float(np.average(off, weights=weights)),
        "samples": len(actual),
        "range": [low, high],
        "density": [
            [int(row), int(place), int(density[row, place])]
            for row, place in zip(*np.nonzero(density), strict=True)
        ],
        "residuals": {
            "from": float(off_edges[0]),
            "to": float(off_edges[-1]),
            "counts": counts.tolist(),
        },
        "by_size": list(_by_size(actual, off)),
    }


def _by_size(actual: Array, off: Array) -> Any:
    """Yield bias, mean absolute error and quantiles of the errors for samples of like size."""
    order = np.argsort(actual, kind="stable")
    for rows in np.array_split(order, min(SIZES, len(order))):
        quantiles = np.quantile(off[rows], (0.05, 0.25, 0.5, 0.75, 0.95)).tolist()
        yield {
            "from": float(actual[rows].min()),
            "to": float(actual[rows].max()),
            "samples": len(rows),
            "bias": float(off[rows].mean()),
            "mae": float(np.abs(off[rows]).mean()),
            "quantiles": quantiles,
        }
