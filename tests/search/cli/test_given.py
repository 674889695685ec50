"""What `run` is given: on the command line, in the environment, in files; which goes first."""

import sys
from pathlib import Path

import pytest

from search.cli import run as module
from search.cli.app import run
from search.errors import SettingsError


@pytest.fixture
def given(tmp_path, monkeypatch, capsys):
    """Call `run`; return the settings that would be searched with, and what was printed."""
    monkeypatch.chdir(tmp_path)
    seen = {}

    def refuse(**asked):
        seen.clear()
        seen.update(asked)
        raise SettingsError("`--folds`: study 'x' began with 3")

    monkeypatch.setattr(module, "run_study", refuse)

    def given(*arguments: str, **environment: str):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["foldwise", "run", *arguments])
        with pytest.raises(SystemExit) as end:
            run()
        assert end.value.code == 2
        return dict(seen), capsys.readouterr().err

    return given


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(given):
    Path("foldwise.yaml").write_text("folds: 4\nepochs: 4\ntrials: 4\nspace: mlp\n")
    found, _ = given("-k", "2", FOLDWISE_FOLDS="3", FOLDWISE_EPOCHS="3")
    assert (found["folds"], found["epochs"], found["trials"]) == ("2", "3", 4)


def test_a_file_that_was_only_found_is_told_of_and_can_be_left_out(given):
    Path("foldwise.yaml").write_text("folds: 4\nspace: mlp\n")
    found, told = given("-n", "3")
    assert found["space"] == "mlp"
    assert "Note: foldwise.yaml gives folds, space; `--no-config` leaves it out" in told
    found, told = given("-n", "3", "--no-config")
    assert "space" not in found
    assert "foldwise.yaml" not in told
    Path("own.yaml").write_text("seed: 4\n")
    found, told = given("--config", "own.yaml")
    assert found["seed"] == 4
    assert "folds" not in found
    assert "Note" not in told  # it was named


def test_what_the_environment_gives_is_told_of(given):
    found, told = given("-s", "mlp", FOLDWISE_TRIALS="50", FOLDWISE_BASELINES="off")
    assert (found["trials"], found["baselines"]) == ("50", False)
    assert "Note: the environment gives FOLDWISE_BASELINES, FOLDWISE_TRIALS" in told


def test_parameters_from_the_environment_are_separated_by_spaces(given):
    found, _ = given(FOLDWISE_SET="dropout=0.2 units=3:5")
    assert found["set"] == {"dropout": "0.2", "units": "3:5"}


def test_parameters_of_the_file_are_kept_beside_those_of_the_command_line(given):
    Path("foldwise.yaml").write_text("set:\n  dropout: 0.2\n  units: 5\n")
    found, _ = given("-p", "units=7")
    assert found["set"] == {"dropout": 0.2, "units": "7"}


def test_the_home_can_be_given_once_for_all_commands(given):
    found, told = given(FOLDWISE_HOME="elsewhere")
    assert found["home"] == Path("elsewhere")
    assert "Note" not in told


def test_an_error_says_who_gave_the_option_that_nobody_typed(given):
    assert "is given by FOLDWISE_FOLDS." in given(FOLDWISE_FOLDS="4")[1]
    assert "is given by" not in given("-k", "4")[1]


def test_an_error_says_which_file_gave_the_option(given):
    Path("foldwise.yaml").write_text("folds: 4\n")
    assert "`--folds` is given by foldwise.yaml." in given()[1].replace("\n", " ")


def test_a_variable_that_is_no_option_is_told_of_with_near_ones(given):
    _, told = given(FOLDWISE_TRAILS="50")
    assert "FOLDWISE_TRAILS is no option of `run`; did you mean trials" in told


@pytest.mark.parametrize(
    "line",
    [
        "space: own.py:SPACE",
        "objective: own.py:score",
        "metrics: [f1, 'own.py:score']",
        "ray_address: auto",
    ],
)
def test_a_file_that_was_only_found_chooses_no_code_to_run(given, line):
    Path("foldwise.yaml").write_text(line + "\n")
    found, told = given()
    assert not found
    assert "must not choose what code runs, or where" in told.replace("\n", " ")
    assert "`--config foldwise.yaml`" in told.replace("\n", " ")
    assert given("--config", "foldwise.yaml")[0]


def test_a_reference_of_the_command_line_stands_for_that_of_the_file(given):
    Path("foldwise.yaml").write_text("space: own.py:SPACE\nfolds: 3\n")
    found, _ = given("-s", "mine.py:SPACE")
    assert (found["space"], found["folds"]) == ("mine.py:SPACE", 3)


def test_a_file_and_none_are_not_given_together(given):
    assert "not both" in given("--config", "a.yaml", "--no-config")[1]


def test_every_option_of_run_has_a_variable():
    import typer.main

    from search.cli.app import app

    options = typer.main.get_command(app).commands["run"].params
    for option in options:
        if option.name != "help":
            names = [option.envvar] if isinstance(option.envvar, str) else option.envvar
            assert f"FOLDWISE_{option.name.upper()}" in names
