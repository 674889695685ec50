import re

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, recall_score

from search.analysis.report.probabilities import believed, threshold_scores
from search.analysis.report.report import Reported, report
from search.analysis.report.subject import Subject
from search.tasks import Classification, Regression
from search.tasks.classification import ClassPredictions
from tests.search.analysis.predicting import logits_of, softmax, study_of
from tests.studies import CLASSES, RegressionStudyBuilder, StudyBuilder
from tracking.home import StudyFolder

TWO, THREE = Classification(("benign", "malignant")), Classification(tuple(CLASSES))


def page_of(history, folder) -> str:
    return report([Reported(history, folder)], home=folder.root)


def section(page: str) -> str:
    """Return the text of the section on probabilities, without its elements."""
    body = page.split('id="probabilities"')[1].split('id="mistakes"')[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def test_too_sure_a_study_is_shown_before_and_after_calibration(tmp_path):
    logits, labels = logits_of(600, 3)
    history, folder = study_of(tmp_path, THREE, labels, [softmax(3 * logits)])
    found = believed(Subject(history), folder)
    page = page_of(history, folder)
    told = section(page)
    assert "Calibration lowers the nested log loss beyond doubt, as it is too sure." in told
    assert "with temperature" in told
    assert f"{found.calibrated.before.error:.4f}" in told
    assert f"{found.calibrated.after.error:.4f}" in told
    assert f"{found.calibrated.brier:.4f}" in told
    assert '"name":"calibrated"' in page
    assert "Sets of classes" in told
    assert "Threshold" not in told  # of three classes none decides


def test_an_honest_study_is_left_as_it_is(tmp_path):
    logits, labels = logits_of(600, 3, seed=4)
    told = section(page_of(*study_of(tmp_path, THREE, labels, [softmax(logits)])))
    assert "No calibration lowers the nested log loss, so none is applied." in told
    assert "with temperature" not in told


def test_two_classes_have_the_scores_of_each_threshold(tmp_path):
    logits, labels = logits_of(400, 2)
    values = softmax(logits)
    cuts = np.array([0.2, 0.5, 0.8])
    found = threshold_scores(values[:, 1], labels == 1, cuts)
    scores = {
        "precision": precision_score,
        "recall": recall_score,
        "F1": f1_score,
        "balanced accuracy": balanced_accuracy_score,
    }
    for name, score in scores.items():
        wanted = [score(labels, values[:, 1] > cut) for cut in cuts]
        assert found[name] == pytest.approx(wanted), name
    page = page_of(*study_of(tmp_path, TWO, labels, [values.astype(np.float32)]))
    assert f"At 0.5: precision {found['precision'][1]:.3f}" in section(page)
    assert "chosen: 0.5" in page


def test_numbers_have_intervals(tmp_path):
    source = np.random.default_rng(0)
    true = source.normal(0, 100, (400, 1))
    values = true + source.normal(0, 10, true.shape)
    study = study_of(tmp_path, Regression(RegressionStudyBuilder.names), true, [values])
    told = section(page_of(*study))
    reach = float(re.search(r"90% price ± ([\d.]+)", told)[1])
    assert reach == pytest.approx(16.4, rel=0.15)  # 1.645 standard deviations
    assert "Reliability" not in told


def test_a_study_without_all_probabilities_says_why(tmp_path):
    logits, labels = logits_of(300, 3)
    history, folder = study_of(tmp_path, THREE, labels, [softmax(logits)])
    for path in folder.all_predictions.iterdir():
        found = ClassPredictions.load(path)
        ClassPredictions(found.labels, found.predicted, found.confidence, found.truth).save(path)
    told = section(page_of(history, folder))
    assert "an earlier version wrote them" in told


def test_no_path_of_the_machine_is_told_where_files_are_missing(tmp_path):
    history = StudyBuilder().every_kind_of_trial().history
    told = section(page_of(history, StudyFolder(tmp_path)))
    assert "Nothing can be told of them" in told
    assert str(tmp_path) not in told
