"""How samples are cut into the folds of a study."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.folds import (
    CLASSES,
    HOLD_OUT_FOLDS,
    Folds,
    Indices,
    stratified_part,
    unrelated,
    whole_families,
)
from search.errors import DataError, SettingsError, near_matches
from search.seeds import derive
from search.tasks import Task
from tracking.text import Notify

MAX_FOLDS = 20
MAX_REPEATS = 20
MAX_IN_ALL = 100
MAX_SEED = 2**32 - 1
UNEVEN = 0.1  # of an even share, or of all samples: smaller deviations cause no notice
SHOWN = 3  # folds and classes that a notice lists

STRATIFIED, KFOLD, GROUP, STRATIFIED_GROUP = "stratified", "kfold", "group", "stratified-group"
TIME, GIVEN, REPEATED, SPLITTER = "time", "given", "repeated", "splitter"
NAMES = (STRATIFIED, KFOLD, GROUP, STRATIFIED_GROUP, TIME, GIVEN, f"{REPEATED}:R")
# Folds of these cannot be cut another way, with another seed.
SINGLE = (TIME, GIVEN, SPLITTER)

Pairs = list[tuple[Indices, Indices]]


@dataclass(frozen=True)
class Split:
    """A way of cutting samples into folds.

    Attributes:
        name: `stratified`, `kfold`, `group`, `stratified-group`, `time`, `given`, `repeated`; or
            `splitter`, for one from Python.
        repeats: how often `repeated` cuts all samples, with other seeds.
        gap: samples left out between training and validation part of `time`, at least.
    """

    name: str = STRATIFIED
    repeats: int = 1
    gap: int = 0

    @classmethod
    def parse(cls, text: str, gap: int = 0) -> "Split":
        """Return the split that a setting names, as in `kfold` or `repeated:3`.

        Raises:
            ValueError: there is no such split.
        """
        name, colon, repeats = text.partition(":")
        if name == REPEATED:
            if not repeats.isdecimal() or not 2 <= int(repeats) <= MAX_REPEATS:
                raise ValueError(f"must be repeated:R with R from 2 to {MAX_REPEATS}")
            return cls(name, int(repeats), gap)
        if colon or name not in (*NAMES, SPLITTER):
            raise ValueError(f"no split is called {text!r}; {near_matches(text, NAMES)}")
        return cls(name, 1, gap)

    @property
    def is_single(self) -> bool:
        """Whether samples can be cut in one way only."""
        return self.name in SINGLE


def make_folds(
    targets: NDArray[Any],
    *,
    task: Task = CLASSES,
    folds: int,
    seed: int,
    split: Split = Split(),
    limit_samples: int | None = None,
    leave_out: Indices | None = None,
    groups: Indices | None = None,
    time: NDArray[np.floating] | None = None,
    given: Indices | None = None,
    anew: bool = False,
    as_before: bool = False,
    notify: Notify | None = None,
) -> Folds:
    """Return a study's folds; the same arguments give the same folds on any machine.

    Whatever the split, samples of a group are never on both sides of a fold. Where validation parts
    are fixed, by time or as given, those that belong to a group of them leave the training part.

    Args:
        targets: (n, ...), those of the training samples, in the form of the task.
        task: what is predicted; its strata are spread over all folds alike.
        folds: 2..20, or 1 for a single split that holds out a fifth (the first of five folds with
            the same seed; the latest fifth for `time`).
        seed: 0..2**32 - 1.
        split: how they are cut.
        limit_samples: take a stratified subset of this size first; indices still refer to all
            `targets`. Groups are taken whole, so it may be smaller.
        leave_out: indices of samples to leave out.
        groups: (n,), for each sample the number of its group, from 0; groups are not split, so
            that folds may differ in size and balance.
        time: (n,), the larger, the later; for `time`.
        given: (n,), in which fold a sample is validated; in none if negative; for `given`.
        anew: whether samples are cut another way than for the study's own folds.
        as_before: cut as earlier versions did: some samples of a group for `limit_samples`, and
            groups always the largest first.
        notify: takes notices for the user.

    Raises:
        SettingsError: an argument is out of its range, or not there.
        DataError: a class has too few samples, or is in too few groups; or a part is empty.
    """
    parts = HOLD_OUT_FOLDS if folds == 1 else folds
    chosen = np.arange(len(targets), dtype=np.int64)
    if leave_out is not None:
        chosen = np.setdiff1d(chosen, leave_out)
    _check_settings(targets[chosen], task, folds, seed, limit_samples, parts, split)
    if limit_samples is not None:
        whole = None if groups is None or as_before else groups[chosen]
        strata = task.strata(targets[chosen], parts)
        chosen = chosen[stratified_part(strata, limit_samples, seed, whole)]
    cut = _Cut(
        task.strata(targets[chosen], parts),
        None if groups is None else np.unique(groups[chosen], return_inverse=True)[1],
        None if time is None else time[chosen],
        None if given is None else given[chosen],
        task,
        folds,
        parts,
        seed,
        limit_samples is not None,
        anew and not as_before,
    )
    pairs = [(chosen[train], chosen[validation]) for train, validation in cut.pairs(split)]
    pairs = checked_pairs(pairs, targets, groups, task, notify)
    return Folds(
        tuple(train for train, _ in pairs),
        tuple(validation for _, validation in pairs),
        groups,
        time if split.name == TIME else None,
    )


@dataclass(frozen=True)
class _Cut:
    """Cuts the samples in use; indices are of these, and labels are their strata."""

    labels: NDArray[np.integer]
    groups: Indices | None
    time: NDArray[np.floating] | None
    given: Indices | None
    task: Task
    folds: int
    parts: int
    seed: int
    is_limited: bool
    is_anew: bool

    def pairs(self, split: Split) -> Iterator[tuple[Indices, Indices]]:
        if self.task.has_classes and len(np.unique(self.labels)) < 2:
            count = len(np.unique(self.labels))
            raise DataError(f"the training set must have at least 2 classes; got {count}.")
        if split.name == TIME:
            yield from self._by_time(split.gap)
            return
        if split.name == GIVEN:
            yield from self._as_given()
            return
        for repeat in range(split.repeats):
            seed = derive(self.seed, "repeat", repeat) if repeat else self.seed
            dealt = self._dealt(split.name, seed, loosely=self.is_anew or repeat > 0)
            for part in range(self.folds):
                yield np.flatnonzero(dealt != part), np.flatnonzero(dealt == part)

    def _dealt(self, name: str, seed: int, *, loosely: bool) -> Indices:
        """Return for each sample the part, from 0, in which it is validated."""
        labels, groups = self.labels, self.groups
        if name in (GROUP, STRATIFIED_GROUP) and groups is None:
            raise SettingsError(f"`--split {name}` needs groups; name their column with `--groups`")
        if name == GROUP and not loosely:
            return _by_size(self._enough(groups), self.parts)
        if name in (KFOLD, GROUP):
            if groups is None:
                return _shuffled(self._enough(np.arange(len(labels))), self.parts, seed)
            whole, alike = self._enough(groups), np.zeros_like(labels)
            return whole_families(alike, whole, self.parts, seed, loosely=loosely)
        if not self.task.has_classes:
            self._enough(np.arange(len(labels)) if groups is None else groups)
        else:
            names, limited = self.task.names, self.is_limited
            _check_classes(labels, self.parts, names, limited=limited)
            if groups is not None:
                _check_families(labels, groups, self.parts, names, limited=limited)
        if groups is None:
            return _stratified(labels, self.parts, seed)
        return whole_families(labels, groups, self.parts, seed, loosely=loosely)

    def _enough(self, groups: Indices | None) -> Indices:
        """Return the groups, of which there must be one for each part."""
        count = 0 if groups is None else int(groups.max(initial=-1)) + 1
        if groups is None or count < self.parts:
            raise DataError(
                f"samples must be in at least {self.parts} groups, one for each part; they are in"
                f" {count}. {_remedy(self.is_limited).capitalize()}."
            )
        return groups

    def _by_time(self, gap: int) -> Iterator[tuple[Indices, Indices]]:
        """Yield folds of a growing past and the block of moments that follows it.

        As scikit-learn's `TimeSeriesSplit` on the distinct times, so that equal times are on one
        side. One fold is the last of four.
        """
        if self.time is None:
            raise SettingsError("`--split time` needs times; name their column with `--time`")
        if np.isnan(self.time).any():
            raise DataError(
                f"every sample must have a time; {int(np.isnan(self.time).sum()):,} of"
                f" {len(self.time):,} have none. Fill them in, or leave these samples out."
            )
        moments, counts = np.unique(self.time, return_counts=True)
        blocks = self.folds if self.folds > 1 else HOLD_OUT_FOLDS - 1
        size = len(moments) // (blocks + 1)
        if not size:
            raise DataError(
                f"`--split time` needs at least {blocks + 1} different times for"
                f" {self.folds} folds; got {len(moments)}. Lower `--folds`."
            )
        before = np.concatenate([[0], np.cumsum(counts)])  # samples earlier than each moment
        starts = range(len(moments) - blocks * size, len(moments), size)
        for start in starts if self.folds > 1 else starts[-1:]:
            end = int(np.searchsorted(before, before[start] - gap, side="right")) - 1
            if end < 1:
                raise DataError(
                    f"`--gap {gap}` leaves no training sample: {before[start]:,} are earlier than"
                    " the first validation part. Lower `--gap` or `--folds`."
                )
            last = moments[start + size - 1]
            yield (
                np.flatnonzero(self.time < moments[end]),
                np.flatnonzero((self.time >= moments[start]) & (self.time <= last)),
            )

    def _as_given(self) -> Iterator[tuple[Indices, Indices]]:
        if self.given is None:
            raise SettingsError(
                "`--split given` needs each sample's fold; name their column with `--fold-column`"
            )
        numbers = given_folds(self.given)
        if len(numbers) != self.folds:
            raise SettingsError(
                f"`--folds` must be the number of folds that are given, {len(numbers)}"
                f" ({', '.join(map(str, numbers))}); got {self.folds}. Leave it out"
                + (", or raise `--limit-samples`." if self.is_limited else ".")
            )
        for number in numbers:
            yield np.flatnonzero(self.given != number), np.flatnonzero(self.given == number)


def given_folds(given: Indices) -> list[int]:
    """Return the numbers of given folds; samples with a negative one are in no validation part."""
    return [int(number) for number in np.unique(given) if number >= 0]


def checked_pairs(
    pairs: Pairs,
    targets: NDArray[Any],
    groups: Indices | None,
    task: Task,
    notify: Notify | None,
) -> Pairs:
    """Return the pairs without training samples whose group is validated; tell what they lack.

    Args:
        pairs: of training and validation indices.
        targets: (n, ...), in the form of the task.
        groups: (n,), group numbers.
        task: what is predicted.
        notify: takes notices for the user.

    Raises:
        DataError: a part is empty, or has too little to train on.
    """
    # Where no class must be there, two different samples must.
    labels = targets if task.has_classes else np.arange(len(targets))
    checked: Pairs = [(unrelated(train, part, groups), part) for train, part in pairs]
    lost = [len(a) - len(b) for (a, _), (b, _) in zip(pairs, checked, strict=True)]
    present = np.unique(labels[np.concatenate([np.concatenate(pair) for pair in pairs])])
    gaps = []
    for number, (train, part) in enumerate(checked, start=1):
        own = np.unique(labels[train])
        if len(own) < 2 or not len(part):
            what = (
                "validation part is empty"
                if not len(part)
                else f"training part has {_little(len(own), task)}"
            )
            gone = f", as {lost[number - 1]:,} samples belong together with validated ones"
            remedy = (
                "Take folds that keep samples of a group together: `--split stratified-group`, from"
                " Python also scikit-learn's `StratifiedGroupKFold` as `cv`."
                if lost[number - 1]
                else "Lower `--folds`, or cut them another way with `--split`."
            )
            raise DataError(
                f"every fold must have 2 {'classes' if task.has_classes else 'samples'} to train on"
                f" and samples to validate; fold"
                f" {number}'s {what}{gone if lost[number - 1] else ''}. {remedy}"
            )
        if task.has_classes and len(own) < len(present):
            first = np.setdiff1d(present, own)
            names = ", ".join(_named(int(label), task.names) for label in first[:SHOWN])
            gaps.append(f"fold {number} {names}{' and others' if len(first) > SHOWN else ''}")
    if notify is not None and any(lost):
        notify(
            f"Training parts leave out up to {max(lost):,} samples that belong to the same group as"
            " a validation sample or are equal to one"
        )
    if notify is not None and gaps:
        more = f" and {len(gaps) - SHOWN} more" if len(gaps) > SHOWN else ""
        notify(f"Training parts without samples of a class: {'; '.join(gaps[:SHOWN])}{more}")
    return checked


def _little(count: int, task: Task) -> str:
    return "no samples" if not count else f"one {'class' if task.has_classes else 'sample'}"


# Confirmation folds are cut from unused samples alone if these are at least this fraction of the
# used ones; with fewer, models would be trained on too little for comparable scores.
ENOUGH_UNUSED = 0.5


def make_confirmation_folds(
    targets: NDArray[Any],
    folds: Folds,
    *,
    task: Task = CLASSES,
    seeds: Sequence[int],
    split: Split = Split(),
    leave_out: Indices | None = None,
    groups: Indices | None = None,
    as_before: bool = False,
) -> Folds:
    """Return a study's confirmation folds, those of the first seed first.

    They are cut from samples that the study's own folds do not use, as many as it uses, if there
    are enough of every class. If there are only some, used samples are added; if there are none,
    all used samples are cut again. A sample whose family is in use counts as used.

    Args:
        targets: (n, ...), those of the training samples.
        folds: the study's own.
        task: what is predicted.
        seeds: one for each repetition of all folds.
        split: how the study's were cut.
        leave_out: indices of samples to leave out.
        groups: (n,), family numbers, as for `make_folds`.
        as_before: as for `make_folds`.

    Raises:
        SettingsError: the samples can be cut in one way only.
    """
    if split.is_single:
        raise SettingsError(
            f"`--confirm` needs folds that did not choose the best trials; those of split"
            f" {split.name} cannot be cut another way. Leave it out, or choose another `--split`."
        )
    used, size = folds.used, folds.samples
    labels = task.strata(targets, max(2, len(folds) // split.repeats))
    unused = np.setdiff1d(np.arange(len(targets)), used)
    if leave_out is not None:
        unused = np.setdiff1d(unused, leave_out)
    if groups is not None:
        unused = unused[~np.isin(groups[unused], groups[used])]

    def cut(chosen: Indices) -> Folds:
        others = np.setdiff1d(np.arange(len(labels)), chosen)
        return Folds.joined(
            make_folds(
                targets,
                task=task,
                folds=len(folds) // split.repeats,
                seed=seed,
                split=split,
                leave_out=others,
                groups=groups,
                anew=True,
                as_before=as_before,
            )
            for seed in seeds
        )

    whole = None if as_before else groups
    fresh = _some(labels, unused, size, seeds[0], whole)
    part = _some(labels, unused, size // 2, seeds[0], whole)
    filled = np.union1d(part, _some(labels, used, size - len(part), seeds[0], whole))
    is_enough = len(unused) >= ENOUGH_UNUSED * size
    has_all = np.array_equal(np.unique(labels[fresh]), np.unique(labels[used]))
    if is_enough and (has_all or not task.has_classes):
        with suppress(DataError):  # a class has too few unused samples
            return cut(fresh)
    with suppress(DataError):
        return _other_than(folds, cut(filled))
    return _other_than(folds, cut(used))


def _other_than(folds: Folds, cut: Folds) -> Folds:
    """Return folds that were cut anew if they are not the study's own."""
    own = {part.tobytes() for part in folds.validation}
    if all(part.tobytes() in own for part in cut.validation):
        raise SettingsError(
            "`--confirm` needs folds that did not choose the best trials; so few groups of samples"
            " can be cut in one way only. Leave it out."
        )
    return cut


def _some(
    labels: NDArray[np.integer], rows: Indices, size: int, seed: int, groups: Indices | None
) -> Indices:
    """Return this many of the rows, stratified by class, or all if there are fewer."""
    if len(rows) <= size:
        return rows
    whole = None if groups is None else groups[rows]
    return rows[stratified_part(labels[rows], size, seed, whole)]


def unevenness(
    folds: Folds, targets: NDArray[Any], groups: Indices, repeats: int = 1, task: Task = CLASSES
) -> str:
    """Return a notice if whole families make folds very unequal, else nothing.

    Very unequal: a validation part is more than a tenth larger or smaller than an even share of the
    samples, or the share of a class in it is off by more than ten percentage points.
    """
    of_one = len(folds) // repeats
    parts = of_one if of_one > 1 else HOLD_OUT_FOLDS
    even = folds.samples / parts
    sizes = [len(part) for part in folds.validation]
    apart = _apart(folds, targets) if task.has_classes else 0.0
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


def _apart(folds: Folds, labels: NDArray[np.integer]) -> float:
    """Return by how much the share of a class in a validation part differs from its share in all.

    The largest difference counts.
    """
    count = int(labels.max()) + 1
    overall = np.bincount(labels[folds.used], minlength=count) / folds.samples
    shares = [np.bincount(labels[p], minlength=count) / max(1, len(p)) for p in folds.validation]
    return max(float(np.abs(share - overall).max()) for share in shares)


def _by_size(groups: Indices, parts: int) -> Indices:
    """Return for each sample its part: the largest groups first, each to the smallest part.

    The result is that of scikit-learn's `GroupKFold`, whose order of equally large groups is not
    defined.
    """
    sizes = np.bincount(groups)
    held, dealt = np.zeros(parts, np.int64), np.empty(len(sizes), np.int64)
    for group in np.argsort(sizes, kind="stable")[::-1]:
        dealt[group] = part = held.argmin()
        held[part] += sizes[group]
    return dealt[groups]


def _shuffled(samples: Indices, parts: int, seed: int) -> Indices:
    """Return for each sample its part; the result is that of `KFold` with shuffling."""
    mixed = np.arange(len(samples))
    np.random.RandomState(seed).shuffle(mixed)
    dealt = np.empty(len(samples), np.int64)
    for part, rows in enumerate(np.array_split(mixed, parts)):
        dealt[rows] = part
    return dealt


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


def _check_settings(
    targets: NDArray[Any],
    task: Task,
    folds: int,
    seed: int,
    limit: int | None,
    parts: int,
    split: Split,
) -> None:
    if not 1 <= folds <= MAX_FOLDS:
        raise SettingsError(
            f"`folds` must be between 2 and {MAX_FOLDS}, or 1 for a single split; got {folds}."
        )
    if folds * split.repeats > MAX_IN_ALL:
        raise SettingsError(
            f"`--split repeated:R` times `--folds` must be at most {MAX_IN_ALL};"
            f" got {split.repeats} x {folds}. Lower one of them."
        )
    if split.gap and split.name != TIME:
        raise SettingsError(
            f"`--gap` is for `--split time`; got {split.gap} with {split.name}. Leave it out."
        )
    if not 0 <= seed <= MAX_SEED:
        raise SettingsError(f"`seed` must be between 0 and {MAX_SEED}; got {seed}.")
    if limit is None:
        return
    if limit > len(targets):
        raise SettingsError(
            f"`--limit-samples` must be at most the number of training samples, {len(targets):,};"
            f" got {limit:,}. Leave it out to use all."
        )
    least = parts * len(np.unique(targets)) if task.has_classes else parts
    if limit < least:
        of_each = " of each class" if task.has_classes else ""
        raise SettingsError(
            f"`--limit-samples` must be at least {least:,}, one sample{of_each} in each of"
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
            " samples of a group, equal ones, and texts that contain one another stay together;"
            f" {_named(int(present[rarest]), classes)} is in {counts[rarest]}."
            f" Add other samples of it, or {_remedy(limited)}."
        )


def _remedy(limited: bool) -> str:
    return "raise `--limit-samples` or lower `--folds`" if limited else "lower `--folds`"


def _named(label: int, classes: Sequence[str]) -> str:
    return f"class {label}" + (f" ({classes[label]})" if label < len(classes) else "")
