import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    PredefinedSplit,
    RepeatedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from search.data.folds import CLASSES, Folds, held_out, inner_part, joined_groups, stratified_part
from search.data.splits import (
    NAMES,
    SINGLE,
    Split,
    make_confirmation_folds,
    make_folds,
    unevenness,
)
from search.data.splitters import described, folds_from
from search.errors import DataError, SettingsError
from search.seeds import derive
from search.tasks import Classification, MultiLabel, Regression, Task

Numbers = NDArray[np.int64]
BALANCED = np.arange(60) % 3


@dataclass(frozen=True)
class Samples:
    """Targets of a task, and what else samples may have."""

    labels: NDArray[Any]
    groups: Numbers | None
    time: NDArray[np.float64]
    given: Numbers
    task: Task = CLASSES


TASKS: dict[str, Task] = {
    "classification": Classification(()),
    "multi-label": MultiLabel(("a", "b", "c")),
    "regression": Regression(("low", "high")),
}


@st.composite
def samples(draw: st.DrawFn, tasks: tuple[str, ...] = tuple(TASKS)) -> Samples:
    """Draw samples of some task in groups of any size, at times that may be equal.

    Of classes there are two or three; numbers may be equal.
    """
    count = draw(st.integers(20, 120))
    chance = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    shares = np.array([draw(st.integers(1, 6)) for _ in range(draw(st.integers(2, 3)))], float)
    labels = chance.choice(len(shares), count, p=shares / shares.sum())
    targets: NDArray[Any] = labels
    task = draw(st.sampled_from(tasks))
    if task == "multi-label":
        targets = (chance.random_sample((count, 3)) < draw(st.floats(0, 1))).astype(np.uint8)
    elif task == "regression":
        targets = np.column_stack([labels, chance.normal(size=count)])
    groups: Numbers | None = None
    if draw(st.booleans()):
        groups = chance.randint(0, draw(st.integers(count // 3, 3 * count)), count)
    time = chance.randint(0, draw(st.integers(8, 500)), count).astype(float)
    given = chance.randint(1, draw(st.integers(2, 4)) + 1, count)
    return Samples(targets, groups, time, given, TASKS[task])


def cut(of: Samples, name: str, seed: int, **more: Any) -> Folds:
    """Return folds of a split; where these samples cannot be cut, the example says nothing."""
    split = Split.parse(name.replace(":R", ":2"), more.pop("gap", 0))
    if split.name == "given":
        more["folds"] = len(np.unique(of.given))
    try:
        return make_folds(
            of.labels,
            task=of.task,
            seed=seed,
            split=split,
            groups=of.groups,
            time=of.time,
            given=of.given,
            **{"folds": 3, **more},
        )
    except (DataError, SettingsError):
        assume(False)
        raise


def check(folds: Folds, of: Samples, *, in_time: bool) -> None:
    """Check by brute force that nothing is on both sides of any fold."""
    for train, validation in zip(folds.train, folds.validation, strict=True):
        assert len(train)
        assert len(validation)
        assert not set(train.tolist()) & set(validation.tolist())
        if of.groups is not None:
            assert not {of.groups[i] for i in train} & {of.groups[i] for i in validation}
        if in_time:
            assert max(of.time[i] for i in train) < min(of.time[i] for i in validation)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    samples(),
    st.sampled_from(NAMES),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 3, 5]),
    st.sampled_from([None, 15, 40]),
    st.integers(0, 4),
)
def test_no_sample_group_or_future_is_on_both_sides_of_a_fold(
    of: Samples, name: str, seed: int, count: int, limit: int | None, gap: int
) -> None:
    assume(limit is None or limit <= len(of.labels))
    is_time = name == "time"
    folds = cut(of, name, seed, folds=count, limit_samples=limit, gap=gap if is_time else 0)
    check(folds, of, in_time=is_time)
    assert limit is None or folds.samples <= limit
    if of.groups is not None and limit is not None and name not in SINGLE:
        unused = np.setdiff1d(np.arange(len(of.labels)), folds.used)
        assert not set(of.groups[unused]) & set(of.groups[folds.used])


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(samples(), st.sampled_from(NAMES), st.integers(0, 1000), st.sampled_from([None, 20, 50]))
def test_confirmation_folds_tear_nothing_and_are_other_folds(
    of: Samples, name: str, seed: int, limit: int | None
) -> None:
    assume(name not in SINGLE)
    assume(limit is None or limit <= len(of.labels))
    own = cut(of, name, seed, limit_samples=limit)
    split = Split.parse(name.replace(":R", ":2"))
    try:
        found = make_confirmation_folds(
            of.labels,
            own,
            task=of.task,
            seeds=[seed + 1, seed + 2],
            split=split,
            groups=of.groups,
        )
    except (DataError, SettingsError):
        assume(False)
        raise
    assert len(found) == 2 * len(own)
    check(found, of, in_time=False)
    mine = {part.tobytes() for part in own.validation}
    assert any(part.tobytes() not in mine for part in found.validation)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(samples(), st.sampled_from(NAMES), st.integers(0, 1000))
def test_the_inner_part_tears_no_group_and_is_the_latest_in_time(
    of: Samples, name: str, seed: int
) -> None:
    folds = cut(of, name, seed)
    for rows in folds.train:
        groups, time = folds.beside(rows)
        size = max(1, round(len(rows) / 10))
        try:
            rest, inner = inner_part(
                of.labels[rows], size, seed, task=of.task, groups=groups, time=time
            )
        except ValueError:
            assert groups is not None or time is not None
            continue
        left_out = len(rows) - len(rest) - len(inner)
        assert left_out == 0 or (time is not None and groups is not None)
        check(Folds((rows[rest],), (rows[inner],)), of, in_time=name == "time")


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(samples(), st.booleans())
def test_a_test_part_that_is_held_out_tears_no_group_and_is_the_latest_in_time(
    of: Samples, in_time: bool
) -> None:
    try:
        time = of.time if in_time else None
        parts, told = held_out(of.labels, "x", task=of.task, groups=of.groups, time=time)
    except DataError:
        assume(False)
        raise
    check(Folds((parts["train"],), (parts["test"],)), of, in_time=in_time)
    gone = len(of.labels) - len(parts["train"]) - len(parts["test"])
    assert (f"{gone} earlier ones" in told) == (gone > 0)
    assert gone == 0 or in_time


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(samples(), st.integers(1, 120), st.integers(0, 1000))
def test_a_stratified_part_takes_whole_groups_and_no_more_than_asked_for(
    of: Samples, size: int, seed: int
) -> None:
    assume(size <= len(of.labels))
    strata = of.task.strata(of.labels, 5)
    taken = stratified_part(strata, size, seed, of.groups)
    others = np.setdiff1d(np.arange(len(of.labels)), taken)
    assert len(taken) <= size
    if of.groups is None:
        assert len(taken) == size
        return
    assert not set(of.groups[taken]) & set(of.groups[others])
    sizes = np.bincount(of.groups)
    # No group that is left would still fit.
    assert not (sizes[of.groups[others]] <= size - len(taken)).any()


def test_a_stratified_part_in_groups_keeps_the_classes_proportions() -> None:
    chance = np.random.RandomState(0)
    labels = chance.choice(3, 3000, p=[0.6, 0.3, 0.1])
    groups = np.where(np.arange(3000) < 900, np.arange(3000) // 3, np.arange(3000))
    taken = stratified_part(labels, 600, 1, groups)
    assert len(taken) == 600
    assert np.bincount(labels[taken]) / 600 == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    assert (taken < 900).sum() == pytest.approx(180, abs=12)


def pairs(
    splitter: Any, of: Samples, y: Numbers | None = None
) -> list[tuple[list[int], list[int]]]:
    """Return what scikit-learn makes of the same samples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = splitter.split(np.zeros(len(of.labels)), y, of.groups)
        return [(sorted(train.tolist()), sorted(test.tolist())) for train, test in found]


def in_groups(labels: Numbers, groups: Numbers) -> Samples:
    return Samples(labels, groups, np.zeros(len(labels)), np.zeros(len(labels), np.int64))


def as_lists(folds: Folds) -> list[tuple[list[int], list[int]]]:
    return [(t.tolist(), v.tolist()) for t, v in zip(folds.train, folds.validation, strict=True)]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(samples(("classification",)), st.integers(0, 1000), st.integers(2, 5))
def test_folds_without_groups_are_scikit_learns(of: Samples, seed: int, count: int) -> None:
    alone = Samples(of.labels, None, of.time, of.given)
    shuffled = KFold(count, shuffle=True, random_state=seed)
    assert as_lists(cut(alone, "kfold", seed, folds=count)) == pairs(shuffled, alone)
    stratified = StratifiedKFold(count, shuffle=True, random_state=seed)
    found = cut(alone, "stratified", seed, folds=count)
    assert as_lists(found) == pairs(stratified, alone, of.labels)
    given = PredefinedSplit(of.given)
    assert as_lists(cut(alone, "given", seed)) == pairs(given, alone)


@settings(max_examples=60, deadline=None)
@given(st.integers(12, 80), st.integers(2, 5), st.integers(0, 5), st.integers(0, 99))
def test_folds_of_different_times_are_scikit_learns(
    count: int, folds: int, gap: int, seed: int
) -> None:
    order = np.random.RandomState(seed).permutation(count)
    of = Samples(np.arange(count) % 2, None, order.astype(float) * 7 - 100, np.ones(count, int))
    assume(count - folds * (count // (folds + 1)) - gap >= 4)
    found = as_lists(cut(of, "time", 0, folds=folds, gap=gap))
    placed = np.argsort(order)  # the sample at each place in time
    expected = [
        (sorted(placed[train].tolist()), sorted(placed[test].tolist()))
        for train, test in TimeSeriesSplit(folds, gap=gap).split(np.zeros(count))
    ]
    assert found == expected


def test_folds_of_groups_are_scikit_learns_where_no_two_are_equally_large() -> None:
    sizes = np.random.RandomState(1).permutation(np.arange(1, 14))
    groups = np.random.RandomState(2).permutation(np.repeat(np.arange(13), sizes))
    of = in_groups(np.arange(len(groups)) % 2, groups)
    assert as_lists(cut(of, "group", 0, folds=4)) == pairs(GroupKFold(4), of, of.labels)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(samples(), st.integers(2, 5))
def test_folds_of_groups_are_as_large_as_scikit_learns(of: Samples, count: int) -> None:
    assume(of.groups is not None)
    found = cut(of, "group", 0, folds=count)
    sizes = sorted(len(test) for _, test in pairs(GroupKFold(count), of, of.labels))
    assert sorted(map(len, found.validation)) == sizes


@pytest.mark.slow
def test_stratified_folds_of_groups_are_as_even_as_scikit_learns() -> None:
    chance = np.random.RandomState(4)
    ours, theirs = [], []
    for seed in range(10):
        sizes = chance.geometric(0.1, 100)
        groups = np.repeat(np.arange(100), sizes)
        labels = chance.choice(3, len(groups), p=[0.7, 0.2, 0.1])
        of = in_groups(labels, groups)
        found = cut(of, "stratified-group", seed, folds=5)
        peer = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        ours.append(spread(labels, [v.tolist() for v in found.validation]))
        theirs.append(spread(labels, [v for _, v in pairs(peer, of, labels)]))
    assert np.mean(ours) <= 1.1 * np.mean(theirs)


def spread(labels: Numbers, parts: list[list[int]]) -> float:
    """Return by how much the parts' counts of classes differ from even ones, as a fraction."""
    even = np.bincount(labels) / len(parts)
    counts = np.array([np.bincount(labels[part], minlength=len(even)) for part in parts])
    return float(np.abs(counts / even - 1).max())


def test_repeated_folds_are_stratified_anew_each_time_by_seeds_of_their_own() -> None:
    folds = make_folds(BALANCED, folds=3, seed=5, split=Split.parse("repeated:4"))
    again = [5, *(derive(5, "repeat", repeat) for repeat in (1, 2, 3))]
    alone = [make_folds(BALANCED, folds=3, seed=seed) for seed in again]
    assert folds.digest == Folds.joined(alone).digest
    assert (len(folds), folds.samples, folds.validated) == (12, 60, 60)
    assert len({part.tobytes() for part in folds.validation}) == 12
    assert folds.share == 0.5


def test_repeated_folds_of_groups_of_different_sizes_differ() -> None:
    groups = np.repeat(np.arange(12), np.arange(6, 18))
    labels = np.arange(len(groups)) % 2
    folds = make_folds(labels, folds=3, seed=0, split=Split.parse("repeated:2"), groups=groups)
    assert {p.tobytes() for p in folds.validation[:3]} != {
        p.tobytes() for p in folds.validation[3:]
    }


def test_of_folds_in_time_the_first_block_is_never_validated() -> None:
    time = np.arange(60.0)[::-1].copy()
    folds = make_folds(BALANCED, folds=5, seed=0, split=Split("time"), time=time)
    assert (folds.samples, folds.validated) == (60, 50)
    assert folds.share == 50 / (10 + 20 + 30 + 40 + 50)
    assert [len(part) for part in folds.train] == [10, 20, 30, 40, 50]


def test_one_fold_in_time_validates_the_latest_fifth() -> None:
    folds = make_folds(BALANCED, folds=1, seed=0, split=Split("time"), time=np.arange(60.0))
    assert as_lists(folds) == [(list(range(48)), list(range(48, 60)))]


def test_equal_times_stay_together_and_a_gap_leaves_out_whole_moments() -> None:
    time = np.arange(60.0) // 4  # fifteen moments of four samples
    folds = make_folds(BALANCED, folds=2, seed=0, split=Split("time", gap=5), time=time)
    assert as_lists(folds) == [
        (list(range(12)), list(range(20, 40))),
        (list(range(32)), list(range(40, 60))),
    ]


def test_copies_of_validated_samples_leave_the_training_part_where_that_is_given() -> None:
    given = np.arange(60) % 2 + 1
    groups = np.arange(60)
    groups[0] = groups[1] = groups[3] = 0
    told: list[str] = []
    folds = make_folds(
        BALANCED,
        folds=2,
        seed=0,
        split=Split("given"),
        given=given,
        groups=groups,
        notify=told.append,
    )
    odd, even = np.arange(1, 60, 2), np.arange(0, 60, 2)
    assert folds.train[0].tolist() == [n for n in odd.tolist() if n not in (1, 3)]
    assert folds.train[1].tolist() == [n for n in even.tolist() if n != 0]
    assert [part.tolist() for part in folds.validation] == [even.tolist(), odd.tolist()]
    assert told == [
        "Training parts leave out up to 2 samples that belong to the same group as a validation"
        " sample or are equal to one"
    ]


def test_samples_with_a_negative_fold_are_always_trained_on() -> None:
    given = np.where(np.arange(60) < 20, -1, np.arange(60) % 2)
    folds = make_folds(BALANCED, folds=2, seed=0, split=Split("given"), given=given)
    assert all(np.isin(np.arange(20), train).all() for train in folds.train)
    assert folds.validated == 40


def test_a_class_that_a_training_part_lacks_is_told() -> None:
    labels = np.r_[np.arange(50) % 2, np.full(10, 2)]
    told: list[str] = []
    make_folds(
        labels,
        folds=2,
        seed=0,
        split=Split("time"),
        time=np.arange(60.0),
        task=Classification(("cat", "dog", "cow")),
        notify=told.append,
    )
    expected = (
        "Training parts without samples of a class: fold 1 class 2 (cow); fold 2 class 2 (cow)"
    )
    assert told == [expected]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"split": Split("group")}, "`--split group` needs groups"),
        ({"split": Split("stratified-group")}, "`--split stratified-group` needs groups"),
        ({"split": Split("time")}, "needs times; name their column with `--time`"),
        ({"split": Split("given")}, "name their column with `--fold-column`"),
        ({"split": Split("kfold", gap=2)}, "`--gap` is for `--split time`; got 2 with kfold"),
        (
            {"split": Split("given"), "given": np.arange(60) % 3},
            r"must be the number of folds that are given, 3 \(0, 1, 2\); got 2",
        ),
        ({"split": Split("repeated", 20), "folds": 6}, "must be at most 100; got 20 x 6"),
    ],
)
def test_what_a_split_lacks_is_said(more: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_folds(BALANCED, **{"folds": 2, "seed": 0, **more})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"split": Split("time"), "time": np.arange(60.0) // 30}, "at least 3 different times"),
        (
            {"split": Split("time", gap=20), "time": np.arange(60.0)},
            "`--gap 20` leaves no training",
        ),
        ({"split": Split("time"), "time": np.full(60, np.nan)}, "60 of 60 have none"),
        ({"split": Split("group"), "groups": np.zeros(60, int)}, "in at least 2 groups.*in 1"),
        (
            {
                "split": Split("given"),
                "given": BALANCED + 1,
                "folds": 3,
                "groups": np.arange(60) // 3,
            },
            "has no samples, as 40 samples belong together with validated ones. Take .*GroupKFold",
        ),
    ],
)
def test_samples_that_cannot_be_cut_that_way_are_refused(
    more: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        make_folds(BALANCED, **{"folds": 2, "seed": 0, **more})


@pytest.mark.parametrize("text", ["stratifed", "repeated", "repeated:1", "repeated:x", "kfold:3"])
def test_only_splits_that_exist_are_taken(text: str) -> None:
    with pytest.raises(ValueError, match=r"no split is called|must be repeated:R with R from 2"):
        Split.parse(text)


@pytest.mark.parametrize("name", ["time", "given", "splitter"])
def test_folds_that_cannot_be_cut_another_way_confirm_nothing(name: str) -> None:
    own = make_folds(BALANCED, folds=2, seed=0)
    with pytest.raises(SettingsError, match=f"those of split {name} cannot be cut another way"):
        make_confirmation_folds(BALANCED, own, seeds=[1], split=Split(name))


def test_groups_that_can_be_cut_in_one_way_only_confirm_nothing() -> None:
    groups = np.arange(60) // 20
    own = make_folds(BALANCED, folds=3, seed=0, groups=groups)
    with pytest.raises(SettingsError, match="can be cut in one way only"):
        make_confirmation_folds(BALANCED, own, seeds=[1, 2], groups=groups)


def test_repeated_folds_are_uneven_by_the_share_of_one_repetition() -> None:
    groups = np.r_[np.zeros(30, int), np.arange(1, 31)]
    split = Split.parse("repeated:2")
    folds = make_folds(np.arange(60) % 2, folds=3, seed=0, split=split, groups=groups)
    assert "an even share is 20" in unevenness(folds, np.arange(60) % 2, groups, 2)


@pytest.mark.parametrize(
    "splitter",
    [KFold(4), StratifiedKFold(3, shuffle=True, random_state=2), GroupKFold(3), RepeatedKFold(
        n_splits=3, n_repeats=2, random_state=1
    ), TimeSeriesSplit(3)],
)  # fmt: skip
def test_a_splitter_of_scikit_learns_gives_its_own_folds(splitter: Any) -> None:
    groups = np.arange(60) // 5
    rows = np.random.RandomState(0).normal(size=(60, 2))
    found = folds_from(splitter, rows, BALANCED, groups)
    assert as_lists(found) == pairs(splitter, in_groups(BALANCED, groups), BALANCED)
    assert found.digest == folds_from(splitter, rows, BALANCED, groups).digest
    assert described(splitter).startswith(type(splitter).__name__)


def test_pairs_of_indices_or_masks_are_taken_in_any_order() -> None:
    mask = np.arange(60) < 20
    found = folds_from([(np.arange(59, 19, -1), mask), (~mask, [3, 1])], None, BALANCED)
    assert as_lists(found) == [
        (list(range(20, 60)), list(range(20))),
        (list(range(20, 60)), [1, 3]),
    ]
    assert described([1]) == "index pairs"


def test_a_splitter_cuts_the_samples_in_use_and_copies_leave_the_training_part() -> None:
    used, related = np.arange(10, 50), np.arange(60)
    related[12] = related[13] = 12
    found = folds_from(
        KFold(2), np.arange(120.0).reshape(60, 2), BALANCED, related=related, limit_to=used
    )
    assert np.array_equal(found.used, used)
    assert found.groups is related
    found = folds_from([([13, *range(20, 60)], [12])], None, BALANCED, related=related)
    assert 13 not in found.train[0]


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (5, "must be a splitter with a method `split`, or a list .*; got int"),
        ("kfold", "got str"),
        ([], "must give 1 to 100 folds; got 0"),
        ([(range(30), range(30, 60))] * 101, "got 101"),
        ([([0, 1], [2], [3])], "pairs of training and validation indices; fold 1 is tuple"),
        ([7], "fold 1 is int"),
        ([(range(40), range(39, 60))], "1 are in fold 1's, the first number 39"),
        ([(range(40), [])], "fold 1's validation part must not be empty"),
        ([(range(40), [60])], "must be indices from 0 to 59; got 60 to 60"),
        ([(range(40), [-1])], "got -1 to -1"),
        ([(range(40), [50, 50])], "each sample once"),
        ([(range(40), [50.5])], "whole numbers of shape .n,.; got float64"),
        ([(range(40), [[50], [51]])], r"got int64 \(2, 1\)"),
        (KFold(70), r"KFold\(.*\) cannot cut 60 samples: ValueError: Cannot have number of splits"),
        (GroupKFold(3), "'groups' parameter should not be None"),
    ],
)
def test_what_is_no_splitter_is_refused(splitter: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        folds_from(splitter, np.zeros((60, 1)), BALANCED)


def test_training_on_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="fold 2's training part has one class"):
        folds_from([(range(6), [6]), ([0, 3, 6], [1])], None, BALANCED)


def test_groups_and_times_come_back_with_saved_folds(tmp_path: Any) -> None:
    groups, time = np.arange(60) // 2, np.arange(60.0)
    folds = make_folds(BALANCED, folds=2, seed=0, split=Split("time"), time=time, groups=groups)
    folds.save(tmp_path / "folds.npz")
    back = Folds.load(tmp_path / "folds.npz", digest=folds.digest)
    rows = np.array([3, 50])
    assert [one.tolist() for one in back.beside(rows) if one is not None] == [[1, 25], [3.0, 50.0]]
    plain = make_folds(BALANCED, folds=2, seed=0)
    plain.save(tmp_path / "folds.npz")
    assert Folds.load(tmp_path / "folds.npz").beside(rows) == (None, None)


def test_an_inner_part_of_few_large_groups_is_the_one_nearest_to_its_size() -> None:
    groups = np.repeat([0, 1, 2], [30, 12, 18])
    rest, inner = inner_part(np.arange(60) % 2, 6, 0, groups=groups)
    assert set(groups[inner]) == {1}
    assert set(groups[rest]) == {0, 2}


@pytest.mark.parametrize(
    ("beside", "why"),
    [
        ({"groups": np.zeros(20, int)}, "each of its 1 groups has all samples of a class"),
        ({"time": np.zeros(20)}, "all its samples are of one moment"),
        ({"time": np.arange(20.0), "groups": np.zeros(20, int)}, "too little is left before it"),
    ],
)
def test_a_training_part_that_cannot_be_cut_further_is_refused(
    beside: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValueError, match=f"{why}.*Fix `early_stopping` to off"):
        inner_part(np.arange(20) % 2, 2, 0, **beside)


def test_samples_that_are_together_in_any_grouping_are_together() -> None:
    assert joined_groups(np.array([5, 5, 1, 2, 3]), np.array([0, 1, 1, 2, 3])) is not None
    found = joined_groups(np.array([5, 5, 1, 2, 3]), np.array([0, 1, 1, 2, 3]))
    assert found is not None
    assert found.tolist() == [0, 0, 0, 1, 2]


def test_each_fold_of_numbers_has_each_tenth_of_them_alike() -> None:
    numbers = np.random.default_rng(1).lognormal(size=(200, 1))
    folds = make_folds(numbers, task=Regression(("y",)), folds=5, seed=3)
    tenth = np.argsort(np.argsort(numbers[:, 0])) * 10 // 200
    for part in folds.validation:
        assert np.bincount(tenth[part], minlength=10).tolist() == [4] * 10


def test_each_fold_of_labels_has_each_set_of_them_alike() -> None:
    sets = np.repeat(np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.uint8), [50, 30, 20], axis=0)
    folds = make_folds(sets, task=MultiLabel(("a", "b", "c")), folds=5, seed=3)
    for part in folds.validation:
        assert sets[part].sum(axis=0).tolist() == [10, 4, 10]


def test_numbers_have_no_class_that_every_fold_needs() -> None:
    numbers = np.arange(12.0)[:, np.newaxis]
    task = Regression(("y",))
    assert len(make_folds(numbers, task=task, folds=6, seed=0)) == 6
    with pytest.raises(DataError, match="at least 13 groups"):
        make_folds(numbers, task=task, folds=13, seed=0)
    with pytest.raises(SettingsError, match="at least 11, one sample in each"):
        make_folds(numbers, task=task, folds=11, seed=0, limit_samples=10)
    groups = np.repeat([0, 1], 6)
    parts, _ = held_out(numbers, "x", task=task, groups=groups)
    assert sorted(map(len, parts.values())) == [6, 6]
    with pytest.raises(DataError, match="all samples are of one group"):
        held_out(numbers, "x", task=task, groups=np.zeros(12, np.int64))


def test_a_splitter_is_given_numbers_as_scikit_learn_gives_them() -> None:
    numbers = np.random.default_rng(2).normal(size=(30, 1))
    rows = np.zeros((30, 2))
    seen: list[NDArray[Any]] = []

    class Watching(KFold):
        def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:  # noqa: N803
            seen.append(y)
            return super().split(X, y, groups)

    folds = folds_from(Watching(3), rows, numbers, task=Regression(("y",)))
    assert len(folds) == 3
    assert np.array_equal(seen[0], numbers[:, 0])
    with pytest.raises(SettingsError, match=r"StratifiedKFold.*continuous"):
        folds_from(StratifiedKFold(3), rows, numbers, task=Regression(("y",)))


def test_the_inner_part_of_numbers_has_each_tenth_of_them() -> None:
    numbers = np.random.default_rng(3).normal(size=(300, 1))
    rest, inner = inner_part(numbers, 30, 0, task=Regression(("y",)))
    tenth = np.argsort(np.argsort(numbers[:, 0])) * 10 // 300
    assert np.bincount(tenth[inner]).tolist() == [3] * 10
    assert len(rest) == 270
