import os
import signal

import pytest

from tests.functional.conftest import LIMIT, SMALL

pytestmark = pytest.mark.slow

ARGUMENTS = ("run", *SMALL, *LIMIT, "--study", "toy", "--no-baselines", "--pruner", "none")


@pytest.fixture
def begun(user, wait_for):
    """Start a study and wait for its first fold; return the process."""
    process = user.start(*ARGUMENTS, "--trials", "3")
    journal = user.folder / "mlruns" / "studies" / "toy" / "journal.jsonl"
    wait_for(lambda: journal.exists() and '"FoldEnded"' in journal.read_text(errors="replace"))
    return process


def test_a_running_study_is_followed_to_its_end(user, begun):
    watched = user("watch", "toy")
    _, errors = begun.communicate(timeout=120)
    assert watched.code == 0, watched.err
    assert f"toy is run by process {begun.pid}" in watched.out
    seen = [line for line in watched.err.splitlines() if line.startswith("trial 2")]
    assert seen == [line for line in errors.splitlines() if line.startswith("trial 2")]
    assert len(seen) == 3  # two folds and the end
    assert "The session has ended (complete): 3 of 3 trials done" in watched.out


def test_a_study_that_dies_is_not_watched_for_ever(user, begun, wait_for):
    watching = user.start("watch", "toy")
    wait_for(lambda: "toy is run by" in watching.stdout.readline())
    os.killpg(begun.pid, signal.SIGKILL)
    out, errors = watching.communicate(timeout=60)
    begun.communicate()
    assert watching.returncode == 0, errors
    assert "is not run any more" in out


def test_ctrl_c_ends_watching_alone(user, begun, wait_for):
    watching = user.start("watch", "toy")
    wait_for(lambda: "toy is run by" in watching.stdout.readline())
    os.killpg(watching.pid, signal.SIGINT)
    _, errors = watching.communicate(timeout=60)
    assert (watching.returncode, errors.count("Traceback")) == (0, 0)
    assert begun.poll() is None
    begun.communicate(timeout=120)
    assert begun.returncode == 0
    over = user("watch", "toy")
    assert over.code == 0
    assert "toy is not running: 3 of 3 trials done, best accuracy" in over.out


def test_an_unknown_study_is_refused(user):
    refused = user("watch", "nothing")
    assert refused.code == 2
    assert "no study is called 'nothing'" in refused.err
