"""Samples that occur more than once, and texts that contain one another."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import (
    LABELS,
    Several,
    array_file,
    map_array,
    pieces,
    words_of,
    write_array,
)
from search.data.dataset import Dataset, Samples
from search.data.folds import joined_groups
from search.errors import DataError
from search.tasks import REGRESSION

AnySamples: TypeAlias = Samples | NDArray[Any] | Sequence[str] | Several

HASH_BYTES = 16  # bytes: among a billion samples a collision has a probability of 1e-21


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
        shared: training samples that are also in the test set.
        shared_conflicting: those of them with another label there.
        droppable: sorted indices of the training samples to leave out, so that no repeats,
            contradictions or test samples remain: all but the first of a group with one label, all
            of a group with several labels, all that are in the test set. Different numbers do not
            contradict each other: of them, only repeated ones are left out.
    """

    train: Repeats
    test: Repeats
    shared: int
    shared_conflicting: int
    droppable: NDArray[np.int64] = field(compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and the length of `droppable`."""
        return {
            "train": self.train.to_json(),
            "test": self.test.to_json(),
            "train_in_test": self.shared,
            "train_in_test_with_another_label": self.shared_conflicting,
            "droppable": len(self.droppable),
        }


def find_duplicates(dataset: Dataset) -> Duplicates:
    """Return the equal samples of a dataset.

    It reads the test set's inputs, which is the only way to keep test samples out of training.
    Test labels only count contradictions: `droppable` does not depend on them.
    """
    test_samples, tested = dataset.open_test()
    train_labels, test_labels = _alike(np.asarray(dataset.train_labels), np.asarray(tested))
    groups = numbered([dataset.train_samples, test_samples])
    train, test = groups[: len(train_labels)], groups[len(train_labels) :]
    return Duplicates(
        train=_repeats(train, train_labels),
        test=_repeats(test, test_labels),
        shared=int(np.isin(train, test).sum()),
        shared_conflicting=_count_conflicts(train, train_labels, test, test_labels),
        droppable=_repeated(train, train_labels, test)
        if dataset.task.name == REGRESSION
        else _droppable(train, train_labels, test),
    )


def _alike(train: NDArray[Any], test: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a number for each sample's targets, int64 `(n,)`; equal ones have the same."""
    if train.ndim == 1:  # classes are numbers
        return train, test
    found = np.unique(np.concatenate([train, test]), axis=0, return_inverse=True)[1].reshape(-1)
    return found[: len(train)], found[len(train) :]


def numbered(sets: Iterable[AnySamples]) -> NDArray[np.int64]:
    """Return a number for each sample of all sets, in order; equal samples have the same."""
    return numbered_digests(digest for samples in sets for digest in digests(samples))


def numbered_digests(found: Iterable[bytes]) -> NDArray[np.int64]:
    """Return a number for each digest, equal ones the same, from 0 as they first appear.

    Args:
        found: digests as `sample_digest` returns them.
    """
    joined = bytearray()
    for digest in found:
        joined += digest
    rows = np.frombuffer(joined, np.uint64).reshape(-1, HASH_BYTES // 8)
    order = np.lexsort(rows.T)
    ordered = rows[order]
    changes = (ordered[1:] != ordered[:-1]).any(axis=1)
    numbers = np.empty(len(rows), np.int64)
    numbers[order] = np.concatenate([[0], np.cumsum(changes)])[: len(rows)]
    firsts = np.unique(numbers, return_index=True)[1]
    places = np.empty(len(firsts), np.int64)
    places[np.argsort(firsts)] = np.arange(len(firsts))
    return places[numbers]


def sample_digest(content: bytes) -> bytes:
    """Return what stands for a sample with this content."""
    return blake2b(content, digest_size=HASH_BYTES).digest()


def digests(samples: AnySamples) -> Iterator[bytes]:
    """Yield what stands for each sample; equal samples, missing values included, have the same."""
    if isinstance(samples, Several):
        for parts in zip(*map(digests, samples.inputs.values()), strict=True):
            yield sample_digest(b"".join(parts))
        return
    if not isinstance(samples, np.ndarray):
        yield from (sample_digest(text.encode()) for text in samples)
        return
    for _, piece in pieces(samples):
        # Adding zero turns -0.0, which equals 0.0 but has other bytes, into 0.0.
        values = piece + piece.dtype.type(0)
        if values.dtype.kind == "f":
            values[np.isnan(values)] = np.nan  # of many bit patterns
        content = values.tobytes()
        size = len(content) // len(piece)
        for start in range(0, len(content), size):
            yield sample_digest(content[start : start + size])


def related_groups(samples: AnySamples) -> NDArray[np.int64] | None:
    """Return a number for each sample such that those that must stay together have the same.

    These are equal samples, and texts with the text that contains them; see `families`. None if all
    are alone.
    """
    equal = several(numbered([samples]))
    if isinstance(samples, np.ndarray | Several):
        return equal
    return joined_groups(several(families(samples)), equal)


def several(numbers: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return the numbers of groups, without gaps; None if each has a single member."""
    return numbers if int(numbers.max(initial=-1)) + 1 < len(numbers) else None


@dataclass(frozen=True)
class Copies:
    """Which training samples are equal to others.

    Attributes:
        groups: (n,), the same number for equal training samples; None if none are equal.
        tested: how many are equal to a test sample.
    """

    groups: NDArray[np.int64] | None
    tested: int

    @property
    def surplus(self) -> int:
        """Number of samples that are equal to an earlier one."""
        return 0 if self.groups is None else len(self.groups) - int(self.groups.max()) - 1


# Derived from a dataset's arrays and stored beside them: `(n + 1,)`, the groups of its training
# samples, then how many of them are in the test set.
COPIES = "train_copies"


def copies_in(dataset: Dataset) -> Copies:
    """Return which training samples of a dataset are equal; found out once and stored beside it.

    The test set's inputs are read for it, not its labels; see `find_duplicates`.

    Raises:
        DataError: it cannot be stored.
    """
    path, count = array_file(dataset.folder, COPIES), len(dataset.train_labels)
    stored = _stored(path, count)
    if stored is None:
        numbers = numbered([dataset.train_samples, dataset.open_test()[0]])
        train = np.unique(numbers[:count], return_inverse=True)[1]
        tested = int(np.isin(numbers[:count], numbers[count:]).sum())
        stored = np.append(train, tested)
        try:
            write_array(path, LABELS, stored.shape, [stored])
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error}. Free some space.") from error
    return Copies(several(stored[:count]), int(stored[count]))


def _stored(path: Path, count: int) -> NDArray[np.int64] | None:
    """Return what was derived earlier; None if it is not there, or damaged."""
    if not path.exists():
        return None
    try:
        array = np.array(map_array(path))
    except DataError:
        return None
    fits = array.dtype == LABELS and array.shape == (count + 1,)
    # Groups are numbered without gaps, and no more samples are tested than there are.
    if not fits or array.min() < 0 or array[count] > count:
        return None
    return array if len(np.unique(array[:count])) == array[:count].max() + 1 else None


def _repeats(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> Repeats:
    sizes, conflicting = np.bincount(groups, minlength=1), _conflicting(groups, labels)
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
    """Return each group's lowest and highest label; both are -1 for an empty group."""
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
    """Return how many training samples have an equal test sample with another label."""
    count = int(max(train.max(initial=0), test.max(initial=0))) + 1
    lowest, highest = _label_range(test, test_labels, count)
    tested, labels = highest[train] >= 0, train_labels
    return int((tested & ((lowest[train] != labels) | (highest[train] != labels))).sum())


def _droppable(
    train: NDArray[np.int64], labels: NDArray[np.int64], test: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return sorted indices; without test labels as an argument, it cannot depend on them."""
    _, first = np.unique(train, return_index=True)
    later = np.ones(len(train), np.bool_)
    later[first] = False
    return np.flatnonzero(later | _conflicting(train, labels)[train] | np.isin(train, test))


def _repeated(
    train: NDArray[np.int64], targets: NDArray[np.int64], test: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return sorted indices of samples that are repeated with their targets, or in the test set."""
    later = np.ones(len(train), np.bool_)
    later[np.unique(np.column_stack([train, targets]), axis=0, return_index=True)[1]] = False
    return np.flatnonzero(later | np.isin(train, test))


Numbers = NDArray[np.int64]


def families(texts: Sequence[str]) -> Numbers:
    """Return the number of each text's family, int64 (n,), from 0.

    A text is part of another that contains its words in sequence. It joins the shortest such text
    (the first of several), which in turn joins the shortest text that contains it, up to a text
    that is part of no other and heads the family. So a phrase that many sentences share joins one
    of them and does not unite them all. Texts with equal words are one family; a text without
    words is a family by itself.

    Time and memory grow with the number of words, except where long texts consist of few different
    pairs of words.
    """
    spelled = [" ".join(words_of(text)) for text in texts]
    distinct = sorted(dict.fromkeys(filter(None, spelled)), key=_length)
    heads = _holders(distinct)
    for place in reversed(range(len(distinct))):  # longer texts have their heads
        heads[place] = heads[heads[place]]
    head_of = dict(zip(distinct, heads, strict=True))
    silent = count(len(distinct))
    found = (head_of[words] if words else next(silent) for words in spelled)
    heads_of_texts = np.fromiter(found, np.int64, len(spelled))
    return np.unique(heads_of_texts, return_inverse=True)[1].astype(np.int64)


def _length(words: str) -> int:
    return words.count(" ") + 1


def _holders(distinct: list[str]) -> list[int]:
    """Return for each text the index of the shortest longer text that contains it; else its own.

    Args:
        distinct: texts as words separated by spaces, sorted by their number of words.
    """
    numbers: dict[str, int] = {}
    words = (numbers.setdefault(word, len(numbers)) for text in distinct for word in text.split())
    flat = np.fromiter(words, np.int64)
    lengths = np.fromiter(map(_length, distinct), np.int64, len(distinct))
    owners = np.repeat(np.arange(len(distinct)), lengths)
    holders = np.arange(len(distinct))
    _hold_words(holders, lengths, flat, owners)
    inside = owners[1:] == owners[:-1]
    pairs = (flat[:-1] * len(numbers) + flat[1:])[inside]
    _hold_phrases(holders, lengths, pairs, owners[1:][inside], distinct)
    return holders.tolist()


def _hold_words(holders: Numbers, lengths: Numbers, flat: Numbers, owners: Numbers) -> None:
    """Set the holders of one-word texts: the first longer text with that word."""
    single = np.flatnonzero(lengths == 1)  # the first texts, and so the first words of `flat`
    longer = slice(len(single), None)
    first = np.full(int(flat.max(initial=-1)) + 1, len(holders))
    np.minimum.at(first, flat[longer], owners[longer])
    found = first[flat[single]]
    holders[single] = np.where(found < len(holders), found, single)


def _hold_phrases(
    holders: Numbers, lengths: Numbers, pairs: Numbers, owners: Numbers, distinct: list[str]
) -> None:
    """Set the holders of texts of several words; a holder contains a text's rarest pair of words.

    Args:
        holders: receives indices.
        lengths: of the texts, in words.
        pairs: numbers of pairs of neighbouring words, text after text.
        owners: for each pair the index of its text.
        distinct: the texts.
    """
    _, kinds, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    texts_with = owners[np.argsort(kinds, kind="stable")].tolist()
    ends = np.cumsum(counts)
    # A pair that occurs only once is in no other text, so its text is part of no other.
    shared, rarest = _rarest(counts[kinds], owners)
    longer = np.searchsorted(lengths, lengths[shared], side="right").tolist()
    ranges = ((ends - counts)[kinds[rarest]].tolist(), ends[kinds[rarest]].tolist())
    padded = [f" {text} " for text in distinct]
    for text, least, start, end in zip(shared.tolist(), longer, *ranges, strict=True):
        words = padded[text]
        for at in range(bisect_left(texts_with, least, start, end), end):
            if words in padded[texts_with[at]]:
                holders[text] = texts_with[at]
                break


def _rarest(counts: Numbers, owners: Numbers) -> tuple[Numbers, Numbers]:
    """Return the texts without a unique pair, and the position of each one's rarest pair.

    Args:
        counts: for each pair, how often it occurs in all texts.
        owners: for each pair the index of its text, sorted.
    """
    order = np.lexsort((counts, owners))
    texts, starts = np.unique(owners, return_index=True)
    rarest = order[starts]
    shared = counts[rarest] > 1
    return texts[shared], rarest[shared]
