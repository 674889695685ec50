"""What a result depends on besides settings: versions, machine, code."""

import os
import platform
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("foldwise", "tensorflow", "keras", "optuna", "keras-tuner", "scikit-learn", "numpy")


def describe_environment() -> dict[str, Any]:
    """Return package versions, host, process, processor count and the git state of this folder."""
    return {
        "versions": {"python": platform.python_version(), **package_versions(PACKAGES)},
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "git": git_state(Path.cwd()),
    }


def package_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions of those packages that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> dict[str, Any]:
    """Return `commit` and `dirty` of the repository around a folder; empty where there is none."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "-uno"))}


def _git(folder: Path, *arguments: str) -> str:
    command = ("git", "-C", str(folder), *arguments)
    try:
        done = subprocess.run(  # nosec B603 # git, which the user has, with fixed arguments
            command, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
