"""`enqueue` and `import-trials`: what they print, and that faults come before writing."""

import json
import sys
from pathlib import Path

import optuna
import pytest

from search.cli.app import run
from search.study.enqueuing import requests_in
from tests.functional.conftest import TINY
from tracking.home import Home, StudyFolder

NEW = (*TINY, "--trials", "3")


@pytest.fixture
def search(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; return its exit code, output and messages."""
    monkeypatch.chdir(tmp_path)

    def search(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["search", *arguments])
        with pytest.raises(SystemExit) as ended:
            run()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, " ".join(printed.err.split())

    return search


@pytest.fixture
def storage(tmp_path) -> str:
    """An Optuna study of `mlp`'s params, in a file of the folder."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=f"sqlite:///{tmp_path}/mine.db", study_name="mine", direction="maximize"
    )
    for units in (32, 64, 100_000):
        study.enqueue_trial({"units_1": units, "learning_rate": 0.001})
    study.optimize(
        lambda trial: (
            trial.suggest_int("units_1", 1, 100_000) / 1e6
            + trial.suggest_float("learning_rate", 1e-4, 1e-2)
        ),
        n_trials=3,
    )
    return "sqlite:///mine.db"


def folder(tmp_path: Path, study: str) -> StudyFolder:
    return Home(tmp_path / "mlruns").study(study)


def waiting(tmp_path: Path, study: str) -> list[dict[str, object]]:
    found = requests_in(folder(tmp_path, study))
    return [entry.parameters for _, request in found for entry in request.entries]


OPTIONS = tuple(TINY)


@pytest.mark.slow
def test_trials_for_a_new_study_wait_for_its_run_and_the_command_is_told(search, storage, tmp_path):
    code, out, err = search("import-trials", storage, "--study", "s", *OPTIONS)
    assert code == 0
    assert "Optuna study" in out
    assert "3 trials; its objective, larger is better, under another evaluation than here" in out
    assert "Trial 2 is left out: `units_1` must be within" in out
    assert "2 trials enqueued in study s" in out
    assert "run --study s --space mlp" in out
    assert "the study has not begun" in err
    assert [params["units_1"] for params in waiting(tmp_path, "s")] == [64, 32]


@pytest.mark.slow
def test_a_second_import_adds_nothing(search, storage, tmp_path):
    search("import-trials", storage, "--study", "s", *OPTIONS)
    before = waiting(tmp_path, "s")
    code, out, err = search("import-trials", storage, "--study", "s", *OPTIONS)
    assert code == 0
    assert "Nothing is new to study s." in out
    assert "enqueued already: they are not evaluated twice" in err
    assert waiting(tmp_path, "s") == before


@pytest.mark.slow
def test_an_import_as_json_tells_what_was_left_out(search, storage):
    code, out, _ = search("import-trials", storage, "--study", "s", "--json", *OPTIONS)
    document = json.loads(out)
    assert code == 0
    assert [params["units_1"] for params in document["enqueued"]] == [64, 32]
    assert list(document["left_out"]) == ["2"]
    assert document["source"]["direction"] == "maximize"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.db", "--study", "s", *OPTIONS), "there is no missing.db"),
        (("sqlite:///mine.db", "--study", "s"), "no study is called 's'"),
        (("sqlite:///mine.db", "--study", "s", *OPTIONS, "--source-study", "x"), "no study 'x'"),
        (("sqlite:///mine.db", "--study", "s", *OPTIONS, "--rename", "x"), "takes OLD=NEW"),
        (("sqlite:///mine.db", "--study", "s", *OPTIONS, "--without", "x"), "no trial of"),
        (("sqlite:///mine.db", "--study", "s", *OPTIONS, "--told"), "has no name"),
        (
            ("sqlite:///mine.db", "--study", "s", *OPTIONS, "--told", "--sampler", "random"),
            "needs a sampler that is known to learn",
        ),
        (("sqlite:///mine.db", "--study", "s", *OPTIONS, "--set", "units_1=128"), "no trial of"),
    ],
)
def test_a_wrong_import_is_one_error_and_writes_nothing(
    search, storage, tmp_path, arguments, message
):
    code, out, err = search("import-trials", *arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert not folder(tmp_path, "s").root.exists()


def test_params_cannot_be_enqueued_in_a_study_that_is_not_there(search, tmp_path):
    code, _, err = search("enqueue", "s", "units_1=64")
    assert code == 2
    assert "no study is called 's'" in err
    assert not folder(tmp_path, "s").root.exists()


@pytest.mark.slow
def test_wrong_params_end_a_run_before_anything_is_written(search, tmp_path):
    code, _, err = search("run", "--study", "s", *NEW, "--enqueue", "units_1=3,unit=4")
    assert code == 2
    assert "mlp has no parameter `unit`" in err
    assert not folder(tmp_path, "s").root.exists()


@pytest.mark.slow
def test_enqueued_and_imported_trials_are_cross_validated_like_others(search, storage, tmp_path):
    assert search("import-trials", storage, "--study", "s", *OPTIONS)[0] == 0
    own = ("--enqueue", "units_1=48", "--no-baselines")
    code, out, err = search("run", "--study", "s", *TINY, "--trials", "2", *own, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert [trial["origin"] for trial in document["trials"]] == [
        "enqueued",
        f"imported:{tmp_path}/mine.db#mine",
    ]
    assert [trial["parameters"]["units_1"] for trial in document["trials"]] == [48, 64]
    assert [params["units_1"] for params in document["enqueued"]] == [32]
    assert all(trial["folds"] for trial in document["trials"])
    code, out, _ = search("enqueue", "s", "units_1=56", "units_1=48", "--json")
    assert code == 0
    assert [params["units_1"] for params in json.loads(out)["enqueued"]] == [56]
    assert "are those of trial 0" in json.loads(out)["notices"][0]
    code, out, _ = search("run", "--study", "s", "--trials", "4")
    assert code == 0
    assert "[imported]" in out
    assert waiting(tmp_path, "s") == []
