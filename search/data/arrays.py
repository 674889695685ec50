"""The arrays of a dataset as `.npy` files: written in pieces, memory-mapped, hashed.

Texts are two arrays: the bytes of all texts in order, and the offset of each text.
"""

import hashlib
import mmap
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError
from search.tasks.base import Array as Array
from tracking.files import whole_file

Images: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]

IMAGES = np.dtype("u1")
LABELS = np.dtype("<i8")
ROWS = np.dtype("<f8")
SERIES = np.dtype("<f4")
WIDE_SERIES = np.dtype("<f8")  # of values that float32 cannot tell apart
SPLITS = ("train", "test")
KINDS = {
    "image": ("images",),
    "text": ("texts", "offsets"),
    "table": ("rows",),
    "sequence": ("series",),
    "several": (),  # inputs, each of a kind of its own, in folders of their own
}
INPUTS = "inputs"  # folder of those
# What a dataset may hold of each sample besides its label.
EXTRAS = {
    "groups": np.dtype("<i8"),  # numbers from 0; a group is never on both sides of a split
    "weights": np.dtype("<f8"),
    "time": np.dtype("<f8"),  # the larger, the later
    "folds": np.dtype("<i8"),  # from 1, in which it is validated
}
PIECE_BYTES = 1 << 22
ALIGNMENT = 64  # bytes; of arrays that TensorFlow takes without a copy
READERS = 8  # threads; a disk serves several reads at once three times as fast as one by one
GAP_BYTES = 1 << 14  # to read over so much costs less than to read twice


def array_names(
    kind: str, extras: Sequence[str] = (), inputs: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return the names of a dataset's arrays: of `train`, then of `test`, then of the extras.

    Args:
        kind: `image`, `text`, `table`, `sequence` or `several`.
        extras: which of `EXTRAS` there are; all of `train`, and `weights` of `test`, too.
        inputs: of several inputs the kind of each, by its name.
    """
    parts = [
        f"{INPUTS}/{name}/{split}_{part}"
        for name, own in (inputs or {}).items()
        for split in SPLITS
        for part in KINDS[own]
    ]
    main = [f"{split}_{part}" for split in SPLITS for part in (*KINDS[kind], "labels")]
    further = [f"train_{name}" for name in EXTRAS if name in extras]
    return (*parts, *main, *further, *(["test_weights"] if "weights" in extras else []))


def array_file(folder: Path, name: str) -> Path:
    """Return the file of the array called `name`, one of `array_names`."""
    return folder / f"{name}.npy"


def write_array(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], pieces: Iterable[NDArray[Any]]
) -> None:
    """Write an array piece by piece, so that no more than one piece is in memory.

    `path` is complete or absent, even if two processes write it at once.

    Args:
        path: the `.npy` file.
        dtype: of the file; pieces are converted to it.
        shape: of the whole array.
        pieces: consecutive parts of the array along its first axis.

    Raises:
        ValueError: the pieces do not add up to `shape`.
    """
    # Plain writes, not a writable memory map: a full disk raises instead of killing the process.
    with whole_file(path, to_disk=False) as file:
        descr = np.lib.format.dtype_to_descr(dtype)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype).data)
        written = file.tell() - start
        expected = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        if written != expected:
            raise ValueError(f"{path.name} must hold {expected:,} bytes; got {written:,}")


def map_array(path: Path) -> np.memmap[Any, np.dtype[Any]]:
    """Return the array of a `.npy` file, read-only and memory-mapped.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a header is a Python literal, which can be wrong in many ways
        raise DataError(
            f"a cached array must be a whole .npy file; {path} is not ({error})."
            f" Delete {path.parent}; it is rebuilt when next needed."
        ) from error
    if not isinstance(array, np.memmap):
        raise DataError(f"a cached array must be a .npy file; {path} is something else")
    return array


def digest_of(
    folder: Path, kind: str, extras: Sequence[str] = (), inputs: Mapping[str, str] | None = None
) -> str:
    """Return the SHA-256 (hex) over name, dtype, shape and bytes of the arrays."""
    digest = hashlib.sha256()
    for name in array_names(kind, extras, inputs):
        array = map_array(array_file(folder, name))
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        rows = max(1, PIECE_BYTES * len(array) // max(1, array.nbytes))
        for start in range(0, len(array), rows):
            digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    return digest.hexdigest()


def write_growing(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], pieces: Iterable[NDArray[Any]]
) -> int:
    """Write an array piece by piece and return its length; the file is complete or absent.

    Args:
        path: the `.npy` file.
        dtype: of the file; pieces are converted to it.
        shape: of one sample.
        pieces: (any number, *shape) each; no more than one is in memory.
    """
    with whole_file(path, to_disk=False) as file:
        # NumPy leaves room in the header for any number of samples.
        _write_header(file, dtype, (0, *shape))
        count = 0
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype).data)
            count += len(piece)
        file.seek(0)
        _write_header(file, dtype, (count, *shape))
    return count


def _write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    descr = np.lib.format.dtype_to_descr(dtype)
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def pieces(array: NDArray[Any]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield consecutive parts of `array` along its first axis, each with its slice.

    Args:
        array: (n, ...), memory-mapped; a part has about `PIECE_BYTES`.
    """
    rows = max(1, PIECE_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        where = slice(start, min(start + rows, len(array)))
        yield where, np.asarray(array[where])


def rows_of(array: NDArray[Any], indices: NDArray[np.int64]) -> NDArray[Any]:
    """Return `array[indices]`; of a mapped file the rows are read, in the order of the file.

    What is read does not stay in this process as mapped pages do, and of each row no more is read
    than it needs, where pages that are touched here and there bring many others with them.

    Args:
        array: (n, ...), memory-mapped or not.
        indices: from 0, in any order.
    """
    if not _is_whole_map(array) or not len(indices):
        return np.asarray(array[indices])
    size = array.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
    order = np.argsort(indices, kind="stable")
    rows = indices[order]
    is_sorted = len(rows) == 1 or bool((np.diff(indices) > 0).all())
    if rows[0] < 0 or rows[-1] >= len(array):
        raise IndexError(f"rows must lie within 0 to {len(array) - 1}; got {rows[0]}, {rows[-1]}")
    far = np.diff(rows) > 1 + GAP_BYTES // max(1, size)
    ends = np.flatnonzero(far | (np.diff(rows * size // PIECE_BYTES) > 0)) + 1
    found = _aligned((len(rows), *array.shape[1:]), array.dtype)
    spans = list(pairwise((0, *ends.tolist(), len(rows))))
    file = os.open(str(array.filename), os.O_RDONLY)  # type: ignore[attr-defined]

    def read(spans: list[tuple[int, int]]) -> None:
        for start, end in spans:
            first, last = int(rows[start]), int(rows[end - 1])
            offset = array.offset + first * size  # type: ignore[attr-defined]
            if last - first + 1 == end - start and (is_sorted or end - start == 1):
                where = start if is_sorted else order[start]
                _read(file, found[where : where + end - start], offset)
                continue
            near = np.empty((last - first + 1, *array.shape[1:]), array.dtype)
            _read(file, near, offset)
            found[order[start:end]] = near[rows[start:end] - first]

    readers = READERS if found.nbytes > PIECE_BYTES and len(spans) > READERS else 1
    try:
        with ThreadPoolExecutor(readers) as pool:
            list(pool.map(read, (spans[n::readers] for n in range(readers))))
    finally:
        os.close(file)
    return found


def _aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an empty array that frameworks take as it is, without a copy."""
    size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def _is_whole_map(array: NDArray[Any]) -> bool:
    is_map = isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)
    return is_map and array.flags.c_contiguous and array.ndim > 0 and hasattr(os, "preadv")


def _read(file: int, into: NDArray[Any], offset: int) -> None:
    wanted = into.reshape(-1).view(np.uint8).data
    while wanted:
        count = os.preadv(file, [wanted], offset)
        if not count:
            raise DataError("a cached array is shorter than it was; delete its folder")
        wanted, offset = wanted[count:], offset + count


Indices: TypeAlias = NDArray[np.int64]
Take: TypeAlias = Callable[[Indices], NDArray[Any]]

DTYPES: dict[str, np.dtype[Any]] = {"image": IMAGES, "table": ROWS, "sequence": SERIES}


def write_part(
    folder: Path,
    split: str,
    *,
    kind: str,
    shape: tuple[int, ...],
    take: Take,
    chosen: Indices,
    dtype: np.dtype[Any] | None = None,
) -> None:
    """Write the chosen samples, a piece at a time.

    Args:
        folder: receives the `.npy` file.
        split: `train` or `test`.
        kind: `image`, `table` or `sequence`.
        shape: of one sample.
        take: returns the samples of some indices.
        chosen: indices, sorted.
        dtype: of the file; None: that of the kind.
    """
    dtype = dtype or DTYPES[kind]
    rows = max(1, PIECE_BYTES // (dtype.itemsize * int(np.prod(shape))))

    def pieces() -> Iterator[NDArray[Any]]:
        for start in range(0, len(chosen), rows):
            yield take(chosen[start : start + rows])

    target = array_file(folder, f"{split}_{KINDS[kind][0]}")
    write_array(target, dtype, (len(chosen), *shape), pieces())


def write_labels(folder: Path, split: str, labels: Array) -> None:
    """Write the targets of a split, in the form of their task."""
    dtype = LABELS if labels.dtype.kind == "i" else labels.dtype
    write_array(array_file(folder, f"{split}_labels"), dtype, labels.shape, [labels])


def write_extras(folder: Path, split: str, extras: Mapping[str, Array]) -> None:
    """Write what there is of `EXTRAS`, each `(n,)`, for a split."""
    for name, values in extras.items():
        if split == "train" or name == "weights":
            write_array(array_file(folder, f"{split}_{name}"), EXTRAS[name], values.shape, [values])


Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_THREADS = 4


def map_ahead(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order, while threads work on the next few.

    Memory is bounded: at most one item more than there are threads is in progress. The first
    exception, in the order of the items, is raised.

    Args:
        work: should mostly release the interpreter's lock, or threads do not help.
        items: taken one at a time, in the caller's thread.
    """
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(threads)
    try:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


# Words of letters and digits, apostrophes within them, exclamation and question marks.
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[!?]")


class Texts(Sequence[str]):
    """Texts, decoded on access.

    Args:
        content: uint8 (bytes,), UTF-8.
        offsets: int64 (n + 1,), the start of each text in `content`, and the end of the last.
    """

    def __init__(self, content: NDArray[Any], offsets: NDArray[Any]) -> None:
        self._content = content
        self._offsets = offsets

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return one text, or the texts of a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start, end = self._offsets[index % len(self)], self._offsets[index % len(self) + 1]
        return self._content[start:end].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        """Yield every text in order; faster than indexing one by one."""
        content, offsets = self._content.tobytes(), self._offsets.tolist()
        for start, end in pairwise(offsets):
            yield content[start:end].decode()


class Several:
    """Samples of several inputs.

    Args:
        inputs: the samples of each by its name, all of the same number.
    """

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self.inputs = dict(inputs)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(next(iter(self.inputs.values())))

    def __getitem__(self, which: Any) -> dict[str, Any]:
        """Return one sample of each input, or those of a slice or of row numbers."""
        return {name: rows_at(samples, which) for name, samples in self.inputs.items()}


def rows_at(samples: Any, which: Any) -> Any:
    """Return samples by row number, slice or row numbers; of texts a list."""
    if isinstance(samples, Texts) and isinstance(which, np.ndarray):
        return [samples[int(row)] for row in which]
    return samples[which]


def words_of(text: str) -> list[str]:
    """Return a text's words, lower-cased, and its question and exclamation marks."""
    return _WORD.findall(text.lower())


def write_texts(folder: Path, split: str, texts: Iterable[str]) -> None:
    """Write the arrays of a split's texts.

    Args:
        folder: receives the `.npy` files.
        split: `train` or `test`.
        texts: any strings.
    """
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    content = np.frombuffer(b"".join(encoded), np.uint8)
    write_array(array_file(folder, f"{split}_texts"), content.dtype, content.shape, [content])
    write_array(array_file(folder, f"{split}_offsets"), offsets.dtype, offsets.shape, [offsets])
