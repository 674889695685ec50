"""On how many samples, and for how many epochs, a final model is trained."""

from dataclasses import replace

import numpy as np
import pytest

from search.data import load
from search.data.duplicates import find_duplicates
from search.data.folds import Folds
from search.data.splits import make_folds
from search.export.extent import Length, about, all_samples, expected_seconds, length_of
from tests.studies import StudyBuilder


def started(**settings):
    record = StudyBuilder().records[0]
    return replace(record, settings={**record.settings, **settings})


def numbers(folder, rows=60, copies=6):
    """Return a dataset of numbers, the first of which are there twice."""
    x = np.arange(rows, dtype=np.float32)[:, None] * [1.0, 2.0]
    x[rows - copies :] = x[:copies]
    y = np.arange(rows) % 2
    y[rows - copies :] = y[:copies]
    np.savez(
        folder / "d.npz", x_train=x, y_train=y, x_test=x[:4] + 0.5, y_test=np.array([0, 1, 0, 1])
    )
    return load(f"npz:{folder / 'd.npz'}", home=folder, data_dir=None, notify=lambda text: None)


def test_all_are_all_of_the_dataset_however_many_the_search_used(tmp_path):
    dataset = numbers(tmp_path)
    folds = make_folds(dataset.train_labels, folds=2, seed=0, limit_samples=20)
    assert folds.samples == 20
    found = all_samples(started(limit_samples=20), dataset, folds)
    assert np.array_equal(found, np.arange(60))


def test_what_duplicates_leave_out_stays_out(tmp_path):
    dataset = numbers(tmp_path)
    left = find_duplicates(dataset).droppable
    assert len(left) == 6
    folds = make_folds(dataset.train_labels, folds=2, seed=0, limit_samples=20)
    found = all_samples(started(limit_samples=20, drop_duplicates=True), dataset, folds)
    assert np.array_equal(found, np.setdiff1d(np.arange(60), left))


def test_what_a_users_splitter_left_out_stays_out(tmp_path):
    dataset = numbers(tmp_path)
    folds = Folds((np.arange(10),), (np.arange(20, 30),))
    found = all_samples(started(split="splitter"), dataset, folds)
    assert np.array_equal(found, [*range(10), *range(20, 30)])


def trial_of(*chosen, seconds=2.0):
    """Return a trial whose folds trained 20 epochs and chose these by early stopping."""
    study = StudyBuilder(folds=len(chosen))
    study.session(trials=1)
    study.complete_trial(0)
    trial = study.history.trials[0]
    for number, epoch in enumerate(chosen, start=1):
        fold = trial.folds[number]
        fold.ended = replace(fold.ended, scored_epoch=epoch, epochs=20, seconds=seconds)
    return trial


def test_early_stopping_is_replaced_by_the_median_of_what_folds_chose():
    params = {"epochs": 30, "early_stopping": True, "patience": 3}
    found = length_of(trial_of(4, 9, 7, 30, 6), params, ratio=1.0, replays=True)
    assert (found.epochs, found.until, found.most) == (30, 7, 7)
    assert found.why == "the median of what 5 folds chose by early stopping"


@pytest.mark.parametrize("changed", [{"ratio": 1.6}, {"replays": False}])
def test_an_inner_part_decides_again_with_many_more_samples_or_where_others_look_at_it(changed):
    params = {"epochs": 30, "early_stopping": True}
    asked = {"ratio": 1.0, "replays": True, **changed}
    assert length_of(trial_of(4, 9, 7), params, **asked) == Length(30)


def test_epochs_that_are_given_stay_however_many_samples_come():
    assert length_of(trial_of(12, 12), {"epochs": 12}, ratio=30.0, replays=True) == Length(12)
    assert length_of(trial_of(12, 12), {}, ratio=30.0, replays=True) is None  # `fit` sets them


def test_the_expected_time_grows_with_samples_and_epochs_but_for_what_is_not_an_epoch():
    rows = np.arange(100)
    folds = Folds((rows[:50], rows[50:]), (rows[50:], rows[:50]))
    trial = trial_of(20, 20, seconds=50.0)  # 50 samples, 20 epochs
    for fold in trial.folds.values():  # of 2 seconds, so that 10 are for all else
        first = next(iter(fold.epochs.values()))
        fold.epochs = {n: replace(first, epoch=n, at=1000.0 + 2 * n) for n in range(1, 21)}

    def expected(samples, length):
        return expected_seconds(trial, folds, samples=samples, length=length)

    assert expected(50, Length(20)) == pytest.approx(50)
    assert expected(100, Length(20)) == pytest.approx(10 + 80)
    assert expected(5000, Length(20)) == pytest.approx(10 + 4000)
    assert expected(50, Length(20, 5)) == pytest.approx(10 + 10)
    for fold in trial.folds.values():
        fold.epochs = {}
    assert expected(100, Length(20)) == pytest.approx(100)  # nothing is known of the epochs
    assert [about(s) for s in (0.2, 64, 200, 9000)] == [
        *("about 1 s", "about 64 s", "about 3 min", "about 2.5 h")
    ]
