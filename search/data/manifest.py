"""What is kept beside a dataset's arrays: whose they are and which files they were read from."""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from search.data.arrays import KINDS
from search.errors import DataError

FORMAT = 1
FILE = "meta.json"
_DAMAGES = (ArithmeticError, AttributeError, RecursionError)  # numbers and nesting without end
MANY = 1000  # files that are stamped one by one


@dataclass(frozen=True)
class Stamp:
    """One source the arrays were read from, and the state its files were in.

    Attributes:
        source: the source, for people.
        files: (absolute path, bytes, nanoseconds since 1970 of the last change) of each file;
            empty where the files are not there any more. Of more than `MANY` files one entry:
            (the folder they are in, how many they are, a digest of their entries).
    """

    source: str
    files: tuple[tuple[str, int, int], ...]

    @classmethod
    def of(cls, source: str, files: Sequence[Path]) -> "Stamp":
        """Return the stamp of `files` as they are now."""
        if len(files) > MANY:
            return cls(source, (_summary(files),))
        states = []
        for file in files:
            status = file.stat()
            states.append((str(file.resolve()), status.st_size, status.st_mtime_ns))
        return cls(source, tuple(states))


@dataclass(frozen=True)
class Manifest:
    """The contents of `meta.json`.

    Attributes:
        name: the dataset's name.
        digest: of the arrays, SHA-256 (hex).
        classes: class names.
        stamps: the sources that gave these arrays; at least one.
        kind: of the samples: `image`, `text` or `table`.
        columns: a table's column names.
        created: seconds since 1970 (UTC).
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    kind: str = "image"
    columns: tuple[str, ...] = ()
    created: float = field(default_factory=time.time)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read the manifest of a dataset's folder.

        Raises:
            DataError: there is none that this version understands.
        """
        try:
            return _parse(json.loads((folder / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, LookupError, TypeError, *_DAMAGES) as error:
            raise DataError(
                f"a dataset's folder must hold a readable {FILE}; {folder} does not"
                f" ({type(error).__name__}: {error}). Delete it: it is made anew when next needed."
            ) from error

    @property
    def names(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """All that people gave a name: the dataset, its classes, its columns."""
        return self.name, self.classes, self.columns

    def write(self, folder: Path) -> None:
        """Write the manifest to a dataset's folder, replacing the one there."""
        temporary = folder / f".{FILE}.{secrets.token_hex(4)}"
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / FILE)

    def with_stamp(self, stamp: Stamp) -> "Manifest":
        """Return the manifest with one more source; one for the same files is replaced."""
        paths = [path for path, _, _ in stamp.files]
        others = [s for s in self.stamps if [path for path, _, _ in s.files] != paths]
        return replace(self, stamps=(*others, stamp))


def _summary(files: Sequence[Path]) -> tuple[str, int, int]:
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        entry = f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n"
        digest.update(entry.encode(errors="surrogateescape"))
    return os.path.commonpath(files), len(files), int(digest.hexdigest()[:15], 16)


def _parse(data: Any) -> Manifest:
    if data["format"] != FORMAT:
        raise ValueError(f"its format must be {FORMAT}; got {data['format']!r}")
    stamps = tuple(
        Stamp(str(stamp["source"]), tuple((str(p), int(s), int(t)) for p, s, t in stamp["files"]))
        for stamp in data["stamps"]
    )
    classes = tuple(str(name) for name in data["classes"])
    if not stamps or not classes:
        raise ValueError("it names no source or no classes")
    kind = str(data.get("kind", "image"))
    if kind not in KINDS:
        raise ValueError(f"its kind must be one of {', '.join(KINDS)}; got {kind!r}")
    return Manifest(
        name=str(data["name"]),
        digest=str(data["digest"]),
        classes=classes,
        stamps=stamps,
        kind=kind,
        columns=tuple(str(name) for name in data.get("columns", ())),
        created=float(data["created"]),
    )
