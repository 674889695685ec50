"""The folds of a study, shared by all trials; the test part, and other stratified parts."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError
from search.tasks import Classification, Task
from tracking.files import whole_file
from tracking.records import StudyStarted

# A single fold is the first of five: a stratified fifth is held out.
HOLD_OUT_FOLDS = 5
# Confirmation repeats all folds this many times, cut and trained with other seeds.
CONFIRMATIONS = 2

Indices: TypeAlias = NDArray[np.int64]
CLASSES: Task = Classification(())  # what is predicted, where nothing else is said


@dataclass(frozen=True, eq=False)
class Folds:
    """Train/validation splits of a training set.

    Validation parts need not be disjoint, nor hold every sample.

    Attributes:
        train: for each fold the indices of its training part, sorted, int64, read-only.
        validation: for each fold the indices of its validation part, likewise.
        groups: (n,), numbers such that samples with the same one stay together when a training part
            is cut further; None if all are alone, or as earlier versions cut.
        time: (n,), by which the later end of a training part is cut off it; None: at random.
        digest: SHA-256 (hex) of all indices; equal for equal folds only.
    """

    train: tuple[Indices, ...]
    validation: tuple[Indices, ...]
    groups: Indices | None = None
    time: NDArray[np.floating] | None = None
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        if not self.train or len(self.train) != len(self.validation):
            raise ValueError(
                "folds must have as many training parts as validation parts, at least one;"
                f" got {len(self.train)} and {len(self.validation)}"
            )
        digest = hashlib.sha256()
        for name, parts in (("train", self.train), ("validation", self.validation)):
            for number, part in enumerate(parts, start=1):
                digest.update(f"{name} {number} {len(part)}\n".encode())
                digest.update(np.ascontiguousarray(part, "<i8").data)
                part.setflags(write=False)
        object.__setattr__(self, "digest", digest.hexdigest())

    def __len__(self) -> int:
        """Return the number of folds."""
        return len(self.train)

    @cached_property
    def used(self) -> Indices:
        """Indices of the samples in use: those in any part of any fold; sorted."""
        parts = (*self.train, *self.validation)
        is_used = np.zeros(max(int(part.max(initial=-1)) for part in parts) + 1, np.bool_)
        for part in parts:
            is_used[part] = True
        return np.flatnonzero(is_used)

    @property
    def samples(self) -> int:
        """Number of samples in use."""
        return len(self.used)

    @property
    def share(self) -> float:
        """Number of validation samples per training sample, over all folds together."""
        return sum(map(len, self.validation)) / sum(map(len, self.train))

    @cached_property
    def validated(self) -> int:
        """Number of different samples in validation parts."""
        return len(np.unique(np.concatenate(self.validation)))

    def beside(self, rows: Indices) -> tuple[Indices | None, NDArray[np.floating] | None]:
        """Return groups and times of some samples, as far as there are any."""
        groups, time = self.groups, self.time
        return None if groups is None else groups[rows], None if time is None else time[rows]

    @classmethod
    def joined(cls, several: "Iterable[Folds]") -> "Folds":
        """Return the folds of all arguments in order."""
        parts = list(several)
        return cls(
            tuple(part for folds in parts for part in folds.train),
            tuple(part for folds in parts for part in folds.validation),
            parts[0].groups,
            parts[0].time,
        )

    def save(self, path: Path) -> None:
        """Write the folds to a `.npz` file, which is complete or absent."""
        arrays: dict[str, NDArray[Any]] = {"digest": np.array(self.digest)}
        arrays |= {f"train_{i}": part for i, part in enumerate(self.train, start=1)}
        arrays |= {f"validation_{i}": part for i, part in enumerate(self.validation, start=1)}
        beside = {"groups": self.groups, "time": self.time}
        arrays |= {name: np.asarray(one) for name, one in beside.items() if one is not None}
        with whole_file(path) as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path, *, digest: str | None = None) -> "Folds":
        """Read folds written by `save`.

        Args:
            path: the file.
            digest: expected digest, if known.

        Raises:
            DataError: the file is missing or damaged, or has other folds.
        """
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                count = sum(name.startswith("train_") for name in file.files)
                train, validation = (
                    tuple(file[f"{part}_{i}"] for i in range(1, count + 1))
                    for part in ("train", "validation")
                )
                beside = (file[name] if name in file.files else None for name in ("groups", "time"))
                folds, own = cls(train, validation, *beside), str(file["digest"])
            if folds.digest != own:
                raise ValueError("its digest does not match")
            if digest not in (None, folds.digest):
                raise ValueError("it has the folds of another study")
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(
                f"the folds of a study must be a readable file; {path} is not ({error})."
                " Start a new study: scores on new folds cannot be compared with the old ones."
            ) from error
        return folds


TEST_FRACTION = 0.2
SPLIT_SEED = 0  # the test set is the same in every study, whatever the study's seed


def hold_out(
    targets: NDArray[Any],
    origin: str,
    *,
    task: Task = CLASSES,
    groups: Indices | None = None,
    time: NDArray[np.floating] | None = None,
) -> tuple[Indices, Indices]:
    """Return the sorted indices of the training and of the test samples, about a fifth.

    The test samples are stratified by the task's strata. Groups are not torn apart. With a time
    they are the latest: every training sample is earlier than every test sample, and those of a
    group that reaches into the test part are left out.

    Args:
        targets: (n, ...), in the form of the task.
        origin: the source's name in messages.
        task: what is predicted.
        groups: (n,), the number of each sample's group.
        time: (n,), the larger, the later.

    Raises:
        DataError: a class has a single sample, or is in a single group; or a part is empty.
    """
    labels = task.strata(targets, HOLD_OUT_FOLDS)
    classes, counts = np.unique(labels, return_counts=True)
    if len(labels) < 2:
        raise DataError(f"{origin} has no test part, so a fifth is held out; it has one sample.")
    if task.has_classes and counts.min() < 2:
        raise DataError(
            f"{origin} has no test part, so a fifth of each class is held out; class"
            f" {_class(task, classes[counts.argmin()])} has only one sample. Add samples of it, or"
            " a test part."
        )
    if time is not None:
        return _latest(labels if task.has_classes else labels[:0], time, groups, origin, task)
    if groups is not None and len(np.unique(groups)) < len(groups):
        families = np.unique(groups, return_inverse=True)[1]
        dealt = whole_families(labels, families, HOLD_OUT_FOLDS, SPLIT_SEED)
        parts = np.flatnonzero(dealt != 0), np.flatnonzero(dealt == 0)
        lacking = np.setdiff1d(classes, labels[parts[0]]) if task.has_classes else classes[:0]
        if not task.has_classes and not all(map(len, parts)):
            raise DataError(
                f"{origin} has no test part, so a fifth is held out in whole groups, such as equal"
                " samples; all samples are of one group. Add others, or a test part."
            )
        if len(lacking) or not len(parts[1]):
            few = lacking[0] if len(lacking) else classes[0]
            raise DataError(
                f"{origin} has no test part, so a fifth is held out in whole groups, such as equal"
                f" samples; class {_class(task, few)} is in too few of"
                " them. Add other samples of it, or a test part; if samples are equal,"
                " `--allow-duplicates` lets them be on both sides."
            )
        return parts
    if not task.has_classes:
        test = stratified_part(labels, max(1, round(TEST_FRACTION * len(labels))), SPLIT_SEED)
        return np.setdiff1d(np.arange(len(labels)), test), test
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(
        np.arange(len(labels)),
        test_size=max(TEST_FRACTION, len(classes) / len(labels)),
        stratify=labels,
        random_state=SPLIT_SEED,
    )
    return np.sort(train), np.sort(test)


def _class(task: Task, number: int) -> str:
    """Return a class's name; its number where the names are not known."""
    return task.names[number] if number < len(task.names) else str(number)


def _latest(
    classes: NDArray[np.integer],
    time: NDArray[np.floating],
    groups: Indices | None,
    origin: str,
    task: Task,
) -> tuple[Indices, Indices]:
    ordered = np.sort(time)
    first = ordered[round((1 - TEST_FRACTION) * (len(time) - 1))]  # the earliest of the test part
    train, test = np.flatnonzero(time < first), np.flatnonzero(time >= first)
    if not len(train):
        raise DataError(
            f"{origin} has no test part, so the latest fifth is held out; its times are nearly all"
            " equal. Give a test part, or name another column of times."
        )
    train = unrelated(train, test, groups)
    if not len(train):
        raise DataError(
            f"{origin} has no test part, so the latest fifth is held out; all earlier samples"
            " belong to groups that reach into it. Give a test part, or leave out `--groups`."
        )
    lacking = np.setdiff1d(classes, classes[train]) if len(classes) else classes
    if len(lacking):
        raise DataError(
            f"{origin} has no test part, so the latest fifth is held out; class"
            f" {_class(task, lacking[0])} has no sample before it that is not of a group, or equal"
            " to a sample, in it. Give a test part, or leave out `--groups`; if samples are equal,"
            " `--allow-duplicates` lets them be on both sides."
        )
    return train, test


def unrelated(train: Indices, validation: Indices, groups: Indices | None) -> Indices:
    """Return the training samples that share no group with a validation sample."""
    return train if groups is None else train[~np.isin(groups[train], groups[validation])]


def held_out(
    targets: NDArray[Any],
    origin: str,
    *,
    task: Task = CLASSES,
    groups: Indices | None = None,
    time: NDArray[np.floating] | None = None,
) -> tuple[dict[str, Indices], str]:
    """Return the indices of `train` and of `test`, and a notice; see `hold_out`."""
    train, test = hold_out(targets, origin, task=task, groups=groups, time=time)
    gone = len(targets) - len(train) - len(test)
    left_out = (
        f"; {gone:,} earlier ones that belong together with them are left out" if gone else ""
    )
    what = "a stratified fifth" if time is None else "the latest fifth"
    whole = "; groups stay whole" if groups is not None and time is None else ""
    notice = (
        f"{origin} has no test part: {what} ({len(test):,} of {len(targets):,} samples) is held out"
        f" for the test{whole}{left_out}."
    )
    return {"train": train, "test": test}, notice


def joined_groups(*several: Indices | None) -> Indices | None:
    """Return groups such that samples which are together in any argument are together.

    Args:
        several: (n,) each, group numbers; None where all samples are alone.

    Returns:
        (n,), numbers from 0 without gaps in the order of the groups' first samples; None if all
        arguments are.
    """
    given = [np.unique(groups, return_inverse=True)[1] for groups in several if groups is not None]
    if not given:
        return None
    joined = np.arange(len(given[0]))
    while True:  # every sample takes the smallest number in its groups, until nothing changes
        before = joined
        for groups in given:
            least = np.full(groups.max(initial=0) + 1, len(joined))
            np.minimum.at(least, groups, joined)
            joined = least[groups]
        if np.array_equal(joined, before):
            return np.unique(joined, return_inverse=True)[1].astype(np.int64)


def validation_share(folds: int) -> float:
    """Return the number of validation samples per training sample with this many equal folds."""
    return 1 / ((folds if folds > 1 else HOLD_OUT_FOLDS) - 1)


def share_of(study: StudyStarted) -> float:
    """Return the number of validation samples per training sample in a study's folds."""
    return float(study.split.get("share") or validation_share(study.folds))


def coverage(study: StudyStarted) -> str:
    """Return how often a study's samples are validated, where it is not once each; else nothing."""
    used, validated = int(study.dataset.get("samples", 0)), study.split.get("validated")
    if validated is None:
        return ""
    times = float(study.split.get("repeats", 1))
    missing = used - int(validated)
    parts = [f"{missing:,} of {used:,} samples are in no validation part"] if missing else []
    if times > 1:
        parts.append(
            f"each is predicted {times:g} times"
            if not missing
            else f"others are predicted {times:.3g} times"
        )
    return "; ".join(parts)


def confirmation_numbers(folds: int, repeats: int = CONFIRMATIONS) -> range:
    """Return the numbers of the confirmation folds of a study with this many folds."""
    return range(folds + 1, folds * (1 + repeats) + 1)


def whole_families(
    labels: NDArray[np.integer],
    families: Indices,
    parts: int,
    seed: int,
    *,
    loosely: bool = False,
) -> Indices:
    """Return for each sample the part, from 0, in which it is validated with all its family.

    The largest families are assigned first, equally large ones in random order, each to the part
    with the fewest samples of its classes. Counts are whole numbers, so that every machine gives
    the same result.

    Args:
        labels: (n,), class numbers.
        families: (n,), family numbers from 0 without gaps.
        parts: number of parts.
        seed: of the random order.
        loosely: put those in random order that differ in size by less than a factor of two, so that
            another seed cuts families of different sizes another way.
    """
    present, classes, totals = np.unique(labels, return_inverse=True, return_counts=True)
    weights = len(labels) ** 2 // totals**2  # rare classes weigh more
    sizes = np.bincount(families)
    ranks = np.frexp(sizes)[1] if loosely else sizes
    mixed = np.random.RandomState(seed).permutation(len(sizes))
    members = np.split(np.argsort(families, kind="stable"), np.cumsum(sizes)[:-1])
    held = np.zeros((parts, len(present)), np.int64)  # weighted class counts of each part
    dealt = np.empty(len(labels), np.int64)
    for family in mixed[np.argsort(-ranks[mixed], kind="stable")]:
        of = classes[members[family]]
        part = held[:, of].sum(axis=1).argmin()
        np.add.at(held[part], of, weights[of])
        dealt[members[family]] = part
    return dealt


def stratified_part(
    labels: NDArray[np.integer], size: int, seed: int, groups: Indices | None = None
) -> Indices:
    """Return `size` sorted indices, stratified by class, by the largest-remainder method.

    Not scikit-learn's `train_test_split`: it refuses to leave out fewer samples than classes.

    Args:
        labels: (n,).
        size: how many, at most n.
        seed: of the choice.
        groups: (n,), numbers of groups that are taken whole; then there may be fewer than `size`.
    """
    # RandomState's stream never changes; Generator's may change between versions of NumPy.
    random = np.random.RandomState(seed)
    present, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    quotas = _quotas(counts, size)
    taken = np.zeros(len(labels), np.bool_)
    alone = np.ones(len(labels), np.bool_)
    if groups is not None:
        numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
        alone = sizes[numbers] == 1
    if not alone.all():
        together = np.bincount(classes[~alone], minlength=len(present))
        several = _mixed_groups(np.flatnonzero(~alone), numbers, random)
        share = np.minimum(quotas, -(-together * size // len(labels)))
        _take_groups(taken, several, classes, share, size)
    for number, quota in enumerate(quotas - np.bincount(classes[taken], minlength=len(present))):
        picked = random.permutation(np.flatnonzero((classes == number) & alone))
        taken[picked[: max(0, quota)]] = True
    if not alone.all():
        _take_groups(taken, several, classes, quotas, size)
        _take_groups(taken, several, classes, counts, size)  # whatever their classes
        lacking = size - int(taken.sum())
        taken[random.permutation(np.flatnonzero(alone & ~taken))[:lacking]] = True
    return np.flatnonzero(taken)


def _quotas(counts: Indices, size: int) -> Indices:
    """Return how many samples of each class are in a stratified part of this size."""
    shares = counts * size / counts.sum()
    quotas = np.floor(shares).astype(np.int64)
    largest = np.argsort(quotas - shares, kind="stable")[: size - int(quotas.sum())]
    quotas[largest] += 1
    return np.asarray(quotas, np.int64)


def _mixed_groups(rows: Indices, numbers: Indices, random: np.random.RandomState) -> list[Indices]:
    """Return the rows of each group, the groups in random order."""
    ordered = rows[np.argsort(numbers[rows], kind="stable")]
    groups = np.split(ordered, np.flatnonzero(np.diff(numbers[ordered])) + 1)
    return [groups[place] for place in random.permutation(len(groups))]


def _take_groups(
    taken: NDArray[np.bool_], groups: list[Indices], classes: Indices, most: Indices, size: int
) -> None:
    """Take the groups, in order, that exceed neither a class's most samples nor the size."""
    counts = np.bincount(classes[taken], minlength=len(most))
    total = int(counts.sum())
    for rows in groups:
        if total + len(rows) > size or taken[rows[0]]:
            continue
        present, more = np.unique(classes[rows], return_counts=True)
        if (counts[present] + more <= most[present]).all():
            counts[present] += more
            total += len(rows)
            taken[rows] = True


def inner_part(
    targets: NDArray[Any],
    size: int,
    seed: int,
    *,
    task: Task = CLASSES,
    groups: Indices | None = None,
    time: NDArray[np.floating] | None = None,
) -> tuple[Indices, Indices]:
    """Cut an inner part off a training part; return the sorted indices of the rest and of it.

    It is stratified; with a time it is the latest. Groups are not torn.

    Args:
        targets: (n, ...), of the training part, in the form of the task.
        size: of the inner part, about.
        seed: of the choice.
        task: what is predicted.
        groups: (n,), group numbers.
        time: (n,), the larger, the later.

    Raises:
        ValueError: it cannot be cut without tearing a group, or a moment, apart.
    """
    labels = task.strata(targets, max(2, len(targets) // max(1, size)))
    everything = np.arange(len(labels))
    if time is not None:
        ordered = np.sort(time)
        cuts = np.flatnonzero(np.diff(ordered)) + 1  # before which a new moment begins
        if not len(cuts):
            raise ValueError(f"{_NO_INNER} all its samples are of one moment. {_WITHOUT_INNER}")
        first = ordered[cuts[np.abs(cuts - (len(time) - size)).argmin()]]
        inner = np.flatnonzero(time >= first)
        rest = unrelated(np.flatnonzero(time < first), inner, groups)
        is_little = (
            len(rest) < 2
            if not task.has_classes
            else len(np.unique(labels[rest])) < min(2, len(np.unique(labels)))
        )
        if is_little:
            raise ValueError(f"{_NO_INNER} too little is left before it. {_WITHOUT_INNER}")
        return rest, inner
    inner = stratified_part(labels, size, seed, groups)
    if groups is not None and not _leaves_enough(labels, inner, task):
        inner = _nearest_group(labels, groups, size, task)
    return np.setdiff1d(everything, inner), inner


_NO_INNER = "early stopping and the plateau schedule need an inner part of the training part, but"
_WITHOUT_INNER = "Fix `early_stopping` to off and `schedule` to another one with `--set`."


def _leaves_enough(labels: NDArray[np.integer], inner: Indices, task: Task) -> bool:
    """Return whether there is an inner part, and each class is left without it."""
    rest = np.delete(labels, inner)
    is_left = len(np.unique(rest)) == len(np.unique(labels)) if task.has_classes else len(rest) > 1
    return len(inner) > 0 and is_left


def _nearest_group(labels: NDArray[np.integer], groups: Indices, size: int, task: Task) -> Indices:
    """Return the group of about this size without which every class has samples left."""
    numbers, sizes = np.unique(groups, return_counts=True)
    for number in numbers[np.argsort(np.abs(sizes - size), kind="stable")]:
        inner = np.flatnonzero(groups == number)
        if _leaves_enough(labels, inner, task):
            return inner
    what = "all samples of a class" if task.has_classes else "nearly all samples"
    raise ValueError(
        f"{_NO_INNER} each of its {len(numbers):,} groups has {what}. {_WITHOUT_INNER}"
    )
