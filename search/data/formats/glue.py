"""GLUE's TSV files: a header, then a sentence, a tab and its label on every line.

Source: https://gluebenchmark.com/tasks (SST-2: `train.tsv` and `dev.tsv`; the labels of `test.tsv`
are not published).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from search.data.arrays import LABELS, array_file, write_array, write_texts
from search.data.formats.archives import open_packed, reading
from search.errors import DataError

HEADER = "sentence\tlabel"
FILES = {"train": "train.tsv", "test": "dev.tsv"}
BYTE_ORDER_MARK = "\ufeff"
MAX_BYTES = 1 << 30
MAX_LINE = 1 << 20
REMEDY = "Get the file again, or delete it to look elsewhere."


@dataclass(frozen=True)
class GlueFiles:
    """The files of a dataset in one folder.

    Attributes:
        found: files by `train` and `test`.
        missing: names of missing files.
    """

    found: dict[str, Path]
    missing: tuple[str, ...]


def find_glue(folder: Path) -> GlueFiles:
    """Return which of the two files are in `folder`, plain or gzipped."""
    found: dict[str, Path] = {}
    missing: list[str] = []
    for split, name in FILES.items():
        paths = [
            folder / f"{name}{end}" for end in (".gz", "") if (folder / f"{name}{end}").is_file()
        ]
        if paths:
            found[split] = paths[0]
        else:
            missing.append(name)
    return GlueFiles(found, tuple(missing))


def write_glue(files: GlueFiles, folder: Path, classes: int) -> None:
    """Check both files and write their arrays to `folder`.

    Args:
        files: both files.
        folder: receives the `.npy` files.
        classes: number of classes.

    Raises:
        DataError: a file is unreadable, empty, not UTF-8 or too large, its header differs, or a
            line is not a sentence with a label.
    """
    for split, path in files.found.items():
        sentences, labels = _read(path, classes)
        write_texts(folder, split, sentences)
        array = np.array(labels, LABELS)
        write_array(array_file(folder, f"{split}_labels"), LABELS, array.shape, [array])


def _read(path: Path, classes: int) -> tuple[list[str], list[int]]:
    """Return the sentences, unchanged, and their labels."""
    numbers = {str(number): number for number in range(classes)}
    sentences, labels, number = [], [], 0
    for number, line in enumerate(_lines(path), 1):
        if number == 1:
            if line.removeprefix(BYTE_ORDER_MARK) != HEADER:
                _complain(path, 1, "must be the header `sentence<TAB>label`", line)
            continue
        parts = line.split("\t")
        if len(parts) != 2:
            _complain(path, number, f"must have one tab, not {len(parts) - 1}", line)
        sentence, label = parts
        if label not in numbers:
            _complain(path, number, f"must end with a label of 0..{classes - 1}", line)
        if not sentence.strip():
            _complain(path, number, "must begin with a sentence that is not empty", line)
        sentences.append(sentence)
        labels.append(numbers[label])
    if number == 0:
        raise DataError(f"{path} is empty. {REMEDY}")
    if not sentences:
        raise DataError(f"{path} must hold sentences; it ends after its header. {REMEDY}")
    return sentences, labels


def _complain(path: Path, number: int, rule: str, line: str) -> NoReturn:
    shown = line if len(line) <= 60 else f"{line[:60]}..."
    raise DataError(f"{path}, line {number:,} {rule}; got {shown!r}. {REMEDY}")


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file without their ends; no more than one is in memory."""
    size = 0
    with reading(path), open_packed(path) as file:
        # Not `splitlines`, which also splits at characters that may occur in a sentence.
        lines = iter(lambda: file.readline(MAX_LINE + 1), b"")
        for number, line in enumerate(lines, 1):
            size += len(line)
            if size > MAX_BYTES or len(line) > MAX_LINE:
                raise DataError(
                    f"{path} must hold at most {MAX_BYTES:,} bytes, {MAX_LINE:,} a line; line"
                    f" {number:,} goes beyond. {REMEDY}"
                )
            try:
                yield line.removesuffix(b"\n").removesuffix(b"\r").decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}, line {number:,} must be UTF-8; got the byte"
                    f" 0x{line[error.start]:02x}. {REMEDY}"
                ) from error
