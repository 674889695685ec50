import os
import signal

import pytest

from tests.functional.conftest import TINY, held
from tracking.lock import holder

pytestmark = pytest.mark.slow

ARGUMENTS = ("run", *TINY, "--study", "toy", "--no-baselines", "--pruner", "none")


@pytest.fixture
def begun(user, wait_for):
    """Start a study and wait for its first fold; return the process."""
    process = user.start(*ARGUMENTS, "--trials", "3")
    journal = user.folder / "mlruns" / "studies" / "toy" / "journal.jsonl"
    wait_for(lambda: journal.exists() and '"FoldEnded"' in journal.read_text(errors="replace"))
    return process


def watched_by(user, count, wait_for):
    watching = [user.start("watch", "toy") for _ in range(count)]
    for each in watching:
        wait_for(lambda each=each: "toy is run by" in each.stdout.readline())
    return watching


def test_a_running_study_is_followed_to_its_end_and_ctrl_c_ends_watching_alone(
    user, begun, wait_for
):
    with held(begun):
        patient, impatient = watched_by(user, 2, wait_for)
        os.killpg(impatient.pid, signal.SIGINT)
        _, errors = impatient.communicate(timeout=60)
        assert (impatient.returncode, errors.count("Traceback")) == (0, 0)
        assert begun.poll() is None
    out, seen = patient.communicate(timeout=120)
    _, errors = begun.communicate(timeout=120)
    assert (patient.returncode, begun.returncode) == (0, 0), seen
    trial = [line for line in seen.splitlines() if line.startswith("trial 2")]
    assert trial == [line for line in errors.splitlines() if line.startswith("trial 2")]
    assert len(trial) == 3  # two folds and the end
    assert "The session has ended (complete): 3 of 3 trials done" in out
    over = user("watch", "toy")
    assert over.code == 0
    assert "toy is not running: 3 of 3 trials done, best accuracy" in over.out


def test_a_study_that_dies_is_not_watched_for_ever(user, begun, wait_for):
    with held(begun):
        [watching] = watched_by(user, 1, wait_for)
        os.killpg(begun.pid, signal.SIGKILL)
    out, errors = watching.communicate(timeout=60)
    begun.communicate()
    assert watching.returncode == 0, errors
    assert "is no longer running" in out


def test_a_study_that_is_stopped_ends_its_folds_and_goes_on_later(user, begun, wait_for):
    with held(begun):
        stopping = user.start("stop", "toy")
        wait_for(lambda: "it ends once the folds" in stopping.stdout.readline())
        wait_for((user.folder / "mlruns" / "studies" / "toy" / "stop").exists)
    out, errors = stopping.communicate(timeout=120)
    _, told = begun.communicate(timeout=120)
    assert (stopping.returncode, begun.returncode) == (0, 0), errors
    assert "toy is not running" in out
    journal = user.folder / "mlruns" / "studies" / "toy" / "journal.jsonl"
    text = journal.read_text()
    assert text.count('"FoldStarted"') == text.count('"FoldEnded"')
    kind, reason = '"kind": "SessionEnded"', '"reason": "stopped"'
    assert kind in text.splitlines()[-1]
    assert reason in text.splitlines()[-1]
    assert not (journal.parent / "stop").exists()
    if "Left" in out:  # it may have been in its last fold
        assert "`stop` has asked this study to end" in told
    again = user.here(*ARGUMENTS, "--trials", "3", "--json")
    assert again.code == 0, again.err
    assert len(again.json["trials"]) == 3


def test_an_unknown_study_is_refused(user):
    refused = user("watch", "nothing")
    assert refused.code == 2
    assert "no study is called 'nothing'" in refused.err


HANGS = """
import sys, threading
from spaces.mlp import SPACE
if "tensorflow" in sys.modules:
    threading.Event().wait()  # for ever, in workers
"""


@pytest.mark.parametrize(
    ("asked", "code", "is_recorded"),
    [
        (("--trials", "3"), "it ends after the folds in training, if there are any", True),
        (("--trials", "3000"), "before it trained anything", False),  # which is measured first
    ],
)
def test_a_study_whose_workers_still_load_is_stopped_before_it_trains(
    user, wait_for, asked, code, is_recorded
):
    (user.folder / "hangs.py").write_text(HANGS)
    space = ("--space", "hangs.py:SPACE", "--dataset", "digits", "--folds", "2")
    running = user.start("run", *space, *asked, "--study", "toy")
    lock = user.folder / "mlruns" / "studies" / "toy" / "lock"
    wait_for(lambda: lock.exists() and holder(lock))
    wait_for(lambda: "loading TensorFlow" in running.stderr.readline())
    stopped = user("stop", "toy")
    _, told = running.communicate(timeout=60)
    assert (stopped.code, running.returncode) == (0, 0), told
    assert code in told
    assert "Traceback" not in told
    journal = lock.with_name("journal.jsonl")
    assert "FoldStarted" not in journal.read_text()
    assert ('"reason": "stopped"' in journal.read_text()) == is_recorded
    said = "toy is not running" if is_recorded else "toy had not begun: nothing of it is recorded"
    assert said in stopped.out
    assert not lock.with_name("stop").exists()
