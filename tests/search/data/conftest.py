"""Small datasets on disk, and a machine on which nothing else can be found."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from search.data import sources as places

Bytes = dict[str, bytes]
NAMES = {
    "train-images-idx3-ubyte": ("train", "images"),
    "train-labels-idx1-ubyte": ("train", "labels"),
    "t10k-images-idx3-ubyte": ("test", "images"),
    "t10k-labels-idx1-ubyte": ("test", "labels"),
}


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(places, "DEBIAN_FOLDER", tmp_path / "debian")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def idx_bytes() -> Callable[..., Bytes]:
    """Make the four IDX files' contents; `tone` makes the content another."""

    def make(train: int = 40, test: int = 10, tone: int = 0, size: int = 28) -> Bytes:
        counts = {"train": train, "test": test}
        files = {}
        for name, (split, kind) in NAMES.items():
            n = counts[split]
            if kind == "labels":
                labels = bytes(i % 10 for i in range(n))
                files[name] = struct.pack(">II", 0x801, n) + labels
            else:
                pixels = (np.arange(n * size * size) + tone) % 251
                head = struct.pack(">IIII", 0x803, n, size, size)
                files[name] = head + pixels.astype(np.uint8).tobytes()
        return files

    return make


@pytest.fixture
def idx_folder(idx_bytes: Callable[..., Bytes]) -> Callable[..., Path]:
    """Write a set of IDX files, gzipped unless `plain`, and return their folder."""

    def write(folder: Path, *, plain: bool = False, dots: bool = False, **kind: int) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in idx_bytes(**kind).items():
            spelling = name.replace("-idx", ".idx") if dots else name
            if plain:
                (folder / spelling).write_bytes(content)
            else:
                (folder / f"{spelling}.gz").write_bytes(gzip.compress(content, mtime=0))
        return folder

    return write


@pytest.fixture
def npz_file() -> Callable[..., Path]:
    """Write a file in Keras's layout."""

    def write(path: Path, train: int = 40, test: int = 10, tone: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {}
        for split, n in (("train", train), ("test", test)):
            arrays[f"x_{split}"] = np.full((n, 28, 28), tone, np.uint8)
            arrays[f"y_{split}"] = (np.arange(n) % 10).astype(np.uint8)
        np.savez(path, allow_pickle=False, **arrays)
        return path

    return write
