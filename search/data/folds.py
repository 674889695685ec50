"""The folds of a study: index arrays, made once and shared by all trials."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError, SettingsError
from tracking.files import whole_file

MAX_FOLDS = 20
# A single fold is the first of five: a stratified fifth is held out.
HOLD_OUT_FOLDS = 5
MAX_SEED = 2**32 - 1
# Confirmation repeats all folds this many times, cut and trained with other seeds.
CONFIRMATIONS = 2
UNEVEN = 0.1  # of an even share, or of all samples: smaller deviations cause no notice

Indices: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Folds:
    """Train/validation splits of a training set.

    Attributes:
        train: for each fold the indices of its training part, sorted, int64, read-only.
        validation: for each fold the indices of its validation part, likewise.
        digest: SHA-256 (hex) of all indices; equal for equal folds only.
    """

    train: tuple[Indices, ...]
    validation: tuple[Indices, ...]
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

    @property
    def used(self) -> Indices:
        """Indices of the samples in use, sorted."""
        return np.union1d(self.train[0], self.validation[0])

    @property
    def samples(self) -> int:
        """Number of samples in use: both parts of any fold together."""
        return len(self.train[0]) + len(self.validation[0])

    @classmethod
    def joined(cls, several: "Iterable[Folds]") -> "Folds":
        """Return the folds of all arguments in order."""
        parts = list(several)
        return cls(
            tuple(part for folds in parts for part in folds.train),
            tuple(part for folds in parts for part in folds.validation),
        )

    def save(self, path: Path) -> None:
        """Write the folds to a `.npz` file, which is complete or absent."""
        arrays = {f"train_{i}": part for i, part in enumerate(self.train, start=1)}
        arrays |= {f"validation_{i}": part for i, part in enumerate(self.validation, start=1)}
        with whole_file(path) as file:
            np.savez(file, allow_pickle=False, digest=np.array(self.digest), **arrays)

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
                count = (len(file.files) - 1) // 2
                train, validation = (
                    tuple(file[f"{part}_{i}"] for i in range(1, count + 1))
                    for part in ("train", "validation")
                )
                folds, own = cls(train, validation), str(file["digest"])
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
    labels: NDArray[np.integer],
    origin: str,
    *,
    groups: Indices | None = None,
    time: NDArray[np.floating] | None = None,
) -> tuple[Indices, Indices]:
    """Return the sorted indices of the training and of the test samples, about a fifth.

    The test samples are stratified by class. Groups are not torn apart. With a time they are the
    latest: every training sample is earlier than every test sample.

    Args:
        labels: (n,).
        origin: the source's name in messages.
        groups: (n,), the number of each sample's group.
        time: (n,), the larger, the later.

    Raises:
        DataError: a class has a single sample, or is in a single group.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise DataError(
            f"{origin} has no test part, so a fifth of each class is held out; class"
            f" {classes[counts.argmin()]} has only one sample. Add samples of it, or a test part."
        )
    if time is not None:
        return _latest(time, origin)
    if groups is not None and len(np.unique(groups)) < len(groups):
        families = np.unique(groups, return_inverse=True)[1]
        dealt = _whole_families(labels, families, HOLD_OUT_FOLDS, SPLIT_SEED)
        parts = np.flatnonzero(dealt != 0), np.flatnonzero(dealt == 0)
        lacking = np.setdiff1d(classes, labels[parts[0]])
        if len(lacking) or not len(parts[1]):
            raise DataError(
                f"{origin} has no test part, so a fifth of its groups is held out; class"
                f" {lacking[0] if len(lacking) else classes[0]} is in too few groups. Add samples"
                " of it in other groups, or a test part."
            )
        return parts
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(
        np.arange(len(labels)),
        test_size=max(TEST_FRACTION, len(classes) / len(labels)),
        stratify=labels,
        random_state=SPLIT_SEED,
    )
    return np.sort(train), np.sort(test)


def _latest(time: NDArray[np.floating], origin: str) -> tuple[Indices, Indices]:
    ordered = np.sort(time)
    first = ordered[round((1 - TEST_FRACTION) * (len(time) - 1))]  # the earliest of the test part
    train, test = np.flatnonzero(time < first), np.flatnonzero(time >= first)
    if not len(train):
        raise DataError(
            f"{origin} has no test part, so the latest fifth is held out; its times are nearly all"
            " equal. Give a test part, or name another column of times."
        )
    return train, test


def held_out(
    labels: NDArray[np.integer],
    origin: str,
    *,
    groups: Indices | None = None,
    time: NDArray[np.floating] | None = None,
) -> tuple[dict[str, Indices], str]:
    """Return the indices of `train` and of `test`, and a notice; see `hold_out`."""
    train, test = hold_out(labels, origin, groups=groups, time=time)
    what = "a stratified fifth" if time is None else "the latest fifth"
    whole = "; groups stay whole" if groups is not None and time is None else ""
    notice = (
        f"{origin} has no test part: {what} ({len(test):,} of {len(labels):,} samples) is held out"
        f" for the test{whole}."
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
    """Return the number of validation samples per training sample with this many folds."""
    return 1 / ((folds if folds > 1 else HOLD_OUT_FOLDS) - 1)


def confirmation_numbers(folds: int) -> range:
    """Return the numbers of the confirmation folds of a study with this many folds."""
    return range(folds + 1, folds * (1 + CONFIRMATIONS) + 1)


# Confirmation folds are cut from unused samples alone if these are at least this fraction of the
# used ones; with fewer, models would be trained on too little for comparable scores.
ENOUGH_UNUSED = 0.5


def make_confirmation_folds(
    labels: NDArray[np.integer],
    folds: Folds,
    *,
    seeds: Sequence[int],
    leave_out: Indices | None = None,
    groups: Indices | None = None,
) -> Folds:
    """Return a study's confirmation folds, those of the first seed first.

    They are cut from samples that the study's own folds do not use, as many as it uses, if there
    are enough of every class. If there are only some, used samples are added; if there are none,
    all used samples are cut again. A sample whose family is in use counts as used.

    Args:
        labels: (n,), the training labels.
        folds: the study's own.
        seeds: one for each repetition of all folds.
        leave_out: indices of samples to leave out.
        groups: (n,), family numbers, as for `make_folds`.
    """
    used, size = folds.used, folds.samples
    unused = np.setdiff1d(np.arange(len(labels)), used)
    if leave_out is not None:
        unused = np.setdiff1d(unused, leave_out)
    if groups is not None:
        unused = unused[~np.isin(groups[unused], groups[used])]

    def cut(chosen: Indices) -> Folds:
        others = np.setdiff1d(np.arange(len(labels)), chosen)
        return Folds.joined(
            make_folds(labels, folds=len(folds), seed=seed, leave_out=others, groups=groups)
            for seed in seeds
        )

    fresh = _some(labels, unused, size, seeds[0])
    part = _some(labels, unused, size // 2, seeds[0])
    filled = np.union1d(part, _some(labels, used, size - len(part), seeds[0]))
    is_enough = len(unused) >= ENOUGH_UNUSED * size
    if is_enough and np.array_equal(np.unique(labels[fresh]), np.unique(labels[used])):
        with suppress(DataError):  # a class has too few unused samples
            return cut(fresh)
    with suppress(DataError):
        return cut(filled)
    return cut(used)


def _some(labels: NDArray[np.integer], rows: Indices, size: int, seed: int) -> Indices:
    """Return this many of the rows, stratified by class, or all if there are fewer."""
    return rows if len(rows) <= size else rows[stratified_part(labels[rows], size, seed)]


def make_folds(
    labels: NDArray[np.integer],
    *,
    folds: int,
    seed: int,
    limit_samples: int | None = None,
    classes: Sequence[str] = (),
    leave_out: Indices | None = None,
    groups: Indices | None = None,
) -> Folds:
    """Return stratified, shuffled folds; the same arguments give the same folds on any machine.

    Args:
        labels: (n,), the training labels.
        folds: 2..20, or 1 for a single split that holds out a stratified fifth (the first of
            five folds with the same seed).
        seed: 0..2**32 - 1.
        limit_samples: take a stratified subset of this size first; indices still refer to all
            `labels`.
        classes: class names for messages.
        leave_out: indices of samples to leave out.
        groups: (n,), for each sample the number of its family, from 0; families are not split, so
            that folds may differ in size and balance.

    Raises:
        SettingsError: an argument is out of its range.
        DataError: a class has too few samples, or is in too few families.
    """
    parts = HOLD_OUT_FOLDS if folds == 1 else folds
    chosen = np.arange(len(labels), dtype=np.int64)
    if leave_out is not None:
        chosen = np.setdiff1d(chosen, leave_out)
    _check_settings(labels[chosen], folds, seed, limit_samples, parts)
    if limit_samples is not None:
        chosen = chosen[stratified_part(labels[chosen], limit_samples, seed)]
    _check_classes(labels[chosen], parts, classes, limited=limit_samples is not None)
    if groups is None:
        dealt = _stratified(labels[chosen], parts, seed)
    else:
        families = np.unique(groups[chosen], return_inverse=True)[1]
        limited = limit_samples is not None
        _check_families(labels[chosen], families, parts, classes, limited=limited)
        dealt = _whole_families(labels[chosen], families, parts, seed)
    return Folds(
        tuple(chosen[dealt != part] for part in range(folds)),
        tuple(chosen[dealt == part] for part in range(folds)),
    )


def unevenness(folds: Folds, labels: NDArray[np.integer], groups: Indices) -> str:
    """Return a notice if whole families make folds very unequal, else None.

    Very unequal: a validation part is more than a tenth larger or smaller than an even share of the
    samples, or the share of a class in it is off by more than ten percentage points.
    """
    parts = len(folds) if len(folds) > 1 else HOLD_OUT_FOLDS
    even = folds.samples / parts
    sizes = [len(part) for part in folds.validation]
    count = int(labels.max()) + 1
    overall = np.bincount(labels[folds.used], minlength=count) / folds.samples
    shares = [np.bincount(labels[p], minlength=count) / max(1, len(p)) for p in folds.validation]
    apart = max(float(np.abs(share - overall).max()) for share in shares)
    deviations = []
    if max(abs(size - even) for size in sizes) > UNEVEN * even:
        deviations.append(
            f"hold {min(sizes):,} to {max(sizes):,} samples; an even share is {even:,.0f}"
        )
    if apart > UNEVEN:
        deviations.append(
            f"differ from all samples by up to {100 * apart:.0f} points in a class's share"
        )
    if not deviations:
        return ""
    largest = int(np.bincount(groups[folds.used]).max())
    return (
        f"Folds are unequal, as families of samples stay together and the largest is {largest:,}"
        f" of {folds.samples:,} samples: validation parts {' and '.join(deviations)}. A trial's"
        " score is the plain mean over folds, whatever their size, so a sample in a small part"
        " weighs more. To make them more equal, lower `--folds`, or leave most of the largest"
        " family out of the data."
    )


def _stratified(labels: NDArray[np.integer], parts: int, seed: int) -> Indices:
    """Return for each sample the part, from 0, in which it is validated.

    The result is that of scikit-learn's `StratifiedKFold` with shuffling; importing scikit-learn
    would delay every study by most of a second.
    """
    random = np.random.RandomState(seed)
    dealt = np.empty(len(labels), np.int64)
    places = 0
    for label in labels[np.sort(np.unique(labels, return_index=True)[1])]:  # in order of appearance
        rows = np.flatnonzero(labels == label)
        turns = np.sort(np.arange(places, places + len(rows)) % parts)
        random.shuffle(turns)
        dealt[rows] = turns
        places += len(rows)
    return dealt


def _whole_families(
    labels: NDArray[np.integer], families: Indices, parts: int, seed: int
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
    """
    present, classes, totals = np.unique(labels, return_inverse=True, return_counts=True)
    weights = len(labels) ** 2 // totals**2  # rare classes weigh more
    sizes = np.bincount(families)
    mixed = np.random.RandomState(seed).permutation(len(sizes))
    members = np.split(np.argsort(families, kind="stable"), np.cumsum(sizes)[:-1])
    held = np.zeros((parts, len(present)), np.int64)  # weighted class counts of each part
    dealt = np.empty(len(labels), np.int64)
    for family in mixed[np.argsort(-sizes[mixed], kind="stable")]:
        of = classes[members[family]]
        part = held[:, of].sum(axis=1).argmin()
        np.add.at(held[part], of, weights[of])
        dealt[members[family]] = part
    return dealt


def _check_settings(
    labels: NDArray[np.integer], folds: int, seed: int, limit: int | None, parts: int
) -> None:
    if not 1 <= folds <= MAX_FOLDS:
        raise SettingsError(
            f"`folds` must be between 2 and {MAX_FOLDS}, or 1 for a single split; got {folds}."
        )
    if not 0 <= seed <= MAX_SEED:
        raise SettingsError(f"`seed` must be between 0 and {MAX_SEED}; got {seed}.")
    if limit is None:
        return
    if limit > len(labels):
        raise SettingsError(
            f"`--limit-samples` must be at most the number of training samples, {len(labels):,};"
            f" got {limit:,}. Leave it out to use all."
        )
    least = parts * len(np.unique(labels))
    if limit < least:
        raise SettingsError(
            f"`--limit-samples` must be at least {least:,}, one sample of each class in each of"
            f" {parts} parts; got {limit:,}."
        )


def _check_classes(
    labels: NDArray[np.integer], parts: int, classes: Sequence[str], *, limited: bool
) -> None:
    present, counts = np.unique(labels, return_counts=True)
    if len(present) < 2:
        raise DataError(f"the training set must have at least 2 classes; got {len(present)}.")
    rarest = int(np.argmin(counts))
    if counts[rarest] >= parts:
        return
    name = _named(int(present[rarest]), classes)
    raise DataError(
        f"every class must have at least {parts} training samples, one for each part;"
        f" {name} has {counts[rarest]}. Add samples of it, or {_remedy(limited)}."
    )


def _check_families(
    labels: NDArray[np.integer],
    families: Indices,
    parts: int,
    classes: Sequence[str],
    *,
    limited: bool,
) -> None:
    together = np.unique(np.column_stack([labels, families]), axis=0)
    present, counts = np.unique(together[:, 0], return_counts=True)
    rarest = int(np.argmin(counts))
    if counts[rarest] < parts:
        raise DataError(
            f"every class must be in at least {parts} families of samples, one for each part, as"
            " samples that are equal or contain one another stay together;"
            f" {_named(int(present[rarest]), classes)} is in {counts[rarest]}."
            f" Add other samples of it, or {_remedy(limited)}."
        )


def _remedy(limited: bool) -> str:
    return "raise `--limit-samples` or lower `--folds`" if limited else "lower `--folds`"


def _named(label: int, classes: Sequence[str]) -> str:
    return f"class {label}" + (f" ({classes[label]})" if label < len(classes) else "")


def stratified_part(labels: NDArray[np.integer], size: int, seed: int) -> Indices:
    """Return `size` sorted indices, stratified by class, by the largest-remainder method.

    Not scikit-learn's `train_test_split`: it refuses to leave out fewer samples than classes.
    """
    # RandomState's stream never changes; Generator's may change between versions of NumPy.
    random = np.random.RandomState(seed)
    present, counts = np.unique(labels, return_counts=True)
    shares = counts * size / len(labels)
    quotas = np.floor(shares).astype(np.int64)
    largest = np.argsort(quotas - shares, kind="stable")[: size - int(quotas.sum())]
    quotas[largest] += 1
    picked = [
        random.permutation(np.flatnonzero(labels == label))[:quota]
        for label, quota in zip(present, quotas, strict=True)
    ]
    return np.sort(np.concatenate(picked)).astype(np.int64)
