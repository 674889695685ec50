import pkgutil
import shlex
import subprocess
import sys

import pytest

import search
import tracking
from search.cli import app as commands
from search.environment import best_params, facts, run_command, without_folders
from search.study.settings import IDENTITY, validate
from tests.studies import StudyBuilder

EVERYTHING = {
    "space": "mlp",
    "dataset": "digits",
    "driver": "optuna",
    "learn_from": ("none",),
    "sampler": "optuna.samplers:TPESampler",
    "sampler_args": {"n_startup_trials": 5, "multivariate": True},
    "pruner": "none",
    "objective": "cv_loss",
    "metrics": ("balanced_accuracy", "recall@a b"),
    "target_scaling": "off",
    "threshold": "tuned",
    "folds": 4,
    "epochs": 7,
    "seed": 9,
    "set": {"dropout": "0.1:0.2", "batch_size": "32,64"},
    "baselines": False,
    "limit_samples": 500,
    "drop_duplicates": True,
    "precision": "mixed_bfloat16",
    "pixels": "raw",
    "task": "classification",
    "target": "illness",
    "ignore": ("visit", "room"),
    "types": {"age": "number", "zip": "category"},
    "text": "notes",
    "input": ("body=age,bmi", "rest=*"),
    "kind": "sequence",
    "groups": "patient",
    "time": "day",
    "weights": "weight",
    "fold_column": "part",
    "header": "none",
    "decimal": ",",
    "skip_unreadable": True,
    "allow_duplicates": True,
    "split": "time",
    "gap": 3,
}


def study_with(settings, name="my study's name"):
    study = StudyBuilder(name)
    object.__setattr__(study.records[0], "settings", settings)
    object.__setattr__(study.records[0], "driver", settings.get("driver", "optuna"))
    study.session(trials=30)
    study.complete_trial(0)
    return study.history


def test_the_command_asks_for_the_very_study(monkeypatch):
    """It is parsed by the command line itself, up to the opening of the study."""
    asked = {}

    def open_study(values, **_):
        asked.update(values)
        raise KeyboardInterrupt

    monkeypatch.setattr("search.api.open_study", open_study)
    words = shlex.split(run_command(study_with(EVERYTHING)).replace("\\\n", ""))
    assert words[:2] == ["foldwise", "run"]
    monkeypatch.setattr(sys, "argv", ["search", *words[1:]])
    with pytest.raises(SystemExit):
        commands.run()
    settings = validate(asked)
    assert {name: getattr(settings, name) for name in IDENTITY} == EVERYTHING
    assert (settings.study, settings.trials) == ("my study's name", 30)


def test_the_command_has_the_workers_that_a_plan_had_chosen():
    history = study_with(EVERYTHING)
    assert "--workers" not in run_command(history)
    history.sessions[-1].environment["workers"] = 2
    assert "--workers 2" in run_command(history)


def test_every_setting_that_makes_a_study_is_in_the_command():
    assert set(EVERYTHING) == set(IDENTITY)


def test_a_journal_that_says_little_still_gives_a_command():
    command = run_command(study_with({"seed": 3}))
    assert "--seed 3" in command
    assert "None" not in command


def test_digests_commit_and_versions_are_told():
    told = dict(facts(study_with(EVERYTHING)))
    assert told["dataset digest (SHA-256)"] == "ab" * 32
    assert told["folds digest (SHA-256)"] == "cd" * 32
    assert told["git commit"] == "f" * 40 + ", with uncommitted changes"
    assert told["versions"] == "keras 3.15.1"


def test_the_best_setting_is_whole():
    assert best_params(study_with(EVERYTHING)) == [
        ("filters", "32"),
        ("extra", "off"),
        ("batch_size", "32"),
        ("epochs", "3"),
    ]


@pytest.mark.slow
def test_only_what_trains_loads_tensorflow_when_it_is_imported():
    rooms = ("search.training.", "search.study.drivers.keras_tuner", "search.__main__")
    modules = [
        found.name
        for package in (search, tracking)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not found.name.startswith(rooms)
    ]
    assert len(modules) > 100
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert not {'tensorflow', 'keras'} & set(sys.modules), name\n"
    )
    subprocess.run([sys.executable, "-c", script, *modules], check=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(/a b/train.csv and /a b/test.csv)", "(train.csv and test.csv)"),
        ("csv:/a/train.csv,/a/test.csv (/a/test.csv)", "csv:train.csv,test.csv (test.csv)"),
        ("/home/my data (old)/x.csv, ~/y.csv", "x.csv, y.csv"),
        ("C:\\my data\\x.csv", "x.csv"),
        ("https://example.org/a/b", "https://example.org/a/b"),
    ],
)
def test_each_of_several_files_keeps_its_name_without_its_folders(text, expected):
    assert without_folders(text) == expected
