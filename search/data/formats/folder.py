"""Pictures in one folder for each class, `folder:DIR`."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.data.answers import Found, Surroundings
from search.data.arrays import (
    IMAGES,
    PIECE_BYTES,
    Images,
    array_file,
    map_ahead,
    write_array,
    write_labels,
)
from search.data.checks import Contents
from search.data.duplicates import numbered_digests, sample_digest, several
from search.data.folds import held_out
from search.data.formats.archives import expanded
from search.data.pictures import flattened, open_picture, quiet_pillow, read_head
from search.errors import DataError

Result = TypeVar("Result")

LARGEST = 512  # pixels of the longer side; larger pictures are resized
REDUCED = 256  # to this many
HEADS_AT_ONCE = 256


@dataclass(frozen=True)
class Target:
    """The size and mode that all pictures are converted to.

    Attributes:
        size: (width, height) in pixels.
        mode: `L` or `RGB`.
        common: the most common size of the pictures, possibly larger.
    """

    size: tuple[int, int]
    mode: str
    common: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: (height, width, channels)."""
        width, height = self.size
        return height, width, 1 if self.mode == "L" else 3


@dataclass(frozen=True)
class Fitted:
    """A picture with the target's size and mode.

    Attributes:
        pixels: uint8, the target's shape.
        was_resized: whether the file has another size.
    """

    pixels: Images
    was_resized: bool


def choose_target(files: Sequence[Path]) -> Target:
    """Return the most common size, reduced if it is large, and grey if all pictures are.

    Of equally common sizes the largest counts.

    Raises:
        DataError: pictures that cannot be read.
    """
    heads = [head for batch in read_all(read_head, files, HEADS_AT_ONCE) for head in batch]
    counts = Counter(head.size for head in heads)
    common = max(counts, key=lambda size: (counts[size], size[0] * size[1], size))
    longer = max(common)
    size = common
    if longer > LARGEST:
        width, height = (max(1, round(side * REDUCED / longer)) for side in common)
        size = width, height
    return Target(size, "L" if all(head.is_grey for head in heads) else "RGB", common)


def fit_picture(path: Path, target: Target) -> Fitted:
    """Read a picture: upright, transparent parts black, resized (bilinear, antialiased).

    Raises:
        DataError: it cannot be read.
    """
    image = open_picture(path, at_least=2 * max(target.size))
    try:
        image = flattened(image, backdrop=0, mode=target.mode)
    except ValueError as error:  # a mode that Pillow cannot convert
        raise DataError(f"{path}: {error}; save it as a PNG or JPEG in grey or colour") from error
    was_resized = image.size != target.size
    if was_resized:
        image = image.resize(target.size, Image.Resampling.BILINEAR)
    return Fitted(np.asarray(image, np.uint8).reshape(target.shape), was_resized)


def read_all(
    read: Callable[[Path], Result], files: Sequence[Path], at_once: int
) -> Iterator[list[Result]]:
    """Yield the results of `read` for files, in order; each batch is read in threads.

    Pillow lets other threads run while it decodes a picture.

    Args:
        read: raises DataError for a file that cannot be read.
        files: any number.
        at_once: files in a batch.

    Raises:
        DataError: files cannot be read; the message names the first and counts the others.
    """
    batches = (files[start : start + at_once] for start in range(0, len(files), at_once))
    faults: list[DataError] = []
    for results in map_ahead(partial(_tried, read), batches):
        good = [result for result in results if not isinstance(result, DataError)]
        faults += [result for result in results if isinstance(result, DataError)]
        if not faults:
            yield good
    if faults:
        others = f" {len(faults) - 1:,} more cannot be read either." if len(faults) > 1 else ""
        raise DataError(f"{str(faults[0]).rstrip('.')}.{others}")


def _tried(read: Callable[[Path], Result], files: Sequence[Path]) -> list[Result | DataError]:
    results: list[Result | DataError] = []
    for file in files:
        try:
            results.append(read(file))
        except DataError as error:
            results.append(error)
    return results


# Formats that Pillow reads, without those that need other programs (EPS) or are no pictures (HDF5).
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
        """Return the pictures with these indices."""
        return Part(tuple(self.files[i] for i in chosen), self.labels[chosen])


@dataclass(frozen=True)
class Scan:
    """The content of a folder.

    Attributes:
        root: the folder.
        classes: names, sorted; by value if all are numbers.
        train: all pictures if the folder has no test part.
        test: None if the folder has no test part.
        notices: about files that are not used.
    """

    root: Path
    classes: tuple[str, ...]
    train: Part
    test: Part | None
    notices: tuple[str, ...]


class _PassedOver:
    """Files that are not used, by kind."""

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

    Folders within class folders are not searched, so links to folders above do no harm.

    Args:
        root: contains class folders; or `train`, and optionally `test`, that do.

    Raises:
        DataError: the folder does not exist, or has another layout, fewer than two classes, a class
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
    if odd is not None:  # such as a name in another encoding, which cannot be printed
        raise DataError(f"{root}: names of class folders must be plain text; rename {odd!a}")
    notices = passed.notices(root)
    if test is None:
        return Scan(root, classes, _part(classes, train), None, notices)
    if not test:
        raise DataError(f"{root}: test must contain class folders; there are none ({LAYOUTS})")
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
                f" .tif and the like); {folder} has none. Fill it or delete it. The layout is"
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
    return name[name.rfind(".") :].lower()  # takes a tenth of the time of Path.suffix


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _holds(question: Callable[[], bool]) -> bool:
    """Return the answer of an entry's test; False for a circular link."""
    try:
        return question()
    except OSError:
        return False


MOST_AT_ONCE = 256


def find(rest: str, around: Surroundings) -> Found:
    """Return the source that `folder:DIR` names; pictures are listed, not opened.

    Raises:
        DataError: the folder does not exist or has another layout.
    """
    root = expanded(rest)
    scan = scan_folder(root)
    files = scan.train.files + (scan.test.files if scan.test else ())
    write = partial(write_folder, scan, allow_duplicates=around.reading.allow_duplicates)
    return Found(str(root), files, write)


def write_folder(scan: Scan, folder: Path, *, allow_duplicates: bool = False) -> Contents:
    """Read the pictures and write their arrays, a few pictures at a time.

    Size and channels are those of the training pictures.

    Args:
        scan: the pictures.
        folder: receives the `.npy` files.
        allow_duplicates: whether equal pictures may be on both sides where a test part is held out.

    Raises:
        DataError: pictures cannot be read; the message names the first and counts the others.
    """
    notices = list(scan.notices)
    parts = {"train": scan.train}
    if scan.test is not None:
        parts["test"] = scan.test
    else:
        groups = None if allow_duplicates else _equal_pictures(scan.train.files)
        chosen, notice = held_out(scan.train.labels, str(scan.root), groups=groups)
        parts = {split: scan.train.only(indices) for split, indices in chosen.items()}
        notices.append(notice)
    resized = 0
    with quiet_pillow():
        target = choose_target(parts["train"].files)
        for split, part in parts.items():
            resized += _write(folder, split, part, target)
            write_labels(folder, split, part.labels)
    notices += _told(scan.root, target, resized, sum(len(part.files) for part in parts.values()))
    return Contents("image", scan.classes, (), tuple(notices))


def _equal_pictures(files: Sequence[Path]) -> NDArray[np.int64] | None:
    """Return a number for each picture, the same for those with equal pixels; None without any."""
    with quiet_pillow():
        target = choose_target(files)
        at_once = min(MOST_AT_ONCE, max(1, PIECE_BYTES // int(np.prod(target.shape))))
        batches = read_all(partial(_picture_digest, target=target), files, at_once)
        return several(numbered_digests(digest for batch in batches for digest in batch))


def _picture_digest(path: Path, target: Target) -> bytes:
    return sample_digest(fit_picture(path, target).pixels.tobytes())


def _write(folder: Path, split: str, part: Part, target: Target) -> int:
    """Write the images of a split and return how many were resized."""
    resized = 0
    at_once = min(MOST_AT_ONCE, max(1, PIECE_BYTES // int(np.prod(target.shape))))

    def pieces() -> Iterator[Images]:
        nonlocal resized
        for batch in read_all(partial(fit_picture, target=target), part.files, at_once):
            resized += sum(fitted.was_resized for fitted in batch)
            yield np.stack([fitted.pixels for fitted in batch])

    shape = (len(part.files), *target.shape)
    write_array(array_file(folder, f"{split}_images"), IMAGES, shape, pieces())
    return resized


def _told(root: Path, target: Target, resized: int, count: int) -> list[str]:
    if not resized:
        return []
    common, size = ("{} x {}".format(*pair) for pair in (target.common, target.size))
    why = "the most common size"
    if common != size:
        why = f"because the most common size, {common}, is too large"
    return [f"{root}: {resized:,} of {count:,} pictures are resized to {size}, {why}."]
