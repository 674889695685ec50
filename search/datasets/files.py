"""A named dataset's files in a folder: a set of IDX files, or one `.npz`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from search.datasets.answers import Found
from search.datasets.catalog import DatasetEntry
from search.datasets.idx import find_idx, write_idx
from search.datasets.npz import write_npz


def find_files(entry: DatasetEntry, folders: Sequence[Path]) -> Found | None:
    """Return the first complete set of files, or None."""
    classes = len(entry.classes)
    for folder in folders:
        idx = find_idx(folder)
        if not idx.missing:
            write = partial(write_idx, idx, classes=classes)
            return Found(f"IDX files in {folder}", tuple(idx.found.values()), write)
        for path in (folder / f"{spelling}.npz" for spelling in entry.spellings):
            if path.is_file():
                return Found(str(path), (path,), partial(write_npz, path, classes=classes))
    return None


def find_part(folders: Sequence[Path]) -> str:
    """Return a sentence, without its end, on the first incomplete set of IDX files, or nothing."""
    for folder in folders:
        idx = find_idx(folder)
        if idx.found and idx.missing:
            return f"{folder} has only some of the IDX files; missing: {', '.join(idx.missing)}"
    return ""
