from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from search.data.folds import Folds, confirmation_numbers, stratified_part, validation_share
from search.data.splits import make_confirmation_folds, make_folds, unevenness
from search.errors import DataError, SettingsError
from search.tasks import Classification

LABELS = np.repeat(np.arange(4), [50, 30, 15, 5])
SHUFFLED = np.random.RandomState(1).permutation(LABELS)


@pytest.mark.parametrize("count", [2, 5])
def test_every_sample_is_validated_exactly_once(count: int) -> None:
    folds = make_folds(SHUFFLED, folds=count, seed=0)
    assert len(folds) == count
    assert np.array_equal(np.sort(np.concatenate(folds.validation)), np.arange(100))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_parts_of_a_fold_share_nothing_and_leave_nothing_out(count: int) -> None:
    folds = make_folds(SHUFFLED, folds=count, seed=0)
    assert folds.samples == 100
    for train, validation in zip(folds.train, folds.validation, strict=True):
        assert np.array_equal(np.union1d(train, validation), np.arange(100))
        assert not np.intersect1d(train, validation).size


def test_indices_are_sorted_int64_and_read_only() -> None:
    folds = make_folds(SHUFFLED, folds=3, seed=0)
    for part in (*folds.train, *folds.validation):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 0


@pytest.mark.parametrize("count", [1, 5])
def test_classes_keep_their_proportions(count: int) -> None:
    folds = make_folds(SHUFFLED, folds=count, seed=0)
    for validation in folds.validation:
        assert np.bincount(SHUFFLED[validation]).tolist() == [10, 6, 3, 1]


def test_one_fold_is_the_first_of_five() -> None:
    alone, five = make_folds(SHUFFLED, folds=1, seed=3), make_folds(SHUFFLED, folds=5, seed=3)
    assert len(alone) == 1
    assert np.array_equal(alone.validation[0], five.validation[0])


def test_the_seed_decides() -> None:
    digests = {make_folds(SHUFFLED, folds=5, seed=seed).digest for seed in (0, 0, 1, 2**32 - 1)}
    assert len(digests) == 3


def test_folds_are_the_same_on_every_machine() -> None:
    folds = make_folds(SHUFFLED, folds=2, seed=0, limit_samples=60)
    assert folds.digest == "77ff6a7258176c076536327444e84069bf2297eb40e0023f80f69273e1b22640"


@pytest.mark.parametrize("seed", range(6))
def test_samples_are_dealt_as_scikit_learn_deals_them(seed: int) -> None:
    from sklearn.model_selection import StratifiedKFold

    random = np.random.RandomState(seed)
    count, parts = int(random.randint(200, 400)), int(random.randint(2, 8))
    labels = random.choice(5, size=count, p=[0.5, 0.2, 0.1, 0.1, 0.1])
    folds = make_folds(labels, folds=parts, seed=seed)
    splitter = StratifiedKFold(parts, shuffle=True, random_state=seed)
    expected = [validation for _, validation in splitter.split(np.zeros(count), labels)]
    assert all(map(np.array_equal, folds.validation, expected))


def test_a_limit_takes_a_stratified_subset_of_all_samples() -> None:
    labels = np.repeat(np.arange(4), 500)
    folds = make_folds(labels, folds=5, seed=0, limit_samples=101)
    used = np.sort(np.concatenate(folds.validation))
    assert folds.samples == len(used) == len(np.unique(used)) == 101
    assert used.max() > 1500
    assert sorted(np.bincount(labels[used]).tolist()) == [25, 25, 25, 26]
    other = make_folds(labels, folds=5, seed=1, limit_samples=101)
    assert not np.array_equal(np.sort(np.concatenate(other.validation)), used)


@pytest.mark.parametrize("limit", [99, 100])
def test_a_limit_may_leave_out_one_sample_or_none(limit: int) -> None:
    assert make_folds(SHUFFLED, folds=2, seed=0, limit_samples=limit).samples == limit


@pytest.mark.parametrize(
    ("size", "expected"), [(33, [16, 10, 5, 2]), (10, [5, 3, 2, 0]), (100, [50, 30, 15, 5])]
)
def test_a_part_has_the_classes_in_proportion_and_the_largest_remainders_are_rounded_up(
    size: int, expected: list[int]
) -> None:
    # 33 of 100 are 16.5, 9.9, 4.95 and 1.65 samples: rounded down, 30; three go to the last.
    taken = stratified_part(SHUFFLED, size, seed=0)
    assert np.bincount(SHUFFLED[taken], minlength=4).tolist() == expected
    assert np.array_equal(taken, np.unique(taken))


def test_a_limit_of_one_sample_for_each_class_and_part_is_enough() -> None:
    labels = np.repeat(np.arange(4), 25)
    folds = make_folds(labels, folds=2, seed=0, limit_samples=8)
    assert [np.bincount(labels[part]).tolist() for part in folds.validation] == [[1] * 4] * 2


def test_twenty_folds_are_allowed() -> None:
    assert len(make_folds(np.repeat([0, 1], 20), folds=20, seed=0)) == 20


@pytest.mark.parametrize(("folds", "numbers"), [(1, [2, 3]), (3, [4, 5, 6, 7, 8, 9])])
def test_confirmation_sees_all_folds_twice_more(folds: int, numbers: list[int]) -> None:
    assert list(confirmation_numbers(folds)) == numbers


@pytest.mark.parametrize(("folds", "share"), [(1, 1 / 4), (2, 1), (3, 1 / 2), (5, 1 / 4)])
def test_the_validation_share_is_that_of_the_folds_made(folds: int, share: float) -> None:
    made = make_folds(np.repeat([0, 1], 30), folds=folds, seed=0)
    assert validation_share(folds) == share == len(made.validation[0]) / len(made.train[0])


@pytest.mark.parametrize("count", [-1, 0, 21])
def test_folds_out_of_range_are_refused(count: int) -> None:
    with pytest.raises(SettingsError, match=f"`folds` must be between 2 and 20.*got {count}"):
        make_folds(LABELS, folds=count, seed=0)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(SettingsError, match=f"`seed` must be between .* got {seed}"):
        make_folds(LABELS, folds=2, seed=seed)


def test_a_limit_above_the_samples_gives_their_number() -> None:
    with pytest.raises(SettingsError, match="at most the number of training samples, 100; got 101"):
        make_folds(LABELS, folds=2, seed=0, limit_samples=101)


@pytest.mark.parametrize(("count", "limit", "least"), [(5, 19, 20), (1, 19, 20), (2, -1, 8)])
def test_a_limit_too_small_for_the_folds_gives_the_least(
    count: int, limit: int, least: int
) -> None:
    with pytest.raises(SettingsError, match=f"at least {least},.*got {limit}"):
        make_folds(LABELS, folds=count, seed=0, limit_samples=limit)


def test_a_class_with_fewer_samples_than_folds_is_named_with_its_count() -> None:
    names = ("shirt", "coat", "bag", "boot")
    with pytest.raises(DataError, match=r"at least 6 .*class 3 \(boot\) has 5\..*lower `--folds`"):
        make_folds(LABELS, folds=6, seed=0, task=Classification(names))
    for fewer in ((), names[:3]):
        with pytest.raises(DataError, match="class 3 has 5"):
            make_folds(LABELS, folds=6, seed=0, task=Classification(fewer))


def test_a_class_too_small_through_the_limit_says_so() -> None:
    with pytest.raises(DataError, match=r"class 3 has 2.*raise `--limit-samples`"):
        make_folds(LABELS, folds=5, seed=0, limit_samples=40)


def test_one_class_alone_cannot_be_learnt() -> None:
    with pytest.raises(DataError, match="at least 2 classes; got 1"):
        make_folds(np.zeros(50, np.int64), folds=2, seed=0)


def in_families(*sizes: int) -> NDArray[np.int64]:
    """Return family numbers of as many samples as the sizes add up to, mixed."""
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.RandomState(2).permutation(numbers)


@pytest.mark.parametrize(("count", "limit"), [(1, None), (2, None), (5, None), (3, 90)])
def test_no_family_is_torn(count: int, limit: int | None) -> None:
    groups = in_families(*[9] * 4, *[3] * 15, *[1] * 19)
    folds = make_folds(SHUFFLED, folds=count, seed=0, groups=groups, limit_samples=limit)
    assert folds.samples == (limit or 100)
    for train, validation in zip(folds.train, folds.validation, strict=True):
        assert len(validation)
        assert np.array_equal(np.union1d(train, validation), folds.used)
        assert not np.intersect1d(groups[train], groups[validation]).size
    assert len(np.unique(np.concatenate(folds.validation))) == sum(map(len, folds.validation))


def test_folds_of_families_keep_size_and_proportions_as_far_as_families_allow() -> None:
    chance = np.random.RandomState(3)
    labels = chance.choice(3, size=3000, p=[0.6, 0.3, 0.1])
    groups = in_families(*[30] * 20, *[7] * 300, *[1] * 300)
    for validation in make_folds(labels, folds=5, seed=0, groups=groups).validation:
        assert len(validation) == pytest.approx(600, abs=3)
        shares = np.bincount(labels[validation]) / np.bincount(labels)
        assert shares == pytest.approx([0.2] * 3, abs=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_families_go_the_largest_first_to_the_part_that_has_least_of_their_classes(
    seed: int,
) -> None:
    random = np.random.RandomState(seed)
    labels = random.choice(3, size=300, p=[0.6, 0.3, 0.1])
    groups = in_families(*[12] * 5, *[5] * 28, *[1] * 100)
    totals = [int((labels == label).sum()) for label in range(3)]
    held = [[0] * 3 for _ in range(4)]  # what each part has of each class; what is rare weighs more
    dealt: list[set[int]] = [set() for _ in range(4)]
    order = list(np.random.RandomState(seed).permutation(133))
    for family in sorted(order, key=lambda family: -int((groups == family).sum())):
        rows = np.flatnonzero(groups == family).tolist()
        burdens = [sum(part[labels[row]] for row in rows) for part in held]
        least = burdens.index(min(burdens))
        for row in rows:
            held[least][labels[row]] += 300**2 // totals[labels[row]] ** 2
        dealt[least].update(rows)
    folds = make_folds(labels, folds=4, seed=seed, groups=groups)
    assert [set(part.tolist()) for part in folds.validation] == dealt


def test_a_rare_class_is_spread_though_its_families_are_mostly_of_another() -> None:
    groups = np.arange(200) // 10
    labels = np.zeros(200, np.int64)
    labels[::40] = 1  # one sample in every fourth family
    folds = make_folds(labels, folds=5, seed=0, groups=groups)
    assert [labels[validation].sum() for validation in folds.validation] == [1] * 5


def test_samples_that_take_no_part_leave_their_families() -> None:
    groups = in_families(*[5] * 20)
    gone = np.flatnonzero(groups < 8)
    folds = make_folds(SHUFFLED, folds=2, seed=0, groups=groups, leave_out=gone)
    assert np.array_equal(folds.used, np.flatnonzero(groups >= 8))


def test_families_are_dealt_the_same_on_every_machine_and_anew_for_another_seed() -> None:
    groups = in_families(*[3] * 20, *[1] * 40)
    digests = [make_folds(SHUFFLED, folds=2, seed=seed, groups=groups).digest for seed in (0, 1)]
    assert digests[0] == "84bb974050c92adfe07231eccdbbf13f164851ffce6644dffc95c41e5f9b566b"
    assert digests[1] != digests[0]


def test_one_fold_of_families_is_the_first_of_five() -> None:
    groups = in_families(*[3] * 20, *[1] * 40)
    alone, five = (make_folds(SHUFFLED, folds=n, seed=3, groups=groups) for n in (1, 5))
    assert np.array_equal(alone.validation[0], five.validation[0])


def test_a_class_in_too_few_families_is_named_with_their_number() -> None:
    names = ("shirt", "coat", "bag", "boot")
    groups = np.where(LABELS == 2, 0, np.arange(100))
    groups[np.flatnonzero(LABELS == 2)[0]] = 100  # bags are in two families
    with pytest.raises(DataError, match=r"at least 3 families.*class 2 \(bag\) is in 2\..*lower"):
        make_folds(LABELS, folds=3, seed=0, groups=groups, task=Classification(names))
    assert len(make_folds(LABELS, folds=2, seed=0, groups=groups)) == 2
    with pytest.raises(DataError, match=r"is in 2\. .*raise `--limit-samples`"):
        make_folds(LABELS, folds=3, seed=0, groups=groups, limit_samples=99)


def test_saved_folds_come_back_the_same(tmp_path: Path) -> None:
    folds = make_folds(np.repeat(np.arange(3), 20), folds=12, seed=0)
    folds.save(tmp_path / "folds.npz")
    loaded = Folds.load(tmp_path / "folds.npz")
    assert loaded.digest == folds.digest
    for ours, theirs in zip(
        folds.train + folds.validation, loaded.train + loaded.validation, strict=True
    ):
        assert np.array_equal(ours, theirs)
    assert [path.name for path in tmp_path.iterdir()] == ["folds.npz"]


def test_folds_that_are_missing_damaged_or_changed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "folds.npz"
    with pytest.raises(DataError, match="folds of a study must be a readable file"):
        Folds.load(path)
    make_folds(LABELS, folds=2, seed=0).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(DataError, match=str(path)):
        Folds.load(path)
    other = make_folds(LABELS, folds=2, seed=1)
    arrays = {"train_1": other.train[0], "validation_1": other.validation[0]}
    np.savez(path, digest=np.array(make_folds(LABELS, folds=2, seed=0).digest), **arrays)
    with pytest.raises(DataError, match="digest does not match"):
        Folds.load(path)


@pytest.mark.parametrize(("own", "other"), [(0, 1), (1, 0)])
def test_folds_with_the_digest_of_others_are_refused(tmp_path: Path, own: int, other: int) -> None:
    made = [make_folds(LABELS, folds=2, seed=seed) for seed in (0, 1)]
    parts = {"train": made[own].train, "validation": made[own].validation}
    arrays = {f"{n}_{i}": part for n, both in parts.items() for i, part in enumerate(both, 1)}
    path = tmp_path / "folds.npz"
    np.savez(path, digest=np.array(made[other].digest), **arrays)
    with pytest.raises(DataError, match="digest does not match"):
        Folds.load(path)
    np.savez(path, digest=np.array(made[own].digest), **arrays)
    assert Folds.load(path).digest == made[own].digest


class _Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return open, (str(self.path), "w")  # type: ignore[return-value]


def test_nothing_pickled_is_read_from_a_file_of_folds(tmp_path: Path) -> None:
    path, made = tmp_path / "folds.npz", tmp_path / "made"
    thing = np.array([_Touches(made)], object)
    np.savez(path, digest=thing, train_1=thing, validation_1=thing)
    with pytest.raises(DataError, match="folds of a study must be a readable file"):
        Folds.load(path)
    assert not made.exists()


def test_joined_folds_come_one_after_another() -> None:
    made = [make_folds(LABELS, folds=2, seed=seed) for seed in (0, 1)]
    joined = Folds.joined(iter(made))
    assert len(joined) == 4
    parts = [*made[0].validation, *made[1].validation]
    assert all(map(np.array_equal, joined.validation, parts))
    assert all(map(np.array_equal, joined.train, [*made[0].train, *made[1].train]))


@pytest.mark.parametrize("counts", [(1, 0), (0, 0), (1, 2), (2, 1)])
def test_folds_need_as_many_training_as_validation_parts(counts: tuple[int, int]) -> None:
    train, validation = ((np.arange(3),) * count for count in counts)
    with pytest.raises(ValueError, match=f"got {counts[0]} and {counts[1]}"):
        Folds(train, validation)


MANY = np.random.RandomState(2).permutation(np.repeat(np.arange(3), [600, 300, 100]))


@pytest.mark.parametrize("limit", [100, 500])
def test_further_folds_are_of_as_many_samples_that_the_study_leaves(limit: int) -> None:
    folds = make_folds(MANY, folds=5, seed=0, limit_samples=limit)
    confirmation_folds = make_confirmation_folds(MANY, folds, seeds=[7, 8])
    assert (len(confirmation_folds), confirmation_folds.samples) == (10, limit)
    assert not np.intersect1d(confirmation_folds.used, folds.used).size
    counts = np.bincount(MANY[confirmation_folds.used]) / limit
    assert counts == pytest.approx([0.6, 0.3, 0.1], abs=0.011)
    for start in (0, 5):  # each time every sample is validated once
        parts = np.concatenate(confirmation_folds.validation[start : start + 5])
        assert np.array_equal(np.sort(parts), confirmation_folds.used)
    assert not np.array_equal(confirmation_folds.validation[0], confirmation_folds.validation[5])


def test_further_folds_make_do_with_half_as_many_samples() -> None:
    folds = make_folds(MANY, folds=2, seed=0, limit_samples=666)
    confirmation_folds = make_confirmation_folds(MANY, folds, seeds=[7])
    assert np.array_equal(confirmation_folds.used, np.setdiff1d(np.arange(1000), folds.used))
    folds = make_folds(MANY, folds=2, seed=0, limit_samples=668)
    confirmation_folds = make_confirmation_folds(MANY, folds, seeds=[7])  # 332 are too few alone
    assert confirmation_folds.samples == 668
    assert np.setdiff1d(confirmation_folds.used, folds.used).size == 332


def test_without_unused_samples_further_folds_are_cut_anew_from_all() -> None:
    folds = make_folds(MANY, folds=3, seed=0)
    confirmation_folds = make_confirmation_folds(MANY, folds, seeds=[7, 8])
    again = [make_folds(MANY, folds=3, seed=seed) for seed in (7, 8)]
    assert confirmation_folds.digest == Folds.joined(again).digest


def test_samples_that_are_left_out_are_left_out_of_further_folds() -> None:
    dropped = np.arange(0, 1000, 3)
    folds = make_folds(MANY, folds=2, seed=0, limit_samples=300, leave_out=dropped)
    confirmation_folds = make_confirmation_folds(MANY, folds, seeds=[7], leave_out=dropped)
    assert confirmation_folds.samples == 300
    assert not np.intersect1d(confirmation_folds.used, np.union1d(dropped, folds.used)).size


def test_families_in_use_are_left_out_of_further_folds_and_the_others_stay_whole() -> None:
    families = np.arange(1000) // 4
    labels = families % 2
    folds = make_folds(labels, folds=2, seed=0, limit_samples=80, groups=families)
    confirmation_folds = make_confirmation_folds(labels, folds, seeds=[7, 8], groups=families)
    assert confirmation_folds.samples == 80
    assert not set(families[confirmation_folds.used]) & set(families[folds.used])
    for train, validation in zip(
        confirmation_folds.train, confirmation_folds.validation, strict=True
    ):
        assert not set(families[train]) & set(families[validation])


def test_a_class_with_too_few_unused_samples_is_filled_up_with_used_ones() -> None:
    labels = np.repeat(np.arange(2), [200, 10])
    dropped = np.arange(100, 105)  # so that the rare class is not in proportion
    folds = make_folds(labels, folds=5, seed=0, limit_samples=100, leave_out=dropped)
    rare = np.flatnonzero(labels)
    assert 0 < np.isin(rare, folds.used).sum() < 10
    confirmation_folds = make_confirmation_folds(labels, folds, seeds=[7])
    assert confirmation_folds.samples == 100
    assert 0 < np.setdiff1d(confirmation_folds.used, folds.used).size <= 100
    assert all((labels[part] == 1).any() for part in confirmation_folds.validation)


def unequal(largest: int, *, mixed: bool = True) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return labels and families of 400 samples; the first ones are one family."""
    families = np.arange(400)
    families[:largest] = 0
    labels = np.arange(400) % 2
    if not mixed:
        labels[:largest] = 0
    return labels, families


def test_a_family_larger_than_a_fold_is_told_with_the_numbers() -> None:
    labels, families = unequal(150)
    folds = make_folds(labels, folds=5, seed=0, groups=families)
    text = unevenness(folds, labels, families)
    assert "the largest is 150 of 400 samples" in text
    assert "hold 62 to 150 samples; an even share is 80" in text
    assert "plain mean over folds" in text
    assert "lower `--folds`" in text


def test_a_family_of_one_class_is_told_by_that_classs_share() -> None:
    labels, families = unequal(79, mixed=False)
    folds = make_folds(labels, folds=5, seed=0, groups=families)
    text = unevenness(folds, labels, families)
    shares = [np.mean(labels[part] == 0) for part in folds.validation]
    off = max(abs(share - np.mean(labels == 0)) for share in shares)
    assert f"differ from all samples by up to {100 * off:.0f} points in a class's share" in text


@pytest.mark.parametrize("largest", [1, 40, 80, 86])
def test_folds_that_are_nearly_even_are_not_told(largest: int) -> None:
    labels, families = unequal(largest)
    folds = make_folds(labels, folds=5, seed=0, groups=families)
    assert unevenness(folds, labels, families) == ""


def test_of_a_single_split_an_even_part_is_a_fifth() -> None:
    labels, families = unequal(80)
    folds = make_folds(labels, folds=1, seed=0, groups=families)
    assert unevenness(folds, labels, families) == ""
    labels, families = unequal(150)
    folds = make_folds(labels, folds=1, seed=0, groups=families)
    assert "an even share is 80" in unevenness(folds, labels, families)
