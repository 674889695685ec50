"""Comparisons of studies whose metric is not accuracy, or whose task is not classification."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from search.analysis.comparison.comparison import compare
from search.analysis.comparison.contenders import chosen_contenders
from search.analysis.comparison.files import document, write_comparison
from search.data.folds import Folds
from search.errors import SettingsError
from search.tasks import MultiLabel, Regression
from search.tasks.metrics import objective_of
from search.tasks.multi_label import LabelPredictions
from search.tasks.regression import NumberPredictions
from tests.search.analysis.comparison.comparing import STRONG, WEAK, complete
from tests.studies import MultiLabelStudyBuilder, RegressionStudyBuilder
from tracking.records import FoldEnded, FoldStarted

GOOD = [31_000.0, 29_500.0, 33_100.0, 30_400.0, 32_250.0]
POOR = [36_500.0, 34_900.0, 39_000.0, 35_100.0, 36_900.0]


def rmse_study(studies, name, *trials, objective="cv_rmse", metrics=None, builder=None, **start):
    """Write a study of trials with these values of RMSE; the first is a baseline."""
    study = (builder or RegressionStudyBuilder)(name, folds=len(trials[0]))
    known = [objective_of(objective, Regression(("price",)))[0].to_json()]
    study.records[0] = replace(study.records[0], **{"objectives": known, **start})
    study.session()
    for trial, values in enumerate(trials):
        study.start_trial(trial, "sampled" if trial else "baseline:plain")
        for fold, value in enumerate(values, start=1):
            found = metrics(value) if metrics else {"rmse": value, "mae": value / 2, "r2": 0.5}
            study.add(FoldStarted, trial=trial, fold=fold)
            study.add(
                FoldEnded,
                trial=trial,
                fold=fold,
                loss=0.1,
                metrics=found,
                seconds=3.0,
                predictions="",
            )
        sizes = {"model_parameters": 9.0}
        study.end_trial(trial, "complete", value=float(np.mean(values)), scores=sizes)
    return studies.write(study)


def compared(studies, *names, trials="best", **options):
    return compare(chosen_contenders(studies.home, names, trials), **options)


def number_predictions(studies, name, trial, predicted, actual, *, folds=5):
    parts = zip(np.array_split(actual, folds), np.array_split(predicted, folds), strict=True)
    for fold, (true, given) in enumerate(parts, start=1):
        path = studies.home.study(name).predictions(trial, fold)
        NumberPredictions(true, given).save(path)


def save_folds(studies, name, samples, *, folds=5, groups=None):
    parts = np.array_split(np.arange(samples), folds)
    train = tuple(np.setdiff1d(np.arange(samples), part) for part in parts)
    Folds(train, tuple(parts), groups).save(studies.home.study(name).folds)


def test_the_smaller_error_is_better_and_differences_are_in_its_unit(studies):
    rmse_study(studies, "good", GOOD)
    rmse_study(studies, "poor", POOR)
    found = compared(studies, "poor", "good")
    assert found.measure.name == "cv_rmse"
    assert [entry.label for entry in found.entries] == ["good", "poor"]
    lead = np.subtract(POOR, GOOD)
    t = lead.mean() / np.sqrt((1 / 5 + 1 / 4) * lead.var(ddof=1))
    reach = stats.t.ppf(0.975, 4) * lead.mean() / t
    difference = found.pairs[0].difference
    assert difference.p == pytest.approx(2 * stats.t.sf(t, 4))
    assert (difference.mean, difference.low, difference.high) == pytest.approx(
        (lead.mean(), lead.mean() - reach, lead.mean() + reach)
    )
    assert found.verdict == (
        "good is better than poor by 5,230 of RMSE (95 % interval 4,224 to 6,236)."
    )


@pytest.mark.parametrize("scale", [1e-15, 1e-3, 1e12])
def test_claims_do_not_depend_on_the_unit(studies, scale):
    rmse_study(studies, "good", GOOD)
    rmse_study(studies, "poor", POOR)
    rmse_study(studies, "third", [*POOR[1:], POOR[0]])
    rmse_study(studies, "same", GOOD)
    plain = compared(studies, "good", "poor", "third", "same")
    for name, values in (("good", GOOD), ("poor", POOR), ("third", [*POOR[1:], POOR[0]])):
        rmse_study(studies, name, [scale * value for value in values])
    rmse_study(studies, "same", [scale * value * (1 + 1e-15) for value in GOOD])
    scaled = compared(studies, "good", "poor", "third", "same")
    assert [p.difference.p for p in scaled.pairs] == pytest.approx(
        [p.difference.p for p in plain.pairs]
    )
    assert scaled.ranking.ranks == pytest.approx(plain.ranking.ranks)


def test_another_metric_that_all_recorded_can_be_named(studies):
    for name, values in (("good", GOOD), ("poor", POOR)):
        rmse_study(studies, name, values, metrics=lambda v: {"rmse": v, "r2": 1 - v / 1e5})
    found = compared(studies, "poor", "good", objective="r2")
    assert (found.measure.fold, found.measure.larger) == ("r2", True)
    assert found.entries[0].folds == tuple(1 - v / 1e5 for v in GOOD)
    assert "0.05230 of R²" in found.verdict
    assert any("good by cv_rmse" in note for note in found.notes)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("mae", "that all trials recorded; good has no MAE, but loss, r2, rmse"),
        ("model_parameters", "every fold has a value; model_parameters has none"),
        ("accuracy", "does not fit regression"),
        ("nonsense", "no metric is called 'nonsense'"),
    ],
)
def test_a_metric_that_not_all_recorded_is_refused_with_what_there_is(studies, named, words):
    for name, values in (("good", GOOD), ("poor", POOR)):
        rmse_study(studies, name, values, metrics=lambda v: {"rmse": v, "r2": 0.5})
    with pytest.raises(SettingsError, match=words):
        compared(studies, "good", "poor", objective=named)


def test_studies_of_different_objectives_are_compared_by_what_both_recorded(studies):
    rmse_study(studies, "one", GOOD, objective="cv_mae")
    rmse_study(studies, "other", POOR, objective="cv_r2")
    found = compared(studies, "one", "other")
    assert found.measure.name == "cv_rmse"
    [note] = [note for note in found.notes if "which all of them recorded" in note]
    assert note.startswith("RMSE is compared")
    assert "one by cv_mae, other by cv_r2" in note


def test_a_common_objective_comes_before_the_tasks_own(studies):
    rmse_study(studies, "one", GOOD, objective="cv_mae")
    rmse_study(studies, "other", POOR, objective="cv_mae")
    assert compared(studies, "one", "other").measure.name == "cv_mae"
    rmse_study(studies, "one", GOOD, objective="model_parameters")
    rmse_study(studies, "other", POOR, objective="model_parameters")
    assert compared(studies, "one", "other").measure.name == "cv_rmse"


def test_studies_with_no_metric_in_common_are_refused(studies):
    rmse_study(studies, "one", GOOD, objective="cv_mae", metrics=lambda v: {"mae": v})
    rmse_study(studies, "other", POOR, metrics=lambda v: {"rmse": v})
    with pytest.raises(SettingsError, match="one has mae and other has rmse"):
        compared(studies, "one", "other")


def test_a_value_that_is_not_finite_is_refused_with_its_place(studies):
    rmse_study(studies, "one", GOOD)
    rmse_study(studies, "other", [*POOR[:4], float("inf")])
    with pytest.raises(SettingsError, match="other has RMSE inf on fold 5"):
        compared(studies, "one", "other")


def test_the_best_of_many_by_error_allows_for_its_choice(studies):
    better = [value - 300 - 700 * (n % 3) for n, value in enumerate(POOR)]
    others = [[v + 300 * ((n + k) % 3) for n, v in enumerate(POOR)] for k in range(20)]
    rmse_study(studies, "study", POOR, better, *others)
    named, best = (compared(studies, "study", trials=which) for which in ("1,0", "best"))
    assert best.entries[0].rivals == 21
    assert best.pairs[0].difference.low < named.pairs[0].difference.low
    assert best.pairs[0].difference.p > named.pairs[0].difference.p


def test_classes_can_be_compared_by_loss(studies):
    study = studies.begin("a", settings={"seed": 0, "objective": "cv_loss"})
    complete(study, 0, STRONG, value=0.4)
    studies.write(study)
    study = studies.begin("b", settings={"seed": 0, "objective": "cv_loss"})
    complete(study, 0, WEAK, value=0.5)
    studies.write(study)
    found = compared(studies, "a", "b")
    assert found.verdict.startswith("a is better than b by 0.0600 of loss (95 % interval")
    by_accuracy = compared(studies, "a", "b", objective="cv_accuracy").pairs[0].difference
    assert found.pairs[0].difference.p == pytest.approx(by_accuracy.p)


@pytest.fixture
def numbers(studies):
    """Two studies of numbers with predictions; returns targets and both predictions."""
    random = np.random.default_rng(3)
    actual = random.normal(100, 20, (60, 1))
    good, poor = (actual + random.normal(0, size, actual.shape) for size in (3, 5))
    for name, values, predicted in (("good", GOOD, good), ("poor", POOR, poor)):
        rmse_study(studies, name, values)
        number_predictions(studies, name, 0, predicted, actual)
        save_folds(studies, name, len(actual))
    return actual, good, poor


def test_samples_errors_are_compared_as_scipy_does(studies, numbers):
    actual, good, poor = numbers
    squared, absolute = compared(studies, "good", "poor").pairs[0].errors
    expected = stats.ttest_rel((good - actual)[:, 0] ** 2, (poor - actual)[:, 0] ** 2)
    assert (squared.name, squared.samples, squared.groups) == ("squared errors", 60, 60)
    assert squared.p == pytest.approx(expected.pvalue)
    assert squared.mean < 0
    expected = stats.ttest_rel(np.abs(good - actual)[:, 0], np.abs(poor - actual)[:, 0])
    assert (absolute.name, absolute.p) == ("absolute errors", pytest.approx(expected.pvalue))


def test_samples_that_belong_together_count_as_one(studies, numbers):
    actual, good, poor = numbers
    groups = np.arange(60) // 4
    for name in ("good", "poor"):
        save_folds(studies, name, 60, groups=groups)
    squared, _ = compared(studies, "good", "poor").pairs[0].errors
    off = ((good - actual) ** 2 - (poor - actual) ** 2)[:, 0].reshape(15, 4).mean(axis=1)
    assert squared.groups == 15
    assert squared.p == pytest.approx(stats.ttest_1samp(off, 0).pvalue)


def test_without_folds_the_test_of_samples_is_left_out_and_it_says_so(studies, numbers):
    studies.home.study("poor").folds.unlink()
    found = compared(studies, "good", "poor")
    assert found.pairs[0].errors == ()
    [note] = [note for note in found.notes if "left out" in note]
    assert note.startswith("The test of the samples' errors of poor is left out")


def test_predictions_of_other_targets_are_not_compared(studies, numbers):
    actual, good, _ = numbers
    number_predictions(studies, "good", 0, good, actual + 1)
    found = compared(studies, "good", "poor")
    assert found.pairs[0].errors == ()
    assert any("not of the same samples" in note for note in found.notes)


def test_wrong_labels_are_compared_by_samples(studies):
    random = np.random.default_rng(5)
    labels = random.integers(0, 2, (80, 3)).astype(np.uint8)
    task = MultiLabel(("red", "round", "big"))
    shares = {}
    for name, right in (("good", 0.9), ("poor", 0.7)):
        study = MultiLabelStudyBuilder(name, folds=5)
        study.session()
        study.complete_trial(0, right)
        studies.write(study)
        given = np.where(random.random(labels.shape) < right, labels, 1 - labels)
        shares[name] = (given != labels).mean(axis=1)
        parts = zip(np.array_split(given, 5), np.array_split(labels, 5), strict=True)
        for fold, (part, true) in enumerate(parts, start=1):
            path = studies.home.study(name).predictions(0, fold)
            LabelPredictions(true, part.astype(np.float32)).save(path)
        save_folds(studies, name, len(labels))
    assert task.units == 3
    found = compared(studies, "good", "poor")
    [test] = found.pairs[0].errors
    assert test.name == "wrong labels"
    assert test.p == pytest.approx(stats.ttest_rel(shares["good"], shares["poor"]).pvalue)
    assert "points of macro F1" in found.verdict
    assert found.classes == ()


def test_the_document_of_numbers_names_the_measure_and_its_direction(studies, numbers, tmp_path):
    found = document(compared(studies, "good", "poor"))
    assert (found["measure"], found["larger_is_better"]) == ("rmse", False)
    assert found["entries"][0]["rmse"] == pytest.approx(np.mean(GOOD))
    assert found["entries"][0]["scores"]["mae"] == pytest.approx(np.mean(GOOD) / 2)
    assert [test["name"] for test in found["pairs"][0]["errors"]] == [
        "squared errors",
        "absolute errors",
    ]
    paths = write_comparison(compared(studies, "good", "poor"), tmp_path / "out")
    names = ["comparison.csv", "comparison.tex", "comparison.json"]
    assert [path.name for path in paths] == names
    assert json.loads(paths[2].read_text())["classes"] == []
