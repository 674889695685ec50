import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tracking.lock import StudyLock, StudyLocked, holder

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from tracking.lock import StudyLock
with StudyLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study" / "lock"


@pytest.mark.slow
def test_a_second_taker_is_refused_with_who_holds_it_and_since_when(path):
    with StudyLock(path):
        words = rf"being run by process {os.getpid()} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d"
        with pytest.raises(StudyLocked, match=words), StudyLock(path):
            pass
        assert re.search(words, f"being run by {holder(path)}")


def test_a_lock_is_free_again_when_its_holder_leaves(path):
    with StudyLock(path):
        pass
    assert holder(path) is None
    with StudyLock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_lock_that_was_never_taken_has_no_holder(path):
    assert holder(path) is None
    assert not path.exists()


@pytest.mark.parametrize("left", ['{"pid": 1, "host": "box"}', "", "{", "\0" * 40, '{"pid": [[]]}'])
def test_a_file_that_a_dead_process_left_is_no_lock(path, left):
    path.parent.mkdir()
    path.write_text(left)
    assert holder(path) is None
    with StudyLock(path):
        assert set(json.loads(path.read_text())) == {"pid", "host", "since"}


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('{"pid": 7, "host": "box"}', "process 7 on box"),
        ('{"pid": 7, "host": "box", "since": 1e99}', "another process"),
        ("{", "another process"),
        ("[]", "another process"),
        ("", "another process"),
    ],
)
def test_whatever_the_file_says_the_message_stands(path, said, name):
    with StudyLock(path):
        path.write_text(said)
        assert holder(path) == name


@pytest.mark.slow
def test_a_lock_of_a_process_that_was_killed_is_taken_over(path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StudyLocked, match=f"process {process.pid} "), StudyLock(path):
            pass
        process.kill()
        process.wait()
        assert json.loads(path.read_text())["pid"] == process.pid
        with StudyLock(path):
            assert json.loads(path.read_text())["pid"] == os.getpid()
