import re

import pytest

from search.errors import SettingsError
from search.study.config import read_config
from search.study.notation import parse_overrides
from search.study.settings import validate


def test_defaults_are_those_of_the_documentation():
    settings = validate({"space": "lenet"})
    assert (settings.driver, settings.sampler, settings.pruner) == ("optuna", "tpe", "racing")
    assert (settings.trials, settings.folds, settings.epochs, settings.seed) == (20, 5, None, 0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"space": "lenett"}, "did you mean lenet?"),
        ({"driver": "optunna"}, "did you mean optuna?"),
        ({"sampler": "tpee"}, "did you mean tpe?"),
        ({"driver": "fixed", "sampler": "tpe"}, "no sampler of fixed is called 'tpe'"),
        ({"pruner": "mean"}, "no pruner is called 'mean'"),
        ({"objective": "cv_loss,cv_loss"}, "separated by a comma; got 'cv_loss,cv_loss'"),
        ({"objective": "latency_ms,cv_loss"}, "must begin with a score"),
        ({"objective": "cv_loss,latency_ms", "pruner": "racing"}, "must be none, or left out"),
        ({"executor": "cloud"}, "no executor is called 'cloud'"),
        ({"precision": "float16"}, "`--precision`"),
        ({"folds": 0}, "`--folds`: must be at least 1; got 0"),
        ({"folds": 21}, "at most 20; got 21"),
        ({"epochs": 0}, "`--epochs`"),
        ({"trials": 0}, "`--trials`"),
        ({"trials": "many"}, "`--trials`: must be a whole number; got 'many'"),
        ({"trials": "2.5"}, "`--trials`: must be a whole number; got '2.5'"),
        ({"limit_samples": 3}, "`--limit-samples`"),
        ({"seed": -1}, "`--seed`"),
        ({"timeout": "soon"}, "must be a duration such as 90s, 15m or 2h; got 'soon'"),
        ({"timeout": "0s"}, "`--timeout`"),
        ({"trails": 3}, "`trails` is no setting; did you mean trials"),
        ({"input": {"body": None}}, "body must name its columns, as a,b or a list, not None"),
        ({"input": {"body": [1]}}, "body must name its columns, as a,b or a list, not [1]"),
    ],
)
def test_a_value_outside_its_rule_is_refused_with_rule_and_value(values, words):
    with pytest.raises(SettingsError) as caught:
        validate({"space": "lenet", **values})
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_faults_are_reported_together():
    with pytest.raises(SettingsError) as caught:
        validate({"folds": 99, "epochs": 0, "driver": "x"})
    assert len(str(caught.value).splitlines()) == 4
    assert "`--space` is needed; known: bilstm, cnn" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400)]
)
def test_durations_are_read_in_seconds(text, seconds):
    assert validate({"space": "lenet", "timeout": text}).timeout == seconds


def test_overrides_are_read_from_the_command_line():
    assert parse_overrides(["a=1", "b = 2:3", "c=4,5"]) == {"a": "1", "b": "2:3", "c": "4,5"}
    for pairs in (["a"], ["=3"], ["a=1", "a=2"]):
        with pytest.raises(SettingsError, match="--set"):
            parse_overrides(pairs)


def test_a_config_file_speaks_like_the_command_line(tmp_path):
    path = tmp_path / "study.yaml"
    lines = ["space: lenet", "limit-samples: 600", "set:", "  batch_size: [32, 64]"]
    path.write_text("\n".join(lines))
    settings = validate(read_config(path))
    assert settings.limit_samples == 600
    assert settings.set == {"batch_size": "32,64"}


def test_a_config_file_may_hold_odd_but_honest_values(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("space: lenet\nstudy: 2026\nset:\n  extra_conv: on\n  dropout: 0.2\n")
    settings = validate(read_config(path))
    assert settings.study == "2026"
    assert settings.set == {"extra_conv": "on", "dropout": "0.2"}
    path.write_text("driver: [1]\nspace: 3\n")
    with pytest.raises(SettingsError, match="`--driver`"):
        validate(read_config(path))


@pytest.mark.parametrize("content", ["- 1\n", "a: [", "\x00", "set: dropout=0.2"])
def test_a_config_file_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "study.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=re.escape(str(path))):
        read_config(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("workers", "two", "1 to 256, or auto; got 'two'"),
        ("workers", "0", "1 to 256, or auto; got '0'"),
        ("worker_memory", "1MB", "must be at least 500MB"),
        ("worker_memory", "lots", "must be an amount of memory such as 3GB or 800MB; got 'lots'"),
        ("trial_timeout", "soon", "must be a duration such as 90s, 15m or 2h; got 'soon'"),
    ],
)
def test_limits_of_workers_are_checked(name, value, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        validate({"space": "lenet", name: value})


def test_limits_of_workers_are_understood():
    settings = validate(
        {"space": "lenet", "workers": "2", "worker_memory": "3.5 GB", "trial_timeout": "1h30m"}
    )
    assert settings.workers == 2
    assert settings.worker_memory == 3_500_000_000
    assert settings.trial_timeout == 5400
    assert validate({"space": "lenet", "workers": "auto"}).workers == "auto"


@pytest.mark.parametrize("option", [{"workers": 2}, {"trial_timeout": 60}])
def test_supervision_needs_worker_processes(option):
    with pytest.raises(SettingsError, match="needs worker processes"):
        validate({"space": "lenet", "executor": "inline", **option})


@pytest.mark.parametrize(
    ("driver", "name", "words"),
    [
        *(("optuna", name, "mean tpe?") for name in ("bayes", "bayesian", "bayes_opt", "hyperopt")),
        ("optuna", "Bayesian-Optimization", "mean tpe?"),
        ("optuna", "gaussian", "mean gp?"),
        ("optuna", "random_search", "mean random?"),
        ("optuna", "gridsearch", "mean grid?"),
        ("optuna", "CmaEsSampler", "mean cmaes?"),
        ("optuna", "hyperband", "`--driver keras-tuner` has it"),
        ("keras-tuner", "bayes", "mean bayesian?"),
        ("keras-tuner", "gaussian_process", "mean bayesian?"),
        ("keras-tuner", "hyperopt", "mean bayesian?"),
        ("keras-tuner", "tpe", "`--driver optuna` has it"),
        ("keras-tuner", "RandomSearch", "mean random?"),
    ],
)
def test_a_sampler_called_as_elsewhere_is_met_with_the_drivers_own(driver, name, words):
    with pytest.raises(SettingsError) as caught:
        validate({"space": "lenet", "driver": driver, "sampler": name})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (64, "64"),
        (True, "on"),
        (None, "None"),
        ([32, 64], "32,64"),
        (["a,b", "c"], '"a,b",c'),
        ([None, "None"], 'None,"None"'),
        ([[1, 3], [3, 3]], "(1, 3),(3, 3)"),
        ((1, 3), "(1, 3)"),
        ("a,b", "a,b"),
    ],
)
def test_values_of_python_and_yaml_become_what_set_says(value, text):
    assert validate({"space": "lenet", "set": {"x": value}}).set == {"x": text}
