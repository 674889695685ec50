"""Which samples are held out to try a final model's training."""

from types import SimpleNamespace

import numpy as np
import pytest

from search.analysis.library import parts_of
from search.data.splits import Split, make_folds
from search.export.evidence import Belief
from search.export.held_out import HeldOut, cuts
from search.tasks import Classification
from tests.studies import CLASSES

TASK = Classification(tuple(CLASSES[:2]))
SETTINGS = {"folds": 5, "seed": 1, "split": "stratified"}


def dataset_of(samples, **extras):
    labels = np.random.default_rng(0).integers(0, 2, samples)
    return SimpleNamespace(train_labels=labels, task=TASK, train_extra=extras.get)


def folds_of(dataset, limit=None, **more):
    split = Split.parse(more.pop("split", "stratified"))
    return make_folds(
        dataset.train_labels,
        task=TASK,
        folds=5,
        seed=1,
        split=split,
        limit_samples=limit,
        **more,
    )


def cuts_of(dataset, folds, used, **more):
    return cuts(SimpleNamespace(settings=SETTINGS | more), dataset, folds, used)


@pytest.mark.parametrize(("samples", "parts"), [(400, 5), (1_500, 4), (3_000, 2), (5_000, 1)])
def test_as_many_of_the_studys_folds_are_held_out_as_tell_enough(samples, parts):
    dataset = dataset_of(samples)
    folds = folds_of(dataset)
    found = cuts_of(dataset, folds, folds.used)
    assert len(found) == parts
    for number, (train, own) in enumerate(found):
        assert train.tolist() == folds.train[number].tolist()
        assert own.tolist() == folds.validation[number].tolist()


def test_more_samples_than_the_search_had_are_cut_as_its_folds_are():
    dataset = dataset_of(6_000)
    folds = folds_of(dataset, limit=500)
    ((train, own),) = cuts_of(dataset, folds, np.arange(6_000))
    assert len(own) == 1_200
    assert sorted([*train, *own]) == list(range(6_000))
    assert dataset.train_labels[own].mean() == pytest.approx(dataset.train_labels.mean(), abs=1e-3)


def test_groups_are_not_torn():
    groups = np.repeat(np.arange(600), 10)
    dataset = dataset_of(6_000, groups=groups)
    folds = folds_of(dataset, limit=500, groups=groups, split="group")
    ((train, own),) = cuts_of(dataset, folds, np.arange(6_000), split="group")
    assert len(own) > 1_000
    assert not set(groups[train]) & set(groups[own])


def test_the_latest_samples_are_held_out_where_there_is_a_time():
    time = np.random.default_rng(3).permutation(6_000).astype(float)
    dataset = dataset_of(6_000, time=time)
    folds = folds_of(dataset, time=time, split="time")
    train, own = cuts_of(dataset, folds, folds.used, split="time")[0]
    assert time[train].max() < time[own].min()
    assert time[own].max() == 5_999


def test_repeats_hold_no_sample_out_twice():
    dataset = dataset_of(300)
    folds = folds_of(dataset, split="repeated:2")
    found = cuts_of(dataset, folds, folds.used, split="repeated:2")
    assert len(found) == 5
    assert sorted(np.concatenate([own for _, own in found])) == list(range(300))


def test_parts_for_nested_fits_share_no_group():
    groups = np.arange(100) // 3
    held = HeldOut(np.zeros((100, 2)), np.zeros(100), TASK, None, groups, np.arange(100) % 5, 100)
    found = list(held.splits())
    assert len(found) == 5
    for others, own in found:
        assert not set(groups[others]) & set(groups[own])


def test_samples_that_are_held_out_several_times_are_counted_once():
    source = np.random.default_rng(4)
    given = [(own, np.setdiff1d(np.arange(300), own)) for own in _drawn(source)]
    dataset = dataset_of(300)
    folds = SimpleNamespace(
        train=[train for train, _ in given],
        validation=[own for _, own in given],
        samples=300,
        groups=None,
        time=None,
    )
    found = cuts_of(dataset, folds, np.arange(300))
    assert len(found) == 9  # 1,350 rows, of no more than 300 samples
    rows = np.concatenate([own for _, own in found])
    fold = np.repeat(np.arange(9), 150)
    chances = source.random((len(rows), 2))
    tried = HeldOut(
        chances / chances.sum(axis=1, keepdims=True),
        dataset.train_labels[rows],
        TASK,
        None,
        rows,
        parts_of(fold, rows),
        len(np.unique(rows)),
    )
    for others, own in tried.splits():
        assert not set(rows[others]) & set(rows[own])
    known = Belief.of_held_out(tried)
    assert known.held_out == tried.samples <= 300
    assert known.conformal.samples <= 300
    assert known.conformal.most <= 300 / 301


def _drawn(source):
    """Return nine training parts, each half of 300 samples."""
    return [np.sort(source.permutation(300)[:150]) for _ in range(9)]


@pytest.mark.parametrize(
    ("count", "right", "told"),
    [
        (60, 0.8, "; 60 independent samples are few for that"),
        (60, 0.5, "; that is the end of what is tried, so that they may still be off"),
        (400, 0.8, "(nested)"),
    ],
)
def test_what_speaks_against_a_calibration_is_told_with_it(count, right, told):
    targets = np.arange(count) % 2
    hits = np.arange(count) % 20 < 20 * right
    second = np.where(targets == hits, 0.99999, 0.00001)
    ids = np.arange(count)
    parts = ids // 20 % 5 if count > 60 else ids // 20
    values = np.stack([1 - second, second], axis=1)
    known = Belief.of_held_out(HeldOut(values, targets, TASK, None, ids, parts, count))
    assert f"of {count} samples held out" in known.told
    assert known.told.endswith(told)


def test_parts_whose_samples_count_for_nothing_are_left_out():
    parts = np.arange(20) % 4
    known = HeldOut(
        values=np.full((20, 2), 0.5),
        targets=parts % 2,
        task=Classification(("no", "yes")),
        weights=(parts != 1).astype(float),
        ids=np.arange(20),
        parts=parts,
        samples=20,
    )
    assert [set(parts[own]) for _, own in known.splits()] == [{0}, {2}, {3}]
