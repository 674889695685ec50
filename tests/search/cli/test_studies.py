"""`studies`, `stop`, `rename`, `delete` and `trials`: of studies that nobody trained."""

import csv
import io
import json
import sys
from contextlib import suppress

import pandas
import pytest

from search.cli import output
from search.cli.app import run
from search.cli.show import csv_text
from search.studies import rename_study
from tests.studies import StudyBuilder
from tracking.home import Home
from tracking.lock import StudyLock
from tracking.records import SessionEnded, StudyRenamed


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path / "mlruns")


@pytest.fixture
def command(home, monkeypatch, capsys):
    """Run a command; return its code and what it printed on both streams."""

    def command(*arguments: str, width: int = 100) -> tuple[int, str, str]:
        monkeypatch.setattr(output.console, "_width", width)
        monkeypatch.setattr(sys, "argv", ["foldwise", *arguments])
        code = 0
        try:
            run()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def write(home: Home, name: str = "toy", *, reason: str = "complete") -> StudyBuilder:
    study = StudyBuilder(name)
    study.session(trials=2)
    study.complete_trial(0)
    if reason != "broken":
        study.add(SessionEnded, reason=reason)
    study.write(home.study(name).journal)
    return study


def test_studies_tells_space_dataset_state_and_how_many_trials(home, command):
    ends = {"a": "complete", "b": "interrupted", "c": "broken", "d": "failed", "e": "timeout"}
    ends["f"] = "stopped"
    for name, reason in ends.items():
        write(home, name, reason=reason)
    with StudyLock(home.study("c").lock):
        _, text, _ = command("studies")
        assert command("studies", "--json")[1].count('"state": "running"') == 1
    head, *lines = text.splitlines()
    assert head.split()[:6] == ["study", "space", "dataset", "state", "trials", "best"]
    states = {line.split()[0]: line.split()[3] for line in lines}
    assert states == {
        "a": "finished",
        "b": "interrupted",
        "c": "running",
        "d": "failed",
        "e": "interrupted",
        "f": "stopped",
    }
    assert all(line.split()[1:3] == ["lenet", "digits"] for line in lines)
    assert "1 of 2" in text


@pytest.mark.parametrize("width", [60, 100])
def test_studies_fits_the_terminal_and_keeps_its_heads(home, command, width):
    write(home, "a-study-with-a-long-name")
    lines = command("studies", width=width)[1].splitlines()
    assert max(map(len, lines)) <= width
    assert {"study", "state", "trials", "best"} <= set(lines[0].split())


def test_a_study_that_nobody_runs_is_not_stopped_but_told_of(home, command):
    write(home, reason="interrupted")
    code, text, _ = command("stop", "toy")
    assert code == 0
    assert "toy is not running: 1 of 2 trials done" in text
    assert "1 trial not begun" in text
    assert not home.study("toy").stop_request.exists()
    assert json.loads(command("stop", "toy", "--json")[1])["was_running"] is False


@pytest.mark.slow
@pytest.mark.parametrize("what", [("rename", "toy", "new"), ("delete", "toy", "--yes")])
def test_a_running_study_is_neither_renamed_nor_deleted(home, command, what):
    write(home)
    before = home.study("toy").journal.read_bytes()
    with StudyLock(home.study("toy").lock):
        code, _, error = command(*what, *(["--keep-experiment"] if what[0] == "delete" else []))
    assert code == 2
    assert "is being run by process" in error
    assert "`foldwise stop toy` ends it" in error
    assert home.study("toy").journal.read_bytes() == before


def test_a_renamed_study_has_the_new_name_everywhere_and_the_same_records(home):
    study = write(home)
    rename_study(home, "toy", "two words", lambda _: None)
    assert list(home.studies()) == ["two words"]
    history = rename_study(home, "two words", "third", lambda _: None)
    assert history.known_study().study == "third"
    assert history.known_study().id == study.history.known_study().id
    assert history.trials.keys() == study.history.trials.keys()


def test_a_renaming_that_was_broken_off_can_be_repeated(home):
    study = write(home)
    study.add(StudyRenamed, study="new")
    study.write(home.study("toy").journal)
    rename_study(home, "toy", "new", lambda _: None)
    assert list(home.studies()) == ["new"]
    text = home.study("new").journal.read_text()
    assert text.count("StudyRenamed") == 1


@pytest.mark.parametrize("new", ["other", "", "-x", "x" * 200])
def test_a_name_that_is_taken_or_none_is_refused_and_nothing_changes(home, command, new):
    write(home)
    write(home, "other")
    code, _, error = command("rename", "toy", "--", new)
    assert code == 2
    assert error.startswith("Error: ")
    assert "--study" not in error
    assert sorted(home.studies()) == ["other", "toy"]


def test_delete_asks_and_without_a_terminal_wants_to_be_told(home, command):
    write(home)
    code, _, error = command("delete", "toy", "--keep-experiment")
    assert code == 2
    assert "add `--yes`" in error
    assert "toy" in home.studies()


def test_a_deleted_study_leaves_nothing_in_the_home_and_a_new_one_begins_anew(home, command):
    write(home)
    code, text, _ = command("delete", "toy", "--yes", "--keep-experiment")
    assert (code, text) == (0, "Study toy is deleted.\n")
    assert home.studies() == {}
    assert home.leftovers() == []
    assert not home.study("toy").root.exists()


def formulas() -> StudyBuilder:
    study = StudyBuilder(folds=2)
    study.session()
    study.complete_trial(0, level=0.1 + 0.2)
    study.start_trial(1)
    study.fold(1, 1, epochs=1)
    study.end_trial(1, "failed", reason='=HYPERLINK("http://x","müde")')
    values = {
        "act": "=1+1",
        "name": "@x",
        "size": -3,
        "rate": -1e-7,
        "text": "a,b",
        "kernel": (1, 3),
    }
    study.history.trials[0].started.parameters.update(values | {"none": None, "less": "-1"})
    return study


def test_csv_has_all_trials_with_exact_values():
    history = formulas().history
    frame = pandas.read_csv(io.StringIO(csv_text(history)))
    exact = list(csv.DictReader(io.StringIO(csv_text(history))))  # pandas 2 rounds the last digit
    assert list(frame["trial"]) == [0, 1]
    assert list(frame["state"]) == ["complete", "failed"]
    assert float(exact[0]["cv_accuracy"]) == 0.1 + 0.2
    assert float(exact[0]["params_rate"]) == -1e-7
    assert frame["params_size"][0] == -3
    assert frame["train_seconds"][0] == 6.0
    assert frame["folds"].tolist() == [2, 0]
    begun = pandas.to_datetime(frame["started_at"])[0].timestamp()
    assert begun == pytest.approx(history.trials[0].started.at, abs=1e-6)


def test_no_text_of_csv_is_a_formula():
    rows = list(csv.reader(io.StringIO(csv_text(formulas().history))))
    texts = [cell for row in rows for cell in row]
    assert "'=1+1" in texts
    assert "'@x" in texts
    assert "a,b" in texts
    assert "-1" in texts  # a number
    assert any(cell.startswith("'=HYPERLINK") for cell in texts)
    risky = [cell for cell in texts if cell.startswith(("=", "+", "-", "@", "\t"))]
    assert all(_is_number(cell) for cell in risky)


def _is_number(cell: str) -> bool:
    with suppress(ValueError):
        float(cell)
        return True
    return False


def test_csv_goes_to_standard_output_or_to_a_file_that_is_not_replaced(home, command, tmp_path):
    study = formulas()
    study.write(home.study("toy").journal)
    _, printed, _ = command("trials", "toy", "--csv")
    assert command("trials", "toy", "-o", "trials.csv")[1] == "Written: trials.csv (2 trials)\n"
    written = (tmp_path / "trials.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbf")  # for its umlaut: else spreadsheets misread it
    assert written.decode("utf-8-sig") == printed
    assert pandas.read_csv(tmp_path / "trials.csv").columns[0] == "trial"
    code, _, error = command("trials", "toy", "--csv", "--out", "trials.csv")
    assert code == 2
    assert "`--overwrite`" in error
    assert command("trials", "toy", "-o", "trials.csv", "--overwrite")[0] == 0
    assert command("trials", "toy", "--csv", "--json")[0] == 2


def test_trials_lists_them_by_number(home, command):
    write(home)
    _, text, _ = command("trials", "toy")
    assert text.splitlines()[0].split()[:3] == ["trial", "state", "accuracy"]
    assert text.splitlines()[1].split()[:2] == ["0", "complete"]
    assert len(json.loads(command("trials", "toy", "--json")[1])) == 1
