"""Files as they come from a failing disk, an interrupted download or somebody's bad mood."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from search.data.arrays import KINDS, array_file, map_array
from search.data.checks import Contents, check_arrays
from search.errors import FoldwiseError
from search.tasks import task_of

Result = TypeVar("Result")

THOUSAND = settings(
    max_examples=1000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
MOST_MEMORY = 600 << 20  # bytes that a whole module of tests may add
LONGEST_MESSAGE = 20_000  # one may quote a long value of the user
DTYPES = {
    "image": {"uint8"},
    "table": {"float64"},
    "text": {"uint8"},
    "sequence": {"float32", "float64"},  # float64 where values are far from 0
}
DIMENSIONS = {"image": 4, "table": 2, "text": 1, "sequence": 3}


def damaged(*whole: bytes) -> st.SearchStrategy[bytes]:
    """Return whole files of which some bytes were changed, lost, added, doubled or cut off."""
    edit = st.tuples(
        st.sampled_from(["change", "change", "change", "lose", "add", "double", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.one_of(
            st.sampled_from([b"0", b"1", b"2", b" ", b"\n", b"\0", b"\xff"]),
            st.binary(max_size=8),
            st.sampled_from([b"\0" * 4, b"\xff" * 8, b"9" * 30]),
        ),
    )
    return st.builds(_edited, st.sampled_from(whole), st.lists(edit, min_size=1, max_size=2))


def _edited(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    for kind, where, new in edits:
        at = int(where * (len(content) + 1))
        size = max(1, len(new))
        match kind:
            case "change":
                content = content[:at] + new + content[at + len(new) :]
            case "lose":
                content = content[:at] + content[at + size :]
            case "add":
                content = content[:at] + new + content[at:]
            case "double":
                content = content[:at] + content[at : at + 8 * size] + content[at:]
            case _:
                content = content[:at]
    return content


def cleanly(read: Callable[[], Result]) -> Result | None:
    """Return what was read, or None where it was refused in a message a person can read."""
    try:
        return read()
    except FoldwiseError as error:
        message = str(error)
    assert 10 < len(message) < LONGEST_MESSAGE, message[:200]
    return None


def written(write: Callable[[Path], Contents], folder: Path) -> Contents:
    """Write a dataset's arrays to an empty folder and check that they are what is promised."""
    for path in folder.iterdir():
        path.unlink()
    contents = write(folder)
    check_arrays(folder, contents, "the source")
    part = KINDS[contents.kind][0]
    for split in ("train", "test"):
        labels = map_array(array_file(folder, f"{split}_labels"))
        task_of(contents.task, contents.classes).check(labels, "labels")
        samples = map_array(array_file(folder, f"{split}_{part}"))
        assert samples.dtype.name in DTYPES[contents.kind]
        assert samples.ndim == DIMENSIONS[contents.kind]
    if contents.kind == "table":
        assert len(contents.columns) == samples.shape[1]
    return contents


@contextmanager
def modest_memory() -> Iterator[None]:
    """Check that this process has not grown beyond reason meanwhile."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024  # KiB on Linux
    assert grown < MOST_MEMORY
