import gzip
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.data.checks import Contents
from search.data.formats.idx import find_idx, write_idx
from tests.fuzz.damage import THOUSAND, cleanly, damaged, written

CONTENTS = Contents("image", ("no", "yes"))
NAMES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


def whole(name: str) -> bytes:
    if "images" in name:
        return struct.pack(">IIII", 0x803, 6, 3, 2) + bytes(range(36))
    return struct.pack(">II", 0x801, 6) + bytes([0, 1] * 3)


IMAGES, LABELS = whole(NAMES[0]), whole(NAMES[1])
NUMBERS = st.sampled_from([0, 1, 2, 3, 6, 0x801, 0x803, 4096, 4097, 50_000_001, 2**31, 2**32 - 1])
NONSENSE = st.builds(
    lambda numbers, rest: struct.pack(f">{len(numbers)}I", *numbers) + rest,
    st.lists(NUMBERS, max_size=5),
    st.integers(0, 60).map(bytes),
)
HEADED = NONSENSE.map(lambda rest: struct.pack(">I", 0x803) + rest)


def packed(contents: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.one_of(contents, contents.map(lambda content: gzip.compress(content, 1, mtime=0)))


def read(name: str, content: bytes, folder, arrays):
    root = folder / "idx"
    if not root.exists():
        root.mkdir()
        for other in NAMES:
            (root / other).write_bytes(whole(other))
    (root / name).write_bytes(content)

    def write(out):
        write_idx(find_idx(root), out, 2)
        return CONTENTS

    try:
        return cleanly(lambda: written(write, arrays))
    finally:
        (root / name).write_bytes(whole(name))


def test_the_whole_files_are_read(folder, arrays):
    assert read(NAMES[0], gzip.compress(IMAGES), folder, arrays) == CONTENTS


@pytest.mark.slow
@THOUSAND
@given(
    name=st.sampled_from(NAMES),
    content=st.one_of(
        packed(damaged(IMAGES, LABELS)), damaged(gzip.compress(IMAGES), gzip.compress(LABELS))
    ),
)
def test_a_damaged_file_is_read_or_refused(folder, arrays, name, content):
    read(name, content, folder, arrays)


@pytest.mark.slow
@THOUSAND
@given(
    name=st.sampled_from(NAMES),
    content=packed(st.one_of(NONSENSE, HEADED, st.binary(max_size=100))),
)
def test_a_header_that_says_anything_is_believed_or_refused(folder, arrays, name, content):
    read(name, content, folder, arrays)
