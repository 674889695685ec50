"""What a model is to predict: the form of its targets, and how good predictions of them are.

A task is a dataset's (`Dataset.task`). It knows nothing of models: what the outputs of one mean is
found out in `search.training.targets`, which turns them into the task's values.
"""

import math
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError
from tracking.files import make_folder, whole_file
from tracking.records import CLASSIFICATION as CLASSIFICATION
from tracking.records import MULTI_LABEL as MULTI_LABEL
from tracking.records import REGRESSION as REGRESSION
from tracking.records import Json

Array: TypeAlias = NDArray[Any]


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


@dataclass(frozen=True)
class Predictions(ABC):
    """What a model predicted of some samples, in the form that is kept on disk.

    A subclass has one array for each field, whose first axis counts the samples; a field with a
    default may have none.
    """

    @property
    @abstractmethod
    def targets(self) -> Array:
        """What was to be predicted, `(n, ...)`."""

    @property
    @abstractmethod
    def errors(self) -> Array:
        """How wrong each prediction is, float64 `(n,)`; 0 for a right one."""

    @abstractmethod
    def fault(self) -> str:
        """Return why the arrays cannot be used; empty where they can."""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the predictions of all parts, one after another."""
        names = [name for name in parts[0].arrays if all(name in part.arrays for part in parts)]
        return cls(**{n: np.concatenate([part.arrays[n] for part in parts]) for n in names})

    @property
    def arrays(self) -> dict[str, Array]:
        """Its arrays by name, without optional ones that it does not have."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: array for name, array in found.items() if array is not None}

    def save(self, path: Path) -> None:
        """Write to an `.npz` file, whole or not at all."""
        make_folder(path.parent)
        with whole_file(path) as file:
            np.savez(file, **self.arrays)  # type: ignore[arg-type] # NumPy's keyword of a name

    @classmethod
    def load(cls, path: Path, *, targets: Array | None = None) -> Self:
        """Read what `save` wrote.

        Args:
            path: the file; it is closed again even if it is broken.
            targets: of the samples it should be of; None if not known.

        Raises:
            DataError: it is missing, damaged, or of other samples.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                names = [f.name for f in fields(cls) if f.name in arrays or f.default is MISSING]
                found = cls(**{name: arrays[name] for name in names})
            fault = found.fault()
        except FileNotFoundError as error:
            raise DataError(f"the predictions in {path} are missing") from error
        except _UNREADABLE as error:
            raise DataError(f"the predictions in {path} cannot be read ({error})") from error
        if targets is not None and not fault and not np.array_equal(found.targets, targets):
            fault = f"they are of other samples than the fold's {len(targets):,}"
        if fault:
            raise DataError(f"the predictions in {path} cannot be used: {fault}")
        return found


class OutputMeaning(ABC):
    """What a model's outputs mean, kept with an exported model.

    Attributes:
        meaning: one word or two, as `FoldEnded.outputs` has it.
    """

    meaning: str

    @property
    def names(self) -> tuple[str, ...]:
        """Of several outputs, in the order in which `values` takes them; else empty."""
        return ()

    @property
    def are_probabilities(self) -> bool:
        """Whether values of classes or labels are; scores have but an order."""
        return True

    def decided(self, values: Array) -> Array:
        """Return values for metrics that only look at which class or labels are predicted."""
        return values

    @abstractmethod
    def values(self, outputs: Array) -> Array:
        """Return what outputs `(n, ...)` say in the task's own form, float `(n, units)`.

        Raises:
            ValueError: they are not what they were when the model was tried.
        """

    @abstractmethod
    def to_json(self) -> Json:
        """Return all of it, with `task`, from which `search.tasks.outputs_of` makes it again."""

    @classmethod
    @abstractmethod
    def from_json(cls, known: Json) -> Self:
        """Return what `to_json` wrote."""


@dataclass(frozen=True)
class Task(ABC):
    """What is predicted of a sample.

    Attributes:
        names: of the classes, of the labels, or of the numbers that are predicted.
    """

    name: ClassVar[str]
    objective: ClassVar[str]  # of a study that names none
    scored: ClassVar[tuple[str, ...]]  # metrics of every fold of every study
    activation: ClassVar[str]  # that a model of this project's own spaces ends with
    has_classes: ClassVar[bool] = (
        False  # whether a model must be trained on samples of each stratum
    )
    unit: ClassVar[str]  # what one number that a model gives is of
    units_named: ClassVar[str]  # several of them
    ranks: ClassVar[tuple[int, ...]] = (1,)  # axes that a sample's outputs may have

    names: tuple[str, ...]

    @property
    def units(self) -> int:
        """How many numbers a model gives for a sample."""
        return len(self.names)

    @property
    def has_threshold(self) -> bool:
        """Whether one number above a threshold decides what is predicted."""
        return False

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of several outputs; empty for a single one."""
        return ()

    @property
    def size(self) -> str:
        """How much is predicted, in words."""
        return f"{self.units} {self.unit if self.units == 1 else self.units_named}"

    @property
    def shapes(self) -> str:
        """Shapes that a model's outputs may have, in words."""
        return f"(n, {self.units})"

    def misfit(self, units: int) -> str:
        """Return why a model of so many outputs a sample does not fit; empty where it does."""
        if units == self.units:
            return ""
        return (
            f"a model must have one output a {self.unit}; it has {units}"
            f" output{'s' if units != 1 else ''} for {self.size}. Its last layer must have"
            f" {self.units} unit{'s' if self.units != 1 else ''}"
        )

    @property
    @abstractmethod
    def predictions(self) -> type[Predictions]:
        """The form in which predictions are kept."""

    @abstractmethod
    def check(self, targets: Array, what: str) -> None:
        """Raise DataError unless targets have this task's form.

        Args:
            targets: `(n, ...)`.
            what: they are called in the message.
        """

    @abstractmethod
    def strata(self, targets: Array, parts: int) -> NDArray[np.int64]:
        """Return numbers from 0, `(n,)`: samples with the same one are spread over all folds alike.

        Args:
            targets: `(n, ...)`.
            parts: number of folds.
        """

    def spread(self, targets: Array) -> NDArray[np.float64]:
        """Return what differences of values are told in, `(units,)`: 1, of probabilities.

        Args:
            targets: `(n, ...)`.
        """
        return np.ones(self.units)

    @abstractmethod
    def predicted(
        self, values: Array, targets: Array, outputs: OutputMeaning | None = None
    ) -> Predictions:
        """Return the predictions in values as a model's outputs give them.

        Args:
            values: float `(n, units)`.
            targets: `(n, ...)`.
            outputs: of which the values were made, with tuned thresholds; None without any.
        """

    @abstractmethod
    def metric(self, name: str) -> "Metric | None":
        """Return one of the task's own metrics; None if it has none of the name."""

    @abstractmethod
    def report(self, predictions: Any, weights: Array | None = None) -> Json:
        """Return what is told of a trial's out-of-fold predictions, as `TrialEnded.report`."""

    def confusion(self, predictions: Any) -> list[list[int]]:
        """Return counts: rows are true classes, columns predicted ones; empty without classes."""
        return []


@dataclass(frozen=True)
class Scored:
    """What a model says of samples and what is true: what metrics are computed of.

    Attributes:
        values: float `(n, units)`, in the task's form.
        targets: `(n, ...)`.
        weights: `(n,)`, by which samples count; None if all count the same.
        are_probabilities: whether values of classes are; else they are scores, of which only the
            order counts.
        decided: values by tuned thresholds, for metrics of decisions; None without any.
    """

    values: Array
    targets: Array
    weights: Array | None = None
    are_probabilities: bool = True
    decided: Array | None = None

    def by(self, metric: "Metric") -> float:
        """Return a metric of all samples; one of decisions sees what was decided.

        Raises:
            ValueError: as of `Metric.of`.
        """
        if metric.is_of_decisions and self.decided is not None:
            return metric.of(replace(self, values=self.decided))
        return metric.of(self)

    def drawn(self, rows: Array) -> "Scored":
        """Return some of the samples, which may be drawn several times."""
        weights = None if self.weights is None else self.weights[rows]
        decided = None if self.decided is None else self.decided[rows]
        return Scored(
            self.values[rows], self.targets[rows], weights, self.are_probabilities, decided
        )

    @property
    def effective(self) -> int:
        """How many samples of equal weight tell as much (Kish 1965, Survey sampling)."""
        if self.weights is None:
            return len(self.targets)
        weights = np.asarray(self.weights, np.float64)
        return round(float(weights.sum() ** 2 / (weights**2).sum()))


class Metric(ABC):
    """A number that says how good predictions are.

    Attributes:
        name: as it is recorded for a fold: `roc_auc`.
        larger: whether larger is better.
        meaning: a phrase for people.
        limits: that it cannot be beyond.
        is_of_decisions: whether it only looks at which class or labels are predicted, not at how
            probable they are.
        takes_weights: whether samples' weights count in it.
    """

    name: str
    larger: bool
    meaning: str
    limits: tuple[float, float] = (-math.inf, math.inf)
    is_of_decisions: bool = False
    takes_weights: bool = True

    @abstractmethod
    def of(self, scored: Scored) -> float:
        """Return the metric; NaN where these samples do not allow it.

        Raises:
            ValueError: the metric needs probabilities.
        """
