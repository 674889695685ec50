import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from search.analysis.comparison.selection import NAMED, Choice, critical_t, selected_p
from search.analysis.comparison.statistics import (
    corrected_difference,
    holm,
    mcnemar,
    mcnemar_p,
    unpaired_difference,
    wilcoxon,
)

FIRST = [0.91, 0.89, 0.93, 0.90, 0.92]
SECOND = [0.88, 0.885, 0.90, 0.91, 0.895]
OTHER = [0.80, 0.86, 0.83]


def test_without_overlap_the_corrected_test_is_the_paired_t_test():
    found = corrected_difference(FIRST, SECOND, test_share=0)
    expected = stats.ttest_rel(FIRST, SECOND)
    low, high = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.mean == pytest.approx(0.016)
    assert found.folds == 5


def test_the_variance_is_one_over_j_plus_the_share_of_test_to_training_samples():
    # Nadeau & Bengio 2003, equation 9; of five folds 1/5 + 1/4.
    differences = np.subtract(FIRST, SECOND)
    t = differences.mean() / np.sqrt((1 / 5 + 1 / 4) * differences.var(ddof=1))
    found = corrected_difference(FIRST, SECOND, test_share=1 / 4)
    assert found.p == pytest.approx(2 * stats.t.sf(t, 4))
    reach = stats.t.ppf(0.975, 4) * differences.mean() / t
    assert (found.low, found.high) == pytest.approx((0.016 - reach, 0.016 + reach))


def test_a_higher_level_makes_a_wider_interval():
    narrow = corrected_difference(FIRST, SECOND, test_share=0.25, level=0.9)
    wide = corrected_difference(FIRST, SECOND, test_share=0.25, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_one_fold_has_a_difference_and_no_interval():
    found = corrected_difference([0.9], [0.8], test_share=0.25)
    assert found.mean == pytest.approx(0.1)
    assert (found.low, found.high, found.p, found.folds) == (None, None, None, 1)
    unpaired = unpaired_difference([0.9], OTHER, first_share=0.25, second_share=0.5)
    assert (unpaired.p, unpaired.folds) == (None, 1)


def test_equal_scores_have_p_one_and_an_interval_of_no_width():
    found = corrected_difference(FIRST, FIRST, test_share=0.25)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_the_same_difference_in_all_folds_has_p_zero_though_rounding_disturbs_it():
    first, second = [0.3, 0.8, 0.9], [0.2, 0.7, 0.8]
    assert len(set(np.subtract(first, second).tolist())) > 1  # 0.1 but for rounding
    found = corrected_difference(first, second, test_share=0.5)
    assert found.low == found.high == found.mean == pytest.approx(0.1)
    assert found.p == 0


@pytest.mark.parametrize(
    ("first", "second", "share", "level"),
    [
        ([], [], 0.25, 0.95),
        ([0.1], [0.1, 0.2], 0.25, 0.95),
        ([0.1, float("nan")], [0.1, 0.2], 0.25, 0.95),
        ([0.1, 0.3], [0.1, 0.2], -0.1, 0.95),
        ([0.1, 0.3], [0.1, 0.2], 0.25, 1.0),
    ],
)
def test_what_is_no_comparison_is_refused(first, second, share, level):
    with pytest.raises(ValueError, match=r"must|share"):
        corrected_difference(first, second, test_share=share, level=level)


def test_without_overlap_the_unpaired_test_is_welchs():
    found = unpaired_difference(FIRST, OTHER, first_share=0, second_share=0)
    expected = stats.ttest_ind(FIRST, OTHER, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_overlap_widens_the_unpaired_interval_by_each_ones_share():
    plain = unpaired_difference(FIRST, OTHER, first_share=0, second_share=0)
    one = unpaired_difference(FIRST, OTHER, first_share=0.25, second_share=0)
    both = unpaired_difference(FIRST, OTHER, first_share=0.25, second_share=0.5)
    assert plain.high - plain.low > one.high - one.low  # Welch's degrees of freedom grew
    assert both.p > plain.p
    first, other = (np.var(scores, ddof=1) for scores in (FIRST, OTHER))
    variance = (1 / 5 + 1 / 4) * first + (1 / 3 + 1 / 2) * other
    parts = ((1 / 5 + 1 / 4) * first) ** 2 / 4 + ((1 / 3 + 1 / 2) * other) ** 2 / 2
    reach = stats.t.ppf(0.975, variance**2 / parts) * np.sqrt(variance)
    assert both.high - both.low == pytest.approx(2 * reach)


def test_unpaired_scores_without_spread_differ_surely_or_not_at_all():
    shares = {"first_share": 0.25, "second_share": 0.25}
    assert unpaired_difference([0.9, 0.9], [0.8, 0.8], **shares).p == 0
    assert unpaired_difference([0.9, 0.9], [0.9, 0.9], **shares).p == 1


@pytest.mark.slow
def test_wilcoxon_is_scipys_on_the_differences_that_are_not_zero():
    # C4.5 with and without tuned m on 14 data sets: Demšar 2006, table 2.
    plain = [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.0, 0.94]
    plain += [0.619, 0.972, 0.957]
    tuned = [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.0, 0.962]
    tuned += [0.666, 0.981, 0.978]
    differences = np.round(np.subtract(tuned, plain), 12)
    expected = stats.wilcoxon(differences[differences != 0])
    assert wilcoxon(tuned, plain) == pytest.approx(expected.pvalue)
    assert wilcoxon(tuned, plain) < 0.05  # his conclusion


def test_wilcoxon_needs_six_differences():
    six = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    assert wilcoxon(six, np.zeros(6)) == pytest.approx(2 / 2**6)
    assert wilcoxon([*six[:5], 0.0, 0.0], np.zeros(7)) is None


def test_wilcoxon_ties_differences_that_are_equal_but_for_rounding():
    first = [0.3, 0.7, 0.9, 0.5, 0.6, 0.8, 0.4]
    second = [0.2, 0.6, 0.8, 0.4, 0.7, 0.7, 0.3]
    exact = np.array([1, 1, 1, 1, -1, 1, 1])
    assert wilcoxon(first, second) == pytest.approx(stats.wilcoxon(exact).pvalue)


def test_mcnemar_is_exact_for_few_discordant_samples():
    # 1 and 7 of them: Fagerland, Lydersen & Laake 2013, "The McNemar test for binary matched-pairs
    # data", table 1.
    assert mcnemar_p(1, 7) == pytest.approx(0.0703, abs=5e-5)
    assert mcnemar_p(6, 16) == pytest.approx(stats.binomtest(6, 22).pvalue)
    assert mcnemar_p(0, 0) == mcnemar_p(5, 5) == 1


def test_mcnemar_is_chi_squared_with_correction_for_many():
    # Agresti 1990, "Categorical data analysis", page 350: 150 and 86; (|150 - 86| - 1)² / 236.
    assert mcnemar_p(150, 86) == pytest.approx(stats.chi2.sf(63**2 / 236, 1))
    assert mcnemar_p(86, 150) == mcnemar_p(150, 86)
    assert mcnemar_p(20, 20) == 1


def test_the_exact_test_ends_at_25_discordant_samples():
    assert mcnemar_p(6, 18) == pytest.approx(stats.binomtest(6, 24).pvalue)
    assert mcnemar_p(6, 19) == pytest.approx(stats.chi2.sf(12**2 / 25, 1))


@pytest.mark.parametrize(("discordant", "exact"), [(24, True), (25, False)])
def test_mcnemar_says_whether_its_p_is_exact(discordant, exact):
    first = np.ones(30, bool)
    assert mcnemar(first, np.arange(30) >= discordant).exact == exact


@pytest.mark.parametrize("shares", [(-0.1, 0.2), (0.2, -0.1)])
def test_each_share_of_an_unpaired_comparison_is_checked(shares):
    with pytest.raises(ValueError, match=r"must not be below 0; got -0\.1"):
        unpaired_difference(FIRST, OTHER, first_share=shares[0], second_share=shares[1])


def test_mcnemar_counts_what_only_one_gets_right():
    first = np.array([True, True, True, False, False])
    second = np.array([True, False, False, True, False])
    found = mcnemar(first, second)
    assert (found.first, found.second, found.exact) == (2, 1, True)
    assert found.p == 1
    with pytest.raises(ValueError, match="as many samples"):
        mcnemar(first, second[:3])


def test_holm_multiplies_the_smallest_p_by_their_number():
    # Holm 1979's procedure by hand: 0.005 * 4, 0.01 * 3, then 0.03 * 2, then no less than that.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_lowers_nothing(values):
    corrected = holm(values)
    assert all(value <= new <= 1 for value, new in zip(values, corrected, strict=True))
    pairs = sorted(zip(values, corrected, strict=True))
    assert [new for _, new in pairs] == sorted(new for _, new in pairs)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20))
def test_swapping_the_two_mirrors_the_difference(scores):
    first, second = zip(*scores, strict=True)
    one = corrected_difference(first, second, test_share=0.25)
    other = corrected_difference(second, first, test_share=0.25)
    assert one.mean == pytest.approx(-other.mean)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p == pytest.approx(other.p)


def test_a_choice_moves_the_end_that_it_speaks_against_and_p():
    plain = corrected_difference(FIRST, SECOND, test_share=0.25)
    error = (plain.high - plain.mean) / stats.t.ppf(0.975, 4)
    first = corrected_difference(FIRST, SECOND, test_share=0.25, choices=(Choice(20), NAMED))
    assert first.high == plain.high
    assert first.low == pytest.approx(
        first.mean - error * critical_t(0.95, freedom=4, choice=Choice(20))
    )
    assert first.p == pytest.approx(
        selected_p(first.mean / error, freedom=4, choice=Choice(20)), rel=1e-9
    )
    second = corrected_difference(FIRST, SECOND, test_share=0.25, choices=(NAMED, Choice(20)))
    assert (second.low, second.p) == (plain.low, plain.p)  # the one ahead was not chosen
    assert second.high == pytest.approx(2 * second.mean - first.low)
    behind = corrected_difference(SECOND, FIRST, test_share=0.25, choices=(Choice(20), NAMED))
    assert behind.p == plain.p
    assert behind.low == pytest.approx(-second.high)


def test_peers_tell_the_noise_where_they_have_more_of_it_than_the_two():
    peers = [[0.5, 0.9, 0.4, 0.8, 0.6], [0.7, 0.5, 0.9, 0.6, 0.8]]
    table = np.array([FIRST, SECOND, *peers])
    left = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    noise = (left**2).sum() / (3 * 4)
    choices = NAMED, Choice(6)
    found = corrected_difference(FIRST, SECOND, test_share=0.25, peers=peers, choices=choices)
    error = np.sqrt((1 / 5 + 1 / 4) * 2 * noise)
    reach = error * critical_t(0.95, freedom=12, choice=Choice(6))
    assert found.high - found.mean == pytest.approx(reach)
    plain = corrected_difference(FIRST, SECOND, test_share=0.25)
    assert (found.low, found.p, found.folds) == (plain.low, plain.p, 5)  # the first was named
    turned = corrected_difference(SECOND, FIRST, test_share=0.25, peers=peers, choices=choices)
    expected = selected_p(abs(found.mean) / error, freedom=12, choice=Choice(6))
    assert turned.p == pytest.approx(expected)


def test_of_calm_peers_only_the_degrees_of_freedom_count():
    calm = [np.array(FIRST) + 0.01, np.array(FIRST) + 0.02]  # what is left is less than the two's
    choices = Choice(40), NAMED
    plain = corrected_difference(FIRST, SECOND, test_share=0.25)
    found = corrected_difference(FIRST, SECOND, test_share=0.25, peers=calm, choices=choices)
    error = (plain.high - plain.mean) / stats.t.ppf(0.975, 4)
    reach = error * critical_t(0.95, freedom=12, choice=Choice(40))
    assert found.mean - found.low == pytest.approx(reach)
    with pytest.raises(ValueError, match="peers must have as many folds, 5"):
        corrected_difference(FIRST, SECOND, test_share=0.25, peers=[[0.1, 0.2]])


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=2, max_size=9),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_no_choice_makes_a_claim_easier(table, first, second):
    one, other, *peers = table
    plain = corrected_difference(one, other, test_share=1 / 3)
    found = corrected_difference(
        one, other, test_share=1 / 3, choices=(Choice(first), Choice(second)), peers=peers
    )
    assert found.low <= plain.low
    assert found.high >= plain.high
    assert found.p >= plain.p


def test_an_unpaired_choice_counts_by_the_winners_part_of_the_variance():
    shares = {"first_share": 0.25, "second_share": 0.5}
    plain = unpaired_difference(FIRST, OTHER, **shares)
    own = (1 / 5 + 1 / 4) * np.var(FIRST, ddof=1)
    others = (1 / 3 + 1 / 2) * np.var(OTHER, ddof=1)
    freedom = (own + others) ** 2 / (own**2 / 4 + others**2 / 2)
    found = unpaired_difference(FIRST, OTHER, **shares, choices=(Choice(30), Choice(7)))
    low, high = (
        critical_t(0.95, freedom=freedom, choice=Choice(count), winners_share=part)
        for count, part in ((30, own / (own + others)), (7, others / (own + others)))
    )
    error = np.sqrt(own + others)
    assert (found.low, found.high) == pytest.approx(
        (plain.mean - low * error, plain.mean + high * error)
    )
    swapped = unpaired_difference(
        OTHER, FIRST, first_share=0.5, second_share=0.25, choices=(Choice(7), Choice(30))
    )
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))
    assert swapped.p == pytest.approx(found.p)
