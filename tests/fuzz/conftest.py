import tempfile
from pathlib import Path

import pytest

from tests.fuzz.damage import modest_memory

MEMORY = Path("/dev/shm")  # noqa: S108 - thousands of small files are written


@pytest.fixture(autouse=True, scope="module")
def bounded_memory():
    with modest_memory():
        yield


@pytest.fixture(scope="module")
def folder():
    """One folder for all examples of a module."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def arrays(folder):
    """Where arrays are written; emptied for each example."""
    (folder / "arrays").mkdir()
    return folder / "arrays"
