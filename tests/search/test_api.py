import subprocess
import sys

import pytest

import search
from search import SettingsError, StudySettings, load_study, run_study
from tests.studies import StudyBuilder
from tracking.home import Home

TINY = {
    "dataset": "digits",
    "folds": 2,
    "epochs": 2,
    "limit_samples": 200,
    "set": {"batch_size": 64},
}


@pytest.fixture
def stored(tmp_path):
    """Write a study of every kind of trial to a home, and load it."""
    study = StudyBuilder().every_kind_of_trial()
    study.write(Home(tmp_path).study("lenet-digits").journal)
    return study, load_study("lenet-digits", home=tmp_path)


def test_trials_are_a_table_by_number(stored):
    study, result = stored
    trials = result.trials
    assert list(trials.index) == [0, 1, 2, 3, 4]
    assert trials.index.name == "trial"
    assert list(trials["state"]) == ["complete", "complete", "pruned", "failed", "running"]
    assert list(trials["cv_accuracy"][:2]) == [0.80, 0.85]
    assert trials["cv_accuracy"][2:].isna().all()
    assert list(trials["folds"]) == [2, 2, 0, 0, 0]
    assert trials["epochs_trained"][4] == 1  # it runs
    assert trials["reason"][3] == "out of memory"
    names = [f"params_{entry['name']}" for entry in study.records[0].parameters]
    assert list(trials.columns)[-len(names) :] == names
    assert trials.loc[1, "params_filters"] == study.history.trials[1].started.parameters["filters"]


def test_folds_are_a_table_with_those_that_confirm_marked(tmp_path):
    study = StudyBuilder(folds=2)
    study.session()
    study.complete_trial(0, level=0.85)
    study.confirm_trial(0, level=0.81)
    study.write(Home(tmp_path).study("a").journal)
    folds = load_study("a", home=tmp_path).folds
    assert list(folds["fold"]) == [1, 2, 3, 4, 5, 6]
    assert list(folds["confirms"]) == [False, False, True, True, True, True]
    assert folds["accuracy"][0] == study.history.trials[0].finished_folds()[1].accuracy


def test_the_best_trial_has_its_setting_and_score(stored):
    _, result = stored
    assert (result.best.number, result.best.value) == (1, 0.85)
    assert repr(result) == "<study 'lenet-digits': 4 of 5 trials done, best 0.8500>"


def test_a_study_without_trials_has_empty_tables(tmp_path):
    StudyBuilder().write(Home(tmp_path).study("new").journal)
    result = load_study("new", home=tmp_path)
    assert result.best is None
    assert len(result.trials) == len(result.folds) == 0
    assert repr(result) == "<study 'lenet-digits': 0 of 0 trials done>"


def test_an_unknown_study_is_refused_with_near_matches(stored, tmp_path):
    with pytest.raises(SettingsError, match="lenet-digits"):
        load_study("lenet-digit", home=tmp_path)


def test_what_the_package_offers_can_be_had():
    for name in search.__all__:
        assert getattr(search, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        search.nothing  # noqa: B018 # asking is the test


@pytest.mark.parametrize(
    ("value", "text"),
    [(64, "64"), (True, "on"), ([32, 64], "32,64"), ([True, False], "on,off"), ("1:9", "1:9")],
)
def test_set_takes_values_as_python_has_them(value, text):
    assert StudySettings(space="mlp", set={"batch_size": value}).set == {"batch_size": text}


@pytest.mark.slow
def test_a_study_runs_and_goes_on_as_settings_say(tmp_path):
    told, seen = [], []

    def display(opened):
        from contextlib import nullcontext

        return nullcontext(lambda record: seen.append(type(record).__name__))

    settings = StudySettings(space="mlp", study="toy", trials=1, **TINY)
    first = run_study(settings, home=tmp_path, notify=told.append, display=display)
    assert (first.reason, first.waiting, first.name) == ("complete", 0, "toy")
    assert told == ["Getting digits (scikit-learn)."]
    assert seen.count("FoldEnded") == 2
    second = run_study(study="toy", space="mlp", trials=2, home=tmp_path)
    assert list(second.trials["state"]) == ["complete", "complete"]
    assert second.trials.loc[0].equals(first.trials.loc[0])
    assert load_study("toy", home=tmp_path).trials.equals(second.trials)


@pytest.mark.slow
def test_a_script_needs_no_guard_for_its_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from search import run_study\n"
        "print('begun')\n"
        f"result = run_study(space='mlp', study='toy', trials=2, workers=2, **{TINY!r})\n"
        "print(result)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "begun"
    assert done.stdout.count("begun") == 1
    assert "<study 'toy': 2 of 2 trials done" in done.stdout
