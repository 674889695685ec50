"""Several outputs: each with targets of its own, side by side."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from search.data.arrays import Array
from search.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION, Task
from search.tasks.models import by_name, check_names, first_of, output_units
from search.tasks.multi_output import MultiOutput, SeveralOutputs
from search.training.targets.base import AUTO_SCALING, Targets
from search.training.targets.classes import ClassTargets
from search.training.targets.labels import LabelTargets
from search.training.targets.losses import has_own_loss, has_own_step
from search.training.targets.numbers import NumberTargets

_KINDS: dict[str, type[Targets]] = {
    CLASSIFICATION: ClassTargets,
    MULTI_LABEL: LabelTargets,
    REGRESSION: NumberTargets,
}


@dataclass(frozen=True)
class SeveralTargets(Targets):
    """What a loss with several outputs wants.

    Attributes:
        task: of all of them.
        parts: each output's targets, in the order of the task.
        order: the outputs' names in the order of the list that the model returns; None where it
            returns a dictionary.
        weights: by which each output's loss counts, in the order of the task.
        units: how many numbers the model gives for each, in the order of the task.
    """

    task: MultiOutput
    parts: tuple[Targets, ...]
    order: tuple[str, ...] | None
    weights: tuple[float, ...]
    units: tuple[int, ...]

    @classmethod
    def of(cls, model: keras.Model, task: Task, sample: Any) -> "SeveralTargets":
        """Find out what each output's own loss wants, and what it means.

        Raises:
            ValueError: outputs do not fit the task, or there is not one loss for each.
        """
        if not isinstance(task, MultiOutput):
            raise TypeError(f"several outputs need their task; got {task.name}")
        if has_own_step(model) or has_own_loss(model):
            raise ValueError(
                "a model with several outputs must train by Keras's own `train_step` and"
                " `compute_loss`; it has one of its own. Compile it with a loss for each output,"
                " and put what is added to them in a layer's `add_loss`"
            )
        views = views_of(model, task, sample)
        losses = _losses(model, task)
        found = []
        for part in task.parts:
            view = views[part.name]
            view.compile(loss=losses[part.name])
            found.append(_KINDS[part.task.name].of(view, part.task, sample))
        outputs = model(first_of(sample, 1), training=False)
        order = None if isinstance(outputs, dict) else tuple(by_name(model, outputs))
        units = tuple(output_units(views[p.name], p.task, sample) for p in task.parts)
        return cls(task, tuple(found), order, _weights(model, task), units)

    def on(
        self, training: Array, weights: Array | None = None, *, scaling: str = AUTO_SCALING
    ) -> "SeveralTargets":
        """Return the same for a model that is trained on certain targets."""
        own = self.task.split(training)
        parts = tuple(
            targets.on(own[part.name], weights, scaling=scaling)
            for part, targets in zip(self.task.parts, self.parts, strict=True)
        )
        return replace(self, parts=parts)

    @property
    def outputs(self) -> SeveralOutputs:  # type: ignore[override]
        """What the outputs mean."""
        return SeveralOutputs(
            tuple(
                (part.name, units, targets.outputs)
                for part, units, targets in zip(
                    self.task.parts, self.units, self.parts, strict=True
                )
            )
        )

    @property
    def notice(self) -> str:  # type: ignore[override]
        """What the user should know of any output."""
        told = [
            f"output {part.name}: {targets.notice}"
            for part, targets in zip(self.task.parts, self.parts, strict=True)
            if targets.notice
        ]
        return "; ".join(told)

    def encode(self, targets: Array) -> Any:
        """Return each output's targets as its loss asks for them, as the model returns outputs."""
        own = self.task.split(targets)
        return self._arranged(
            {
                part.name: each.encode(own[part.name])
                for part, each in zip(self.task.parts, self.parts, strict=True)
            }
        )

    def score(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[Array, float]:
        """Return what outputs side by side say, and the sum of their losses by their weights.

        As of a single output, the loss of classes is their cross-entropy, whatever loss is trained.
        """
        own, values, loss, start = self.task.split(targets), [], 0.0, 0
        each = zip(self.task.parts, self.parts, self.units, self.weights, strict=True)
        for part, known, units, weight in each:
            given = outputs[:, start : start + units]
            start += units
            if isinstance(known, NumberTargets) and not known.rank:
                given = given[:, 0]
            said, lost = known.score(given, own[part.name], weights)
            values.append(np.asarray(said, np.float64))
            loss += weight * lost
        return np.concatenate(values, axis=1), loss if math.isfinite(loss) else math.nan

    def placed(self, model: keras.Model, outputs: Array) -> Any:
        """Return outputs side by side in the list or dictionary in which the model returns them."""
        found, start = {}, 0
        for part, known, units in zip(self.task.parts, self.parts, self.units, strict=True):
            own = outputs[:, start : start + units]
            start += units
            if isinstance(known, NumberTargets) and not known.rank:
                own = own[:, 0]
            found[part.name] = keras.ops.convert_to_tensor(own)
        return self._arranged(found)

    @contextmanager
    def measuring(self, model: keras.Model) -> Iterator[None]:
        """Let a model's own metrics see numbers in the targets' own unit for a moment."""
        scaled = {
            part.name: known.outputs
            for part, known in zip(self.task.parts, self.parts, strict=True)
            if isinstance(known, NumberTargets) and not known.outputs.is_plain
        }
        if not scaled or getattr(model, "_compile_metrics", None) is None:
            yield
            return
        measure = type(model).compute_metrics

        def own(name: str, each: Any) -> Any:
            if name not in scaled:
                return each
            scale = np.array(scaled[name].scale, np.float32)
            offset = np.array(scaled[name].offset, np.float32)
            return each * scale + offset if len(each.shape) > 1 else each * scale[0] + offset[0]

        def all_own(outputs: Any) -> Any:
            named = outputs if self.order is None else dict(zip(self.order, outputs, strict=True))
            return self._arranged({name: own(name, each) for name, each in named.items()})

        def compute_metrics(x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return measure(model, x, all_own(y), all_own(y_pred), sample_weight)

        model.compute_metrics = compute_metrics
        try:
            yield
        finally:
            del model.compute_metrics

    def _arranged(self, named: dict[str, Any]) -> Any:
        return named if self.order is None else [named[name] for name in self.order]


class _View(keras.Model):  # type: ignore[misc] # Keras is untyped
    """One output of a model that was not built of layers alone."""

    def __init__(self, inner: keras.Model, output: str) -> None:
        super().__init__()
        self._inner, self._output = inner, output

    def call(self, inputs: Any, training: bool = False) -> Any:
        return by_name(self._inner, self._inner(inputs, training=training))[self._output]


def views_of(model: keras.Model, task: MultiOutput, sample: Any) -> dict[str, keras.Model]:
    """Return a model of each output alone, with the same weights.

    Raises:
        ValueError: the outputs are not called as the targets are.
    """
    check_names(model, task, sample)
    try:
        tensors, inputs = by_name(model, model.output), model.inputs
    except (AttributeError, ValueError):  # a class of its own
        return {name: _View(model, name) for name in task.names}
    only = inputs[0] if len(inputs) == 1 else inputs  # Keras warns of a list of one
    return {name: keras.Model(only, tensors[name]) for name in task.names}


def _losses(model: keras.Model, task: MultiOutput) -> dict[str, Any]:
    """Return each output's own loss."""
    given = model.loss
    if isinstance(given, dict):
        missing = [name for name in task.names if given.get(name) is None]
        if missing:
            raise ValueError(f"a model must have a loss for each output; {missing[0]} has none")
        return given
    if isinstance(given, list | tuple):
        order = by_name(model, model.output)
        if len(given) != len(order):
            raise ValueError(
                f"a model must have a loss for each of its {len(order)} outputs; it has"
                f" {len(given)}"
            )
        return dict(zip(order, given, strict=True))
    if given is None:
        raise ValueError(
            "a model with several outputs must be compiled with a loss for each, or not at all"
        )
    return dict.fromkeys(task.names, given)


def _weights(model: keras.Model, task: MultiOutput) -> tuple[float, ...]:
    """Return the weights that a model was compiled with, in the order of the task."""
    compiled = getattr(model, "_compile_loss", None)
    given = getattr(compiled, "_user_loss_weights", None)
    if given is None:
        return (1.0,) * len(task.parts)
    if isinstance(given, dict):
        return tuple(float(given.get(name, 1.0)) for name in task.names)
    named = dict(zip(by_name(model, model.output), given, strict=True))
    return tuple(float(named[name]) for name in task.names)
