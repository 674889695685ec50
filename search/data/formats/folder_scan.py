"""Which pictures a folder of class folders holds; none of them is opened."""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError

# What Pillow reads, without what it needs other programs for (EPS) or is no picture (HDF5).
PICTURES = frozenset(
    [
        *(".apng", ".avif", ".bmp", ".dds", ".dib", ".gif", ".ico", ".j2k", ".jfif", ".jp2"),
        *(".jpe", ".jpeg", ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pfm", ".pgm", ".png"),
        *(".pnm", ".ppm", ".psd", ".qoi", ".ras", ".sgi", ".tga", ".tif", ".tiff", ".webp"),
        *(".xbm", ".xpm"),
    ]
)
LAYOUTS = "FOLDER/CLASS/PICTURE, or FOLDER/train/CLASS/PICTURE and FOLDER/test/CLASS/PICTURE"


@dataclass(frozen=True)
class Part:
    """The pictures of one split, class by class.

    Attributes:
        files: sorted by class, then by name.
        labels: (n,), class numbers.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.int64]

    def only(self, chosen: NDArray[np.int64]) -> "Part":
        """Return the pictures of some indices."""
        return Part(tuple(self.files[i] for i in chosen), self.labels[chosen])


@dataclass(frozen=True)
class Scan:
    """What a folder holds.

    Attributes:
        root: the folder.
        classes: names, sorted; by their value where all are numbers.
        train: all pictures, where the folder has no test part.
        test: None: the folder has none.
        notices: what was passed over.
    """

    root: Path
    classes: tuple[str, ...]
    train: Part
    test: Part | None
    notices: tuple[str, ...]


class _PassedOver:
    """What is not used, by what it is."""

    def __init__(self) -> None:
        self._paths: dict[str, list[str]] = defaultdict(list)

    def add(self, what: str, path: str) -> None:
        self._paths[what].append(path)

    def notices(self, root: Path) -> tuple[str, ...]:
        return tuple(
            f"{root}: {what} are not used: {len(paths):,}, the first is"
            f" {os.path.relpath(paths[0], root)}."
            for what, paths in self._paths.items()
        )


_Pictures = Mapping[str, list[Path]]  # of each class


def scan_folder(root: Path) -> Scan:
    """List the pictures of a folder in one of the two layouts.

    Nothing below class folders is looked at, so a link that leads back up does no harm.

    Args:
        root: holds class folders; or `train`, and perhaps `test`, that do.

    Raises:
        DataError: there is no such folder, it has another layout, fewer than two classes, a class
            folder without pictures, or a test class without training pictures.
    """
    if not os.path.isdir(root):  # noqa: PTH112 - those of Path raise for a name that is too long
        fault = "it is a file" if os.path.exists(root) else "there is none"  # noqa: PTH110
        raise DataError(f"{root} must be a folder of pictures in class folders; {fault}")
    try:
        return _scanned(root)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _scanned(root: Path) -> Scan:
    passed = _PassedOver()
    folders = _folders(root, passed)
    if "train" not in folders or not _folders(folders["train"], _PassedOver()):
        return _scan(root, _pictures(folders, passed), None, passed)
    for name in sorted(set(folders) - {"train", "test"}):
        passed.add("folders beside `train` and `test`", str(folders[name]))
    train = _pictures(_folders(folders["train"], passed), passed)
    test = _pictures(_folders(folders["test"], passed), passed) if "test" in folders else None
    return _scan(root, train, test, passed)


def _scan(root: Path, train: _Pictures, test: _Pictures | None, passed: _PassedOver) -> Scan:
    numbered = all(name.isdecimal() for name in train)
    classes = tuple(sorted(train, key=lambda name: (int(name) if numbered else 0, name)))
    if len(classes) < 2:
        raise DataError(
            f"{root} must hold a folder for each of two or more classes ({LAYOUTS});"
            f" its class folders: {', '.join(classes) or 'none'}"
        )
    odd = next((name for name in classes if not name.isprintable()), None)
    if odd is not None:  # such as a name in another encoding; it could not be shown anywhere
        raise DataError(f"{root}: names of class folders must be plain text; rename {odd!a}")
    notices = passed.notices(root)
    if test is None:
        return Scan(root, classes, _part(classes, train), None, notices)
    if not test:
        raise DataError(f"{root}: test must hold class folders; there are none ({LAYOUTS})")
    unknown = sorted(set(test) - set(train))
    if unknown:
        raise DataError(
            f"{root}: every class of the test part must be one of the training part's,"
            f" {', '.join(classes)}; got {', '.join(unknown)}"
        )
    lacking = [name for name in classes if name not in test]
    if lacking:
        notices += (f"{root}: the test part has no pictures of {', '.join(lacking)}.",)
    return Scan(root, classes, _part(classes, train), _part(classes, test), notices)


def _part(classes: tuple[str, ...], pictures: _Pictures) -> Part:
    files = tuple(path for name in classes for path in pictures.get(name, ()))
    counts = [len(pictures.get(name, ())) for name in classes]
    return Part(files, np.repeat(np.arange(len(classes), dtype=np.int64), counts))


def _folders(folder: Path, passed: _PassedOver) -> dict[str, Path]:
    """Return the folders in a folder, by name."""
    found = {}
    for entry in _entries(folder):
        if entry.name.startswith("."):
            passed.add("hidden files and folders", entry.path)
        elif _holds(entry.is_dir):
            found[entry.name] = Path(entry.path)
        else:
            passed.add("files outside class folders", entry.path)
    return found


def _pictures(folders: Mapping[str, Path], passed: _PassedOver) -> _Pictures:
    """Return the pictures of each class folder."""
    found = {}
    for name, folder in folders.items():
        found[name] = _pictures_in(folder, passed)
        if not found[name]:
            raise DataError(
                f"every class folder must hold pictures (files named .png, .jpg, .bmp, .gif, .webp,"
                f" .tif and the like); {folder} holds none. Fill it or delete it. The layout is"
                f" {LAYOUTS}."
            )
    return found


def _pictures_in(folder: Path, passed: _PassedOver) -> list[Path]:
    found = []
    for entry in _entries(folder):
        if entry.name.startswith("."):
            passed.add("hidden files and folders", entry.path)
        elif _holds(entry.is_dir):
            passed.add("folders within class folders", entry.path)
        elif _suffix(entry.name) in PICTURES and _holds(entry.is_file):
            found.append(Path(entry.path))
        else:
            passed.add("other files", entry.path)
    return found


def _suffix(name: str) -> str:
    return name[name.rfind(".") :].lower()  # a tenth of the time of Path.suffix


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _holds(question: Callable[[], bool]) -> bool:
    """Ask an entry what it is; a link that leads in a circle is nothing."""
    try:
        return question()
    except OSError:
        return False
