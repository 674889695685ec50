"""Samples that occur more than once, within the training set and across to the test set.

Two samples are equal when their contents are: all pixels, all numbers of a row, all characters.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import Dataset, Samples
from search.data.description_pieces import pieces
from search.data.texts import Texts

HASH_BYTES = 16  # a chance collision among a billion samples has a probability of 1e-21


@dataclass(frozen=True)
class Repeats:
    """Equal samples within one set.

    Attributes:
        groups: sets of two or more equal samples.
        surplus: samples beyond the first of each group.
        conflicting_groups: groups whose samples have more than one label.
        conflicting_samples: samples in these groups.
    """

    groups: int
    surplus: int
    conflicting_groups: int
    conflicting_samples: int

    def to_json(self) -> dict[str, int]:
        """Return the four counts."""
        return asdict(self)


@dataclass(frozen=True)
class Duplicates:
    """Equal samples of a dataset.

    Attributes:
        train: within the training set.
        test: within the test set.
        shared: training samples that are in the test set, too.
        shared_conflicting: those of them that have another label there.
        droppable: sorted indices of the training samples to leave out, so that what remains is
            free of repeats, of contradictions and of the test set: all but the first of a group
            with one label, all of a group with several, all that are in the test set.
    """

    train: Repeats
    test: Repeats
    shared: int
    shared_conflicting: int
    droppable: NDArray[np.int64] = field(compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the counts; of `droppable` its length."""
        return {
            "train": self.train.to_json(),
            "test": self.test.to_json(),
            "train_in_test": self.shared,
            "train_in_test_with_another_label": self.shared_conflicting,
            "droppable": len(self.droppable),
        }


def find_duplicates(dataset: Dataset) -> Duplicates:
    """Return the equal samples of a dataset.

    It looks at the test set's inputs, as whoever sees to it that no test sample is trained on
    must. Test labels are read for the counts of contradictions alone: `droppable` does not depend
    on them.
    """
    test_samples, test_labels = dataset.open_test()
    train_labels = np.asarray(dataset.train_labels)
    groups = _numbered([dataset.train_samples, test_samples])
    train, test = groups[: len(train_labels)], groups[len(train_labels) :]
    return Duplicates(
        train=_repeats(train, train_labels),
        test=_repeats(test, np.asarray(test_labels)),
        shared=int(np.isin(train, test).sum()),
        shared_conflicting=_count_conflicts(train, train_labels, test, np.asarray(test_labels)),
        droppable=_droppable(train, train_labels, test),
    )


def _numbered(sets: list[Samples]) -> NDArray[np.int64]:
    """Return a number for each sample of all sets, one after another; equal samples share it."""
    joined = bytearray()
    for samples in sets:
        for digest in _digests(samples):
            joined += digest
    digests = np.frombuffer(joined, np.uint64).reshape(-1, HASH_BYTES // 8)
    order = np.lexsort(digests.T)
    ordered = digests[order]
    changes = (ordered[1:] != ordered[:-1]).any(axis=1)
    numbers = np.empty(len(digests), np.int64)
    numbers[order] = np.concatenate([[0], np.cumsum(changes)])
    return numbers


def _digests(samples: Samples) -> Iterator[bytes]:
    if isinstance(samples, Texts):
        for text in samples:
            yield blake2b(text.encode(), digest_size=HASH_BYTES).digest()
        return
    for _, piece in pieces(samples):
        # Adding zero makes -0.0, equal to 0.0 but of other bytes, 0.0.
        content = (piece + piece.dtype.type(0)).tobytes()
        size = len(content) // len(piece)
        for start in range(0, len(content), size):
            yield blake2b(content[start : start + size], digest_size=HASH_BYTES).digest()


def _repeats(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> Repeats:
    sizes, conflicting = np.bincount(groups), _conflicting(groups, labels)
    repeated = sizes > 1
    return Repeats(
        groups=int(repeated.sum()),
        surplus=int((sizes[repeated] - 1).sum()),
        conflicting_groups=int(conflicting.sum()),
        conflicting_samples=int(sizes[conflicting].sum()),
    )


def _conflicting(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each group number whether its samples have more than one label."""
    lowest, highest = _label_range(groups, labels, int(groups.max(initial=0)) + 1)
    return lowest < highest


def _label_range(
    groups: NDArray[np.int64], labels: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each group's lowest and highest label; of an empty group both are -1."""
    lowest, highest = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
    np.minimum.at(lowest, groups, labels)
    np.maximum.at(highest, groups, labels)
    return np.minimum(lowest, highest), highest


def _count_conflicts(
    train: NDArray[np.int64],
    train_labels: NDArray[np.int64],
    test: NDArray[np.int64],
    test_labels: NDArray[np.int64],
) -> int:
    """Return how many training samples some equal test sample contradicts."""
    count = int(max(train.max(initial=0), test.max(initial=0))) + 1
    lowest, highest = _label_range(test, test_labels, count)
    tested, labels = highest[train] >= 0, train_labels
    return int((tested & ((lowest[train] != labels) | (highest[train] != labels))).sum())


def _droppable(
    train: NDArray[np.int64], labels: NDArray[np.int64], test: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return sorted indices; takes no test labels, so that it cannot depend on them."""
    _, first = np.unique(train, return_index=True)
    later = np.ones(len(train), np.bool_)
    later[first] = False
    return np.flatnonzero(later | _conflicting(train, labels)[train] | np.isin(train, test))
