import numpy as np
import pytest
from scipy import stats

from search.analysis.comparison.selection import (
    NAMED,
    Choice,
    carried_over,
    critical_t,
    interaction,
    selected_p,
)
from search.analysis.comparison.statistics import corrected_difference

HALF = np.sqrt(0.5)


@pytest.mark.parametrize("choice", [NAMED, Choice(50, carried=0.0)])
def test_where_the_scores_did_not_choose_the_test_is_students(choice):
    assert choice.is_free
    assert selected_p(2.1, freedom=4, choice=choice) == pytest.approx(2 * stats.t.sf(2.1, 4))
    assert critical_t(0.95, freedom=4, choice=choice) == pytest.approx(stats.t.ppf(0.975, 4))
    assert critical_t(0.9, freedom=9, choice=choice) == pytest.approx(stats.t.ppf(0.95, 9))


@pytest.mark.slow
@pytest.mark.parametrize(("models", "freedom", "t"), [(2, 4, 2.0), (3, 4, 6.0), (5, 20, 2.9)])
def test_the_best_of_several_has_the_distribution_of_a_multivariate_t(models, freedom, t):
    law = stats.multivariate_t(shape=0.5 + 0.5 * np.eye(models), df=freedom)
    expected = 2 * (1 - law.cdf([t] * models, maxpts=400_000, random_state=0))
    found = selected_p(t, freedom=freedom, choice=Choice(models))
    assert found == pytest.approx(expected, rel=1e-3)


def test_one_sided_it_is_dunnetts_test_as_scipy_has_it():
    random = np.random.default_rng(5)
    control, *others = random.normal([[0.0], [0.3], [1.1], [0.2]], 1.0, (4, 6))
    expected = stats.dunnett(*others, control=control, alternative="greater", random_state=0)
    best = int(np.argmax(expected.statistic))
    found = selected_p(expected.statistic[best], freedom=4 * 6 - 4, choice=Choice(3))
    assert found / 2 == pytest.approx(expected.pvalue[best], abs=5e-4)


@pytest.mark.parametrize("candidates", [2, 40, 100_000])
def test_against_a_rival_without_noise_the_best_counts_alone(candidates):
    # With very many degrees of freedom the chance is 1 - Phi(t)^m.
    found = selected_p(4.0, freedom=1e7, choice=Choice(candidates), winners_share=1.0)
    expected = -2 * np.expm1(candidates * np.log1p(-stats.norm.sf(4.0)))
    assert found == pytest.approx(min(1.0, expected), rel=2e-3)


@pytest.mark.parametrize(("carried", "share"), [(0.63, 0.5), (1.0, 0.5), (1.0, 0.8), (0.3, 0.2)])
def test_the_chance_is_that_of_a_simulation(carried, share):
    random, studies, candidates, freedom, t = np.random.default_rng(0), 300_000, 12, 6, 2.4
    chose = random.standard_normal((studies, candidates)).max(axis=1)
    tested = carried * chose + np.sqrt(1 - carried**2) * random.standard_normal(studies)
    lead = np.sqrt(share) * tested - np.sqrt(1 - share) * random.standard_normal(studies)
    spread = np.sqrt(random.chisquare(freedom, studies) / freedom)
    choice = Choice(candidates, carried=carried)
    found = selected_p(t, freedom=freedom, choice=choice, winners_share=share) / 2
    assert found == pytest.approx(float((lead / spread > t).mean()), abs=0.0025)


def test_finalists_multiply_p_which_ends_at_one():
    once = selected_p(3.0, freedom=9, choice=Choice(20, carried=0.5))
    assert selected_p(3.0, freedom=9, choice=Choice(20, 0.5, finalists=3)) == 3 * once
    assert selected_p(0.0, freedom=9, choice=Choice(20)) == 1
    assert not Choice(20, carried=0.0, finalists=2).is_free
    assert not Choice(2).is_free


@pytest.mark.parametrize("choice", [Choice(2), Choice(100), Choice(20, 0.6, 3), Choice(100_000)])
@pytest.mark.parametrize("freedom", [1, 4, 28.5])
def test_at_the_critical_lead_p_is_what_the_level_leaves(choice, freedom):
    critical = critical_t(0.95, freedom=freedom, choice=choice, winners_share=0.4)
    found = selected_p(critical, freedom=freedom, choice=choice, winners_share=0.4)
    assert found == pytest.approx(0.05, rel=1e-6)
    assert critical > stats.t.ppf(0.975, freedom)


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_what_other_folds_of_the_same_samples_share_is_their_correlation(folds):
    share = 1 / (folds - 1)
    rho = share / (1 + share)

    def variance(count):
        return rho + (1 - rho) / count

    expected = rho / np.sqrt(variance(folds) * variance(2 * folds))
    assert carried_over(share, folds, 2 * folds) == pytest.approx(expected)
    assert carried_over(share, folds, 10**9) == pytest.approx(np.sqrt(rho / variance(folds)))


def test_the_noise_is_what_a_linear_model_of_models_and_folds_leaves():
    random, models, folds = np.random.default_rng(1), 4, 5
    table = random.normal(size=(models, folds)) + 7 * random.normal(size=(1, folds))
    columns = np.vstack([np.eye(models).repeat(folds, axis=0).T, np.tile(np.eye(folds), models)]).T
    _, squares, *_ = np.linalg.lstsq(columns[:, :-1], table.ravel(), rcond=None)
    noise, freedom = interaction(table)
    assert freedom == models * folds - models - folds + 1
    assert noise == pytest.approx(float(squares[0]) / freedom)


@pytest.mark.parametrize("wrong", [(0, 1.0, 1), (1, 1.5, 1), (1, -0.1, 1), (1, 1.0, 0)])
def test_a_choice_is_among_one_or_more(wrong):
    with pytest.raises(ValueError, match="among one or more"):
        Choice(*wrong)


@pytest.mark.slow
@pytest.mark.parametrize("trials", [8, 40])
def test_of_equal_trials_the_best_is_called_better_than_the_baseline_as_rarely_as_is_meant(trials):
    """Scores of a trial are correlated by 1/5 over the folds; 2.5 % of claims are meant."""
    random, studies, rho = np.random.default_rng(trials), 600, 0.2
    claims = {"chosen": 0, "as if named": 0}
    for _ in range(studies):
        noise = np.sqrt(rho) * random.standard_normal((trials + 1, 1))
        scores = noise + np.sqrt(1 - rho) * random.standard_normal((trials + 1, 5))
        first, *others = scores[1:][np.argsort(-scores[1:].mean(axis=1))]
        found = corrected_difference(
            first,
            scores[0],
            test_share=0.25,
            choices=(Choice(trials), NAMED),
            peers=others[:6],
        )
        claims["chosen"] += found.low > 0
        claims["as if named"] += corrected_difference(first, scores[0], test_share=0.25).low > 0
    assert claims["chosen"] <= 0.035 * studies
    assert claims["as if named"] >= 0.07 * studies
