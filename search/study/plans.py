"""What was measured for earlier studies, by machine, space and dataset."""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.environment import package_versions
from search.executors import cores
from search.study.execution import Way
from spaces import Settings
from tracking.files import whole_file

_PROCESSORS = Path("/proc/cpuinfo")
_MOST = 200  # entries; the oldest make room


def recall(path: Path, key: str) -> list[Way]:
    """Return the ways that were measured under a key; none where nothing can be read."""
    try:
        return [Way(**way) for way in _read(path).get(key, [])]
    except (TypeError, ValueError):
        return []


def remember(path: Path, key: str, measured: Sequence[Way]) -> None:
    """Keep what was measured; a folder that cannot be written is no fault, only slower."""
    with suppress(OSError):
        known = _read(path)
        known.pop(key, None)
        known[key] = [asdict(way) for way in measured]
        kept = dict(list(known.items())[-_MOST:])
        with whole_file(path) as file:
            file.write((json.dumps(kept, indent=1) + "\n").encode())


def key_for(space: str, dataset: str, setting: Settings, wish: str) -> str:
    """Return what a measurement depends on.

    That is the processor and its cores, versions, the space, its source where it is a file's, the
    data, what was trained to measure, and what was left to choose: scores compare only with those
    of the same session.

    Args:
        space: reference of the space.
        dataset: digest of the data.
        setting: a complete one.
        wish: what was decided without measuring.
    """
    versions = package_versions(("tensorflow", "keras"))
    machine = f"{_processor()} x {cores()}"
    trained = json.dumps(setting, sort_keys=True, default=str).encode()
    what = [space, dataset[:16], _digest(_source(space) + trained), wish]
    return " | ".join([machine, *map(" ".join, versions.items()), *what])


def _source(space: str) -> bytes:
    path = Path(space.rpartition(":")[0])
    with suppress(OSError):
        return path.read_bytes() if path.suffix == ".py" else b""
    return b""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _processor() -> str:
    with suppress(OSError, StopIteration):
        lines = _PROCESSORS.read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model na"))
    return os.uname().machine
