import hashlib

import pytest

from tests.studies import MultiLabelStudyBuilder, RegressionStudyBuilder
from tracking.records import ReportWritten

pytestmark = pytest.mark.slow  # shows a study to a real store


@pytest.fixture
def reported(study, tmp_path):
    path = tmp_path / "report.html"
    path.write_bytes(b"<p>a report</p>")
    study.every_kind_of_trial()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    study.add(ReportWritten, file=str(path), sha256=digest)
    return path


def test_a_report_is_filed_with_the_study(tracked, study, apply_all, reported):
    apply_all(tracked.sink(), study.records)
    run = tracked.run("study")
    assert tracked.files(run)["report.html"] == b"<p>a report</p>"
    assert run.data.tags["search.report"] == "report.html"


def test_a_report_that_was_replaced_is_not_filed(tracked, study, apply_all, reported):
    reported.write_bytes(b"another")
    apply_all(tracked.sink(), study.records)
    run = tracked.run("study")
    assert "report.html" not in tracked.files(run)
    assert "no longer this report" in run.data.tags["search.report"]


@pytest.mark.parametrize(
    ("builder", "files", "points"),
    [
        (
            RegressionStudyBuilder,
            ["predictions.png", "regression_report.json"],
            {"fold_rmse": 14_900.0, "fold_mae": 11_175.0},
        ),
        (
            MultiLabelStudyBuilder,
            ["confusion_matrices.png", "confusion_matrices.json", "labels_report.json"],
            {"fold_macro_f1": 0.851},
        ),
    ],
)
def test_a_trial_of_another_task_has_its_scores_pictures_and_report(
    tracked, apply_all, builder, files, points
):
    study = builder().every_kind_of_trial()
    study.confirm_trial(1, 0.84)
    apply_all(tracked.sink(), study.records)
    run, trial = tracked.run("trial", 1), study.history.trials[1]
    assert {n: v for n, v in run.data.metrics.items() if n.startswith("cv_")} == pytest.approx(
        trial.ended.scores
    )
    main = study.measured[0].name
    confirmed = trial.confirmed.scores[main]
    assert run.data.metrics[f"confirmed_{main.removeprefix('cv_')}"] == confirmed
    stored = tracked.files(run)
    assert set(files) | {"curves.png"} <= set(stored)
    assert any(name.startswith("images/") for name in stored)
    fold = tracked.run("fold", 1, 1)
    assert {name: fold.data.metrics[name] for name in points} == pytest.approx(points)
    assert "fold_accuracy" not in fold.data.metrics
