"""Arrays in a NumPy file, `npz:FILE`: images, tables or texts."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.answers import Found, Surroundings
from search.data.arrays import SPLITS
from search.data.checks import check_counts, check_labels
from search.data.class_numbers import class_names, count_classes
from search.data.contents import Contents
from search.data.formats.npz import array_names, read_array
from search.data.formats.npz_labels import label_numbers
from search.data.formats.npz_samples import Samples, samples_of
from search.data.formats.packed import check_file, expanded
from search.data.splits import held_out, write_labels, write_part
from search.data.texts import write_texts
from search.errors import DataError

SAMPLES = ("X", "x", "images")
LABELS = ("y", "labels")
LAYOUTS = (
    "x_train and y_train, with or without x_test and y_test; or one of"
    f" {', '.join(SAMPLES)} and one of {', '.join(LABELS)}"
)


def find(rest: str, _: Surroundings) -> Found:
    """Return the source that `npz:FILE` names.

    Raises:
        DataError: the file is not there.
    """
    path = expanded(rest)
    check_file(path)
    return Found(str(path), (path,), partial(write_own_npz, path))


def write_own_npz(path: Path, folder: Path) -> Contents:
    """Check a user's file and write its arrays.

    Args:
        path: the `.npz` file.
        folder: receives the `.npy` files.

    Raises:
        DataError: the file is damaged, lacks an array, or has one of which nothing can be made.
    """
    held = array_names(path)
    layout = _layout(path, held)
    train, labels = _read(path, layout[0])
    classes = count_classes(labels, f"{path}: {layout[0][1]}")
    notices = [*train.notices, *_ignored(path, held, layout)]
    if len(layout) == 1:
        parts, notice = held_out(labels, str(path))
        for split, chosen in parts.items():
            _write(folder, split, train, labels, chosen)
        notices.append(notice)
    else:
        _write(folder, "train", train, labels, np.arange(len(labels)))
        test, test_labels = _read(path, layout[1], train)
        check_labels(test_labels, classes, f"{path}: {layout[1][1]}")
        _write(folder, "test", test, test_labels, np.arange(len(test_labels)))
        notices += test.notices
    columns = tuple(f"x{i}" for i in range(train.shape[0])) if train.kind == "table" else ()
    names = class_names(labels, classes, train.kind)
    return Contents(train.kind, names, columns, tuple(notices))


def _layout(path: Path, held: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the names of samples and labels: of the training part, then of the test part."""
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
) -> tuple[Samples, NDArray[np.int64]]:
    samples = samples_of(read_array(path, names[0]), f"{path}: {names[0]}", like)
    labels = label_numbers(read_array(path, names[1]), f"{path}: {names[1]}")
    check_counts(len(samples.array), len(labels), f"{path}: {' and '.join(names)}")
    return samples, labels


def _write(
    folder: Path,
    split: str,
    samples: Samples,
    labels: NDArray[np.int64],
    chosen: NDArray[np.int64],
) -> None:
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
            f"{samples.what} must hold texts that can be written in UTF-8; one cannot ({error})"
        ) from error
