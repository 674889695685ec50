"""Running `search.data.fetch` in a process of its own, and ending it when it stalls."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

WORK = "child"
IMPORT_SECONDS = 120.0
POLL_SECONDS = 0.1
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}


class ChildError(Exception):
    """The child ended with an error or was ended; the message is one sentence without an end.

    Attributes:
        at_work: its imports were done, so the fault lies with the data or the network.
    """

    def __init__(self, message: str, *, at_work: bool) -> None:
        super().__init__(message)
        self.at_work = at_work


def fetch(
    arguments: Sequence[str],
    folder: Path,
    *,
    stall_seconds: float,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run the child to its end.

    Args:
        arguments: the child's, without the last one, READY.
        folder: what it writes appears in here; its growth is the sign of life.
        stall_seconds: once the imports are done, the child is ended after this long without growth.
        environment: added to this process's own.

    Raises:
        ChildError: it failed or stalled.
    """
    work = folder / WORK
    work.mkdir()
    log, ready = work / "log", work / "ready"
    with log.open("wb") as output:
        child = subprocess.Popen(  # nosec B603 # this interpreter; names went through checks
            [sys.executable, "-m", "search.data.fetch", *arguments, str(ready)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **QUIET, **_path(), **(environment or {})},
        )
    try:
        _watch(child, folder, stall_seconds)
        if child.returncode:
            raise ChildError(_last_line(log), at_work=ready.exists())
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        shutil.rmtree(work, ignore_errors=True)


def _watch(child: "subprocess.Popen[bytes]", folder: Path, stall_seconds: float) -> None:
    ready = folder / WORK / "ready"
    started = changed = time.monotonic()
    size = -1
    while child.poll() is None:
        time.sleep(POLL_SECONDS)
        now = time.monotonic()
        if not ready.exists():
            changed = now
            if now - started > IMPORT_SECONDS:
                raise ChildError(f"not ready after {IMPORT_SECONDS:.0f} s", at_work=False)
        elif (grown := _bytes_in(folder)) != size:
            size, changed = grown, now
        elif now - changed > stall_seconds:
            raise ChildError(f"nothing arrived for {stall_seconds:.0f} s", at_work=True)


def _bytes_in(folder: Path) -> int:
    """Return the size of all files below `folder`, the child's own log apart."""
    total = 0
    for parent, folders, names in os.walk(folder):
        if WORK in folders:
            folders.remove(WORK)
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def _path() -> dict[str, str]:
    """Let the child find this package wherever it was started from."""
    paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no message")
