"""A named dataset's files in a folder: IDX files or one `.npz` of images, TSV files of texts."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from search.data.answers import Found
from search.data.catalog import DatasetEntry
from search.data.formats.glue import find_glue, write_glue
from search.data.formats.idx import find_idx, write_idx
from search.data.formats.npz import write_npz


def find_files(entry: DatasetEntry, folders: Sequence[Path]) -> Found | None:
    """Return the first complete set of files, or None."""
    find = _find_texts if entry.kind == "text" else _find_images
    return next((found for folder in folders if (found := find(entry, folder))), None)


def find_part(entry: DatasetEntry, folders: Sequence[Path]) -> str:
    """Return a sentence, without its end, on the first incomplete set of files, or nothing."""
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
