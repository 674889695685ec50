"""Coverage is counted over many draws, and compared with what a binomial allows."""

import numpy as np
import pytest
from scipy.stats import binom

from search.analysis.coverage import Conformal, conformal, held
from search.errors import SettingsError
from search.tasks import Classification, MultiLabel, MultiOutput, Regression

THREE, NUMBER = Classification(("a", "b", "c")), Regression(("price",))


def classes(samples: int, source):
    """Return probabilities that are far too sure, and true classes."""
    logits = source.normal(0, 1, (samples, 3))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) > source.random((samples, 1))).argmax(axis=1)
    sharp = true**4
    return sharp / sharp.sum(axis=1, keepdims=True), labels


def assert_covers(hits: int, draws: int, coverage: float, samples: int):
    """Check a count against coverage, which is at most `1 / (n + 1)` more for `n` samples."""
    assert binom.cdf(hits, draws, coverage) > 1e-4
    assert binom.sf(hits - 1, draws, coverage + 1 / (samples + 1)) > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(("samples", "coverage"), [(9, 0.9), (19, 0.8), (50, 0.9), (200, 0.95)])
def test_sets_hold_the_truth_as_often_as_wanted(samples, coverage):
    source, hits, draws = np.random.default_rng(samples), 0, 3_000
    for _ in range(draws):
        values, labels = classes(samples + 1, source)
        made = conformal(values[:-1], labels[:-1], THREE)
        hits += int(held(made.sets(values[-1:], coverage), labels[-1:])[0])
    assert_covers(hits, draws, coverage, samples)


@pytest.mark.slow
@pytest.mark.parametrize(("samples", "coverage"), [(9, 0.9), (60, 0.9)])
def test_intervals_hold_the_truth_as_often_as_wanted(samples, coverage):
    source, hits, draws = np.random.default_rng(samples), 0, 3_000
    for _ in range(draws):
        true = source.standard_t(2, (samples + 1, 1))
        made = conformal(np.zeros_like(true)[:-1], true[:-1], NUMBER)
        low, high = made.intervals(np.zeros((1, 1)), coverage)[0, 0]
        hits += int(low <= true[-1, 0] <= high)
    assert_covers(hits, draws, coverage, samples)


def test_the_limit_is_the_order_statistic_of_the_formula():
    source = np.random.default_rng(0)
    true = source.normal(size=(37, 1))
    made = conformal(np.zeros((37, 1)), true, NUMBER)
    ascending = np.sort(np.abs(true[:, 0]))
    for coverage in (0.5, 0.8, 0.9, 0.95):
        place = int(np.ceil(38 * coverage)) - 1
        assert made.limits(coverage)[0] == ascending[place]


def test_too_few_samples_are_refused_with_what_can_be_had():
    values, labels = classes(8, np.random.default_rng(0))
    made = conformal(values, labels, THREE)
    assert made.most == pytest.approx(8 / 9)
    with pytest.raises(SettingsError, match=r"at most 0\.88 .* 8 independent samples .*; got 0\.9"):
        made.sets(values, 0.9)
    assert made.sets(values, 0.88).shape == (8, 3)
    for wrong in (0, 1, 1.5, -0.1):
        with pytest.raises(SettingsError, match="above 0 and below 1"):
            made.limits(wrong)


@pytest.mark.slow
def test_samples_of_groups_count_as_groups():
    """Each group is off by something of its own; new samples are of new groups."""
    source, hits, draws, plain = np.random.default_rng(5), 0, 2_000, 0
    groups = np.repeat(np.arange(12), 5)
    for _ in range(draws):
        true = (source.normal(size=13)[np.r_[groups, 12]] + source.normal(0, 0.1, 61))[
            :, np.newaxis
        ]
        zero = np.zeros((60, 1))
        made = conformal(zero, true[:-1], NUMBER, groups=groups)
        hits += int(abs(true[-1, 0]) <= made.limits(0.9)[0])
        alone = conformal(zero, true[:-1], NUMBER)
        plain += int(abs(true[-1, 0]) <= alone.limits(0.9)[0])
    assert binom.cdf(hits, draws, 0.9) > 1e-4
    assert plain < hits
    assert made.samples == 12


@pytest.mark.slow
def test_weights_count_as_the_population_they_stand_for():
    """Half of the samples are noisy ones, which are one in ten of the population."""
    source, hits, draws = np.random.default_rng(7), 0, 2_000
    for _ in range(draws):
        is_noisy = np.arange(200) % 2 == 0
        true = source.normal(0, np.where(is_noisy, 5.0, 1.0))[:, np.newaxis]
        weights = np.where(is_noisy, 0.1, 0.9)
        made = conformal(np.zeros((200, 1)), true, NUMBER, weights=weights)
        new = source.normal(0, 5.0 if source.random() < 0.1 else 1.0)
        hits += int(abs(new) <= made.limits(0.9)[0])
    assert binom.cdf(hits, draws, 0.9) > 1e-4
    assert binom.sf(hits - 1, draws, 0.92) > 1e-4
    assert made.samples < 200


def test_many_scores_are_thinned_and_never_promise_too_much():
    values, labels = classes(20_000, np.random.default_rng(1))
    made = conformal(values, labels, THREE)
    assert len(made.scores[0]) <= 1_000
    ascending = np.sort(1 - values[np.arange(20_000), labels])
    for coverage in (0.5, 0.9, 0.99, 0.999):
        exact = ascending[int(np.ceil(20_001 * coverage)) - 1]
        further = ascending[min(19_999, int(np.ceil(20_001 * (coverage + 0.002))) - 1)]
        assert exact <= made.limits(coverage)[0] <= further


def test_several_numbers_and_labels_have_limits_of_their_own():
    source = np.random.default_rng(2)
    true = source.normal(0, (1.0, 100.0), (400, 2))
    ends = conformal(np.zeros((400, 2)), true, Regression(("a", "b"))).intervals(true, 0.9)
    assert ends.shape == (400, 2, 2)
    wide = ends[0, :, 1] - ends[0, :, 0]
    assert wide[1] > 50 * wide[0]
    shares = source.random((400, 2))
    given = (source.random((400, 2)) < shares).astype(np.uint8)
    sets = conformal(shares, given, MultiLabel(("a", "b"))).sets(shares, 0.9)
    rows, columns = np.indices(given.shape)
    assert sets[rows, columns, given].mean() == pytest.approx(0.9, abs=0.01)


def test_it_comes_back_from_json():
    values, labels = classes(3_000, np.random.default_rng(3))
    made = conformal(values, labels, THREE)
    again = Conformal.from_json(made.to_json())
    for coverage in (0.8, 0.9, 0.95):
        assert again.limits(coverage) == pytest.approx(made.limits(coverage), rel=1e-6)
    assert (again.sets(values, 0.9) == made.sets(values, 0.9)).all()


def test_several_outputs_have_no_sets():
    with pytest.raises(ValueError, match="no sets"):
        conformal(np.ones((3, 2)), np.ones((3, 2)), MultiOutput(("a", "b")))
