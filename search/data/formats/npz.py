"""Arrays in a NumPy file, `npz:FILE`: images, tables or texts."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.answers import Found, Surroundings
from search.data.arrays import IMAGES, ROWS, SPLITS, write_labels, write_part, write_texts
from search.data.checks import Contents, check_counts, class_names
from search.data.duplicates import digests, numbered_digests, related_groups, several
from search.data.folds import held_out
from search.data.formats.archives import array_names, check_file, expanded, read_array
from search.data.reading import Column
from search.errors import DataError
from tracking.text import listed

_LABELS = "must be whole numbers, truth values or words (n,) or (n, 1), or one-hot (n, classes)"


def label_values(labels: NDArray[Any], what: str) -> NDArray[Any]:
    """Return labels, (n,), as int64, truth values or texts.

    Args:
        labels: whole numbers, truth values or texts, (n,) or (n, 1); or one-hot, (n, classes).
        what: the array's name in messages.

    Raises:
        DataError: the labels have another form.
    """
    if labels.dtype.kind not in "biufU" or labels.ndim not in (1, 2) or 0 in labels.shape:
        hint = " Convert bytes to str with y.astype(str)." if labels.dtype.kind == "S" else ""
        shown = f"{labels.dtype} {labels.shape}"
        raise DataError(f"{what} {_LABELS}, and not empty; got {shown}.{hint}")
    if labels.ndim == 2 and labels.shape[1] > 1:
        return _places_of_ones(labels, what)
    labels = labels.reshape(-1)
    if labels.dtype.kind == "U":
        for number, name in enumerate(labels.tolist(), 1):
            if not name.strip() or not name.isprintable():
                raise DataError(
                    f"{what} must hold names of classes in one line; number {number:,} is {name!a}"
                )
        return labels
    if labels.dtype.kind == "f":
        wrong = np.flatnonzero(~(labels == np.floor(labels)) | np.isinf(labels))
        if len(wrong):
            raise DataError(f"{what} {_LABELS}; number {wrong[0] + 1:,} is {labels[wrong[0]]}")
    return labels if labels.dtype.kind == "b" else labels.astype(np.int64)


def numbers_of(labels: NDArray[Any], present: NDArray[Any], what: str) -> NDArray[np.int64]:
    """Return the class numbers of a test part's labels.

    Args:
        labels: (n,), from `label_values`.
        present: the different labels of the training part, sorted.
        what: the array's name in messages.

    Raises:
        DataError: one is not among those of the training part.
    """
    unknown = np.flatnonzero(~np.isin(labels, present))
    if len(unknown):
        raise DataError(
            f"{what} must be among the training part's labels, {listed(present.tolist())};"
            f" number {unknown[0] + 1:,} is {labels[unknown[0]]}, and {len(unknown):,} in all are"
            " not. Leave them out, or add such samples to the training part."
        )
    return np.searchsorted(present, labels).astype(np.int64)


def _places_of_ones(labels: NDArray[Any], what: str) -> NDArray[np.int64]:
    ones = labels == 1
    wrong = np.flatnonzero((ones.sum(axis=1) != 1) | ((labels != 0) & ~ones).any(axis=1))
    if len(wrong):
        row = labels[wrong[0]]
        shown = ", ".join(map(str, row[:8].tolist())) + (", ..." if len(row) > 8 else "")
        raise DataError(
            f"{what} {_LABELS}; got shape {labels.shape}, and row {wrong[0] + 1:,} is not one 1"
            f" among zeros: {shown}"
        )
    return np.asarray(ones.argmax(axis=1), np.int64)


MAX_SAMPLES = 50_000_000
AT_ONCE = 4096  # samples that are compared
_SAMPLES = (
    "must be images (n, height, width) or (n, height, width, 1 or 3), a table of numbers"
    " (n, columns), or texts (n,) of dtype str"
)


@dataclass(frozen=True)
class Samples:
    """An array of samples and their kind.

    Attributes:
        array: (n, ...), of any dtype; images with their channels.
        kind: `image`, `table` or `text`.
        factor: values are multiplied by this to become pixels or float32; 0: unchanged.
        what: the array's name in messages.
    """

    array: NDArray[Any]
    kind: str
    factor: int
    what: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one stored sample."""
        return self.array.shape[1:]

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about conversions of the values."""
        if not self.factor:
            return ()
        scaled = "multiplied by 255 and rounded" if self.factor == 255 else "rounded"
        return (f"{self.what} is {self.array.dtype}: its values are {scaled} to pixels 0..255.",)

    def groups(self) -> NDArray[np.int64] | None:
        """Return a number for each sample; those that belong together have the same.

        Images are compared as they are stored with a range of all of them: which are for training
        depends on these groups.

        Raises:
            DataError: as `take`.
        """
        if self.kind == "text":
            return related_groups(self.array.tolist())
        steps = range(0, len(self.array), AT_ONCE)
        whole = self.fitted(np.arange(len(self.array)))
        rows = (whole.take(np.arange(n, min(n + AT_ONCE, len(self.array)))) for n in steps)
        return several(numbered_digests(digest for some in rows for digest in digests(some)))

    def take(self, chosen: NDArray[np.int64]) -> NDArray[Any]:
        """Return the samples with these indices as they are stored.

        Raises:
            DataError: a value is not finite, or too large for float32.
        """
        values = self.array[chosen]
        if self.kind == "image":
            if not self.factor:
                return values
            return np.rint(values.astype(np.float64) * self.factor).astype(IMAGES)
        with np.errstate(over="ignore"):
            rows = values.astype(ROWS)
        wrong = np.argwhere(~np.isfinite(rows))
        if len(wrong):
            row, column = wrong[0]
            raise DataError(
                f"{self.what} must hold finite numbers within float32; [{chosen[row]}, {column}]"
                f" is {values[row, column]}. Replace it, or leave the row out."
            )
        return rows


def samples_of(array: NDArray[Any], what: str, like: Samples | None = None) -> Samples:
    """Find out the kind of an array of samples.

    Args:
        array: from a file.
        what: its name in messages.
        like: for test samples, the training samples.

    Raises:
        DataError: it is no kind of samples, or differs from the training samples.
    """
    kind = _kind(array, what)
    if kind == "image":
        array = _with_channels(array, what)
        samples = Samples(array, kind, _factor(array, what, like), what)
    else:
        samples = Samples(array, kind, 0, what)
    if like is not None and (samples.kind, samples.shape) != (like.kind, like.shape):
        raise DataError(
            f"{what} must hold samples like {like.what}, which has {like.kind}s of shape"
            f" {like.shape}; got {kind}s of shape {samples.shape}"
        )
    return samples


def _kind(array: NDArray[Any], what: str) -> str:
    if array.ndim and len(array) > MAX_SAMPLES:
        raise DataError(f"{what} must hold at most {MAX_SAMPLES:,} samples; got {len(array):,}")
    numbers = array.dtype.kind in "biuf"
    if 0 not in array.shape:
        if array.ndim == 1 and array.dtype.kind == "U":
            return "text"
        if array.ndim == 2 and numbers:
            return "table"
        if array.ndim in (3, 4) and numbers:
            return "image"
    hint = " Convert bytes to str with x.astype(str)." if array.dtype.kind == "S" else ""
    raise DataError(f"{what} {_SAMPLES}, none of them 0; got {array.dtype} {array.shape}.{hint}")


def _with_channels(array: NDArray[Any], what: str) -> NDArray[Any]:
    if array.ndim == 3:
        return array[..., np.newaxis]
    if array.shape[-1] in (1, 3):
        return array
    first = array.shape[1] in (1, 3)
    remedy = " Put the channels last: numpy.moveaxis(x, 1, -1)." if first else ""
    raise DataError(
        f"{what}: images must have 1 or 3 channels, the last axis; got {array.shape}.{remedy}"
    )


def _factor(array: NDArray[Any], what: str, like: Samples | None) -> int:
    """Return the factor to pixels: 0 for uint8, 255 for floats within 0..1, 1 for others."""
    if array.dtype == IMAGES:
        return 0
    low, high = array.min(), array.max()
    top = 255
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and high <= 1):
        top = 1
    if like is not None and like.factor == 255:
        top = 1  # test images must be read like the training images
    elif like is not None and like.factor == 1:
        top = 255
    if low != low:  # only NaN differs from itself
        raise DataError(f"{what}: values are missing (NaN). Fill them in.")
    if not (low >= 0 and high <= top):
        raise DataError(
            f"{what}: images must be uint8, or numbers within 0..255 or 0..1"
            + (f", here within 0..{top} like those of {like.what}" if like else "")
            + f"; got {array.dtype} from {low} to {high}. Bring the values to 0..255."
        )
    return 255 // top


SAMPLES = ("X", "x", "images")
LABELS = ("y", "labels")
LAYOUTS = (
    "x_train and y_train, with or without x_test and y_test; or one of"
    f" {', '.join(SAMPLES)} and one of {', '.join(LABELS)}"
)


def find(rest: str, around: Surroundings) -> Found:
    """Return the source that `npz:FILE` names.

    Raises:
        DataError: the file does not exist.
    """
    path = expanded(rest)
    check_file(path)
    write = partial(write_own_npz, path, allow_duplicates=around.reading.allow_duplicates)
    return Found(str(path), (path,), write)


def write_own_npz(path: Path, folder: Path, *, allow_duplicates: bool = False) -> Contents:
    """Check a user's file and write its arrays.

    Args:
        path: the `.npz` file.
        folder: receives the `.npy` files.
        allow_duplicates: whether equal samples may be on both sides where a test part is held out.

    Raises:
        DataError: the file is damaged, lacks an array, or has one of an unsupported kind.
    """
    held = array_names(path)
    layout = _layout(path, held)
    train, labels = _read(path, layout[0])
    present, numbers = np.unique(labels, return_inverse=True)
    labels = numbers.reshape(-1).astype(np.int64)
    notices = [*train.notices, *_ignored(path, held, layout)]
    if len(layout) == 1:
        groups = None if allow_duplicates else train.groups()
        parts, notice = held_out(labels, str(path), groups=groups)
        for split, chosen in parts.items():
            write_samples(folder, split, train, labels, chosen)
        notices.append(notice)
    else:
        write_samples(folder, "train", train, labels, np.arange(len(labels)))
        test, test_labels = _read(path, layout[1], train)
        test_labels = numbers_of(test_labels, present, f"{path}: {layout[1][1]}")
        write_samples(folder, "test", test, test_labels, np.arange(len(test_labels)))
        notices += test.notices
    columns = tuple(Column(f"x{i}") for i in range(train.shape[0])) if train.kind == "table" else ()
    names = tuple(map(str, present.tolist()))
    if names == tuple(map(str, range(len(names)))):
        names = class_names(labels, len(names), train.kind)
    return Contents(train.kind, names, columns, tuple(notices))


def _layout(path: Path, held: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the names of samples and labels: those of the training part, then of the test part."""
    keras = [(f"x_{split}", f"y_{split}") for split in SPLITS]
    if any(name in held for pair in keras for name in pair):
        layout = keras if set(keras[1]) & set(held) else keras[:1]
        missing = [name for pair in layout for name in pair if name not in held]
    else:
        layout, missing = [], []
        samples = [name for name in SAMPLES if name in held]
        labels = [name for name in LABELS if name in held]
        if len(samples) == len(labels) == 1:
            layout = [(samples[0], labels[0])]
    if missing or not layout:
        lacking = f"; {' and '.join(missing)} must be there, too" if missing else ""
        raise DataError(
            f"{path} must hold {LAYOUTS}; it holds {', '.join(held) or 'nothing'}{lacking}."
            " Save it with numpy.savez(file, x_train=..., y_train=..., x_test=..., y_test=...)."
        )
    return layout


def _ignored(
    path: Path, held: tuple[str, ...], layout: Iterable[tuple[str, str]]
) -> tuple[str, ...]:
    used = {name for pair in layout for name in pair}
    others = [name for name in held if name not in used]
    return (f"{path}: not used: {', '.join(others)}.",) if others else ()


def _read(
    path: Path, names: tuple[str, str], like: Samples | None = None
) -> tuple[Samples, NDArray[Any]]:
    samples = samples_of(read_array(path, names[0]), f"{path}: {names[0]}", like)
    labels = label_values(read_array(path, names[1]), f"{path}: {names[1]}")
    check_counts(len(samples.array), len(labels), f"{path}: {' and '.join(names)}")
    return samples, labels


def write_samples(
    folder: Path,
    split: str,
    samples: Samples,
    labels: NDArray[np.int64],
    chosen: NDArray[np.int64],
) -> None:
    """Write the chosen samples and their labels as a split's arrays."""
    if samples.kind == "text":
        _write_texts(folder, split, samples, chosen)
    else:
        write_part(
            folder,
            split,
            kind=samples.kind,
            shape=samples.shape,
            take=samples.take,
            chosen=chosen,
        )
    write_labels(folder, split, labels[chosen])


def _write_texts(folder: Path, split: str, samples: Samples, chosen: NDArray[Any]) -> None:
    try:
        write_texts(folder, split, (str(text) for text in samples.array[chosen]))
    except UnicodeEncodeError as error:
        raise DataError(
            f"{samples.what} must hold texts that UTF-8 can encode; one cannot be encoded ({error})"
        ) from error
