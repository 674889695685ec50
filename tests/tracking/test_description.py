from dataclasses import replace

import pytest

from tests.studies import RegressionStudyBuilder, StudyBuilder
from tracking.history import History
from tracking.mlflow.description import describe, study_label
from tracking.records import Notice, SessionEnded, TestSetOpened


def test_it_opens_with_the_best_trial_and_its_setting(study):
    text = describe(study.every_kind_of_trial().history)
    assert text.startswith("Best so far: trial 1, cv_accuracy 0.8500 ± 0.0100 over 2 folds.")
    assert "`filters`=33" in text


def test_it_counts_trials_by_state(study):
    text = describe(study.every_kind_of_trial().history)
    assert "2 complete, 1 pruned, 1 failed, 1 running" in text


def test_a_study_without_a_complete_trial_says_so(study):
    assert describe(study.history).startswith("No complete trial yet.")


def test_it_says_how_the_last_session_ended(study):
    study.session()
    assert "running" in describe(study.history)
    study.add(SessionEnded, reason="timeout")
    assert "ended: timeout" in describe(study.history)


def test_it_names_the_commands_with_the_study(new_study):
    text = describe(new_study("it's mine").history)
    for command in ("run --study", "show", "export"):
        assert f"foldwise {command} 'it'\"'\"'s mine'" in text


def test_it_tells_dataset_and_settings(study):
    text = describe(study.history)
    assert "Dataset `digits` from scikit-learn: 90 training samples, 3 classes" in text
    assert "`seed`=0" in text


def test_it_tells_every_opening_of_the_test_set(study):
    assert "has not been opened" in describe(study.history)
    study.add(
        TestSetOpened,
        trial=1,
        by="export",
        model_sha256="0" * 64,
        accuracy=0.9,
        loss=0.3,
        macro_f1=0.9,
        confusion=[],
        report={},
    )
    assert "opened 1 time;" in describe(study.history)


def test_it_fits_into_a_tag_of_mlflow(new_study):
    study = new_study()
    study.records[0].settings["note"] = "x" * 50_000
    assert len(describe(study.history)) < 20_000


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match="StudyStarted"):
        describe(History())


def test_it_says_what_the_search_goes_for(study, new_study):
    assert "The search maximises `cv_accuracy` (mean accuracy over the folds)." in describe(
        study.history
    )
    text = describe(new_study(objective="cv_loss,latency_ms").history)
    assert "minimises `cv_loss` (mean cross-entropy over the folds) and minimises" in text
    assert "- `latency_ms`: milliseconds" in text


def test_it_counts_who_waits(new_study):
    assert "2 complete, 2 pruned, 1 waiting, 1 running" in describe(new_study().race().history)


def test_it_tells_what_a_confirmed_trial_scored_and_why_it_is_the_best(study):
    study.session()
    study.complete_trial(0, level=0.85)
    assert "confirmed" not in describe(study.history)
    study.confirm_trial(0, level=0.81)
    text = describe(study.history)
    assert "confirmed on 4 confirmation folds: 0.8100 ± 0.0040." in text
    assert "partly luck" in text


def test_it_shows_the_front_of_two_objectives(new_study):
    study = new_study(objective="cv_accuracy,model_parameters")
    study.session()
    study.complete_trial(0, level=0.80, model_parameters=9000)
    study.complete_trial(1, level=0.85, model_parameters=8000)
    study.complete_trial(2, level=0.70, model_parameters=1_200_000 // 1000)
    text = describe(study.history)
    front = [line for line in text.splitlines() if line.startswith("- trial")]
    assert front == [
        "- trial 1: `cv_accuracy` 0.8500, `model_parameters` 8,000",
        "- trial 2: `cv_accuracy` 0.7000, `model_parameters` 1,200",
    ]


def test_it_says_where_curves_matrices_and_other_studies_are(study):
    text = describe(study.history)
    for what in ("*Best trials first*", "*Compare*", "`curves.png`", "`confusion_matrix.png`"):
        assert what in text
    assert "tick both on the page *Experiments*" in text


def test_it_has_no_tables_which_the_pages_crowd(new_study):
    study = new_study(objective="cv_accuracy,latency_ms").every_kind_of_trial()
    assert "|--" not in describe(study.history)


def test_it_tells_what_was_found_out_about_the_numbers(study):
    study.add(Notice, trial=0, text="outputs are scores")
    assert "**Note:** outputs are scores" in describe(study.history)


def test_of_a_regression_it_explains_its_own_columns_in_the_targets_unit():
    study = RegressionStudyBuilder().every_kind_of_trial()
    study.confirm_trial(1, 0.84)
    text = describe(study.history)
    assert "trial 1, cv_rmse 14,850 ± 70.71 over 2 folds" in text
    assert "- `cv_rmse_std`: sample standard deviation of the folds' `rmse`" in text
    assert "- `cv_r2`: share of the target's variance" in text
    assert "`confirmed_rmse`, `confirmed_rmse_std`, `confirmed_loss`, `confirmed_mae`" in text
    assert "1 number to predict (price)" in text
    for of_classes in ("accuracy", "f1", "confusion", "classes", "cross-entropy"):
        assert of_classes not in text.lower()


@pytest.mark.parametrize(
    ("space", "label"),
    [
        ("a function passed from Python: build (net.py)", "cohort (build)"),
        ("a function passed from Python: cohort (<cell>)", "cohort"),
        ("/home/me/my_net.py:build", "cohort (my_net)"),
        ("lenet", "cohort (lenet)"),
    ],
)
def test_a_label_names_the_space_in_a_word(space, label):
    assert study_label(replace(StudyBuilder("cohort").records[0], space=space)) == label
