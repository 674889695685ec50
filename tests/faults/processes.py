"""A study run by real processes, watched from outside; and commands that need no process."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from search.cli.app import run

_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NAME = "toy"
TINY = (
    *("--space", "mlp", "--dataset", "digits", "--folds", "2", "--epochs", "2"),
    *("--limit-samples", "200", "--set", "batch_size=64", "--no-baselines"),
)


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_here(folder: Path, environment: dict[str, str], *arguments: str) -> Done:
    """Run a command in this process, which has loaded MLflow already."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    handlers = {number: signal.getsignal(number) for number in _HANDLED}
    try:
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.object(sys, "argv", ["search", *arguments]),
            mock.patch.object(sys, "path", [str(folder), *sys.path]),
            chdir(folder),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            run()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Done(code, out.getvalue(), err.getvalue())


@dataclass
class Command:
    """A command of the command line in a session of its own, and what it wrote so far."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        """The coordinator's process; also the number of its group and its session."""
        return self.process.pid

    def workers(self) -> list[psutil.Process]:
        """Return the processes that train."""
        children = psutil.Process(self.pid).children(recursive=True)
        return [
            child for child in children if "search.executors.worker" in " ".join(child.cmdline())
        ]

    def kill(self) -> None:
        """End the coordinator with -9."""
        os.kill(self.pid, signal.SIGKILL)

    def kill_worker(self) -> None:
        """End the first worker with -9."""
        self.workers()[0].kill()

    def kill_group(self) -> None:
        """End the coordinator, its workers and helpers with -9."""
        os.killpg(self.pid, signal.SIGKILL)

    @contextmanager
    def training_held(self) -> Iterator[None]:
        """Stop the training, not the coordinator, meanwhile: a study is over in no time."""
        workers = self.workers()
        for worker in workers:
            worker.suspend()
        try:
            yield
        finally:
            for worker in workers:
                worker.resume()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self.pid, signal.SIGINT)

    def wait(self, timeout: float = 180) -> Done:
        """Wait until the coordinator is gone."""
        code = self.process.wait(timeout)
        return Done(code, self.out.read_text(), self.err.read_text())

    def leftovers(self, patience: float = 10) -> list[str]:
        """Return what still runs of its session after `patience` seconds."""
        end = time.monotonic() + patience
        while (left := in_session(self.pid)) and time.monotonic() < end:
            time.sleep(0.1)
        return left


@dataclass
class StudyRun:
    """A study in a home of its own that is started, watched, killed and continued.

    Attributes:
        folder: an empty folder: home folder of the user who runs it.
        tracking_uri: MLflow's address; None is the home's own database.
        changes: assignments (`module`, `name`, `value`) made in the coordinator before it begins,
            to shorten waits.
    """

    folder: Path
    tracking_uri: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    changes: tuple[tuple[str, str, float], ...] = ()
    _commands: list[Command] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "mlruns"

    @property
    def study_folder(self) -> Path:
        return self.home / "studies" / NAME

    @property
    def journal(self) -> Path:
        return self.study_folder / "journal.jsonl"

    @property
    def uri(self) -> str:
        """Where MLflow can be asked what arrived."""
        return self.tracking_uri or f"sqlite:///{self.home}/mlflow.db"

    def start(self, *options: str, trials: int = 3, as_json: bool = True) -> Command:
        """Start `run`, or continue; come back at once."""
        json_option = ("--json",) if as_json else ()
        arguments = ("run", *TINY, "--study", NAME, "--trials", str(trials))
        return self.command(*arguments, *options, *json_option)

    def command(self, *arguments: str) -> Command:
        """Start any command at the study's address."""
        number = len(self._commands)
        out, err = self.folder / f"out-{number}.txt", self.folder / f"err-{number}.txt"
        self.folder.mkdir(parents=True, exist_ok=True)
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                [*self._program(), *arguments, *self._address()],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                start_new_session=True,
            )
        self._commands.append(Command(process, out, err))
        return self._commands[-1]

    def here(self, *arguments: str) -> Done:
        """Run a command at the study's address in this process, without `changes`."""
        return run_here(self.folder, self._environment(), *arguments, *self._address())

    def sync(self) -> Done:
        """Run `sync` to its end."""
        return self.command("sync", "--json").wait()

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the journal's whole lines, of one kind if asked."""
        content = self.journal.read_bytes() if self.journal.exists() else b""
        lines = [json.loads(line) for line in content.split(b"\n")[:-1]]  # whole ones
        return [line for line in lines if kind in (None, line["kind"])]

    def wait_for(self, kind: str, count: int = 1, patience: float = 120) -> None:
        """Wait until the journal has so many records of a kind."""
        self.wait_until(lambda: len(self.records(kind)) >= count, patience)

    def wait_until(self, condition: Callable[[], object], patience: float = 120) -> None:
        """Wait until something holds, which must be before the last command is over."""
        end = time.monotonic() + patience
        while not condition():
            command = self._commands[-1]
            over = command.process.poll() is not None and not condition()
            if over or time.monotonic() > end:
                raise AssertionError(f"it did not come to that: {command.err.read_text()}")
            time.sleep(0.02)

    def train_seconds(self) -> float:
        """Return the seconds of all folds, as the worker measured them."""
        return float(sum(record["seconds"] for record in self.records("FoldEnded")))

    def span(self) -> float:
        """Return the seconds from the first fold's start to the last trial's end."""
        began, ended = self.records("FoldStarted")[0], self.records("TrialEnded")[-1]
        return float(ended["at"] - began["at"])

    def clean_up(self) -> None:
        """End whatever is left of the processes started here."""
        for command in self._commands:
            if in_session(command.pid):
                os.killpg(command.pid, signal.SIGKILL)
            command.process.wait(timeout=30)

    def _address(self) -> tuple[str, ...]:
        return ("--tracking-uri", self.tracking_uri) if self.tracking_uri else ()

    def _program(self) -> list[str]:
        if not self.changes:
            return [sys.executable, "-m", "search"]
        lines = [f"import {m}; {m}.{name} = {value!r}" for m, name, value in self.changes]
        lines += ["from search.__main__ import main", "main()"]
        return [sys.executable, "-c", "\n".join(lines)]

    def _environment(self) -> dict[str, str]:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("SEARCH_", "MLFLOW_"))}
        root = str(Path(__file__).parents[2])
        ours = {"HOME": str(self.folder), "COLUMNS": "100", "PYTHONPATH": root}
        return kept | ours | self.environment


def in_session(session: int) -> list[str]:
    """Return the living processes of a session, each as one line."""
    found = []
    for process in psutil.process_iter(["pid", "status", "cmdline"]):
        try:
            is_alive = process.info["status"] != psutil.STATUS_ZOMBIE
            if is_alive and os.getsid(process.pid) == session:
                found.append(f"{process.pid} {' '.join(process.info['cmdline'] or [])}")
        except (ProcessLookupError, PermissionError):
            continue
    return found
