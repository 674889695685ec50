"""Texts in one folder for each class, `folder:DIR` with files named `.txt`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from search.data.answers import Found, Surroundings
from search.data.checks import Contents
from search.data.formats.archives import reading as reading_file
from search.data.formats.columns import Batches, Part
from search.data.formats.folder import FIRST_FOLD, NEVER, PICTURES, Kind, Scan, scan_folder
from search.data.formats.folder import Part as ClassFiles
from search.data.formats.tables import write_table
from search.data.reading import Reading
from search.errors import DataError
from search.tasks import CLASSIFICATION

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".txt"
TEXT_FILES = Kind("texts", frozenset({SUFFIX}), SUFFIX, f"TEXT{SUFFIX}")
LABEL, TEXT, FOLD = "label", "text", "fold"
MAX_BYTES = 16 << 20
BATCH = 256  # files
LOOKED_AT = 10_000  # files of a folder, to see what it holds

Texts = list[tuple[Path, str, int]]  # file, class and fold


def holds_texts(root: Path) -> bool:
    """Return whether most files in class folders are texts rather than pictures."""
    kinds: Counter[str] = Counter()
    for pattern in ("*/*", "*/*/*"):
        for path in islice(root.glob(pattern), LOOKED_AT):
            suffix = path.suffix.lower()
            kinds["text"] += suffix == SUFFIX
            kinds["picture"] += suffix in PICTURES
    return kinds["text"] > kinds["picture"]


def find(root: Path, around: Surroundings) -> Found:
    """Return the source of a folder of texts, which are listed and not read.

    Raises:
        DataError: the folder has another layout.
    """
    scan = scan_folder(root, TEXT_FILES)
    return Found(str(root), scan.files, partial(_write, scan, around.reading))


def _texts(scan: Scan, part: ClassFiles | None, fold: int) -> Texts:
    """Return the texts of a part, by the names of their classes."""
    if part is None:
        return []
    texts = [
        (file, scan.classes[label], fold)
        for file, label in zip(part.files, part.labels.tolist(), strict=True)
    ]
    return sorted(texts, key=lambda text: text[1])


def _write(scan: Scan, reading: Reading, folder: Path) -> Contents:
    plain = Reading(
        target=LABEL,
        task=CLASSIFICATION,
        text=TEXT,
        fold_column=FOLD if scan.validation is not None else None,
        allow_duplicates=reading.allow_duplicates,
    )
    train = _texts(scan, scan.train, NEVER) + _texts(scan, scan.validation, FIRST_FOLD)
    parts = {"train": train, "test": _texts(scan, scan.test, NEVER)}
    held = {split: _part(scan.root, texts) for split, texts in parts.items() if texts}
    made = write_table(held, plain, folder, "")
    notices = tuple(text for text in made.notices if "not used besides" not in text)
    return replace(made, notices=(*scan.notices, *notices))


def _part(root: Path, texts: Texts) -> Part:
    return Part(
        str(root), (LABEL, TEXT, FOLD), partial(_read, texts), lambda row: str(texts[row][0])
    )


def _read(texts: Texts, chosen: Sequence[str], _: "Mapping[str, pa.DataType]") -> Batches:
    import pyarrow as pa

    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        columns = {
            LABEL: lambda batch=batch: pa.array([name for _, name, _ in batch], pa.large_string()),
            FOLD: lambda batch=batch: pa.array([fold for _, _, fold in batch], pa.int64()),
            TEXT: lambda batch=batch: pa.array(list(_contents(batch)), pa.large_string()),
        }
        yield pa.RecordBatch.from_arrays([columns[name]() for name in chosen], list(chosen))


def _contents(texts: Texts) -> Iterator[str]:
    for path, _, _ in texts:
        with reading_file(path), path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise DataError(f"{path} must have at most {MAX_BYTES:,} bytes. Cut it into texts.")
        try:
            yield content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path} must be a text in UTF-8; byte {error.start + 1} is not"
                f" (0x{content[error.start]:02x}). Save the file as UTF-8."
            ) from error
