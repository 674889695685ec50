import numpy as np
import pytest
from scipy import stats

from search.analysis.comparison.ranks import critical_difference, rank, together

# Demšar 2006, table 6: C4.5 plain, with m, with cf, with both, on 14 data sets. In `voting` the
# third stands at 0.9751, as he ranks it before the fourth, which rounds to the same.
AUC = """
0.763 0.768 0.771 0.798
0.599 0.591 0.590 0.569
0.954 0.971 0.968 0.967
0.628 0.661 0.654 0.657
0.882 0.888 0.886 0.898
0.936 0.931 0.916 0.931
0.661 0.668 0.609 0.685
0.583 0.583 0.563 0.625
0.775 0.838 0.866 0.875
1.000 1.000 1.000 1.000
0.940 0.962 0.965 0.962
0.619 0.666 0.614 0.669
0.972 0.981 0.9751 0.975
0.957 0.978 0.946 0.970
"""
SCORES = np.array([float(word) for word in AUC.split()]).reshape(14, 4).T


def test_mean_ranks_are_those_of_the_published_example():
    assert rank(SCORES).ranks == pytest.approx((3.143, 2.000, 2.893, 1.964), abs=5e-4)


def test_friedmans_statistic_is_that_of_the_published_example_but_for_its_ties():
    # He does not correct for ties: three pairs and one quadruple.
    ties = 1 - (3 * (2**3 - 2) + 4**3 - 4) / (14 * 4 * (4**2 - 1))
    assert rank(SCORES).statistic * ties == pytest.approx(9.28, abs=0.005)


def test_friedmans_test_is_scipys():
    found, expected = rank(SCORES), stats.friedmanchisquare(*SCORES)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)


def test_the_critical_difference_is_that_of_the_published_example():
    # The paper's 1.25 and, for level 0.10, 1.12.
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, level=0.9) == pytest.approx(1.12, abs=0.005)


def test_critical_values_are_those_of_the_published_table():
    # Demšar 2006, table 5 (a).
    published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    found = [critical_difference(k, 10) / np.sqrt(k * (k + 1) / 60) for k in range(2, 11)]
    assert found == pytest.approx(published, abs=1.1e-3)


def test_models_nearer_than_the_critical_difference_are_together():
    assert together([1.0, 3.0, 1.5, 2.4], 1.0) == ((0, 2), (2, 3), (3, 1))
    assert together([1.0, 1.2, 1.4, 4.0], 1.0) == ((0, 1, 2),)
    assert together([1.0, 2.0, 3.0], 1.0) == ()


def test_equal_scores_share_their_ranks_though_rounding_disturbs_them():
    found = rank([[0.1 + 0.2, 0.5], [0.3, 0.5], [0.1, 0.5]])
    assert found.ranks == pytest.approx((1.75, 1.75, 2.5))


def test_models_that_never_differ_have_p_one():
    found = rank(np.full((3, 5), 0.7))
    assert (found.statistic, found.p, found.groups) == (0, 1, ((0, 1, 2),))


def test_of_models_that_their_scores_chose_p_and_the_critical_difference_allow_for_it():
    plain, chosen = rank(SCORES), rank(SCORES, level=0.9, choices=20)
    assert chosen.p == pytest.approx(20 * plain.p)
    assert rank(SCORES, choices=10**6).p == 1
    assert chosen.critical_difference == critical_difference(4, 14, level=1 - 0.1 / 20)
    assert (chosen.ranks, chosen.statistic) == (plain.ranks, plain.statistic)


@pytest.mark.parametrize("shape", [(2, 5), (3, 1)])
def test_fewer_than_three_models_or_two_folds_are_refused(shape):
    with pytest.raises(ValueError, match="three models and two folds"):
        rank(np.full(shape, 0.5))
