"""Runs the command line as a user does: in an empty folder, on digits.

A command that trains loads TensorFlow for longer than it trains, in processes of its own. So what
needs no process of its own, `User.here` runs in that of the tests.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import Done, run_here
from tests.studies import StudyBuilder
from tests.tracked import give_database
from tracking.home import Home
from tracking.records import SessionEnded

SMALL = (
    *("--dataset", "digits", "--folds", "2", "--epochs", "2"),
    *("--limit-samples", "200", "--set", "batch_size=64"),
)
TINY = ("--space", "mlp", *SMALL)  # the least to train


@dataclass(frozen=True)
class User:
    """Somebody with an empty home folder, no data and no network."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            n: v
            for n, v in os.environ.items()
            if not n.startswith(("SEARCH_", "MLFLOW_", "FOLDWISE_"))
        }
        return kept | {"HOME": str(self.folder), "COLUMNS": "100"}

    def __call__(self, *arguments: str, timeout: float = 300, **environment: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "search", *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def here(self, *arguments: str, **environment: str) -> Done:
        """Run a command in this process; `run` trains in it, too."""
        if arguments[0] == "run":
            arguments += ("--executor", "inline")
        return run_here(self.folder, self.environment | environment, *arguments)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "search", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@contextmanager
def held(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Stop a study's training meanwhile, not its coordinator."""
    children = psutil.Process(process.pid).children(recursive=True)
    workers = [
        child for child in children if "search.executors.worker" in " ".join(child.cmdline())
    ]
    assert workers
    for worker in workers:
        worker.suspend()
    try:
        yield
    finally:
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.resume()


@pytest.fixture(autouse=True, scope="session")
def signals_are_heard():
    """Undo what a shell does to its background jobs, and `nohup`: their children would be deaf.

    A signal that is handled here, if only by doing nothing, is not ignored by who is started.
    """
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            before[number] = signal.signal(number, lambda *_: None)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def wait_for():
    """Wait until a condition holds."""

    def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it took too long"
            time.sleep(0.05)

    return wait_for


@pytest.fixture
def user(tmp_path):
    """A user whose MLflow has its tables already."""
    give_database(tmp_path / "mlruns" / "mlflow.db")
    return User(tmp_path)


@pytest.fixture
def newcomer(tmp_path):
    """A user who has nothing at all yet."""
    return User(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A user with a finished study of four trials, and what its `run --json` said."""
    user = User(tmp_path_factory.mktemp("user"))
    done = user("run", "--space", "lenet", *SMALL, "--study", "toy", "--trials", "4", "--json")
    assert done.code == 0, done.err
    return user, done


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A user who has a study in the journal and in MLflow; nobody trained it."""
    user = User(tmp_path_factory.mktemp("user"))
    give_database(user.folder / "mlruns" / "mlflow.db")
    study = StudyBuilder("toy")
    study.session(trials=2)
    study.complete_trial(0)
    study.complete_trial(1, level=0.85)
    study.add(SessionEnded, reason="complete")
    study.write(Home(user.folder / "mlruns").study("toy").journal)
    done = user.here("sync")
    assert done.code == 0, done.err
    return user
