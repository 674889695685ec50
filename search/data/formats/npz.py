"""Arrays in a NumPy file, `npz:FILE`: images, sequences, tables or texts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.answers import Found, Surroundings
from search.data.arrays import (
    IMAGES,
    ROWS,
    SERIES,
    SPLITS,
    WIDE_SERIES,
    pieces,
    write_labels,
    write_part,
    write_texts,
)
from search.data.checks import Contents, check_counts
from search.data.duplicates import digests, numbered_digests, related_groups, several
from search.data.folds import held_out
from search.data.formats.archives import array_names, check_file, expanded, read_array
from search.data.ranges import (
    BYTES,
    FRACTIONS,
    PixelRange,
    Survey,
    depth_of,
    told_clipped,
    told_range,
)
from search.data.reading import Column
from search.data.targets import Targets, named_as_known
from search.errors import DataError

_LARGEST = float(np.finfo(np.float32).max)
MAX_SAMPLES = 50_000_000
AT_ONCE = 4096  # samples that are compared
IMAGE, SEQUENCE = "image", "sequence"
_SAMPLES = (
    "must be images (n, height, width) or (n, height, width, 1 or 3), sequences (n, time,"
    " features), a table of numbers (n, columns), or texts (n,) of dtype str"
)
# Frames of this shape may be pictures: the longer side at most so many times the shorter one.
_SQUARE, _SHORTEST = 2, 4
# Values of at most this many times their own spread keep their differences in float32.
_FAR = 1 << 12


@dataclass(frozen=True)
class Samples:
    """An array of samples and their kind.

    Attributes:
        array: (n, ...), of any dtype; images with their channels, sequences with their features.
        kind: `image`, `sequence`, `table` or `text`.
        what: the array's name in messages.
        kind_notice: why they are of this kind, where the array alone does not say it.
        survey: the values of the training images.
        range: what becomes black and white in images; None if values are pixels.
        dtype: in which sequences are stored; None before `fitted`.
        clipped: notices about values outside the range.
    """

    array: NDArray[Any]
    kind: str
    what: str
    kind_notice: str = ""
    survey: Survey | None = None
    range: PixelRange | None = None
    dtype: np.dtype[Any] | None = None
    clipped: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one stored sample."""
        return self.array.shape[1:]

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about the kind of samples and conversions of their values."""
        told = [self.kind_notice] if self.kind_notice else []
        if self.survey is not None:
            told += told_range(self.what, self.range, self.survey)
        return (*told, *self.clipped)

    def fitted(self, train: NDArray[np.int64]) -> "Samples":
        """Return the samples with what is decided on the training part: how values are stored.

        Args:
            train: indices of the training samples.

        Raises:
            DataError: values of images are missing or infinite.
        """
        whole = len(train) == len(self.array)
        part = self.array if whole else self.array[train]
        if self.kind == SEQUENCE:
            return replace(self, dtype=_series_dtype(part))
        if self.kind != IMAGE:
            return self
        survey = Survey.of(part, self.what)
        found = replace(self, survey=survey, range=survey.range)
        if whole:
            return found
        others = np.setdiff1d(np.arange(len(self.array)), train)
        rest = Survey.of(self.array[others], self.what)
        return replace(found, clipped=found._told_clipped(others, rest))

    def as_those_of(self, train: "Samples") -> "Samples":
        """Return test samples that are stored like the training samples.

        Raises:
            DataError: images are of another scale.
        """
        if self.kind != IMAGE:
            return replace(self, dtype=train.dtype, kind_notice="")
        survey, ranged = Survey.of(self.array, self.what), train.range
        found = replace(self, range=ranged, kind_notice="")
        _check_scale(survey, train, self.what)
        return replace(found, clipped=found._told_clipped(np.arange(len(self.array)), survey))

    def _told_clipped(self, rows: NDArray[np.int64], survey: Survey) -> tuple[str, ...]:
        ranged = self.range
        if ranged is None or (survey.lowest >= ranged.low and survey.highest <= ranged.high):
            return ()
        outside = sum(ranged.outside(self.array[part]) for part in _parts(rows))
        count = len(rows) * int(np.prod(self.shape))
        return tuple(told_clipped(f"{self.what}, test part", ranged, outside, count))

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
            DataError: a value is not finite, or too large for float64.
        """
        values = self.array[chosen]
        if self.kind == IMAGE:
            return values.astype(IMAGES) if self.range is None else self.range.pixels(values)
        with np.errstate(over="ignore"):
            rows = values.astype(self.dtype or (SERIES if self.kind == SEQUENCE else ROWS))
        wrong = np.argwhere(~np.isfinite(rows))
        if len(wrong):
            row, *place = (int(index) for index in wrong[0])
            where = ", ".join(map(str, (chosen[row], *place)))
            raise DataError(
                f"{self.what} must hold finite numbers; [{where}] is {values[row, *place]}."
                " Replace it, or leave the"
                f" {'sequence' if self.kind == SEQUENCE else 'row'} out."
            )
        return rows


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.array_split(rows, -(-len(rows) // 1024))


def _check_scale(test: Survey, train: Samples, what: str) -> None:
    """Check that the test images have values of the training images' kind."""
    ranged = train.range
    high = 255 if ranged is None else ranged.high
    is_other_kind = test.depth == FRACTIONS and not test.is_whole and ranged is None
    is_beyond = ranged is None and not (test.lowest >= 0 and test.highest <= 255)
    is_darker = not test.is_whole and 0 < test.highest <= 1 and high > 127
    is_brighter = ranged is not None and ranged.high <= 1 and test.highest > 127
    if is_other_kind or is_beyond or is_darker or is_brighter:
        shown = "8 bits, 0 to 255" if ranged is None else f"{ranged.depth}, {ranged}"
        raise DataError(
            f"{what} must hold images on the scale of {train.what} ({shown}); got {test.depth},"
            f" {test.lowest:.6g} to {test.highest:.6g}. Bring both to one scale."
        )


def _series_dtype(values: NDArray[Any]) -> np.dtype[Any]:
    """Return the type in which sequences are stored: float64 where float32 would lose digits."""
    if values.dtype.kind == "b" or (values.dtype.itemsize <= 4 and values.dtype.kind == "f"):
        return SERIES
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = (edge.astype(np.float64) for edge in (values.min((0, 1)), values.max((0, 1))))
        largest = np.maximum(np.abs(low), np.abs(high))
        is_far = ((high > low) & (largest > _FAR * (high - low))) | (largest > _LARGEST)
    return WIDE_SERIES if is_far.any() else SERIES


def samples_of(
    array: NDArray[Any], what: str, like: Samples | None = None, kind: str | None = None
) -> Samples:
    """Find out the kind of an array of samples.

    How values of training samples are stored is decided by `fitted`.

    Args:
        array: from a file.
        what: its name in messages.
        like: for test samples, the training samples, fitted.
        kind: `image` or `sequence`, if the user says it.

    Raises:
        DataError: it is no kind of samples, may be of two kinds, or differs from the training
            samples.
    """
    found, why = _kind(array, what, like.kind if like is not None else kind, kind)
    if found == IMAGE:
        array = _with_channels(array, what)
    elif found == SEQUENCE and array.ndim == 2:
        array = array[..., np.newaxis]
    samples = Samples(array, found, what, f"{what}: {why}" if why else "")
    if like is None:
        return samples
    if (samples.kind, samples.shape) != (like.kind, like.shape):
        raise DataError(
            f"{what} must hold samples like {like.what}, which has {like.kind}s of shape"
            f" {like.shape}; got {found}s of shape {samples.shape}"
        )
    return samples.as_those_of(like)


def _kind(array: NDArray[Any], what: str, wanted: str | None, asked: str | None) -> tuple[str, str]:
    """Return the kind of samples, and what must be told of it.

    Args:
        array: of the samples.
        what: its name.
        wanted: the kind that an array of three axes is read as; None: as it shows.
        asked: the kind that the user names.
    """
    if array.ndim and len(array) > MAX_SAMPLES:
        raise DataError(f"{what} must hold at most {MAX_SAMPLES:,} samples; got {len(array):,}")
    numbers = array.dtype.kind in "biuf"
    if 0 not in array.shape and (numbers or (array.ndim == 1 and array.dtype.kind == "U")):
        fitting = {1: ("text",), 2: ("table", SEQUENCE), 3: (IMAGE, SEQUENCE), 4: (IMAGE,)}
        kinds = fitting.get(array.ndim, ()) if numbers == (array.ndim > 1) else ()
        if asked is not None and kinds and asked not in kinds:
            raise DataError(
                f"{what}: `--kind {asked}` is for arrays"
                f" {'(n, height, width)' if asked == IMAGE else '(n, time, features)'}; got"
                f" {array.dtype} {array.shape}. Leave the option out."
            )
        if kinds and array.ndim == 2:
            return (SEQUENCE if wanted == SEQUENCE else "table"), ""
        if kinds and array.ndim == 3:
            return (wanted, "") if wanted in kinds else _image_or_sequence(array, what)
        if kinds:
            return kinds[0], ""
    hint = " Convert bytes to str with x.astype(str)." if array.dtype.kind == "S" else ""
    raise DataError(f"{what} {_SAMPLES}, none of them 0; got {array.dtype} {array.shape}.{hint}")


def _image_or_sequence(array: NDArray[Any], what: str) -> tuple[str, str]:
    """Return what an array of three axes holds, and the notice on it.

    Bytes, and whole numbers within 0..255, are images. So are multiples of 1/255 within 0..1 in
    frames that are not long and thin. Other fractions are sequences.

    Raises:
        DataError: it may be both.
    """
    longer, shorter = max(array.shape[1:]), min(array.shape[1:])
    is_framed = longer <= _SQUARE * shorter and shorter >= _SHORTEST
    shape = f"{array.shape[1]} x {array.shape[2]}"
    steps = f"sequences of {array.shape[1]:,} steps with {array.shape[2]:,} features"
    low, high = array.min(), array.max()
    if depth_of(array.dtype) == BYTES:
        return IMAGE, ""
    if low >= 0 and high <= 255 and _are_whole(array):
        return IMAGE, (
            f"whole numbers within 0 to 255 are read as images of {shape} pixels; `--kind sequence`"
            f" reads {steps}."
        )
    if low >= 0 and high <= 1 and is_framed:
        if _are_whole(array, 255):
            return IMAGE, (
                f"multiples of 1/255 are read as images of {shape} pixels; `--kind sequence` reads"
                f" {steps}."
            )
    elif not (is_framed and array.dtype.kind in "iu"):
        return SEQUENCE, f"read as {steps}; `--kind image` reads images of {shape} pixels."
    raise DataError(
        f"{what} may hold images of {shape} pixels, or {steps}; its values"
        f" ({array.dtype}, {low:.6g} to {high:.6g}) do not show which. Say it with"
        " `--kind image` or `--kind sequence`."
    )


def _are_whole(array: NDArray[Any], times: int = 1) -> bool:
    """Return whether all values are whole numbers when multiplied, but for rounding."""
    if array.dtype.kind in "biu":
        return True
    off = 4 * times * float(np.finfo(array.dtype).eps) if times > 1 else 0.0
    for _, piece in pieces(array):
        scaled = piece.astype(np.float64) * times
        if not (np.abs(scaled - np.rint(scaled)) <= off).all():
            return False
    return True


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
    reading = around.reading
    write = partial(
        write_own_npz,
        path,
        kind=reading.kind,
        task=reading.task,
        allow_duplicates=reading.allow_duplicates,
    )
    return Found(str(path), (path,), write)


def write_own_npz(
    path: Path,
    folder: Path,
    *,
    kind: str | None = None,
    task: str | None = None,
    allow_duplicates: bool = False,
) -> Contents:
    """Check a user's file and write its arrays.

    Args:
        path: the `.npz` file.
        folder: receives the `.npy` files.
        kind: `image` or `sequence`, if the user says it.
        task: what the targets are, if the user says it.
        allow_duplicates: whether equal samples may be on both sides where a test part is held out.

    Raises:
        DataError: the file is damaged, lacks an array, or has one of an unsupported kind.
    """
    held = array_names(path)
    layout = _layout(path, held)
    train, given = _read(path, layout[0], kind=kind)
    targets = Targets.of(given, f"{path}: {layout[0][1]}", task)
    labels = targets.values
    notices = [*targets.notices, *_ignored(path, held, layout)]
    if len(layout) == 1:
        groups = None if allow_duplicates else train.groups()
        parts, notice = held_out(labels, str(path), task=targets.task, groups=groups)
        train = train.fitted(parts["train"])
        for split, chosen in parts.items():
            write_samples(folder, split, train, labels, chosen)
        notices.append(notice)
    else:
        train = train.fitted(np.arange(len(labels)))
        write_samples(folder, "train", train, labels, np.arange(len(labels)))
        test, given = _read(path, layout[1], train, kind)
        test_labels = targets.like(given, f"{path}: {layout[1][1]}")
        write_samples(folder, "test", test, test_labels, np.arange(len(test_labels)))
        notices += test.notices
    columns = tuple(Column(f"x{i}") for i in range(train.shape[0])) if train.kind == "table" else ()
    found = named_as_known(targets.task, labels, train.kind)
    told = (*train.notices, *notices)
    return Contents(
        train.kind, found.names, columns, told, pixel_range=train.range, task=found.name
    )


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
    path: Path, names: tuple[str, str], like: Samples | None = None, kind: str | None = None
) -> tuple[Samples, NDArray[Any]]:
    samples = samples_of(read_array(path, names[0]), f"{path}: {names[0]}", like, kind)
    labels = read_array(path, names[1])
    if not labels.ndim:
        raise DataError(f"{path}: {names[1]} must have an entry for each sample; it has no axis")
    check_counts(len(samples.array), len(labels), f"{path}: {' and '.join(names)}")
    return samples, labels


def write_samples(
    folder: Path,
    split: str,
    samples: Samples,
    labels: NDArray[Any],
    chosen: NDArray[np.int64],
) -> None:
    """Write the chosen samples and their targets as a split's arrays."""
    write_values(folder, split, samples, chosen)
    write_labels(folder, split, labels[chosen])


def write_values(folder: Path, split: str, samples: Samples, chosen: NDArray[np.int64]) -> None:
    """Write the chosen samples as a split's arrays."""
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
            dtype=samples.dtype,
        )


def _write_texts(folder: Path, split: str, samples: Samples, chosen: NDArray[Any]) -> None:
    try:
        write_texts(folder, split, (str(text) for text in samples.array[chosen]))
    except UnicodeEncodeError as error:
        raise DataError(
            f"{samples.what} must hold texts that UTF-8 can encode; one cannot be encoded ({error})"
        ) from error
