import numpy as np
import pytest

from search.analysis.comparison.confusion import differing_cells, share_differences, shares

FIRST = [[8, 2, 0], [0, 10, 0], [5, 0, 15]]
SECOND = [[6, 2, 2], [0, 10, 0], [0, 0, 20]]


def test_counts_become_shares_of_their_row():
    assert shares(FIRST) == pytest.approx(np.array([[0.8, 0.2, 0], [0, 1, 0], [0.25, 0, 0.75]]))


def test_a_class_without_samples_has_no_shares_and_no_difference():
    empty = [[0, 0], [1, 3]]
    assert np.isnan(shares(empty)[0]).all()
    found = differing_cells(empty, [[2, 2], [1, 3]], diagonal=True)
    assert found == ()


def test_the_difference_is_first_minus_second():
    found = share_differences(FIRST, SECOND)
    assert found == pytest.approx(np.array([[0.2, 0, -0.2], [0, 0, 0], [0.25, 0, -0.25]]))


def test_classes_stand_in_the_order_of_how_much_they_differ():
    found = differing_cells(FIRST, SECOND, diagonal=True)
    assert [(c.true, c.predicted) for c in found] == [(2, 2), (0, 0)]
    assert (found[0].first, found[0].second, found[0].samples) == (0.75, 1.0, 20)
    assert found[0].difference == -0.25


def test_confused_pairs_are_apart_from_classes_and_cut_at_the_most_wanted():
    assert [(c.true, c.predicted) for c in differing_cells(FIRST, SECOND, diagonal=False)] == [
        (2, 0),
        (0, 2),
    ]
    assert len(differing_cells(FIRST, SECOND, diagonal=False, most=1)) == 1


def test_differences_that_are_equal_but_for_rounding_stand_by_number():
    first, second = [[3, 7], [2, 8]], [[2, 8], [3, 7]]  # 0.3 - 0.2 is less than 0.8 - 0.7
    assert [c.true for c in differing_cells(first, second, diagonal=True)] == [0, 1]


def test_matrices_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="as many classes; got 2 and 3"):
        share_differences([[1, 0], [0, 1]], FIRST)
