"""Numbers to predict: when and how they are standardised for training."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np

from search.data.arrays import Array
from search.tasks import NumberOutputs, Task
from search.tasks.models import are_unbounded, called, first_of, output_units, without_weights
from search.training.targets.base import AUTO_SCALING, Targets
from search.training.targets.losses import (
    ROWS,
    Loss,
    has_own_step,
    ignores,
    is_keras_own,
    loss_of,
    multiple,
)
from spaces import cause_of

_SHIFTS = (-5.0, 2.0, 7.0)  # that must not matter to a loss
_FACTORS = (2.0, 1e3, 1e6)  # of targets and outputs, by a power of which a loss may grow
_POWER = 1e-3  # to which that power is known
_AWAY = (0.3, 20.0, 1000.0)  # from the targets; a loss may not mind small errors
_COARSE = 1e-3  # of their spread, to which float32 keeps numbers that are not standardised
_OFF = "`--target-scaling off` trains on the numbers as they are"


@dataclass(frozen=True)
class NumberTargets(Targets):
    """What a loss wants of numbers: float32 `(n, numbers)`, or `(n,)` as the outputs are.

    Attributes:
        outputs: how they become numbers in the targets' own unit.
        rank: axes of a sample's outputs: 1, or 0 for `(n,)`.
        loss: the model's own, of numbers and outputs; None where it has none that can be called by
            itself.
        doubt: why numbers are not standardised; empty where they may be.
        caution: what changes in the meaning of the loss where they are; mostly empty.
        centre: outputs of the model with all its kernels 0, `(numbers,)`.
        notice: what the user should know about that; empty if nothing is unusual.
    """

    outputs: NumberOutputs
    rank: int
    loss: Loss | None
    doubt: str
    caution: str
    centre: tuple[float, ...]
    notice: str = ""

    @classmethod
    def of(cls, model: keras.Model, task: Task, sample: Any) -> "NumberTargets":
        """Find out by trying whether numbers may be standardised for a compiled model.

        They may if nothing but the unit of outputs changes by it: the loss is the same when targets
        and outputs are shifted alike, and grows by a power of their unit or is one of Keras's own;
        and every output may become any number.

        Raises:
            ValueError: the model has not one output a number, or its loss is not smaller the nearer
                outputs are to the numbers.
        """
        output_units(model, task, sample)
        loss, name = loss_of(model, sample)
        rank = called(model, first_of(sample, 1)).ndim - 1
        shape = (ROWS, task.units) if rank else (ROWS,)
        if loss is not None:
            _check(loss, name, shape)
        doubt = caution = ""
        if loss is None or has_own_step(model):
            doubt = "the model computes its loss in a step of its own"
        elif not _ignores_shifts(loss, shape):
            doubt = f"{name} changes when targets and outputs are shifted alike"
        elif not are_unbounded(model, sample):
            doubt = "not every output of the model can become any number, negative and positive"
        elif not _has_no_unit(loss, shape):
            caution = (
                f"targets are standardised, so what {name} measures counts in standard deviations"
                f" of the training part; {_OFF}"
            )
            if not is_keras_own(model):
                doubt, caution = f"{name} depends on the targets' unit", ""
        with without_weights(model):
            centre = called(model, first_of(sample, 1)).reshape(-1).astype(np.float64)
        plain = NumberOutputs.plain(task.units)
        return cls(plain, rank, loss, doubt, caution, tuple(map(float, centre)))

    def on(
        self, training: Array, weights: Array | None = None, *, scaling: str = AUTO_SCALING
    ) -> "NumberTargets":
        """Return the same with mean and standard deviation of the numbers trained on."""
        plain = NumberOutputs.plain(training.shape[1])
        if scaling != AUTO_SCALING:
            return replace(self, outputs=plain, notice=_coarse(training))
        mean, spread = _moments(training, weights)
        doubt = self.doubt or self._begins_at(mean, spread)
        if not doubt:
            scaled = NumberOutputs(tuple(spread.tolist()), tuple(mean.tolist()))
            return replace(self, outputs=scaled, notice=self.caution)
        told = f"targets are not standardised, but given to the model as they are: {doubt}"
        return replace(
            self, outputs=plain, notice=". ".join(filter(None, [told, _coarse(training)]))
        )

    def _begins_at(self, mean: Array, spread: Array) -> str:
        """Return in words that the model's outputs begin in the targets' own unit, if they do."""
        centre = np.array(self.centre)
        near = np.abs(centre - mean) / spread < np.abs(centre)
        if not (near & (np.abs(centre) > 1)).any():
            return ""
        told = ", ".join(f"{each:g}" for each in centre)
        return f"the untrained model's outputs begin at {told}, near the targets' own mean"

    def encode(self, targets: Array) -> Array:
        """Return numbers in the unit of the model's outputs, float32."""
        outputs = self.outputs
        scaled = (targets - np.array(outputs.offset)) / np.array(outputs.scale)
        found = np.asarray(scaled, np.float32)
        return found if self.rank else found[:, 0]

    def score(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[Array, float]:
        """Return numbers in the targets' own unit, float64 `(n, numbers)`, and their loss.

        It is the model's own, of the targets as they are trained on; the mean squared error where
        the model has none by itself.
        """
        values, wanted = self.outputs.values(outputs), self.encode(targets)
        if self.loss is not None:
            return values, self.loss(wanted, outputs, weights)
        losses = (outputs.astype(np.float64) - wanted).reshape(len(targets), -1) ** 2
        losses = losses.mean(axis=1)
        return values, float((losses if weights is None else losses * weights).mean())

    def training_metrics(
        self, model: keras.Model, found: dict[str, float], *, tells: bool
    ) -> dict[str, float]:
        """Return the metrics without an accuracy, which numbers have none of."""
        if tells:
            return found
        return {name: value for name, value in found.items() if name not in ("accuracy", "acc")}

    @contextmanager
    def measuring(self, model: keras.Model) -> Iterator[None]:
        """Let a model's own metrics see numbers in the targets' own unit for a moment."""
        if self.outputs.is_plain or getattr(model, "_compile_metrics", None) is None:
            yield
            return
        scale, offset = (
            np.array(each, np.float32) if self.rank else np.float32(each[0])
            for each in (self.outputs.scale, self.outputs.offset)
        )
        measure = type(model).compute_metrics

        def compute_metrics(x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            own = keras.tree.map_structure(lambda found: found * scale + offset, y_pred)
            return measure(model, x, y * scale + offset, own, sample_weight)

        model.compute_metrics = compute_metrics
        try:
            yield
        finally:
            del model.compute_metrics


def _check(loss: Loss, name: str, shape: tuple[int, ...]) -> None:
    """Check that a loss is smaller for outputs that are the numbers than for others.

    Raises:
        ValueError: it is not, or cannot be computed of numbers.
    """
    rule = f"{name} must be smaller the nearer the outputs are to the numbers"
    remedy = (
        "compile the model with `mse`, say; or if the targets are classes, give"
        " `--task classification`"
    )
    numbers = _drawn(np.random.default_rng(0), shape, most=0.9)  # also for losses of shares
    try:
        right = loss(numbers, numbers)
        falls = any(right < loss(numbers, numbers + np.float32(away)) for away in _AWAY)
    except Exception as error:
        raise ValueError(
            f"{rule}; of numbers it fails: {cause_of(error)[:200]}. So {remedy}"
        ) from error
    if not falls:
        raise ValueError(f"{rule}; it does not fall: {remedy}")


def _ignores_shifts(loss: Loss, shape: tuple[int, ...]) -> bool:
    random = np.random.default_rng(1)
    numbers, outputs = _drawn(random, shape), _drawn(random, shape)
    return all(
        ignores(loss, numbers, outputs, (numbers + np.float32(by), outputs + np.float32(by)))
        for by in _SHIFTS
    )


def _has_no_unit(loss: Loss, shape: tuple[int, ...]) -> bool:
    """Say whether a loss only grows by a power of the unit of targets and outputs."""

    def pair(random: np.random.Generator, factor: float) -> tuple[float, float]:
        numbers, outputs = _drawn(random, shape), _drawn(random, shape)
        grown = numbers * np.float32(factor), outputs * np.float32(factor)
        return loss(*grown), loss(numbers, outputs)

    found = [multiple(partial(pair, factor=factor)) for factor in _FACTORS]
    powers = [
        np.log(times) / np.log(factor)
        for times, factor in zip(found, _FACTORS, strict=True)
        if times is not None
    ]
    return len(powers) == len(_FACTORS) and bool(np.allclose(powers, powers[0], atol=_POWER))


def _drawn(random: np.random.Generator, shape: tuple[int, ...], most: float = 3.0) -> Array:
    """Return positive numbers, which every loss of numbers takes."""
    return random.uniform(0.1, most, shape).astype(np.float32)


def _moments(numbers: Array, weights: Array | None) -> tuple[Array, Array]:
    """Return mean and standard deviation of each number, float64; 1 for one that is constant."""
    counted = weights if weights is not None and weights.sum() > 0 else None
    mean = np.average(numbers, axis=0, weights=counted)
    spread = np.sqrt(np.average((numbers - mean) ** 2, axis=0, weights=counted))
    return mean, np.where((np.ptp(numbers, axis=0) > 0) & (spread > 0), spread, 1.0)


def _coarse(numbers: Array) -> str:
    """Return in words how much of numbers float32 loses, where that is much of their spread."""
    lost = np.abs(numbers - numbers.astype(np.float32)).max(axis=0)
    spread = np.where(np.ptp(numbers, axis=0) > 0, numbers.std(axis=0), np.inf)
    share = float((lost / spread).max())
    if share <= _COARSE:
        return ""
    return (
        f"float32, in which models are trained, keeps them to within {lost.max():.2g} only,"
        f" {share:.1%} of their spread: subtract a constant from them"
    )
