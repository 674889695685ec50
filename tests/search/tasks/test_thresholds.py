import numpy as np
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

from search.errors import SettingsError
from search.tasks import (
    Classification,
    LabelOutputs,
    MultiLabel,
    Outputs,
    Predictions,
    Regression,
    Scored,
)
from search.tasks.classification import ClassPredictions
from search.tasks.metrics import metric_of, objective_of
from search.tasks.multi_label import LabelPredictions
from search.tasks.thresholds import check_threshold, tuned_by

TWO, THREE = Classification(("no", "yes")), Classification(("a", "b", "c"))
LABELS, NUMBERS = MultiLabel(("red", "round")), Regression(("price",))
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(400, 3))
TRUE = (X[:, 0] + RANDOM.normal(size=400) > 1.8).astype(np.int64)  # one in ten
MODEL = LogisticRegression().fit(X, TRUE)
VALUES = MODEL.predict_proba(X)
WEIGHTS = RANDOM.random(400) + 0.1
TWO_OUTPUTS = Outputs("probabilities", 2)


def test_a_threshold_decides_as_that_of_scikit_learn():
    decided = Outputs("probabilities", 2, thresholds=(0.2,)).decided(VALUES)
    theirs = FixedThresholdClassifier(MODEL, threshold=0.2).fit(X, TRUE)
    np.testing.assert_array_equal(decided.argmax(axis=1), theirs.predict(X))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["f1", "balanced_accuracy", "matthews_corrcoef", "accuracy"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_tuned_threshold_is_as_good_as_that_of_scikit_learn(name, weights):
    metric = metric_of(name, TWO)
    found = TWO_OUTPUTS.tuned(metric, VALUES, TRUE, weights)
    scorer = metrics.get_scorer(name)
    if weights is not None:
        scorer = metrics.make_scorer(
            lambda true, given: scorer_of(name)(true, given, sample_weight=weights)
        )
    every = np.unique(VALUES[:, 1])
    theirs = TunedThresholdClassifierCV(
        MODEL, scoring=scorer, cv="prefit", refit=False, thresholds=every
    ).fit(X, TRUE)
    ours = metric.of(Scored(found.decided(VALUES), TRUE, weights))
    assert ours == pytest.approx(theirs.best_score_, abs=2e-3)  # they try all 400 thresholds
    assert ours >= metric.of(Scored(VALUES, TRUE, weights))


def scorer_of(name):
    return metrics.get_scorer(name)._score_func


@pytest.mark.slow
def test_of_few_values_the_very_best_threshold_is_found():
    some = slice(0, 90)
    metric = metric_of("f1", TWO)
    found = TWO_OUTPUTS.tuned(metric, VALUES[some], TRUE[some])
    every = [metrics.f1_score(TRUE[some], VALUES[some, 1] > cut) for cut in VALUES[some, 1]]
    assert metric.of(Scored(found.decided(VALUES[some]), TRUE[some])) == max(every)


def test_of_equally_good_thresholds_the_median_is_taken():
    second = np.array([0.1, 0.2, 0.3, 0.4, 0.9])
    # Recall is 1 up to 0.35: at 0.05, 0.15, 0.25 and 0.35.
    values, true = np.stack([1 - second, second], axis=1), np.array([0, 0, 0, 1, 1])
    assert TWO_OUTPUTS.tuned(metric_of("recall", TWO), values, true).thresholds == (
        pytest.approx(0.15),
    )


@pytest.mark.slow
def test_a_metric_that_no_threshold_changes_keeps_the_usual_one():
    found = LabelOutputs("probabilities").tuned(
        metric_of("recall@red", LABELS), RANDOM.random((50, 2)), RANDOM.integers(0, 2, (50, 2))
    )
    assert found.thresholds[0] < 0.1
    assert found.thresholds[1] == 0.5


def test_each_label_gets_the_threshold_that_is_best_for_it():
    values = RANDOM.random((60, 2)).astype(np.float32)
    true = (values > [0.2, 0.8]).astype(np.uint8)
    found = LabelOutputs("probabilities").tuned(metric_of("macro_f1", LABELS), values, true)
    assert found.thresholds == pytest.approx((0.2, 0.8), abs=0.05)
    np.testing.assert_array_equal(found.decided(values), true)


@pytest.mark.slow
def test_scores_that_are_no_probabilities_are_tuned_by_their_difference():
    scores = np.stack([-X[:, 0], X[:, 0]], axis=1)
    found = Outputs("scores", 2, 0.0).tuned(metric_of("f1", TWO), scores, TRUE)
    assert metrics.f1_score(TRUE, X[:, 0] > found.thresholds[0]) == pytest.approx(
        metric_of("f1", TWO).of(Scored(found.decided(scores), TRUE))
    )
    assert found.thresholds[0] > 0.5


def test_tiny_probabilities_are_told_apart():
    second = np.array([1e-12, 2e-12, 4e-12, 5e-12])
    values, true = np.stack([1 - second, second], axis=1), np.array([0, 0, 1, 1])
    found = TWO_OUTPUTS.tuned(metric_of("accuracy", TWO), values, true)
    np.testing.assert_array_equal(found.decided(values).argmax(axis=1), true)


@pytest.mark.parametrize(
    ("name", "task", "expected"),
    [
        ("accuracy", TWO, True),
        ("macro_f1", TWO, True),
        ("f1", TWO, True),
        ("recall@yes", TWO, True),
        ("binary_accuracy", TWO, True),
        ("roc_auc", TWO, False),
        ("roc_auc@yes", TWO, False),
        ("neg_log_loss", TWO, False),
        ("average_precision", TWO, False),
        ("auc", TWO, False),
        ("hamming_loss", LABELS, True),
        ("f1_samples", LABELS, True),
        ("rmse", NUMBERS, False),
    ],
)
def test_metrics_of_decisions_are_told_from_those_of_probabilities(name, task, expected):
    assert metric_of(name, task).is_of_decisions is expected


def test_a_threshold_is_tuned_by_the_first_objective_that_depends_on_it():
    def by(*texts, task=TWO):
        return tuned_by([objective_of(text, task)[1] for text in texts], task).name

    assert by("cv_f1", "cv_recall") == "f1"
    assert by("cv_roc_auc", "cv_recall") == "recall"
    assert by("cv_roc_auc", "model_parameters") == "accuracy"
    assert by("cv_loss", task=LABELS) == "macro_f1"


@pytest.mark.parametrize("task", [THREE, NUMBERS])
def test_tuning_is_refused_where_no_threshold_decides(task):
    check_threshold("0.5", task)
    with pytest.raises(SettingsError, match=f"`--threshold tuned` is for two.*{task.name}"):
        check_threshold("tuned", task)


@pytest.mark.parametrize(
    "outputs", [Outputs("logits", 2, 0.0, (0.3,)), LabelOutputs("logits", (0.2, 0.7))]
)
def test_tuned_thresholds_are_written_and_read(outputs):
    assert type(outputs).from_json(outputs.to_json()) == outputs


def test_predictions_keep_what_was_decided_and_the_probabilities_as_they_are(tmp_path):
    outputs = Outputs("probabilities", 2, thresholds=(0.2,))
    values = np.array([[0.7, 0.3], [0.9, 0.1]], np.float32)
    found = TWO.predicted(values, np.array([1, 1]), outputs)
    assert found.predicted.tolist() == [1, 0]
    assert found.confidence.tolist() == pytest.approx([0.3, 0.9])

    labels = LABELS.predicted(values, np.array([[1, 0], [1, 1]]), LabelOutputs("p", (0.8, 0.2)))
    labels.save(tmp_path / "fold.npz")
    again = LabelPredictions.load(tmp_path / "fold.npz")
    both: Predictions = LabelPredictions.joined([again, labels])
    assert both.predicted.tolist() == [[0, 1], [1, 0]] * 2
    np.testing.assert_array_equal(both.probabilities[:2], values)


def test_predictions_without_tuned_thresholds_are_kept_as_ever(tmp_path):
    LABELS.predicted(np.array([[0.6, 0.4]]), np.array([[1, 0]])).save(tmp_path / "fold.npz")
    with np.load(tmp_path / "fold.npz") as arrays:
        assert sorted(arrays) == ["labels", "probabilities"]
    found = LabelPredictions.joined([LabelPredictions.load(tmp_path / "fold.npz")])
    assert found.predicted.tolist() == [[1, 0]]
    assert ClassPredictions.of(np.array([[0.6, 0.4]]), np.array([0])).predicted.tolist() == [0]


def test_metrics_of_decisions_see_what_was_decided_and_others_what_was_said():
    true = np.array([0, 1, 1, 0])
    values = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.8, 0.2]])
    decided = np.eye(2)[true]
    both = Scored(values, true, decided=decided)
    accuracy, loss = metric_of("accuracy", TWO), metric_of("neg_log_loss", TWO)
    assert both.by(accuracy) == 1.0
    assert Scored(values, true).by(accuracy) == 0.5
    assert both.by(loss) == Scored(values, true).by(loss) < 0
