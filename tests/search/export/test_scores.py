"""Scores of a model: which there are, their intervals, and what weights do."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, root_mean_squared_error

from search.data.folds import share_of
from search.export.scores import (
    digits,
    main_objective,
    metrics_of,
    on_test_set,
    over_folds,
    scores_of,
    shown,
)
from search.tasks import Classification, Regression, Scored
from search.tasks.metrics import metric_of
from tests.studies import MultiLabelStudyBuilder, RegressionStudyBuilder, StudyBuilder
from tracking.records import TestSetOpened

CHANCE = np.random.default_rng(3)
PRICE = Regression(("price",))


def numbers(count=400):
    actual = CHANCE.normal(50, 10, (count, 1))
    return Scored(actual + CHANCE.normal(0, 4, (count, 1)), actual)


def scored(given, *names, task=PRICE):
    told: list[str] = []
    return *scores_of(given, [metric_of(name, task) for name in names], told.append), told


def test_samples_count_by_their_weights_in_every_metric():
    weights = CHANCE.uniform(0, 3, 400)
    plain = numbers()
    given = Scored(plain.values, plain.targets, weights)
    scores, _, _ = scored(given, "rmse", "mae")
    assert scores == {
        "rmse": pytest.approx(
            root_mean_squared_error(plain.targets, plain.values, sample_weight=weights)
        ),
        "mae": pytest.approx(
            mean_absolute_error(plain.targets, plain.values, sample_weight=weights)
        ),
    }
    classes = Classification(("a", "b", "c"))
    true, values = CHANCE.integers(0, 3, 400), CHANCE.dirichlet((1, 1, 1), 400)
    scores, intervals, _ = scored(
        Scored(values, true, weights), "accuracy", "macro_f1", task=classes
    )
    given = values.argmax(axis=1)
    assert scores == {
        "accuracy": pytest.approx(accuracy_score(true, given, sample_weight=weights)),
        "macro_f1": pytest.approx(f1_score(true, given, average="macro", sample_weight=weights)),
    }
    # As wide as of the number of samples of one weight that tell as much.
    _, equal, _ = scored(Scored(values, true), "accuracy", task=classes)
    assert np.ptp(intervals["accuracy"]) > 1.05 * np.ptp(equal["accuracy"])


def test_an_interval_is_as_wide_as_the_standard_error_says():
    given = numbers(2000)
    scores, intervals, _ = scored(given, "mae")
    errors = np.abs(given.values - given.targets)
    half = 1.96 * errors.std() / math.sqrt(len(errors))
    low, high = intervals["mae"]
    assert low == pytest.approx(scores["mae"] - half, abs=0.25 * half)
    assert high == pytest.approx(scores["mae"] + half, abs=0.25 * half)


def test_a_metric_that_the_samples_do_not_allow_is_left_out_and_told():
    one = Scored(np.array([[0.2, 0.8]] * 5), np.ones(5, np.int64))
    scores, intervals, told = scored(one, "accuracy", "roc_auc", task=Classification(("a", "b")))
    assert scores == {"accuracy": 1.0}
    assert list(intervals) == ["accuracy"]
    [notice] = told
    assert notice.startswith("roc_auc of the test set is left out: it cannot be computed (")


def test_a_study_is_scored_by_its_objectives_then_others_then_its_tasks():
    study = RegressionStudyBuilder()
    study.records[0].settings.update(objective="cv_mae,model_parameters", metrics=["neg_max_error"])
    told: list[str] = []
    names = [metric.name for metric in metrics_of(study.history.known_study(), told.append)]
    assert (names, told) == (["mae", "neg_max_error", "rmse", "r2"], [])
    study.records[0].settings.update(metrics=["val_own_score"])  # as it was once recorded
    assert metrics_of(study.history.known_study(), told.append)
    assert not told
    study.records[0].settings.update(metrics=["gone_metric"])
    assert metrics_of(study.history.known_study(), told.append)
    assert told[0].startswith("metric gone_metric of the study is left out: no metric is called")
    assert metrics_of(StudyBuilder().history.known_study(), told.append)[0].name == "accuracy"


def test_the_interval_over_folds_is_the_corrected_one_within_what_can_be():
    study = RegressionStudyBuilder(folds=4)
    study.session()
    study.complete_trial(0)
    history = study.history
    found = {each.metric: each for each in over_folds(history, history.trials[0])}
    assert list(found) == ["rmse", "mae", "r2", "loss"]
    assert main_objective(history).fold == "rmse"
    values = np.array(found["rmse"].folds)
    variance = (1 / 4 + share_of(history.known_study())) * values.var(ddof=1)
    half = stats.t.ppf(0.975, 3) * math.sqrt(variance)
    assert found["rmse"].interval == pytest.approx((values.mean() - half, values.mean() + half))
    few = MultiLabelStudyBuilder(folds=2)
    few.session()
    few.complete_trial(0, level=0.9985)
    for each in over_folds(few.history, few.history.trials[0]):
        if each.metric != "loss":
            assert 0 <= each.interval[0] <= each.interval[1] <= 1


def test_scores_of_an_earlier_journal_have_the_interval_of_accuracy():
    study = StudyBuilder()
    fields = {"trial": 0, "by": "export", "model_sha256": "0"}
    old = TestSetOpened(at=1.0, accuracy=0.9, macro_f1=0.8, confusion=[[45, 5], [5, 45]], **fields)
    accuracy, macro = on_test_set(old, study.history)
    assert (accuracy.metric, macro.metric, macro.interval) == ("accuracy", "macro_f1", None)
    assert accuracy.interval == pytest.approx((0.8256, 0.9448), abs=1e-4)  # Wilson, 90 of 100


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        (0.0, "0.0000", "0"),
        (0.12345, "0.1235", "0.12345"),
        (57.54233, "57.5423", "57.54233"),
        (1234.56, "1234.6", "1234.56"),
        (142130.7, "142131", "142130.7"),
        (-1.7e9, "-1700000000", "-1700000000"),
        (1_700_000_000.256, "1700000000", "1700000000.26"),
        (0.000123456, "0.0001235", "0.000123456"),
    ],
)
def test_scores_and_numbers_are_shown_without_losing_what_counts(value, text, number):
    assert (shown(value), digits(value)) == (text, number)
