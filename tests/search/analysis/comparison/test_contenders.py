import pytest

from search.analysis.comparison.contenders import NothingToCompare, chosen_contenders
from search.errors import SettingsError
from tests.search.analysis.comparison.comparing import MIDDLE, STRONG, WEAK, complete, confirm
from tracking.lock import StudyLock


def labels(studies, *names, trials="best"):
    return [c.label for c in chosen_contenders(studies.home, names, trials)]


def test_of_several_studies_the_best_of_each_is_taken(studies):
    studies.study("lenet", WEAK, STRONG)
    studies.study("mlp", MIDDLE, WEAK)
    found = chosen_contenders(studies.home, ["mlp", "lenet"])
    assert [(c.label, c.trial.number) for c in found] == [("mlp", 0), ("lenet", 1)]


def test_the_best_is_the_one_that_was_confirmed(studies):
    study = studies.begin("lenet")
    complete(study, 0, STRONG)
    complete(study, 1, MIDDLE)
    confirm(study, 0, [0.80] * 10)
    confirm(study, 1, [0.88] * 10)
    studies.write(study)
    studies.study("mlp", WEAK)
    found = chosen_contenders(studies.home, ["lenet", "mlp"])
    assert found[0].trial.number == 1


def test_of_one_study_the_best_meets_its_complete_baselines(studies):
    study = studies.begin("lenet")
    complete(study, 0, WEAK, origin="baseline:lenet5")
    study.start_trial(1, "baseline:other")
    study.end_trial(1, "failed", reason="no memory")
    complete(study, 2, MIDDLE, origin="baseline:third")
    complete(study, 3, MIDDLE)
    complete(study, 4, STRONG)
    assert labels(studies, studies.write(study)) == ["lenet trial 4", "third", "lenet5"]


def test_a_baseline_that_is_best_meets_the_best_sampled_trial_too(studies):
    studies.study("lenet", STRONG, WEAK, MIDDLE, WEAK, baselines=2)
    assert labels(studies, "lenet") == ["plain-0", "lenet trial 2", "plain-1"]
    studies.study("mlp", STRONG, WEAK, MIDDLE, WEAK, baselines=1)
    assert labels(studies, "mlp") == ["plain-0", "mlp trial 2"]


def test_without_baselines_the_best_two_meet(studies):
    studies.study("lenet", WEAK, STRONG, MIDDLE)
    assert labels(studies, "lenet") == ["lenet trial 1", "lenet trial 2"]


def test_trials_of_one_study_are_named_by_number(studies):
    studies.study("lenet", WEAK, STRONG, MIDDLE, baselines=1)
    assert labels(studies, "lenet", trials="2, 0") == ["lenet trial 2", "plain-0"]


@pytest.mark.parametrize("trials", ["0", "0,", "a,b", "-1,0", "0.5,1", "", "best,0", "²,0"])
def test_what_is_no_list_of_trials_is_refused(studies, trials):
    studies.study("lenet", WEAK, STRONG)
    with pytest.raises(SettingsError, match=r"`--trials` must be `best` or the numbers of two"):
        labels(studies, "lenet", trials=trials)


@pytest.mark.parametrize(
    ("trials", "rule"),
    [
        ("0,0", "must name each trial once; got 0,0"),
        ("0,7", "which has 2, from 0; got 7"),
        ("0,1", r"complete trials, .*trial 1 is pruned.*Complete: 0\."),
    ],
)
def test_trials_that_cannot_be_compared_are_named(studies, trials, rule):
    study = studies.begin("lenet")
    complete(study, 0, STRONG)
    study.start_trial(1)
    study.end_trial(1, "pruned", reason="weak")
    studies.write(study)
    with pytest.raises(SettingsError, match=rule):
        labels(studies, "lenet", trials=trials)


def test_numbers_are_for_one_study(studies):
    with pytest.raises(SettingsError, match="for the trials of one study; got 2 studies"):
        labels(studies, "lenet", "mlp", trials="0,1")


def test_a_study_is_named_once(studies):
    with pytest.raises(SettingsError, match="named once; got lenet lenet"):
        labels(studies, "lenet", "lenet")


def test_more_than_twelve_are_refused(studies):
    with pytest.raises(SettingsError, match="at most 12 can be compared at once; got 13"):
        labels(studies, *(f"s{n}" for n in range(13)))
    with pytest.raises(SettingsError, match="got 13"):
        labels(studies, "lenet", trials=",".join(map(str, range(13))))


def test_of_many_baselines_the_best_eleven_are_taken(studies):
    studies.study("lenet", *([0.5 + n / 100] * 2 for n in range(15)), baselines=14)
    found = labels(studies, "lenet")
    assert found[:2] == ["lenet trial 14", "plain-13"]
    assert len(found) == 12


def test_an_unknown_study_is_met_with_its_near_matches(studies):
    studies.study("lenet", WEAK, STRONG)
    with pytest.raises(SettingsError, match=r"no study is called 'lenett'.* did you mean lenet\?"):
        labels(studies, "lenett", "lenet")


def test_a_study_without_a_complete_trial_is_named(studies):
    studies.study("lenet", WEAK)
    study = studies.begin("mlp")
    study.start_trial(0)
    studies.write(study)
    with pytest.raises(NothingToCompare, match="study mlp has no complete trial yet"):
        labels(studies, "lenet", "mlp")
    with pytest.raises(NothingToCompare, match="study lenet has one"):
        labels(studies, "lenet")


def test_a_running_study_without_a_complete_trial_is_to_be_followed(studies):
    studies.study("lenet", WEAK)
    study = studies.begin("mlp")
    study.start_trial(0)
    studies.write(study)
    with (
        StudyLock(studies.home.study("mlp").lock),
        pytest.raises(NothingToCompare, match="it is running, and `foldwise watch mlp` follows it"),
    ):
        labels(studies, "lenet", "mlp")


def test_studies_on_different_datasets_are_refused(studies):
    studies.study("lenet", WEAK)
    other = {"name": "mnist", "digest": "ef" * 32, "classes": [], "samples": 90}
    studies.study("mlp", WEAK, dataset=other)
    with pytest.raises(SettingsError, match=r"same dataset.*lenet is on digits .*mlp is on mnist"):
        labels(studies, "lenet", "mlp")


def test_the_share_of_validation_samples_follows_from_the_folds(studies):
    studies.study("five", STRONG)
    studies.study("one", [0.9])
    five, one = chosen_contenders(studies.home, ["five", "one"])
    assert five.test_share == 1 / 4
    assert one.test_share == 1 / 4  # a fifth is held out
