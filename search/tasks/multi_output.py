"""Several outputs at once, each with a task of its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError
from search.tasks.base import (
    CLASSIFICATION,
    MULTI_LABEL,
    Array,
    Metric,
    OutputMeaning,
    Predictions,
    Scored,
    Task,
)
from tracking.records import MULTI_OUTPUT as MULTI_OUTPUT
from tracking.records import Json


@dataclass(frozen=True)
class OutputTask:
    """What one of several outputs predicts.

    Attributes:
        name: the output's, as models call it.
        task: its own.
        weight: by which its loss counts in the model's.
    """

    name: str
    task: Task
    weight: float = 1.0

    @property
    def width(self) -> int:
        """How many numbers its target is kept in."""
        return 1 if self.task.name == CLASSIFICATION else self.task.units


@dataclass(frozen=True)
class SeveralPredictions(Predictions):
    """What a model predicted with all its outputs.

    Attributes:
        actual: float64 `(n, widths)`, the outputs' targets side by side.
        values: float64 `(n, units)`, what they say side by side.
        wrong: float64 `(n,)`, the mean of their errors.
    """

    actual: Array
    values: Array
    wrong: Array

    @property
    def targets(self) -> Array:
        return self.actual

    @property
    def errors(self) -> Array:
        """The mean of the outputs' errors, float64 `(n,)`."""
        return self.wrong

    def fault(self) -> str:
        count = len(self.actual)
        if self.actual.ndim != 2 or self.values.ndim != 2 or self.wrong.ndim != 1:
            return "its arrays have other shapes"
        return "" if len(self.values) == len(self.wrong) == count else "there are too few"


@dataclass(frozen=True)
class SeveralOutputs(OutputMeaning):
    """What several outputs mean, side by side.

    Attributes:
        parts: of each by its name, with how many numbers a model gives for it.
    """

    parts: tuple[tuple[str, int, OutputMeaning], ...]
    meaning = "several"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.parts)

    @property
    def are_probabilities(self) -> bool:
        return all(part.are_probabilities for _, _, part in self.parts)

    def values(self, outputs: Array) -> Array:
        """Return what outputs, float `(n, units)` side by side as models give them, say."""
        found, start = [], 0
        for _, units, part in self.parts:
            found.append(np.asarray(part.values(outputs[:, start : start + units]), np.float64))
            start += units
        return np.concatenate(found, axis=1)

    def to_json(self) -> Json:
        parts = [{"name": n, "units": u, "outputs": p.to_json()} for n, u, p in self.parts]
        return {"task": MULTI_OUTPUT, "parts": parts}

    @classmethod
    def from_json(cls, known: Json) -> "SeveralOutputs":
        from search.tasks import outputs_of

        return cls(
            tuple(
                (str(part["name"]), int(part["units"]), outputs_of(part["outputs"]))
                for part in known["parts"]
            )
        )


@dataclass(frozen=True)
class MultiOutput(Task):
    """Several outputs, each with its task; targets are float64 `(n, widths)` side by side.

    Attributes:
        names: of the outputs.
        parts: each output's task.
    """

    name: ClassVar[str] = MULTI_OUTPUT
    objective: ClassVar[str] = "cv_loss"
    activation: ClassVar[str] = ""
    unit: ClassVar[str] = "number"
    units_named: ClassVar[str] = "numbers"

    parts: tuple[OutputTask, ...] = ()

    @property
    def scored(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"{part.name}_{name}" for part in self.parts for name in part.task.scored)

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.names

    @property
    def units(self) -> int:
        return sum(part.task.units for part in self.parts)

    @property
    def predictions(self) -> type[SeveralPredictions]:
        return SeveralPredictions

    def split(self, targets: Array) -> dict[str, Array]:
        """Return each output's targets in its task's own form, by name."""
        found, start = {}, 0
        for part in self.parts:
            own = targets[:, start : start + part.width]
            start += part.width
            if part.task.name == CLASSIFICATION:
                found[part.name] = own[:, 0].astype(np.int64)
            else:
                found[part.name] = own.astype(np.uint8 if part.task.name == MULTI_LABEL else float)
        return found

    def side_by_side(self, targets: Mapping[str, Array]) -> Array:
        """Return the outputs' targets side by side, float64 `(n, widths)`."""
        columns = [
            np.asarray(targets[part.name], np.float64).reshape(len(targets[part.name]), part.width)
            for part in self.parts
        ]
        return np.concatenate(columns, axis=1)

    def split_values(self, values: Array) -> dict[str, Array]:
        """Return what each output says, `(n, units)`, by name."""
        found, start = {}, 0
        for part in self.parts:
            found[part.name] = values[:, start : start + part.task.units]
            start += part.task.units
        return found

    def check(self, targets: Array, what: str) -> None:
        width = sum(part.width for part in self.parts)
        if targets.dtype != np.float64 or targets.shape != (len(targets), width):
            raise DataError(
                f"{what} must be float64 of shape (n, {width}); got {targets.dtype} {targets.shape}"
            )
        for part, own in zip(self.parts, self.split(targets).values(), strict=True):
            part.task.check(own, f"{what}, {part.name}")

    def strata(self, targets: Array, parts: int) -> NDArray[np.int64]:
        """Return those of the outputs with classes together; of rare combinations the first's."""
        split = self.split(targets)
        chosen = [p for p in self.parts if p.task.name == CLASSIFICATION] or [self.parts[0]]
        found = [part.task.strata(split[part.name], parts) for part in chosen]
        numbers = np.unique(np.stack(found, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
        rare = np.bincount(numbers)[numbers] < parts
        return np.asarray(np.where(rare, numbers.max() + 1 + found[0], numbers), np.int64)

    def spread(self, targets: Array) -> NDArray[np.float64]:
        """Return what differences of all outputs' values are told in, side by side."""
        own = self.split(targets)
        return np.concatenate([part.task.spread(own[part.name]) for part in self.parts])

    def by_output(self, predictions: SeveralPredictions) -> dict[str, Predictions]:
        """Return the predictions of each output in its own task's form, by name."""
        return {
            part.name: part.task.predicted(own, true)
            for part, own, true in self._each(predictions.values, predictions.actual)
        }

    def predicted(
        self, values: Array, targets: Array, outputs: OutputMeaning | None = None
    ) -> SeveralPredictions:
        both = self._each(values, targets)
        wrong = [part.task.predicted(own, true).errors for part, own, true in both]
        return SeveralPredictions(
            np.asarray(targets, np.float64), np.asarray(values, np.float64), np.mean(wrong, axis=0)
        )

    def metric(self, name: str) -> Metric | None:
        for part in sorted(self.parts, key=lambda part: -len(part.name)):
            prefix = f"{part.name}_"
            if name.startswith(prefix):
                from search.tasks.metrics import metric_of

                return _OfOutput(name, metric_of(name.removeprefix(prefix), part.task), self, part)
        return None

    def report(self, predictions: SeveralPredictions, weights: Array | None = None) -> Json:
        """Return `outputs`: by name the `task`, `classes`, `report` and `confusion` of each."""
        found = {}
        for part, own, true in self._each(predictions.values, predictions.actual):
            predicted = part.task.predicted(own, true)
            found[part.name] = {
                "task": part.task.name,
                "classes": list(part.task.names),
                "report": part.task.report(predicted, weights),
                "confusion": part.task.confusion(predicted),
            }
        return {"outputs": found}

    def _each(self, values: Array, targets: Array) -> Iterator[tuple[OutputTask, Array, Array]]:
        said, true = self.split_values(values), self.split(targets)
        for part in self.parts:
            yield part, said[part.name], true[part.name]


@dataclass(frozen=True)
class _OfOutput(Metric):
    name: str
    metric: Metric
    task: MultiOutput
    part: OutputTask

    @property
    def larger(self) -> bool:  # type: ignore[override]
        return self.metric.larger

    @property
    def limits(self) -> tuple[float, float]:  # type: ignore[override]
        return self.metric.limits

    @property
    def meaning(self) -> str:  # type: ignore[override]
        return f"{self.metric.meaning}, of output {self.part.name}"

    def of(self, scored: Scored) -> float:
        said, true = self.task.split_values(scored.values), self.task.split(scored.targets)
        name = self.part.name
        return self.metric.of(replace(scored, values=said[name], targets=true[name]))


def parts_from(entries: Sequence[Mapping[str, Any]]) -> tuple[OutputTask, ...]:
    """Return the outputs of JSON entries: `name`, `task`, `names`, `weight`."""
    from search.tasks import task_of

    return tuple(
        OutputTask(
            str(entry["name"]),
            task_of(str(entry["task"]), tuple(map(str, entry["names"]))),
            float(entry["weight"]),
        )
        for entry in entries
    )


def parts_to_json(parts: Sequence[OutputTask]) -> list[Json]:
    """Return what `parts_from` reads."""
    return [
        {
            "name": part.name,
            "task": part.task.name,
            "names": list(part.task.names),
            "weight": part.weight,
        }
        for part in parts
    ]
