import errno
import json
import sys

import pytest

from search.cli.app import run
from tests.studies import StudyBuilder
from tracking.home import Home


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens there
    StudyBuilder("race").race().write(Home(tmp_path / "mlruns").study("race").journal)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["search", "report", *arguments])
        with pytest.raises(SystemExit) as caught:
            run()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(caught.value.code or 0), captured.out, " ".join(captured.err.split())

    return command


@pytest.mark.slow  # asks MLflow
def test_it_says_where_the_report_is_and_what_mlflow_lacks(command, tmp_path):
    code, out, errors = command("race", "--out", "here.html")
    assert code == 0
    assert out.startswith("Written: here.html (")
    assert (tmp_path / "here.html").as_uri() in out
    assert "records still to reach MLflow" in errors


@pytest.mark.slow  # asks MLflow
def test_json_tells_the_same(command, tmp_path):
    code, out, errors = command("race", "--json")
    document = json.loads(out)
    assert (code, errors) == (0, "")
    assert document["file"] == str(tmp_path / "report.html")
    assert document["bytes"] == (tmp_path / "report.html").stat().st_size
    assert document["records_not_in_mlflow"] > 0
    assert document["notices"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing argument 'STUDY...'"),
        (("rase",), "did you mean race?"),
        (("race", "--out", "."), "must be a file; . is a folder"),
        (("race", "--out", "mlruns/studies/race/journal.jsonl"), "exists already"),
        (("race", "--out", "/proc/report.html"), "cannot be written"),
        (("race", "--tracking-uri", "nonsense://x"), "`--tracking-uri` must begin with one of"),
    ],
)
def test_a_mistake_gets_one_clear_message(command, tmp_path, arguments, words):
    code, out, errors = command(*arguments)
    assert (code, out) == (2, "")
    assert words in errors
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow  # draws a report
def test_a_report_is_written_of_a_home_that_can_only_be_read(command, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("search.analysis.report.report.opened_log", refuse)
    code, out, errors = command("race", "--out", "here.html")
    assert code == 0
    assert out.startswith("Written: here.html (")
    assert "cannot be written (Read-only file system), so the report of race is not" in errors
