"""Tiny datasets of any kind, kept as a loaded one is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from search.data import Dataset
from search.data import dataset as cache
from search.data.arrays import KINDS, LABELS, SPLITS, array_file, write_array, write_texts
from search.data.checks import Contents
from search.data.dataset import Stamp
from search.data.reading import Column

Part = tuple[Any, Sequence[int]]  # samples and their labels


def tiny(
    root: Path,
    kind: str,
    train: Part,
    test: Part,
    *,
    classes: Sequence[str] = ("no", "yes"),
    columns: Sequence[str | Column] = (),
    name: str = "tiny",
) -> Dataset:
    """Keep a dataset below `root`; samples are arrays of the kind's dtype, or strings."""
    with cache.scratch(root) as work:
        arrays = work / "arrays"
        arrays.mkdir()
        for split, (samples, labels) in zip(SPLITS, (train, test), strict=True):
            if kind == "text":
                write_texts(arrays, split, samples)
            else:
                file = array_file(arrays, f"{split}_{KINDS[kind][0]}")
                write_array(file, samples.dtype, samples.shape, [samples])
            numbers = np.asarray(labels, np.int64)
            write_array(array_file(arrays, f"{split}_labels"), LABELS, numbers.shape, [numbers])
        typed = tuple(c if isinstance(c, Column) else Column(c) for c in columns)
        contents = Contents(kind, tuple(classes), typed)
        return cache.keep(root, arrays, name, contents, Stamp("a test", ()))
