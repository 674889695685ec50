"""A study while its MLflow server is down, dies, is slow, fails or hangs: nobody waits for it."""

import signal

import pytest

from tests.faults.bad_server import (
    BadServer,
    dripping_bodies,
    dripping_heads,
    endless,
    hanging,
)
from tests.faults.books import check_books, everything_shown
from tests.faults.processes import in_session
from tests.faults.servers import FINE, HANGING, SLOW, Manner
from tests.studies import StudyBuilder
from tracking.mlflow.delivery import Offset, address_key
from tracking.secrets import place_of

pytestmark = pytest.mark.slow  # trains, and starts servers

# Else a run waits for a slow server for a minute.
SHORT_WAITS = (("search.tracker", "_QUIET_SECONDS", 1.0), ("search.tracker", "_DRAIN_SECONDS", 2.0))
SHORT_ANSWERS = ("search.tracker", "_ANSWER_SECONDS", 1.0)
AWAY, BACK = "cannot be reached", "has everything again"
WAITS = "still to reach MLflow"
# What a command may write beside its result: notices, trials, and what it does.
STAGES = ("reading the data", "measuring", "loading TensorFlow", "training", "bringing the last")
EXPECTED = (
    "Note: ",
    "New study ",
    "Continuing ",
    "plan ",
    "learned ",
    "trial ",
    "time ",
    "now ",
    *STAGES,
)


def settled(run, address, command, *, waiting=0):
    """Wait for the end of a session, and check that all is well."""
    done = command.wait()
    assert done.code == 0, done.err
    strange = [line for line in done.err.splitlines() if not line.startswith(EXPECTED)]
    assert not strange  # no traceback, no library's warning
    assert not command.leftovers()
    if not waiting:
        check_books(run.journal, address, session=command.pid)
    return done


def test_a_server_that_starts_late_and_dies_in_the_middle_gets_everything(new_run, mortal):
    run = new_run(mortal.address)
    command = run.start("--pruner", "none", trials=5, as_json=False)  # ten folds
    run.wait_for("FoldEnded")
    with command.training_held():
        run.wait_until(lambda: AWAY in command.err.read_text())
        mortal.start()
        run.wait_until(lambda: BACK in command.err.read_text())
    run.wait_for("FoldEnded", 2)
    mortal.kill()
    run.wait_for("FoldEnded", 4)  # the training goes on
    with command.training_held():
        run.wait_until(lambda: command.err.read_text().count(AWAY) == 2)
        mortal.start()
        run.wait_until(lambda: command.err.read_text().count(BACK) == 2)
    done = settled(run, mortal.address, command)
    assert done.err.count(AWAY) == done.err.count(BACK) == 2  # one notice each
    assert WAITS not in done.err


def test_a_server_that_is_away_for_the_whole_study_gets_everything_by_sync(new_run, proxy, server):
    proxy.refuse()
    run = new_run(proxy.address)
    command = run.start()
    done = settled(run, server.address, command, waiting=True)
    assert sum(AWAY in notice for notice in done.json["notices"]) == 1
    assert done.json["records_not_in_mlflow"] == len(run.records())
    assert {trial["state"] for trial in done.json["trials"]} <= {"complete", "pruned"}
    failed = run.here("sync", "--json")
    assert failed.code == 1
    assert f"{len(run.records())} records did not reach MLflow" in failed.err

    proxy.listen()
    proxy.behave(Manner(delay=0.1))
    killed = run.command("sync")
    run.wait_until(lambda: sum(proxy.calls.values()) > 25)
    killed.kill()
    killed.wait()
    proxy.behave(FINE)
    assert run.here("sync", "--json").code == 0
    check_books(run.journal, server.address)
    shown = everything_shown(run.journal, server.address)
    assert run.here("sync", "--json").code == 0
    (run.study_folder / "shipped.json").unlink()  # everything is told once more
    assert run.here("sync", "--json").code == 0
    assert everything_shown(run.journal, server.address) == shown


def test_a_server_that_answers_500_and_later_hangs_costs_one_notice_and_no_training(
    new_run, proxy, server
):
    proxy.behave(Manner(status=500))
    run = new_run(proxy.address, changes=SHORT_WAITS)
    command = run.start(as_json=False)
    run.wait_for("FoldEnded")
    with command.training_held():
        run.wait_until(lambda: AWAY in command.err.read_text())
        proxy.behave(FINE)
        run.wait_until(lambda: BACK in command.err.read_text())
    proxy.behave(HANGING)
    run.wait_for("SessionEnded")
    done = settled(run, server.address, command, waiting=True)
    assert done.err.count(AWAY) == done.err.count(BACK) == 1
    assert done.err.count("Waiting for MLflow") == done.err.count(WAITS) == 1
    assert "foldwise sync" in done.err
    proxy.behave(FINE)
    assert run.here("sync", "--json").code == 0
    check_books(run.journal, server.address)


def test_a_server_that_takes_two_seconds_a_call_does_not_slow_the_training(new_run, proxy, server):
    quick = new_run()
    settled(quick, quick.uri, quick.start())
    proxy.behave(SLOW)
    run = new_run(proxy.address, changes=SHORT_WAITS)
    done = settled(run, server.address, run.start(), waiting=True)
    assert not [notice for notice in done.json["notices"] if AWAY in notice]
    assert done.json["records_not_in_mlflow"] > 0  # it could not keep up
    assert sum(proxy.calls.values()) >= 2
    assert scores(run) == scores(quick)
    # What it waited for would show: its records take two minutes to ship.
    assert run.span() < 2 * quick.span() + 10
    proxy.behave(FINE)
    assert run.here("sync", "--json").code == 0
    check_books(run.journal, server.address)


def test_a_study_killed_while_it_ships_goes_on_without_a_doubled_run(new_run, proxy, server):
    proxy.behave(Manner(delay=0.2))
    run = new_run(proxy.address)
    killed = run.start()
    run.wait_for("FoldEnded", 2)
    run.wait_until(lambda: sum("runs/create" in call for call in proxy.calls.elements()) >= 2)
    killed.kill()
    assert killed.wait().code == -signal.SIGKILL
    assert not killed.leftovers()
    proxy.behave(FINE)
    settled(run, server.address, run.start())
    assert not in_session(killed.pid)


def test_a_study_that_is_told_to_end_again_and_again_while_mlflow_hangs_ends_in_good_order(
    new_run, proxy, server
):
    proxy.behave(HANGING)
    run = new_run(proxy.address)
    command = run.start(trials=100)
    run.wait_for("FoldEnded", 2)
    while command.process.poll() is None:  # as fast as can be, in whatever it does to end
        command.process.terminate()
    done = command.wait()
    assert done.code == 130, done.err
    assert "Traceback" not in done.err
    assert not command.leftovers()
    [end] = run.records("SessionEnded")
    assert end["reason"] == "interrupted"
    assert done.json["records_not_in_mlflow"] == len(run.records())
    proxy.behave(FINE)
    assert run.here("sync", "--json").code == 0
    check_books(run.journal, server.address)


@pytest.mark.parametrize(
    ("command", "manner"),
    [
        ("sync", hanging),
        ("sync", dripping_bodies),
        ("doctor", dripping_heads),
        ("doctor", endless),
    ],
)
def test_commands_come_back_from_a_server_that_answers_without_end(new_run, command, manner):
    run = new_run(changes=(("search.tracker", "_RECORD_SECONDS", 1.0), SHORT_ANSWERS))
    study = StudyBuilder(name="toy")
    study.session()
    study.complete_trial(0)
    study.write(run.journal)
    with BadServer(manner) as bad:
        run.tracking_uri = bad.address
        if command == "doctor":  # as if it had been published: what is there is looked at
            note_as_published(run)
        done = run.command(command, "--json").wait()
    document = done.json
    if command == "sync":
        assert done.code == 1
        assert document["waiting"] == {"toy": len(run.records())}
    else:
        assert any("cannot be read" in finding["text"] for finding in document["findings"])
    assert "Traceback" not in done.err


def note_as_published(run):
    size = run.journal.stat().st_size
    key = address_key(place_of(run.tracking_uri))
    Offset(size, 0, size).store(run.study_folder / "shipped.json", key)


def scores(run):
    return {(r["trial"], r["fold"]): r["accuracy"] for r in run.records("FoldEnded")}
