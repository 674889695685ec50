import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.data.formats.archives import write_npz
from search.data.formats.npz import write_own_npz
from tests.fuzz.damage import THOUSAND, cleanly, damaged, written


def saved(save=np.savez, **arrays) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


TEXTS = np.array([f"text {i}" for i in range(10)])
NUMBERS = np.arange(160, dtype=np.uint8).reshape(10, 4, 4)
LABELS = np.arange(10) % 2
WHOLE = (
    saved(x=NUMBERS, y=LABELS),
    saved(np.savez_compressed, x=NUMBERS / 255, y=LABELS),
    saved(X=NUMBERS[:, 0].astype(np.float64), labels=np.eye(2)[LABELS]),
    saved(images=TEXTS, y=LABELS.astype(np.float32)),
    saved(x_train=NUMBERS, y_train=LABELS, x_test=NUMBERS[:4], y_test=LABELS[:4]),
)

SIDE = st.one_of(st.integers(0, 5), st.sampled_from([-1, 10, 2**31, 2**63 - 1, 10**12, 10**30]))
SHAPES = st.one_of(
    st.sampled_from(["(10,)", "(10, 4, 4)", "(10, 1)", "4", "[1]", "(4.5,)", "()", "(True,)"]),
    st.lists(SIDE, max_size=6).map(lambda sides: f"({', '.join(map(str, sides))},)"),
)
DTYPES = st.sampled_from(
    [
        *("'|u1'", "'<i8'", "'<f4'", "'>f8'", "'|b1'", "'<U3'", "'<U0'", "'|S2'", "'|V4'", "'|O'"),
        *("'<c16'", "'<M8[s]'", "'<f2'", "[('a', '<i4')]", "[('a', '|O')]", "'(9,)f8'", "None"),
        *("'<U999999999'", "{'a': 1}", "'\\\\d'", "''", "3", "(" * 50, "'|u1', 'x': 1"),
    ]
)


def member(shape: str, dtype: str, payload: bytes, version: int) -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + payload


MEMBERS = st.builds(
    member, SHAPES, DTYPES, st.integers(0, 200).map(bytes), st.sampled_from([1, 1, 1, 2, 3])
)


def archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(f"{name}.npy", content)
    return file.getvalue()


ARCHIVES = st.dictionaries(
    st.sampled_from(["x", "y", "x_train", "y_train", "x_test", "y_test"]), MEMBERS, max_size=4
).map(archive)


def read(content: bytes, folder, arrays):
    path = folder / "own.npz"
    path.write_bytes(content)
    return cleanly(lambda: written(lambda out: write_own_npz(path, out), arrays))


def test_the_whole_files_are_read(folder, arrays):
    kinds = [read(content, folder, arrays).kind for content in WHOLE]
    assert kinds == ["image", "image", "table", "text", "image"]


@pytest.mark.slow
@THOUSAND
@given(content=damaged(*WHOLE))
def test_a_damaged_file_is_read_or_refused(folder, arrays, content):
    read(content, folder, arrays)


@pytest.mark.slow
@THOUSAND
@given(
    x=damaged(npy(NUMBERS), npy(NUMBERS / 255), npy(NUMBERS[:, 0]), npy(TEXTS)),
    y=st.one_of(st.just(npy(LABELS)), damaged(npy(LABELS), npy(np.eye(2)[LABELS]))),
)
def test_damaged_arrays_in_a_whole_archive_are_read_or_refused(folder, arrays, x, y):
    read(archive({"x": x, "y": y}), folder, arrays)


@pytest.mark.slow
@THOUSAND
@given(content=st.one_of(ARCHIVES, ARCHIVES, ARCHIVES, st.binary(max_size=200)))
def test_arrays_that_say_anything_are_read_or_refused(folder, arrays, content):
    read(content, folder, arrays)
    path = folder / "own.npz"
    cleanly(lambda: write_npz(path, arrays, classes=2))


@pytest.mark.slow
@THOUSAND
@given(x=MEMBERS, labels=st.sampled_from([saved(y=LABELS), saved(y=LABELS[:, None] == [0, 1])]))
def test_samples_that_say_anything_are_read_or_refused(folder, arrays, x, labels):
    with zipfile.ZipFile(io.BytesIO(labels)) as file:
        read(archive({"x": x, "y": file.read("y.npy")}), folder, arrays)
