"""IDX, the format of MNIST; and all files of a named dataset in a folder."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from search.data.answers import Found
from search.data.arrays import IMAGES, LABELS, PIECE_BYTES, SPLITS, array_file, write_array
from search.data.arrays import Images as Bytes
from search.data.catalog import DatasetEntry
from search.data.checks import check_counts, check_labels
from search.data.formats.archives import most_bytes, open_packed, reading, write_npz
from search.data.formats.glue import find_glue, write_glue
from search.errors import DataError

IMAGES_MAGIC = 0x00000803
LABELS_MAGIC = 0x00000801
MAX_BYTES = 4 << 30
MAX_SIDE = 4096
MAX_SAMPLES = 50_000_000
KINDS = {IMAGES_MAGIC: "images", LABELS_MAGIC: "labels"}
STEMS = {
    "train_images": "train-images",
    "train_labels": "train-labels",
    "test_images": "t10k-images",
    "test_labels": "t10k-labels",
}
GZIP_SIGNATURE = b"\x1f\x8b"
REMEDY = "Get the file again, or delete it to look elsewhere."


@dataclass(frozen=True)
class IdxFiles:
    """The files of a dataset in one folder.

    Attributes:
        found: files by array name (`train_images`, ...).
        missing: names of missing files, in their first spelling.
    """

    found: dict[str, Path]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Header:
    path: Path
    shape: tuple[int, ...]

    @property
    def length(self) -> int:
        """Bytes before the payload."""
        return 4 + 4 * len(self.shape)

    @property
    def payload(self) -> int:
        """Bytes of the payload."""
        return math.prod(self.shape)

    @property
    def text(self) -> str:
        """The shape and the number of bytes, for messages."""
        return f"{' x '.join(map(str, self.shape))} = {self.payload:,} bytes"


def find_idx(folder: Path) -> IdxFiles:
    """Return which of the four files are in `folder`, gzipped or plain, in either spelling."""
    found: dict[str, Path] = {}
    missing: list[str] = []
    for name, stem in STEMS.items():
        kind = "idx3-ubyte" if name.endswith("images") else "idx1-ubyte"
        spellings = [f"{stem}{join}{kind}{end}" for join in "-." for end in (".gz", "")]
        paths = [folder / spelling for spelling in spellings if (folder / spelling).is_file()]
        if paths:
            found[name] = paths[0]
        else:
            missing.append(spellings[0])
    return IdxFiles(found, tuple(missing))


def write_idx(files: IdxFiles, folder: Path, classes: int) -> None:
    """Check the four files and write their arrays to `folder`.

    Args:
        files: all four files.
        folder: receives the `.npy` files.
        classes: number of classes.

    Raises:
        DataError: a file is unreadable, truncated, too long, not an IDX file or of the wrong kind,
            or the files do not belong together.
    """
    headers = {name: _read_header(path, _magic_of(name)) for name, path in files.found.items()}
    _check_together(headers)
    for split in SPLITS:
        images = headers[f"{split}_images"]
        target = array_file(folder, f"{split}_images")
        write_array(target, IMAGES, (*images.shape, 1), _payload(images))
        path = headers[f"{split}_labels"]
        labels = np.concatenate(list(_payload(path)))
        check_labels(labels, classes, str(path.path))
        write_array(array_file(folder, f"{split}_labels"), LABELS, labels.shape, [labels])


def _magic_of(name: str) -> int:
    return IMAGES_MAGIC if name.endswith("images") else LABELS_MAGIC


def _read_header(path: Path, magic: int) -> _Header:
    axes = magic & 0xFF
    with reading(path), open_packed(path) as file:
        start = file.read(4 + 4 * axes)
    if len(start) < 4:
        raise DataError(f"{path} is cut short: it holds {len(start)} bytes. {REMEDY}")
    _check_magic(path, int.from_bytes(start[:4], "big"), magic)
    if len(start) < 4 + 4 * axes:
        raise DataError(f"{path} is cut short: its header ends after {len(start)} bytes. {REMEDY}")
    shape = tuple(int.from_bytes(start[4 * i : 4 * i + 4], "big") for i in range(1, axes + 1))
    header = _Header(path, shape)
    too_large = shape[0] > MAX_SAMPLES or any(side > MAX_SIDE for side in shape[1:])
    if too_large or not 0 < header.payload <= MAX_BYTES:
        raise DataError(
            f"{path} must hold 1 to {MAX_BYTES:,} bytes of {KINDS[magic]}, {MAX_SAMPLES:,} of them"
            f" at most, images of at most {MAX_SIDE} x {MAX_SIDE}; its header says {header.text}."
            f" It is damaged. {REMEDY}"
        )
    if header.payload > most_bytes(path.stat().st_size):  # before any of it is written
        _complain(header, f"{path.stat().st_size:,} packed bytes", "damaged")
    return header


def _check_magic(path: Path, got: int, expected: int) -> None:
    if got == expected:
        return
    wanted = f"{path} must be an IDX file of {KINDS[expected]} (it starts with 0x{expected:08x})"
    if got in KINDS:
        raise DataError(
            f"{wanted}; got one of {KINDS[got]} (0x{got:08x}): the files of images and labels look"
            " swapped. Give each its own name again."
        )
    raise DataError(f"{wanted}; got 0x{got:08x}, which is no IDX file of bytes. {REMEDY}")


def _check_together(headers: dict[str, _Header]) -> None:
    counts = {name: header.shape[0] for name, header in headers.items()}
    crossed = (
        counts["train_images"] == counts["test_labels"] != counts["train_labels"]
        and counts["test_images"] == counts["train_labels"]
    )
    if crossed:
        raise DataError(
            f"{headers['train_images'].path.parent}: the training set has"
            f" {counts['train_images']:,} images and {counts['train_labels']:,} labels, the test"
            f" set {counts['test_images']:,} and {counts['test_labels']:,}: training and test"
            " files look swapped. Give each its own name again."
        )
    for split in SPLITS:
        images, labels = headers[f"{split}_images"], headers[f"{split}_labels"]
        what = f"{images.path} with {labels.path.name}"
        check_counts(images.shape[0], labels.shape[0], what)


def _payload(header: _Header) -> Iterator[Bytes]:
    """Yield the payload in pieces of whole images or labels."""
    width = math.prod(header.shape[1:])
    rows = max(1, PIECE_BYTES // width)
    with open_packed(header.path) as file:
        with reading(header.path):
            file.read(header.length)
        for start in range(0, header.shape[0], rows):
            expected = min(rows, header.shape[0] - start) * width
            with reading(header.path):
                piece = file.read(expected)
            if len(piece) < expected:
                _complain(header, f"{start * width + len(piece):,}", "cut short")
            yield np.frombuffer(piece, np.uint8).reshape(-1, *header.shape[1:])
        with reading(header.path):
            more = file.read(1)
        if more:
            _complain(header, "more", "too long")


def _complain(header: _Header, held: str, fault: str) -> None:
    raise DataError(
        f"{header.path} must hold what its header says ({header.text});"
        f" it holds {held}: the file is {fault}. {REMEDY}"
    )


def find_files(entry: DatasetEntry, folders: Sequence[Path]) -> Found | None:
    """Return the first complete set of files, or None."""
    find = _find_texts if entry.kind == "text" else _find_images
    return next((found for folder in folders if (found := find(entry, folder))), None)


def find_part(entry: DatasetEntry, folders: Sequence[Path]) -> str:
    """Return a sentence without a full stop on the first incomplete set of files; empty without."""
    what, find = ("TSV", find_glue) if entry.kind == "text" else ("IDX", find_idx)
    for folder in folders:
        files = find(folder)
        if files.found and files.missing:
            missing = ", ".join(files.missing)
            return f"{folder} has only some of the {what} files; missing: {missing}"
    return ""


def _find_images(entry: DatasetEntry, folder: Path) -> Found | None:
    classes = len(entry.classes)
    idx = find_idx(folder)
    if not idx.missing:
        write = partial(write_idx, idx, classes=classes)
        return Found(f"IDX files in {folder}", tuple(idx.found.values()), write)
    for path in (folder / f"{spelling}.npz" for spelling in entry.spellings):
        if path.is_file():
            return Found(str(path), (path,), partial(write_npz, path, classes=classes))
    return None


def _find_texts(entry: DatasetEntry, folder: Path) -> Found | None:
    glue = find_glue(folder)
    if glue.missing:
        return None
    write = partial(write_glue, glue, classes=len(entry.classes))
    return Found(f"TSV files in {folder}", tuple(glue.found.values()), write)
