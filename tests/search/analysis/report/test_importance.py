import pytest

from search.analysis.report.importance import importances
from search.analysis.report.words import axes_of
from tests.search.analysis.report.made import made_study


def importances_of(study):
    history = study.history
    return {found.name: found for found in importances(history, axes_of(history))}


@pytest.mark.slow
def test_the_parameter_that_decides_comes_first_and_beyond_chance():
    found = importances_of(made_study(60))
    assert next(iter(found)) == "decides"
    assert found["decides"].share > 2 * found["decides"].chance


@pytest.mark.slow
def test_a_parameter_without_effect_mostly_stays_within_chance():
    found = [importances_of(made_study(60, seed=seed))["idle"] for seed in range(12)]
    assert sum(idle.share > idle.chance for idle in found) <= 3  # one in 20 is allowed to


@pytest.mark.slow
def test_shares_add_up_to_one():
    assert sum(found.share for found in importances_of(made_study(60)).values()) == pytest.approx(1)


@pytest.mark.slow
def test_it_is_the_same_whenever_asked():
    assert importances_of(made_study(30)) == importances_of(made_study(30))


@pytest.mark.slow
def test_it_is_the_same_for_both_drivers():
    assert importances_of(made_study(30)) == importances_of(made_study(30, driver="keras-tuner"))


@pytest.mark.slow
def test_a_smaller_loss_is_better():
    found = importances_of(made_study(60, objective="cv_loss"))
    assert found["decides"].share > 2 * found["decides"].chance


@pytest.mark.slow
def test_stopped_trials_count_as_worse_than_complete_ones():
    whole = made_study(60).history
    order = [trial.number for trial in whole.completed()]
    few = importances_of(made_study(60, stopped=order[12:]))
    assert next(iter(few)) == "decides"
    assert few["decides"].share > 2 * few["decides"].chance


def test_few_complete_trials_tell_nothing():
    assert importances_of(made_study(3)) == {}
    assert importances_of(made_study(10, stopped=range(7))) == {}


@pytest.mark.slow
def test_failed_trials_are_left_out():
    study = made_study(30)
    with_failures = made_study(30)
    for trial in (30, 31):
        with_failures.start_trial(trial)
        with_failures.end_trial(trial, "failed", reason="it broke")
    assert importances_of(with_failures) == importances_of(study)


@pytest.mark.slow
def test_what_chance_explains_comes_last_however_large_it_is():
    orders = [list(importances_of(made_study(60, seed=seed)).values()) for seed in range(3)]
    for found in orders:
        beyond = [max(0.0, one.beyond) for one in found]
        assert beyond == sorted(beyond, reverse=True)
        assert all(one.beyond == pytest.approx(one.share - one.chance) for one in found)
        explained = [one.share / one.chance for one in found if one.beyond <= 0]
        assert explained == sorted(explained, reverse=True)
