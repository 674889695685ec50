"""Checks of every dataset, whatever its format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import (
    EXTRAS,
    IMAGES,
    INPUTS,
    ROWS,
    SERIES,
    SPLITS,
    WIDE_SERIES,
    array_file,
    map_array,
)
from search.data.catalog import recognise
from search.data.ranges import PixelRange
from search.data.reading import Column
from search.errors import DataError
from search.tasks import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    Classification,
    MultiOutput,
    OutputTask,
    Task,
    task_of,
)
from tracking.text import listed


@dataclass(frozen=True)
class InputContents:
    """What one of a dataset's several inputs contains.

    Attributes:
        name: the input's, as models call it.
        kind: of its samples: `image`, `text`, `table` or `sequence`.
        columns: a table's columns.
        pixel_range: which values of pictures became black and white; None if values are pixels.
    """

    name: str
    kind: str
    columns: tuple[Column, ...] = ()
    pixel_range: PixelRange | None = None


@dataclass(frozen=True)
class Contents:
    """What a source contains.

    Attributes:
        kind: `image`, `text`, `table` or `sequence`.
        classes: names of the classes, a label is an index into them; of the labels, or numbers.
        columns: a table's columns.
        notices: what the user should know, for example how many images were resized.
        extras: which of `arrays.EXTRAS` were written.
        has_test: whether there is a test part; else its arrays have no samples.
        pixel_range: which values of pictures became black and white; None if values are pixels.
        skipped: files that were left out because they cannot be read, each with the reason.
        task: what is predicted, by its name.
        inputs: where there are several; the kind is `several` then.
        outputs: where there are several: each one's task.
        width: number of columns of a file that does not name them; 0 of others.
    """

    kind: str
    classes: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    notices: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    has_test: bool = True
    pixel_range: PixelRange | None = None
    skipped: tuple[str, ...] = ()
    task: str = CLASSIFICATION
    inputs: tuple[InputContents, ...] = ()
    outputs: tuple[OutputTask, ...] = ()
    width: int = 0


MAX_CLASSES, MAX_LABELS, MAX_NUMBERS = 100_000, 1000, 100
# How many there must be at least, and at most, of what a task predicts.
_NAMES = {
    CLASSIFICATION: (2, MAX_CLASSES, "classes"),
    MULTI_LABEL: (1, MAX_LABELS, "labels"),
    REGRESSION: (1, MAX_NUMBERS, "numbers to predict"),
}


def check_arrays(folder: Path, contents: Contents, origin: str) -> None:
    """Check a source's arrays, whatever its format.

    Args:
        folder: contains the arrays.
        contents: their declared contents.
        origin: the source's name in messages.

    Raises:
        DataError: wrong dtype or shape, no samples, different numbers of samples and labels,
            labels outside the classes, fewer than two classes, or training and test samples of
            different shapes.
    """
    task = task_of(contents.task, contents.classes, contents.outputs)
    _check_names(task, origin)
    parts = [(contents.kind, folder, "")]
    if contents.inputs:
        parts = [(one.kind, folder / INPUTS / one.name, f", {one.name}") for one in contents.inputs]
    shapes = []
    for split in SPLITS if contents.has_test else SPLITS[:1]:
        labels = map_array(array_file(folder, f"{split}_labels"))
        task.check(labels, f"{origin}: {split} labels")
        if split == "train":
            _check_spread(task, labels, origin)
        found = [_CHECKS[kind](own, split, f"{origin}: {split}{of}") for kind, own, of in parts]
        for count, _ in found:
            check_counts(count, len(labels), f"{origin}: {split} set")
        shapes.append([shape for _, shape in found])
        for name in contents.extras if split == "train" else ():
            _check_extra(map_array(array_file(folder, f"train_{name}")), name, count, origin)
    if shapes[0] != shapes[-1]:
        raise DataError(
            f"{origin}: training and test samples must have one shape;"
            f" got {_shown(shapes[0])} and {_shown(shapes[1])}. They belong to different datasets:"
            " get both again."
        )


def _check_names(task: Task, origin: str) -> None:
    if isinstance(task, MultiOutput):
        for part in task.parts:
            _check_names(part.task, f"{origin}, {part.name}")
        return
    least, most, what = _NAMES[task.name]
    count, called = len(task.names), listed(task.names)
    if count < least:
        raise DataError(f"{origin} must have at least {least} {what}; got {count} ({called})")
    if count > most:
        raise DataError(
            f"{origin} must have at most {most:,} {what}; got {count:,}. Are these {what}?"
        )


def _check_spread(task: Task, targets: NDArray[Any], origin: str) -> None:
    """Raise DataError if all samples have the same number to predict."""
    if task.name != REGRESSION or not len(targets):
        return
    same = np.flatnonzero(targets.min(axis=0) == targets.max(axis=0))
    if len(same):
        another = "Name another target, or give data in which it varies"
        remedy = another if len(task.names) == 1 else "Leave it out"
        raise DataError(
            f"{origin}: `{task.names[same[0]]}` must have at least 2 different numbers to predict;"
            f" all training samples have {targets[0, same[0]]:g}. {remedy}."
        )


def _shown(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes))


def _check_extra(values: NDArray[Any], name: str, count: int, origin: str) -> None:
    if values.dtype != EXTRAS[name] or values.shape != (count,):
        raise DataError(
            f"{origin}: {name} must be {EXTRAS[name]} of shape ({count},), one for each training"
            f" sample; got {values.dtype} {values.shape}"
        )
    if name == "weights" and not (np.isfinite(values).all() and values.min() >= 0 < values.sum()):
        raise DataError(f"{origin}: weights must be finite numbers from 0, not all of them 0")


def _check_image_split(folder: Path, split: str, what: str) -> tuple[int, tuple[int, ...]]:
    images = map_array(array_file(folder, f"{split}_images"))
    check_images(images, f"{what} images")
    return len(images), images.shape[1:]


def _check_text_split(folder: Path, split: str, what: str) -> tuple[int, tuple[int, ...]]:
    offsets = map_array(array_file(folder, f"{split}_offsets"))
    if len(offsets) < 2:
        raise DataError(f"{what} texts must not be empty")
    return len(offsets) - 1, ()


def _check_table_split(folder: Path, split: str, what: str) -> tuple[int, tuple[int, ...]]:
    rows = map_array(array_file(folder, f"{split}_rows"))
    if rows.dtype != ROWS or rows.ndim != 2 or 0 in rows.shape:
        raise DataError(
            f"{what} rows must be float64 of shape (n, columns), none of them 0;"
            f" got {rows.dtype} {rows.shape}"
        )
    return len(rows), rows.shape[1:]


def _check_series_split(folder: Path, split: str, what: str) -> tuple[int, tuple[int, ...]]:
    series = map_array(array_file(folder, f"{split}_series"))
    if series.dtype not in (SERIES, WIDE_SERIES) or series.ndim != 3 or 0 in series.shape:
        raise DataError(
            f"{what} sequences must be float32 or float64 of shape (n, time, features), none of"
            f" them 0; got {series.dtype} {series.shape}"
        )
    return len(series), series.shape[1:]


_CHECKS = {
    "image": _check_image_split,
    "text": _check_text_split,
    "table": _check_table_split,
    "sequence": _check_series_split,
}


def check_images(images: NDArray[Any], what: str) -> None:
    """Raise DataError unless `images` are uint8, (n, height, width, 1 or 3) and not empty."""
    fits = images.dtype == IMAGES and images.ndim == 4 and images.shape[-1] in (1, 3)
    if not fits or 0 in images.shape:
        raise DataError(
            f"{what} must be uint8 of shape (n, height, width, 1 or 3), none of them 0;"
            f" got {images.dtype} {images.shape}"
        )


def check_labels(labels: NDArray[Any], classes: int, what: str) -> None:
    """Raise DataError unless `labels` are whole numbers within `0..classes - 1`."""
    Classification(tuple(map(str, range(classes)))).check(labels, what)


def check_counts(samples: int, labels: int, what: str) -> None:
    """Raise DataError unless there are as many labels as samples."""
    if samples != labels:
        raise DataError(
            f"{what} must have one label for each sample; got {samples:,} samples and"
            f" {labels:,} labels. They belong to different datasets: get both again."
        )


def class_names(labels: NDArray[np.int64], classes: int, kind: str) -> tuple[str, ...]:
    """Return the names of the classes: those of a known dataset if these are its labels.

    Args:
        labels: the training labels, (n,), in the source's order.
        classes: number of classes.
        kind: of the samples.
    """
    entry = recognise(labels) if classes <= 256 else None
    if entry is not None and (entry.kind, len(entry.classes)) == (kind, classes):
        return entry.classes
    return tuple(str(number) for number in range(classes))
