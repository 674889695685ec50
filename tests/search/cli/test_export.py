"""What is wrong with an export is told before anything is trained or loaded."""

import sys

import pytest

from search.cli.app import run
from tests.studies import StudyBuilder
from tracking.home import Home

USAGE, DATA = 2, 3


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("SEARCH_DATA_DIR", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    for name, folds in (("toy", 2), ("single", 1)):
        study = StudyBuilder(name, folds=folds)
        study.session()
        study.complete_trial(0)
        study.write(Home(tmp_path / "mlruns").study(name).journal)

    def command(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["search", "export", *arguments])
        with pytest.raises(SystemExit) as caught:
            run()
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        return int(caught.value.code or 0), " ".join(captured.err.split())

    return command


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    def loaded(*_: object, **__: object) -> None:
        pytest.fail("data or TensorFlow were loaded")

    monkeypatch.setattr("search.export.refit.load", loaded)
    monkeypatch.setattr("search.export.final.load_tensorflow", loaded)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("toy", "--format", "keras,onx"), "got 'onx', did you mean onnx?"),
        (("toy", "--format", "pickle"), "must be one or several of keras,saved_model,tflite,onnx"),
        (("toy", "--trial", "7"), "`--trial` must be a complete trial (0); got 7"),
        (("single", "--ensemble", "--json"), "got '--json'. To average several trainings"),
        (("single", "--refits", "0"), "`--refits` must be between 1 and 100; got 0"),
        (("toyy",), "did you mean toy?"),
    ],
)
def test_wrong_wishes_are_refused_with_the_remedy(command, tmp_path, arguments, told):
    code, message = command(*arguments)
    assert told in message
    assert code == USAGE
    assert not (tmp_path / "exports").exists()


def test_a_format_whose_package_is_missing_is_refused(command, monkeypatch):
    monkeypatch.setattr("search.export.formats.base.find_spec", lambda name: None)
    code, message = command("toy", "--format", "tflite")
    assert '`pip install "foldwise[formats]"`' in message
    assert code == USAGE


def test_a_model_that_is_there_is_not_overwritten_unasked(command, tmp_path):
    target = tmp_path / "exports" / "toy"
    target.mkdir(parents=True)
    (target / "model.keras").write_text("precious")
    code, message = command("toy")
    assert "replace it with `--overwrite` or name a new folder" in message
    assert code == USAGE
    assert (target / "model.keras").read_text() == "precious"


def test_a_folder_of_other_things_and_a_file_are_no_targets(command, tmp_path):
    (tmp_path / "thesis.txt").touch()
    assert "contains other files" in command("toy", "--to", ".")[1]
    code, message = command("toy", "--to", "thesis.txt")
    assert "thesis.txt must be a folder to write; it is a file" in message
    assert code == USAGE
