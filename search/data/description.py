"""A dataset described as an analyst would: counts, classes, duplicates, and what its kind has.

Of the test set only the number of samples, the classes and the duplicates are told.
"""

from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import Dataset
from search.data.description_images import ImageStatistics, describe_images
from search.data.description_tables import TableStatistics, describe_table
from search.data.description_texts import TextStatistics, describe_texts
from search.data.duplicates import Duplicates, find_duplicates
from search.data.texts import Texts

TEST_NOTE = "test set: counts and duplicates only"
NEARLY_BALANCED = 1.5  # largest class to smallest

Statistics: TypeAlias = ImageStatistics | TextStatistics | TableStatistics


@dataclass(frozen=True)
class ClassCounts:
    """One class.

    Attributes:
        label: its index.
        train: number of training samples.
        train_share: of all training samples, 0 to 1.
        test: number of test samples.
        test_share: of all test samples, 0 to 1.
    """

    label: int
    name: str
    train: int
    train_share: float
    test: int
    test_share: float


@dataclass(frozen=True)
class Description:
    """What is known of a dataset.

    Attributes:
        dataset: which one.
        shape: of one sample; empty for texts.
        dtype: NumPy's name of the values' type; `str` for texts.
        train: number of training samples.
        test: number of test samples.
        classes: by label.
        duplicates: equal samples.
        statistics: of the training samples.
    """

    dataset: Dataset
    shape: tuple[int, ...]
    dtype: str
    train: int
    test: int
    classes: tuple[ClassCounts, ...]
    duplicates: Duplicates
    statistics: Statistics

    @property
    def imbalance(self) -> float | None:
        """Largest class to smallest in the training set; None if a class has no sample."""
        counts = [counted.train for counted in self.classes]
        return max(counts) / min(counts) if min(counts) else None

    @property
    def remaining(self) -> int:
        """Number of training samples that remain without the duplicates."""
        return self.train - len(self.duplicates.droppable)

    @property
    def balance(self) -> str:
        """The training set's balance of classes in one phrase."""
        ratio = self.imbalance
        if ratio is None:
            return f"unbalanced: no training sample of {self._absent()}"
        largest = max(self.classes, key=lambda counted: counted.train)
        smallest = min(self.classes, key=lambda counted: counted.train)
        if largest.train == smallest.train:
            return f"balanced: {largest.train:,} training samples of each class"
        degree = "nearly balanced" if ratio < NEARLY_BALANCED else "unbalanced"
        shown = f"{ratio:.1f}" if ratio >= 1.05 else f"{ratio:.3f}"
        return f"{degree}: largest to smallest {shown} : 1 ({largest.name} to {smallest.name})"

    def _absent(self) -> str:
        names = [counted.name for counted in self.classes if not counted.train]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return ", ".join(names[:3]) + more

    def to_json(self) -> dict[str, Any]:
        """Return everything as one document."""
        return {
            "dataset": self.dataset.name,
            "kind": self.dataset.kind,
            "source": self.dataset.source,
            "digest": self.dataset.digest,
            "folder": str(self.dataset.folder),
            "shape": list(self.shape),
            "dtype": self.dtype,
            "train": self.train,
            "test": self.test,
            "balance": self.balance,
            "largest_to_smallest_class": self.imbalance,
            "classes": [asdict(counted) for counted in self.classes],
            "duplicates": self.duplicates.to_json(),
            "statistics": self.statistics.to_json(),
            "notes": [TEST_NOTE],
        }


def describe(dataset: Dataset) -> Description:
    """Return the description of a dataset; its samples are read in pieces."""
    samples, labels = dataset.train_samples, np.asarray(dataset.train_labels)
    _, test_labels = dataset.open_test()
    return Description(
        dataset=dataset,
        shape=() if isinstance(samples, Texts) else samples.shape[1:],
        dtype="str" if isinstance(samples, Texts) else samples.dtype.name,
        train=len(labels),
        test=len(test_labels),
        classes=_class_counts(dataset.classes, labels, np.asarray(test_labels)),
        duplicates=find_duplicates(dataset),
        statistics=_statistics(dataset, labels),
    )


def _class_counts(
    names: tuple[str, ...], train: NDArray[np.int64], test: NDArray[np.int64]
) -> tuple[ClassCounts, ...]:
    counts = [np.bincount(labels, minlength=len(names)).tolist() for labels in (train, test)]
    return tuple(
        ClassCounts(label, name, in_train, in_train / len(train), in_test, in_test / len(test))
        for label, (name, in_train, in_test) in enumerate(zip(names, *counts, strict=True))
    )


def _statistics(dataset: Dataset, labels: NDArray[np.int64]) -> Statistics:
    samples = dataset.train_samples
    if isinstance(samples, Texts):
        return describe_texts(samples)
    if dataset.kind == "table":
        return describe_table(samples, dataset.columns)
    return describe_images(samples, labels, dataset.classes)
