"""What tests of all packages share."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # none is too slow
settings.load_profile("any machine")

# Before Torch and BLAS are loaded: threads that wait for each other cost Optuna's regressions in
# two processes on two cores six times what they take with one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Folders whose files take longest.
_LONGEST = ("faults", "functional", "executors", "browser", "tracking")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let processes that share the tests begin with the longest files.

    Else one is still at a long file when the others have nothing left.
    """
    if hasattr(config, "workerinput"):  # one of several processes
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    names = item.path.relative_to(Path(__file__).parent).parts
    return min((_LONGEST.index(n) for n in names if n in _LONGEST), default=len(_LONGEST))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a disk of so many KiB and give its folder; unmounted afterwards, at once.

    Skips where mounting is not allowed: it takes root on Linux.
    """
    mounted: list[Path] = []

    def mount(size_kib: int) -> Path:
        folder = tmp_path / f"small-disk-{len(mounted)}"
        folder.mkdir()
        command = [
            "/usr/bin/env",
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"size={size_kib}k",
            "tmpfs",
            str(folder),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:  # lazily: a process that a test left must not keep it
        subprocess.run(["/usr/bin/env", "umount", "--lazy", str(folder)], check=True)
