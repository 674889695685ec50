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
from search.data.formats.folder import PICTURES
from search.data.formats.tables import write_table
from search.data.reading import Reading
from search.errors import DataError
from search.tasks import CLASSIFICATION

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".txt"
LAYOUTS = "FOLDER/CLASS/TEXT.txt, or FOLDER/train/CLASS/TEXT.txt and FOLDER/test/CLASS/TEXT.txt"
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
LABEL, TEXT, FOLD = "label", "text", "fold"
FOLDS = {"train": -1, "validation": 1}  # the fold in which a text is validated; -1: in none
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
    parts, passed = _scanned(root)
    files = tuple(path for texts in parts.values() for path, _, _ in texts)
    return Found(str(root), files, partial(_write, root, parts, passed, around.reading))


def _scanned(root: Path) -> tuple[dict[str, Texts], int]:
    """Return the texts of each part, `train` and perhaps `test`, and the number of other files."""
    folders = {folder.name: folder for folder in _folders(root)}
    named = {
        folder: PARTS[name.lower()] for name, folder in folders.items() if name.lower() in PARTS
    }
    has_parts = any(part == "train" and _folders(folder) for folder, part in named.items())
    found: dict[str, Texts] = {}
    passed = 0
    for folder, part in named.items() if has_parts else [(root, "train")]:
        split = "test" if part == "test" else "train"
        for inner in _folders(folder):
            texts, others = _texts_in(inner, FOLDS.get(part, -1))
            found.setdefault(split, []).extend(texts)
            passed += others
    classes = {name for _, name, _ in found.get("train", [])}
    if len(classes) < 2:
        raise DataError(
            f"{root} must hold a folder of texts for each of two or more classes ({LAYOUTS}); its"
            f" class folders: {', '.join(sorted(classes)) or 'none'}"
        )
    return found, passed


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")


def _texts_in(folder: Path, fold: int) -> tuple[Texts, int]:
    files = sorted(folder.iterdir())
    texts = [path for path in files if path.suffix.lower() == SUFFIX and path.is_file()]
    if not texts:
        raise DataError(
            f"every class folder must hold texts (files named {SUFFIX}); {folder} has none. Fill it"
            f" or delete it. The layout is {LAYOUTS}."
        )
    return [(path, folder.name, fold) for path in texts], len(files) - len(texts)


def _write(
    root: Path, parts: Mapping[str, Texts], passed: int, reading: Reading, folder: Path
) -> Contents:
    has_folds = any(fold > 0 for _, _, fold in parts["train"])
    plain = Reading(
        target=LABEL,
        task=CLASSIFICATION,
        text=TEXT,
        fold_column=FOLD if has_folds else None,
        allow_duplicates=reading.allow_duplicates,
    )
    made = write_table({split: _part(texts) for split, texts in parts.items()}, plain, folder, "")
    notices = tuple(text for text in made.notices if "not used besides" not in text)
    if passed:
        notices += (f"{root}: {passed:,} files are no texts ({SUFFIX}) and are not used.",)
    return replace(made, notices=notices)


def _part(texts: Texts) -> Part:
    root = texts[0][0].parent.parent
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
