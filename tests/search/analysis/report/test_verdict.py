from search.analysis.report.subject import Subject
from search.analysis.report.verdict import paired, sentences
from tests.studies import StudyBuilder


def study_of(*levels, folds=5, objective=None, wobble=0.0):
    """Return a study of a baseline and sampled trials, of the given accuracies."""
    study = StudyBuilder(folds=folds, objective=objective)
    study.session()
    for trial, level in enumerate(levels):
        study.start_trial(trial, "sampled" if trial else "baseline:lenet5")
        for fold in range(1, folds + 1):
            study.fold(trial, fold, level=level + (wobble if (trial + fold) % 2 else 0))
        study.end_trial(trial, "complete", level)
    return study


def told(study):
    return " ".join(sentences(Subject(study.history)))


def test_a_clear_lead_is_claimed():
    text = told(study_of(0.80, 0.85))
    assert text.startswith("Trial 1 is the best: accuracy 0.8500 ± 0.0100 over 5 folds, 95 %")
    assert "better than the best baseline, trial 0 (lenet5), by +5.00 points" in text


def test_the_best_score_has_its_interval():
    # Folds of 0.851 to 0.855: t(0.975, 4) sqrt((1/5 + 1/4) 2.5e-6) = 2.776 x 1.061e-3 = 0.0029.
    assert "over 5 folds, 95 % interval 0.8501 to 0.8559." in told(study_of(0.80, 0.85))
    assert "95 % interval" not in told(study_of(0.80, 0.85, folds=1))
    of_f1 = told(study_of(0.80, 0.85, objective="macro_f1"))
    assert of_f1.startswith("Trial 1 is the best: macro F1 0.7500 ± 0.0000 over 5 folds.")


def test_a_lead_within_the_noise_is_not_claimed():
    text = told(study_of(0.80, 0.82, wobble=0.03))
    assert "No difference from the best baseline, trial 0 (lenet5) can be claimed" in text
    assert "+1.40 points (95 % interval -" in text


def many_baselines(number):
    """Return a study whose best trial leads each of some baselines with p of 0.03."""
    study = StudyBuilder(folds=5)
    study.session()
    wobble = [0.0, -0.0114, -0.0057, 0.0057, 0.0114]
    for trial in range(number + 1):
        study.start_trial(trial, f"baseline:b{trial}" if trial < number else "sampled")
        for fold in range(1, 6):
            lead = 0.02 + wobble[fold - 1] if trial == number else 0.0
            study.fold(trial, fold, level=0.8 + lead)
        study.end_trial(trial, "complete", 0.82 if trial == number else 0.8)
    return study


def test_a_lead_over_one_of_many_baselines_is_corrected_for_their_number():
    assert "It is better than the best baseline" in told(many_baselines(1))
    text = told(many_baselines(3))
    assert "No difference from the best baseline, trial 0 (b0) can be claimed" in text
    assert "corrected for the number of comparisons, is 0." in text


def test_one_fold_claims_nothing():
    text = told(study_of(0.80, 0.85, folds=1))
    assert "this may or may not be more than chance" in text


def test_a_smaller_loss_is_better():
    study = study_of(0.80, 0.85, objective="cv_loss")
    found = paired(Subject(study.history), study.history.trials[1], study.history.trials[0])
    assert found.mean > 0
    assert "It is better than the best baseline" in told(study)


def test_a_baseline_that_wins_is_compared_with_the_next():
    text = told(study_of(0.90, 0.80))
    assert "It is a baseline, and the only complete one; no sampled trial beat it." in text


def test_a_study_without_baselines_says_so():
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    assert "No baseline is complete" in told(study)


def test_the_best_of_many_is_called_a_little_lucky_unless_confirmed():
    study = study_of(0.80, 0.85)
    assert "a little lucky" in told(study)
    study.confirm_trial(1, level=0.84)
    text = told(study)
    assert "a little lucky" not in text
    assert (
        "On 10 confirmation folds, which took no part in the search, it has 0.8400 ± 0.0040" in text
    )


def test_a_confirmed_trial_that_overtook_another_is_explained():
    study = study_of(0.80, 0.85, 0.86)
    study.confirm_trial(1, level=0.84)
    study.confirm_trial(2, level=0.82)
    text = told(study)
    assert text.startswith("Trial 1 is the best")
    assert "on the study's own folds trial 2 scored better, 0.8600" in text


def test_folds_that_confirmed_both_trials_are_compared_alone():
    study = study_of(0.80, 0.85)
    for trial, level in ((0, 0.80), (1, 0.85)):
        study.confirm_trial(trial, level=level)
    found = paired(Subject(study.history), study.history.trials[1], study.history.trials[0])
    assert found.folds == 10
    assert "better than the best baseline, trial 0 (lenet5), by +5.00 points" in told(study)
    assert "), on the confirmation folds." in told(study)


def test_the_lead_of_the_best_allows_for_the_number_of_trials_it_was_chosen_from():
    study = StudyBuilder(folds=5)
    study.session()
    leads = [0.013, 0.004, 0.005, 0.011, 0.009]
    for trial in (0, 1):
        study.start_trial(trial, "sampled" if trial else "baseline:lenet5")
        for fold in range(1, 6):
            study.fold(trial, fold, level=0.8 + trial * leads[fold - 1])
        study.end_trial(trial, "complete", 0.8 + 0.01 * trial)
    assert "It is better than the best baseline" in told(study)
    for trial in range(2, 30):
        study.start_trial(trial)
        study.fold(trial, 1, epochs=1)
        study.end_trial(trial, "pruned")
    assert "No difference from the best baseline" in told(study)
    assert "the interval and p of the difference allow for that" in told(study)


def test_the_test_set_is_said_to_be_closed():
    assert told(study_of(0.8, 0.9)).endswith("The test set has not been opened.")
