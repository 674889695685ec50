import warnings

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from search.tasks import Classification, MultiLabel, Regression
from search.tasks.classification import ClassPredictions, Outputs
from search.tasks.reliability import (
    brier_score,
    reliability,
    reliability_of,
    scores_of_probabilities,
)

TWO, THREE = Classification(("no", "yes")), Classification(("a", "b", "c"))


def shares_of(samples: int, classes: int, seed: int = 0, power: float = 1.0):
    """Return probabilities, and labels that have them if the power is 1."""
    source = np.random.default_rng(seed)
    true = source.dirichlet(np.ones(classes), samples)
    labels = (true.cumsum(axis=1) > source.random((samples, 1))).argmax(axis=1)
    sharp = true**power
    return sharp / sharp.sum(axis=1, keepdims=True), labels


def test_bins_are_those_of_scikit_learn():
    values, labels = shares_of(1_000, 2)
    found = reliability_of(values, labels, TWO)
    observed, predicted = calibration_curve(labels, values[:, 1], n_bins=15, strategy="quantile")
    assert found.predicted == pytest.approx(predicted)
    assert found.observed == pytest.approx(observed)
    assert found.counts.sum() == 1_000
    error = np.abs(observed - predicted)
    assert found.error == pytest.approx(np.average(error, weights=found.counts))


def test_brier_scores_are_those_of_scikit_learn():
    weights = np.random.default_rng(2).uniform(0.1, 3, 300)
    for own in (None, weights):
        values, labels = shares_of(300, 2)
        expected = brier_score_loss(labels, values[:, 1], sample_weight=own)
        assert brier_score(values, labels, TWO, own) == pytest.approx(expected)
        values, labels = shares_of(300, 3)  # older versions score two classes only
        each = [brier_score_loss(labels == n, values[:, n], sample_weight=own) for n in range(3)]
        assert brier_score(values, labels, THREE, own) == pytest.approx(sum(each))
    values = np.random.default_rng(1).random((300, 3))
    targets = (values > 0.5).astype(np.uint8)
    each = [brier_score_loss(targets[:, n], values[:, n]) for n in range(3)]
    assert brier_score(values, targets, MultiLabel(("a", "b", "c"))) == pytest.approx(np.mean(each))


def test_few_samples_have_fewer_bins_and_one_still_has_one():
    values, labels = shares_of(60, 3)
    assert len(reliability_of(values, labels, THREE).counts) == 3
    one = reliability(np.array([0.8]), np.array([1]))
    assert one.error == pytest.approx(0.2)
    with pytest.raises(ValueError, match="at least one"):
        reliability(np.array([]), np.array([]))


def test_equal_probabilities_are_in_one_bin():
    found = reliability(np.full(400, 0.7), np.arange(400) % 10 < 7)
    assert found.counts.tolist() == [400]
    assert found.error == pytest.approx(0)
    assert found.low[0] < 0.7 < found.high[0]


def test_perfect_probabilities_have_the_error_that_is_told_of_chance():
    errors = []
    for seed in range(60):
        values, labels = shares_of(600, 3, seed)
        found = reliability_of(values, labels, THREE)
        errors.append(found.error)
    assert np.mean(errors) == pytest.approx(found.error_by_chance, rel=0.1)
    values, labels = shares_of(600, 3, power=3)
    assert reliability_of(values, labels, THREE).error > max(errors)


def test_weights_count_as_samples_that_are_repeated():
    values, labels = shares_of(300, 2)
    counts = np.random.default_rng(3).integers(0, 4, 300)
    rows = np.repeat(np.arange(300), counts)
    weighted = reliability(values[:, 1], labels, counts, bins=1)
    repeated = reliability(values[rows, 1], labels[rows], bins=1)
    assert weighted.error == pytest.approx(repeated.error)
    assert weighted.by_chance > repeated.by_chance  # copies tell nothing new


def test_a_bin_counts_by_the_weights_of_its_samples():
    shares, truth = np.repeat([0.2, 0.8], 40), np.ones(80)
    truth[20:40] = 0  # half of those that were given 0.2, all of those that were given 0.8
    weights = np.repeat([9, 1], 40)
    weighted = reliability(shares, truth, weights, bins=2)
    repeated = reliability(np.repeat(shares, weights), np.repeat(truth, weights), bins=2)
    assert weighted.error == pytest.approx(repeated.error) == pytest.approx(0.9 * 0.3 + 0.1 * 0.2)
    assert weighted.counts.tolist() == [40, 40]


def test_numbers_have_no_probabilities():
    with pytest.raises(ValueError, match="no probabilities"):
        reliability_of(np.ones((3, 1)), np.ones((3, 1)), Regression(("price",)))


def test_all_probabilities_come_back_from_half_the_bytes(tmp_path):
    values, labels = shares_of(500, 4, power=6)
    exact = values.astype(np.float32)
    ClassPredictions.of(exact, labels, Outputs("probabilities", 4)).save(tmp_path / "fold.npz")
    loaded = ClassPredictions.load(tmp_path / "fold.npz")
    assert loaded.halves.dtype == np.float16
    found = loaded.probabilities
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert found == pytest.approx(exact, rel=1e-3, abs=1e-7)
    leftover = 1 - exact.max(axis=1).astype(np.float64)
    assert 1 - found.max(axis=1) == pytest.approx(leftover, rel=2e-3, abs=2e-7)


def test_scores_and_files_of_earlier_versions_have_no_probabilities():
    values, labels = shares_of(50, 3)
    of_scores = ClassPredictions.of(values, labels, Outputs("scores", 3))
    of_earlier = ClassPredictions.of(values, labels)
    for known in (of_scores, of_earlier):
        assert known.probabilities is None
        assert scores_of_probabilities(known, THREE) == {}
    now = ClassPredictions.of(values, labels, Outputs("probabilities", 3))
    assert set(scores_of_probabilities(now, THREE)) == {"cv_ece", "cv_brier"}
    assert ClassPredictions.joined([now, of_earlier]).probabilities is None


def test_no_warning_comes_of_probabilities_that_are_certain():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = reliability(np.array([0.0, 1.0] * 100), np.array([0, 1] * 100))
    assert found.error == 0
    assert found.error_by_chance == 0
