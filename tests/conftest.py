"""What tests of all packages share."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


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
