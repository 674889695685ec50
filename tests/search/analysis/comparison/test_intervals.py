import pytest
from scipy.stats import binomtest

from search.analysis.comparison.statistics import over_folds, wilson


@pytest.mark.parametrize(
    ("right", "samples"), [(0, 1), (1, 1), (0, 10), (10, 10), (45, 50), (8999, 10_000)]
)
def test_the_interval_of_a_share_is_wilsons(right, samples):
    expected = binomtest(right, samples).proportion_ci(0.95, method="wilson")
    assert wilson(right / samples, samples) == pytest.approx((expected.low, expected.high))


def test_rounding_takes_no_interval_of_a_share_beyond_nought_and_one():
    ends = [wilson(share, samples) for share in (0.0, 1.0) for samples in range(1, 2000)]
    assert min(low for low, _ in ends) == 0.0
    assert max(high for _, high in ends) == 1.0


def test_of_no_samples_nothing_is_known():
    assert wilson(0.0, 0) == (0.0, 1.0)


def test_the_interval_over_folds_allows_for_overlapping_training_parts():
    # By hand: t(0.975, 4) sqrt((1/5 + 1/4) 0.0002) = 2.776445 x 0.00948683 = 0.0263396.
    found = over_folds([0.78, 0.80, 0.80, 0.82, 0.80], test_share=0.25)
    assert found == pytest.approx((0.8 - 0.0263396, 0.8 + 0.0263396), abs=1e-6)


def test_it_stays_within_nought_and_one_and_needs_two_folds():
    assert over_folds([0.5, 0.9, 0.7], test_share=0.5) == (0.0, 1.0)
    assert over_folds([0.97, 0.99, 0.98], test_share=0.5)[1] == 1.0
    assert over_folds([0.9], test_share=0.25) is None
