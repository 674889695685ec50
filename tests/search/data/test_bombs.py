"""Small files that say they are huge, or become so: refused before memory or disk is taken."""

import gzip
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from search.data import load
from search.data.dataset import Manifest
from search.data.formats.archives import FREE_BYTES, open_packed
from search.data.formats.tfds_reading import Feature, choose, size_of
from search.data.reading import Reading
from search.errors import DataError, FoldwiseError
from tests.search.export.test_pictures import png_of_zeros

MIB = 1 << 20


@contextmanager
def modest(peak: int = 64 * MIB) -> Iterator[None]:
    """Check that no more than some bytes of memory were held at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < peak
    finally:
        tracemalloc.stop()


def refusal(name: str, home: Path, data_dir: Path | None = None) -> str:
    with modest(), pytest.raises(DataError) as caught:
        load(name, home=home, data_dir=data_dir, download=False)
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) < MIB
    return str(caught.value)


def header(shape: str, descr: str = "'|u1'", length: int | None = None) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length or len(text)) + text


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def labels(count: int) -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(count) % 2)
    return file.getvalue()


@pytest.mark.parametrize(
    "start",
    [
        header("(1000000000000,)"),
        header("(1000000, 1000, 1000)"),
        header("(-1, 8, 8)"),
        header("(0, 1000000000000)"),
        header("(4, 9223372036854775807, 9223372036854775807)"),
        header("(1000000000000,)", "'<U0'"),
        header("(4,)", "'<U1000000000'"),
        header("(4,)", "'|O'"),
        header("(4,)", "[('a', '|O'), ('b', '<f8')]"),
        header("(4, 2)", "'<f8'", length=65535),
        header("(" * 9000),
        header("['a', 'b']"),
        header("(4, 2)", "{'a': 1}"),
        header("(True, True)"),
        header("4"),
        header("(4.5,)"),
        header("(" + "1, " * 100 + ")"),
        b"\x93NUMPY\x03\x00",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY",
        b"",
    ],
)
def test_an_array_that_is_not_there_is_refused(tmp_path: Path, home: Path, start: bytes) -> None:
    path = npz(tmp_path / "own.npz", x=start, y=labels(4))
    assert path.stat().st_size < 5000
    said = refusal(f"npz:{path}", home)
    assert str(path) in said
    assert len(said) < 1000


@pytest.mark.slow
def test_an_array_that_becomes_huge_is_refused(tmp_path: Path, home: Path) -> None:
    content = header("(400, 1048576)") + bytes(400 * MIB)
    path = npz(tmp_path / "own.npz", x=content, y=labels(400))
    del content
    assert path.stat().st_size < MIB
    assert "x must be at most 4,294,967,296 bytes, and not far more" in refusal(f"npz:{path}", home)


def test_a_member_that_is_larger_than_the_archive_says_is_refused(
    tmp_path: Path, home: Path
) -> None:
    path = npz(tmp_path / "own.npz", x=header("(4, 4)") + bytes(16), y=labels(4))
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("x.npy").file_size
    content = path.read_bytes()
    assert content.count(struct.pack("<I", size)) >= 2
    path.write_bytes(content.replace(struct.pack("<I", size), struct.pack("<I", size + 999)))
    assert "must be a complete .npz file" in refusal(f"npz:{path}", home)


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_packings_are_read_and_their_damage_is_told(
    tmp_path: Path, home: Path, packing: int
) -> None:
    path = tmp_path / "own.npz"
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("x.npy", header("(4, 4)") + bytes(range(16)))
        archive.writestr("y.npy", labels(4))
    assert len(load(f"npz:{path}", home=home).train_labels) == 2
    content = bytearray(path.read_bytes())
    content[60:110] = bytes(50)
    path.write_bytes(bytes(content))
    assert "must be a complete .npz file" in refusal(f"npz:{path}", home)


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (struct.pack(">IIII", 0x803, 50_000_001, 1, 1), "50,000,000 of them at most"),
        (struct.pack(">IIII", 0x803, 2**32 - 1, 4096, 4096), "4,294,967,296 bytes"),
        (struct.pack(">IIII", 0x803, 4, 4097, 1), "4096 x 4096"),
        (struct.pack(">IIII", 0x803, 400, 1024, 1024) + bytes(99), "packed bytes"),
    ],
)
def test_idx_files_that_say_they_are_huge_are_refused(
    tmp_path: Path, home: Path, idx_folder: Callable[..., Path], images: bytes, found: str
) -> None:
    folder = idx_folder(tmp_path / "data")
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    assert found in refusal("mnist", home, folder)


@pytest.mark.slow
def test_a_gzip_bomb_is_refused_while_it_is_unpacked(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"label,a\n")
        for _ in range(FREE_BYTES // (4 * MIB) + 2):
            file.write(b"0,0\n" * MIB)
    with open_packed(path) as file, pytest.raises(DataError, match="200 times its size"):
        sum(map(len, iter(partial(file.read, MIB), b"")))


@pytest.mark.slow
def test_a_gzipped_file_without_line_ends_is_refused(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "line.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(80):
            file.write(b"0" * MIB)
    with pytest.raises(DataError, match="longer than 67,108,864 bytes"):
        load(f"csv:{path}", home=home)


def test_a_table_of_millions_of_columns_is_refused(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_bytes(b"label" + b",a" * 3_000_000 + b"\n0\n")
    assert "at most 200,000 columns; there are 3,000,000" in refusal(f"csv:{path}", home)


@pytest.mark.parametrize("number", ["9" * 5000, "٣" * 5000])
def test_a_pixel_of_an_endless_number_is_a_column_like_others(
    tmp_path: Path, home: Path, number: str
) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(f"label,pixel{number}\n" + "".join(f"{i % 2},{i * i}\n" for i in range(8)))
    assert load(f"csv:{path}", home=home).kind == "table"


def test_a_line_without_an_end_is_refused_in_glue(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    line = b"sentence\tlabel\n" + b"x" * (2 * MIB)
    for name in ("train.tsv", "dev.tsv"):
        (folder / name).write_bytes(line)
    assert "1,048,576 a line; line 2 goes beyond" in refusal("sst2", home, folder)


@pytest.mark.parametrize("kind", ["csv", "npz", "folder"])
@pytest.mark.parametrize("rest", ["~nobody-of-that-name/x", "a" * 300, "a\0b", "loop/x"])
def test_a_path_that_cannot_be_is_refused(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, kind: str, rest: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FoldwiseError):
        load(f"{kind}:{rest}", home=home)


def test_more_classes_than_any_study_has_are_refused(tmp_path: Path, home: Path) -> None:
    count = 100_001
    x, y = np.zeros((2 * count, 1), np.float32), np.arange(2 * count) % count
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    classes = Reading(task="classification")
    with pytest.raises(DataError, match="at most 100,000 classes; got 100,001"):
        load(f"npz:{tmp_path / 'own.npz'}", home=home, reading=classes)


@pytest.mark.slow
def test_images_of_tfds_are_refused_by_their_heads() -> None:
    assert size_of(png_of_zeros(700, 70)) == (70, 700)
    for side in (8_000, 10_000, 20_000):
        with pytest.raises(DataError, match="pixels"):
            size_of(png_of_zeros(side, side))
    image = Feature("image", "image", (100_000, 100_000, 3), "uint8")
    label = Feature("label", "label", classes=("a", "b"))
    with pytest.raises(DataError, match="at most 50,000,000 pixels"):
        choose([image, label], (), "tfds:huge")


@pytest.mark.parametrize("content", ["[" * 100_000, '{"format": 1, "stamps": 3}', "9" * 5000, "[]"])
def test_a_damaged_manifest_is_a_dataset_that_is_not_there(tmp_path: Path, content: str) -> None:
    (tmp_path / "meta.json").write_text(content)
    with pytest.raises(DataError, match="readable meta"):
        Manifest.read(tmp_path)
