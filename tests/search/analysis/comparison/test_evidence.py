import numpy as np
import pytest
from scipy import stats

from search.analysis.comparison.evidence import (
    Evidence,
    are_confirmed_alike,
    is_afresh,
    paired_difference,
    rivals_of,
)
from search.analysis.comparison.selection import NAMED, Choice, carried_over
from search.analysis.comparison.statistics import corrected_difference
from tests.search.analysis.comparison.comparing import (
    MIDDLE,
    STRONG,
    WEAK,
    add_folds,
    complete,
    confirm,
)
from tests.studies import STUDY_ID, StudyBuilder
from tracking.objectives import OBJECTIVES
from tracking.records import SessionStarted, TrialConfirmed

ACCURACY = OBJECTIVES["cv_accuracy"]


def begun(folds: int = 5, **confirmation) -> StudyBuilder:
    study = StudyBuilder("made", STUDY_ID, folds=folds)
    study.add(SessionStarted, trials=9, environment={}, confirmation=confirmation)
    return study


def evidence(study, *numbers):
    history = study.history
    trials = [history.trials[number] for number in numbers]
    return [Evidence(history, trial, rivals_of(history, trial)) for trial in trials]


def test_a_trial_was_chosen_from_all_sampled_ones_but_those_that_failed():
    study = begun()
    complete(study, 0, WEAK, origin="baseline:plain")
    complete(study, 1, STRONG)
    study.start_trial(2)
    study.fold(2, 1, epochs=1)
    study.end_trial(2, "pruned")
    study.start_trial(3)
    study.end_trial(3, "failed", reason="no memory")
    study.start_trial(4)  # trains
    history = study.history
    assert rivals_of(history, history.trials[1]) == 3
    assert rivals_of(history, history.trials[0]) == 1  # named before there was a score
    assert rivals_of(history, history.trials[0], baselines=True) == 4


def test_the_only_trial_was_not_chosen():
    study = begun()
    complete(study, 0, WEAK)
    assert rivals_of(study.history, study.history.trials[0]) == 1
    assert rivals_of(study.history, study.history.trials[0], baselines=True) == 1
    study.end_trial(0, "failed", reason="taken back")
    assert rivals_of(study.history, study.history.trials[0]) == 1
    assert rivals_of(study.history, study.history.trials[0], baselines=True) == 1


def test_on_the_studys_own_folds_all_of_the_choice_counts():
    study = begun()
    complete(study, 0, WEAK, origin="baseline:plain")
    for trial in (1, 2, 3):
        complete(study, trial, STRONG)
    best, baseline = evidence(study, 1, 0)
    assert best.choice(confirmed=False) == Choice(3)
    assert baseline.choice(confirmed=False) == baseline.choice(confirmed=True) == NAMED


@pytest.mark.parametrize(
    ("unused", "carried"), [(90, 0.0), (45, carried_over(0.25, 5, 10)), (0, None), (None, None)]
)
def test_on_confirmation_folds_it_counts_as_far_as_they_share_samples_with_the_search(
    unused, carried
):
    known = {} if unused is None else {"digest": "x", "samples": 90, "unused": unused}
    study = begun(**known)
    complete(study, 0, WEAK, origin="baseline:plain")
    for trial in (1, 2, 3):
        complete(study, trial, STRONG)
    for trial in (0, 1, 3):
        confirm(study, trial, [0.9] * 10)
    [best] = evidence(study, 1)
    expected = carried_over(0.25, 5, 10) if carried is None else carried
    assert best.choice(confirmed=True) == Choice(3, expected, finalists=2)
    assert is_afresh(study.history) == (unused == 90)


@pytest.mark.parametrize(("folds", "share"), [(3, 1 / 2), (5, 1 / 4), (10, 1 / 4), (1, 1 / 4)])
def test_how_far_the_choice_goes_on_follows_from_the_number_of_folds(folds, share):
    study = begun(folds=folds)
    for trial in (0, 1):
        complete(study, trial, [0.8] * folds)
    confirm(study, 0, [0.9] * (2 * folds))
    [best] = evidence(study, 0)
    assert best.choice(confirmed=True) == Choice(2, carried_over(share, folds, 2 * folds))


def test_a_confirmation_that_is_not_over_or_failed_is_none():
    study = begun()
    complete(study, 0, STRONG)
    add_folds(study, 0, [0.9] * 10, first=6)
    assert evidence(study, 0)[0].confirmed == {}
    study.add(TrialConfirmed, trial=0, repeats=2, error="no memory")
    assert evidence(study, 0)[0].confirmed == {}
    study.add(TrialConfirmed, trial=0, repeats=2, scores={"cv_accuracy": 0.9})
    assert list(evidence(study, 0)[0].confirmed) == list(range(6, 16))


@pytest.mark.parametrize("change", ["nothing", "digest", "number", "none"])
def test_trials_are_confirmed_alike_on_the_same_folds_only(change):
    studies = []
    for name in ("a", "b"):
        other = name == "b" and change
        study = begun(digest="y" if other == "digest" else "x", samples=90, unused=90)
        complete(study, 0, STRONG)
        if other != "none":
            confirm(study, 0, [0.9] * (8 if other == "number" else 10))
        studies.append(study)
    several = [found for study in studies for found in evidence(study, 0)]
    assert are_confirmed_alike(several) == (change == "nothing")


def test_the_noise_is_that_of_the_two_and_the_best_six_others():
    random = np.random.default_rng(0)
    study = begun()
    scores = {0: WEAK, 1: STRONG}
    scores |= {n: list(0.88 - n / 100 + 0.02 * random.normal(size=5)) for n in range(2, 11)}
    for trial, row in scores.items():
        complete(study, trial, row, origin="sampled" if trial else "baseline:plain")
    best, baseline = evidence(study, 1, 0)
    peers = sorted((scores[n] for n in range(2, 11)), key=sum, reverse=True)[:6]
    found = paired_difference(best, baseline, ACCURACY, confirmed=False)
    assert found == corrected_difference(
        STRONG, WEAK, test_share=0.25, choices=(Choice(10), NAMED), peers=peers
    )


def test_confirmation_folds_tell_their_noise_by_the_two_alone():
    random = np.random.default_rng(3)
    study = begun()
    confirmation_folds = {}
    for trial in range(3):
        complete(study, trial, STRONG, origin="sampled" if trial else "baseline:plain")
        confirmation_folds[trial] = 0.9 + 0.01 * (trial == 1) + 0.01 * random.normal(size=10)
        confirm(study, trial, confirmation_folds[trial])
    found = paired_difference(*evidence(study, 1, 0), ACCURACY, confirmed=True)
    choice = Choice(2, carried_over(0.25, 5, 10), finalists=2)
    assert found == corrected_difference(
        confirmation_folds[1], confirmation_folds[0], test_share=0.25, choices=(choice, NAMED)
    )


def test_folds_are_paired_by_their_numbers():
    study = begun()
    complete(study, 0, MIDDLE, origin="baseline:plain")
    study.start_trial(1)
    add_folds(study, 1, STRONG[2:], first=3)  # the others were lost
    study.end_trial(1, "complete", 0.9)
    found = paired_difference(*evidence(study, 1, 0), ACCURACY, confirmed=False)
    assert found.folds == 3
    assert found.mean == pytest.approx(np.mean(STRONG[2:]) - np.mean(MIDDLE[2:]))


def test_of_losses_the_smaller_is_better_and_infinite_ones_are_no_peers():
    study = begun()
    complete(study, 0, WEAK, origin="baseline:plain")
    complete(study, 1, STRONG)
    complete(study, 2, [float("-inf"), *MIDDLE[1:]])  # an infinite loss
    found = paired_difference(*evidence(study, 1, 0), OBJECTIVES["cv_loss"], confirmed=False)
    assert found == corrected_difference(
        [s - 1.3 for s in STRONG],
        [s - 1.3 for s in WEAK],
        test_share=0.25,
        choices=(Choice(2), NAMED),
    )


def test_a_claim_about_a_chosen_trial_withstands_a_correlation_of_one_fifth_whatever_the_folds():
    random = np.random.default_rng(1)
    rows = 0.8 + 0.01 * random.normal(size=(2, 10))
    study = begun(folds=10)
    complete(study, 0, rows[0], origin="baseline:plain")
    complete(study, 1, rows[1] + 0.01)
    complete(study, 2, rows[0] - 0.02)
    best, baseline, _ = evidence(study, 1, 0, 2)
    found = paired_difference(best, baseline, ACCURACY, confirmed=False)
    assert found == corrected_difference(
        rows[1] + 0.01,
        rows[0],
        test_share=1 / 4,
        choices=(Choice(2), NAMED),
        peers=[rows[0] - 0.02],
    )
    named = [Evidence(study.history, each.trial) for each in (best, baseline)]
    plain = paired_difference(*named, ACCURACY, confirmed=False)
    error = np.sqrt((1 / 10 + 1 / 9) * np.var(rows[1] - rows[0], ddof=1))
    assert plain.high - plain.mean == pytest.approx(stats.t.ppf(0.975, 9) * error)


def test_trials_without_a_fold_in_common_are_not_compared():
    study = begun()
    complete(study, 0, STRONG[:2], origin="baseline:plain")
    study.start_trial(1)
    add_folds(study, 1, STRONG[2:], first=3)
    study.end_trial(1, "complete", 0.9)
    assert paired_difference(*evidence(study, 1, 0), ACCURACY, confirmed=False) is None
