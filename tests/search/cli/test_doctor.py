import json
import sys

import pytest

from search.cli import output
from search.cli.app import run
from tests.studies import StudyBuilder, consistent
from tracking.home import Home
from tracking.journal import JournalError
from tracking.records import SessionEnded


@pytest.fixture
def doctor(tmp_path, monkeypatch, capsys):
    """Run `doctor` beside a home, at a width; return its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def doctor(*arguments: str, width: int = 60) -> tuple[int, str]:
        monkeypatch.setattr(output.console, "_width", width)
        monkeypatch.setattr(sys, "argv", ["search", "doctor", *arguments])
        with pytest.raises(SystemExit) as caught:
            run()
        return int(caught.value.code or 0), capsys.readouterr().out

    return doctor


@pytest.fixture
def study(tmp_path):
    """A study in the default home; its folder."""
    made = StudyBuilder().every_kind_of_trial()
    made.add(SessionEnded, reason="interrupted")
    folder = Home(tmp_path / "mlruns").study("lenet-digits")
    made.records = consistent(made.records, folder)
    made.write(folder.journal)
    return folder


@pytest.fixture
def damaged(study):
    lines = study.journal.read_bytes().splitlines(keepends=True)
    lines[3] = b"garbage\n"
    study.journal.write_bytes(b"".join(lines))
    return study


def test_a_home_without_problems_ends_with_zero(doctor, study):
    code, text = doctor()
    assert code == 0
    assert text.splitlines()[0] == "Home"
    assert "\nStudy lenet-digits\n" in text
    assert text.splitlines()[-1].startswith("No problem, ")


def test_a_problem_ends_with_one_and_the_command_that_mends_it(doctor, damaged):
    code, text = doctor()
    assert code == 1
    command = "foldwise doctor lenet-digits --repair"
    assert command in [line.strip() for line in text.splitlines()]
    assert text.splitlines()[-1].startswith("1 problem, ")


@pytest.mark.slow
def test_after_the_repair_no_problem_is_left(doctor, damaged):
    assert doctor("lenet-digits", "--repair")[0] == 0
    assert doctor()[0] == 0
    assert damaged.journal.with_name("journal.jsonl.before-repair").exists()


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_line_but_a_command_is_wider_than_the_terminal(doctor, damaged, width):
    lines = doctor(width=width)[1].splitlines()
    assert all(len(line) <= width for line in lines if "foldwise doctor" not in line)
    words = " ".join(" ".join(lines).split())
    if width >= 60:
        assert "line 4 (at byte" in words


def test_the_json_is_one_document_with_every_finding(doctor, damaged):
    code, text = doctor("--json")
    document = json.loads(text)
    assert code == 1
    assert (document["home"], document["problems"], document["notices"]) == ("mlruns", 1, [])
    [problem] = [row for row in document["findings"] if row["level"] == "problem"]
    assert problem["study"] == "lenet-digits"
    assert (problem["check"], problem["command"]) == (
        "journal",
        "foldwise doctor lenet-digits --repair",
    )
    assert {"home", "room", "versions"} <= {row["check"] for row in document["findings"]}


def test_commands_name_a_home_that_is_not_the_default(doctor, damaged, tmp_path):
    _, text = doctor("--home", str(tmp_path / "mlruns"))
    assert f"foldwise doctor lenet-digits --repair --home {tmp_path}/mlruns" in text


@pytest.mark.slow
def test_commands_name_an_address_without_its_password(doctor, study):
    _, text = doctor("--tracking-uri", "http://me:secret@127.0.0.1:9")
    assert "sync --tracking-uri http://127.0.0.1:9" in text
    assert "secret" not in text


def test_a_journal_without_its_first_record_says_what_can_be_done(doctor, study):
    study.journal.write_bytes(study.journal.read_bytes().replace(b"StudyStarted", b"StudyStartet"))
    code, text = doctor("--repair")
    assert code == 1
    assert "move the study's folder away" in " ".join(text.split())


@pytest.mark.slow
def test_garbage_before_the_first_record_is_repaired(doctor, study):
    whole = study.journal.read_bytes()
    study.journal.write_bytes(b"garbage\n" + whole)
    assert doctor()[0] == 1
    assert doctor("--repair")[0] == 0
    assert study.journal.read_bytes().startswith(whole)


def test_a_journal_that_cannot_be_written_ends_any_command_with_one_sentence(
    doctor, study, monkeypatch, capsys
):
    def refuse(*_):
        raise JournalError("journal.jsonl: the disk is full")

    monkeypatch.setattr("search.doctor.examine", refuse)
    monkeypatch.setattr(sys, "argv", ["search", "doctor"])
    with pytest.raises(SystemExit, match="1"):
        run()
    assert capsys.readouterr().err == "Error: journal.jsonl: the disk is full\n"


@pytest.mark.slow
def test_a_repaired_journal_says_so_when_it_is_shown(doctor, study, monkeypatch, capsys):
    lines = study.journal.read_bytes().splitlines(keepends=True)
    study.journal.write_bytes(b"".join(lines[:6] + lines[7:]))
    assert doctor()[0] == 1
    assert doctor("--repair")[0] == 0
    monkeypatch.setattr(sys, "argv", ["search", "show", "lenet-digits"])
    with pytest.raises(SystemExit):
        run()
    shown = " ".join(capsys.readouterr().out.split())
    assert "The journal was repaired: line 7 does not follow line 6" in shown
    assert "Lines are missing; what they recorded" in shown
