"""Pictures in one folder for each class, `folder:DIR`."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from search.data.answers import Found, Surroundings
from search.data.arrays import (
    IMAGES,
    PIECE_BYTES,
    Images,
    array_file,
    map_ahead,
    write_array,
    write_extras,
    write_labels,
)
from search.data.checks import Contents
from search.data.duplicates import numbered_digests, sample_digest, several
from search.data.folds import held_out
from search.data.formats.archives import expanded
from search.data.pictures import (
    BACKDROP,
    Head,
    depth_of_picture,
    enough_for,
    flattened,
    in_size,
    open_picture,
    quiet_pillow,
    read_head,
    values_of,
)
from search.data.ranges import BYTES, PixelRange, Survey, told_clipped, told_range
from search.errors import DataError
from search.tasks import Classification
from tracking.text import listed

Result = TypeVar("Result")

LARGEST = 512  # pixels of the longer side; larger pictures are resized
REDUCED = 256  # to this many
HEADS_AT_ONCE = 256
# What Pillow leaves of 16 bits a colour: of fewer bits than 14 too little to tell colours apart.
LEAST_OF_16_BITS = 64


@dataclass(frozen=True)
class Target:
    """The size and mode that all pictures are converted to.

    Attributes:
        size: (width, height) in pixels.
        mode: `L` or `RGB`.
        common: the most common size of the pictures, possibly larger.
        depth: one of `ranges.DEPTHS`, that of all pictures.
        cut: how many have 16 bits a colour, of which the upper 8 are read.
        range: which values become black and white; None if values are pixels.
    """

    size: tuple[int, int]
    mode: str
    common: tuple[int, int]
    depth: str = BYTES
    cut: int = 0
    range: PixelRange | None = None

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
        outside: how many values are outside the target's range.
        values: how many values there are.
    """

    pixels: Images
    was_resized: bool
    outside: int = 0
    values: int = 0


def choose_target(files: Sequence[Path]) -> Target:
    """Return the most common size, reduced if it is large, and grey if all pictures are.

    Of equally common sizes the largest counts.

    Raises:
        DataError: pictures that cannot be read, or of which some have 8 bits and others more.
    """
    heads = [head for batch in read_all(read_head, files, HEADS_AT_ONCE) for head in batch]
    _check_depths(files, heads)
    counts = Counter(head.size for head in heads)
    common = max(counts, key=lambda size: (counts[size], size[0] * size[1], size))
    longer = max(common)
    size = common
    if longer > LARGEST:
        width, height = (max(1, round(side * REDUCED / longer)) for side in common)
        size = width, height
    mode = "L" if all(head.is_grey for head in heads) else "RGB"
    return Target(size, mode, common, heads[0].depth, sum(head.is_cut for head in heads))


def _check_depths(files: Sequence[Path], heads: Sequence[Head]) -> None:
    first = {head.depth: file for file, head in reversed(list(zip(files, heads, strict=True)))}
    if len(first) > 1:
        counts = Counter(head.depth for head in heads)
        shown = "; ".join(f"{counts[depth]:,} {depth}, as {file}" for depth, file in first.items())
        raise DataError(
            f"pictures must be of one depth, so that one scale fits all; got {shown}. {_ONE_DEPTH}"
        )


_ONE_DEPTH = "Save all of them in the same way, for example as PNGs of 8 bits."


def fit_picture(path: Path, target: Target) -> Fitted:
    """Read a picture: upright, transparent parts black, resized (bilinear, antialiased).

    Raises:
        DataError: it cannot be read, or has another depth than the target.
    """
    image = open_picture(path, at_least=enough_for(target.size))
    depth, outside = depth_of_picture(image), 0
    if depth != target.depth:
        raise DataError(
            f"{path} holds {depth}, unlike the training pictures ({target.depth}). {_ONE_DEPTH}"
        )
    with _convertible(path):
        if target.range is not None:
            values = np.asarray(image.convert(target.mode)) if depth == BYTES else values_of(image)
            outside = target.range.outside(values)
        image = flattened(image, backdrop=BACKDROP, mode=target.mode, ranged=target.range)
    count = image.width * image.height * len(image.getbands())
    pixels = np.asarray(in_size(image, target.size), np.uint8).reshape(target.shape)
    return Fitted(pixels, image.size != target.size, outside, count)


def survey_picture(path: Path) -> Survey:
    """Return which values a picture has.

    Raises:
        DataError: it cannot be read.
    """
    image = open_picture(path)
    with _convertible(path):
        return Survey.of(values_of(image), str(path))


def check_picture(path: Path) -> Path:
    """Return the path of a picture that can be read.

    Raises:
        DataError: it cannot be.
    """
    image = open_picture(path)
    with _convertible(path):
        flattened(image, backdrop=BACKDROP, mode="RGB")
        if depth_of_picture(image) != BYTES:
            values_of(image)
    return path


@contextmanager
def _convertible(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # a mode that Pillow cannot convert
        raise DataError(f"{path}: {error}; save it as a PNG or JPEG in grey or colour") from error


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
        way_out = " `--skip-unreadable` leaves out pictures that cannot be read."
        raise DataError(f"{str(faults[0]).rstrip('.')}.{others}{way_out}")


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


@dataclass(frozen=True)
class Kind:
    """Which files in class folders are samples.

    Attributes:
        noun: what they are.
        suffixes: what their names end with.
        named: these suffixes in words.
        sample: a file in a description of the layout.
    """

    noun: str
    suffixes: frozenset[str]
    named: str
    sample: str

    @property
    def layouts(self) -> str:
        """The layouts of folders."""
        return (
            f"FOLDER/CLASS/{self.sample}, or FOLDER/train/CLASS/{self.sample} with"
            f" FOLDER/test/CLASS/{self.sample} and FOLDER/val/CLASS/{self.sample} if there are any"
        )


PICTURE_FILES = Kind(
    "pictures", PICTURES, ".png, .jpg, .bmp, .gif, .webp, .tif and the like", "PICTURE"
)
TRAIN, VALIDATION, TEST = "train", "validation", "test"
# What folders of a part may be called, in capital or small letters.
ROLES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
# The fold in which a sample is validated, as in `arrays.EXTRAS`.
NEVER, FIRST_FOLD = -1, 1


@dataclass(frozen=True)
class Part:
    """The files of one split, class by class.

    Attributes:
        files: sorted by class, then by name.
        labels: (n,), class numbers.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.int64]

    def only(self, chosen: NDArray[np.int64]) -> "Part":
        """Return the files with these indices."""
        return Part(tuple(self.files[i] for i in chosen), self.labels[chosen])

    def without(self, left_out: Set[Path]) -> "Part":
        """Return the other files."""
        kept = [at for at, file in enumerate(self.files) if file not in left_out]
        return self.only(np.array(kept, np.int64))

    def followed_by(self, other: "Part | None") -> "Part":
        """Return these files, then those of the other part."""
        if other is None:
            return self
        return Part(self.files + other.files, np.concatenate([self.labels, other.labels]))


@dataclass(frozen=True)
class Scan:
    """The content of a folder.

    Attributes:
        root: the folder.
        classes: names, sorted; by value if all are numbers.
        train: all files if the folder has no test part.
        test: None if the folder has no test part.
        notices: about files that are not used.
        validation: None if the folder has no validation part.
    """

    root: Path
    classes: tuple[str, ...]
    train: Part
    test: Part | None
    notices: tuple[str, ...]
    validation: Part | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of samples."""
        return self.train.followed_by(self.validation).followed_by(self.test).files

    def without(self, left_out: Set[Path]) -> "Scan":
        """Return the scan without some pictures.

        Raises:
            DataError: a class has no other training pictures.
        """
        train = self.train.without(left_out)
        empty = np.setdiff1d(np.arange(len(self.classes)), train.labels)
        if len(empty):
            raise DataError(
                f"{self.root}: every class must have pictures that can be read; class"
                f" {self.classes[empty[0]]} has none for training"
            )
        others = (part and part.without(left_out) for part in (self.test, self.validation))
        test, validation = (part if part and part.files else None for part in others)
        return replace(self, train=train, test=test, validation=validation)


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


_Files = Mapping[str, list[Path]]  # of each class


def scan_folder(root: Path, kind: Kind = PICTURE_FILES) -> Scan:
    """List the samples of a folder in one of the two layouts.

    Folders within class folders are not searched, so links to folders above do no harm.

    Args:
        root: contains class folders; or `train`, and optionally `test`, that do.
        kind: which files are samples.

    Raises:
        DataError: the folder does not exist, or has another layout, fewer than two classes, a class
            folder without samples, or a test class without training samples.
    """
    if not os.path.isdir(root):  # noqa: PTH112 - those of Path raise for a name that is too long
        fault = "it is a file" if os.path.exists(root) else "there is none"  # noqa: PTH110
        raise DataError(f"{root} must be a folder of {kind.noun} in class folders; {fault}")
    try:
        return _scanned(root, kind)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _scanned(root: Path, kind: Kind) -> Scan:
    passed = _PassedOver()
    folders = _folders(root, passed)
    roles = _roles(folders)
    if not any(_folders(folder, _PassedOver()) for folder in roles.get(TRAIN, ())):
        return _scan(root, kind, {TRAIN: _samples(folders, kind, passed)}, passed)
    for role, same in roles.items():
        if len(same) > 1:
            raise DataError(
                f"{root} must have one folder for each part; {same[0].name} and"
                f" {same[1].name} are both for the {role} part. Put their {kind.noun} together, or"
                " rename one."
            )
    for name in sorted(set(folders) - {folder.name for (folder,) in roles.values()}):
        passed.add("folders beside those of the parts", str(folders[name]))
    found = {}
    for role, (folder,) in roles.items():
        found[role] = _samples(_folders(folder, passed), kind, passed)
        if not found[role]:
            raise DataError(
                f"{root}: {folder.name} must contain class folders; there are none ({kind.layouts})"
            )
    return _scan(root, kind, found, passed)


def _roles(folders: Mapping[str, Path]) -> dict[str, list[Path]]:
    """Return the folders whose names are those of parts, by part, that of training first."""
    found: dict[str, list[Path]] = {}
    for part in (TRAIN, VALIDATION, TEST):
        same = [path for name, path in folders.items() if ROLES.get(name.lower()) == part]
        if same:
            found[part] = same
    return found


def _scan(root: Path, kind: Kind, found: Mapping[str, _Files], passed: _PassedOver) -> Scan:
    train = found[TRAIN]
    numbered = all(name.isdecimal() for name in train)
    classes = tuple(sorted(train, key=lambda name: (int(name) if numbered else 0, name)))
    if len(classes) < 2:
        raise DataError(
            f"{root} must hold a folder for each of two or more classes ({kind.layouts});"
            f" its class folders: {', '.join(classes) or 'none'}"
        )
    odd = next((name for name in classes if not name.isprintable()), None)
    if odd is not None:  # such as a name in another encoding, which cannot be printed
        raise DataError(f"{root}: names of class folders must be plain text; rename {odd!a}")
    notices = passed.notices(root)
    parts = {}
    for role in (VALIDATION, TEST):
        if role not in found:
            continue
        unknown = sorted(set(found[role]) - set(train))
        if unknown:
            raise DataError(
                f"{root}: every class of the {role} part must be one of the training part's,"
                f" {', '.join(classes)}; got {', '.join(unknown)}"
            )
        lacking = [name for name in classes if name not in found[role]]
        if lacking:
            notices += (f"{root}: the {role} part has no {kind.noun} of {', '.join(lacking)}.",)
        parts[role] = _part(classes, found[role])
    return Scan(
        root, classes, _part(classes, train), parts.get(TEST), notices, parts.get(VALIDATION)
    )


def _part(classes: tuple[str, ...], held: _Files) -> Part:
    files = tuple(path for name in classes for path in held.get(name, ()))
    counts = [len(held.get(name, ())) for name in classes]
    return Part(files, np.repeat(np.arange(len(classes), dtype=np.int64), counts))


def _folders(folder: Path, passed: _PassedOver) -> dict[str, Path]:
    """Return the folders in a folder, by name."""
    found = {}
    for entry in _entries(folder):
        if is_hidden(entry.name):
            passed.add("hidden files and folders", entry.path)
        elif _holds(entry.is_dir):
            found[entry.name] = Path(entry.path)
        else:
            passed.add("files outside class folders", entry.path)
    return found


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is one that programs keep beside the user's own."""
    return name.startswith(".") or name in ("__MACOSX", "__pycache__")


def _samples(folders: Mapping[str, Path], kind: Kind, passed: _PassedOver) -> _Files:
    """Return the samples of each class folder."""
    found = {}
    for name, folder in folders.items():
        found[name] = _samples_in(folder, kind, passed)
        if not found[name]:
            remedy = "Fill it or delete it."
            inner = list(_folders(folder, _PassedOver()))
            if inner and len(folders) == 1:
                remedy = f"It holds folders ({listed(inner)}): if these are classes, name it."
            elif inner:
                remedy = (
                    f"It holds folders ({listed(inner)}), which are not searched: put their"
                    f" {kind.noun} into the class folder."
                )
            raise DataError(
                f"every class folder must hold {kind.noun} (files named {kind.named}); {folder} has"
                f" none. {remedy} The layout is {kind.layouts}."
            )
    return found


def _samples_in(folder: Path, kind: Kind, passed: _PassedOver) -> list[Path]:
    found = []
    for entry in _entries(folder):
        if is_hidden(entry.name):
            passed.add("hidden files and folders", entry.path)
        elif _holds(entry.is_dir):
            passed.add("folders within class folders", entry.path)
        elif _suffix(entry.name) in kind.suffixes and _holds(entry.is_file):
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
    reading = around.reading
    write = partial(
        write_folder,
        scan,
        skip=reading.skip_unreadable,
        allow_duplicates=reading.allow_duplicates,
    )
    return Found(str(root), scan.files, write)


def write_folder(
    scan: Scan, folder: Path, *, skip: bool = False, allow_duplicates: bool = False
) -> Contents:
    """Read the pictures and write their arrays, a few pictures at a time.

    Size, channels and the range of values are those of the training pictures.

    Args:
        scan: the pictures.
        folder: receives the `.npy` files.
        skip: leave out pictures that cannot be read.
        allow_duplicates: whether equal pictures may be on both sides where a test part is held out.

    Raises:
        DataError: pictures cannot be read, the message names the first and counts the others; or
            they are of several depths.
    """
    with quiet_pillow():
        skipped = _unreadable(scan.files) if skip else {}
        scan = scan.without(skipped.keys())
        notices = list(scan.notices)
        parts = {"train": scan.train}
        if scan.test is not None:
            parts["test"] = scan.test
        else:
            groups = None if allow_duplicates else _equal_pictures(scan.train.files)
            task, labels = Classification(scan.classes), scan.train.labels
            chosen, notice = held_out(labels, str(scan.root), task=task, groups=groups)
            parts = {split: scan.train.only(indices) for split, indices in chosen.items()}
            notices.append(notice)
        extras = {}
        if scan.validation is not None:
            folds = np.full(len(parts["train"].files), NEVER, np.int64)
            extras["folds"] = np.append(folds, np.full(len(scan.validation.files), FIRST_FOLD))
            notices.append(
                f"{scan.root}: the {len(scan.validation.files):,} pictures of the validation part"
                " validate what is trained on the others; `--split stratified` puts both together"
                " and cuts them into folds."
            )
        train_only = parts["train"].files
        parts["train"] = parts["train"].followed_by(scan.validation)
        written = _write_parts(folder, parts, train_only, str(scan.root))
    for split, part in parts.items():
        write_labels(folder, split, part.labels)
    write_extras(folder, "train", extras)
    return Contents(
        "image",
        scan.classes,
        notices=(*notices, *written.notices),
        extras=tuple(extras),
        pixel_range=written.target.range,
        skipped=tuple(f"{path}: {fault}" for path, fault in skipped.items()),
    )


def _equal_pictures(files: Sequence[Path]) -> NDArray[np.int64] | None:
    """Return a number for each picture, the same for those with equal pixels; None without any."""
    target = choose_target(files)
    if target.depth != BYTES:  # of all pictures: which are for training is not known yet
        target = replace(target, range=_survey(files).range)
    at_once = min(MOST_AT_ONCE, max(1, PIECE_BYTES // int(np.prod(target.shape))))
    batches = read_all(partial(_picture_digest, target=target), files, at_once)
    return several(numbered_digests(digest for batch in batches for digest in batch))


def _picture_digest(path: Path, target: Target) -> bytes:
    return sample_digest(fit_picture(path, target).pixels.tobytes())


def _unreadable(files: Sequence[Path]) -> dict[Path, str]:
    """Return the pictures that cannot be read, each with the reason; all are decoded for it."""
    batches = (files[start : start + MOST_AT_ONCE] for start in range(0, len(files), MOST_AT_ONCE))
    results = (
        result for batch in map_ahead(partial(_tried, check_picture), batches) for result in batch
    )
    return {
        file: str(result).removeprefix(str(file)).lstrip(": ")
        for file, result in zip(files, results, strict=True)
        if isinstance(result, DataError)
    }


@dataclass(frozen=True)
class _Written:
    target: Target
    notices: tuple[str, ...]


def _write_parts(
    folder: Path, parts: Mapping[str, Part], train: Sequence[Path], root: str
) -> _Written:
    """Write the images of all parts, and decide on their range from the training pictures.

    Args:
        folder: receives the `.npy` files.
        parts: of each split, those of `train` first.
        train: the training pictures without those of a validation part.
        root: the folder's name in messages.
    """
    target = choose_target(parts["train"].files)
    survey = None
    if target.depth != BYTES:
        survey = _survey(train)
        target = replace(target, range=survey.range)
    tally = _write(folder, "train", parts["train"], target)
    if target.depth == BYTES:
        survey = Survey(BYTES, 0, tally.highest)
        if survey.range is not None:  # a mask, which shows only now: bytes are read once
            target = replace(target, range=survey.range)
            tally = _write(folder, "train", parts["train"], target)
        elif target.cut and tally.highest < LEAST_OF_16_BITS:
            raise DataError(
                f"{root}: pictures with 16 bits a colour are read with their upper 8, of which"
                f" these use {tally.highest} at most: they have fewer bits. Save them as PNGs of 8"
                " bits."
            )
    tested = _write(folder, "test", parts["test"], target)
    notices = _told(
        root,
        target,
        tally.resized + tested.resized,
        sum(len(part.files) for part in parts.values()),
    )
    if survey is not None:
        notices += told_range(root, target.range, survey)
    notices += told_clipped(f"{root}, validation part", target.range, tally.outside, tally.values)
    notices += told_clipped(f"{root}, test part", target.range, tested.outside, tested.values)
    if target.cut:
        notices.append(
            f"{root}: {target.cut:,} pictures have 16 bits a colour, of which the upper 8 are"
            f" read: they reach {tally.highest} of 255. If they use fewer bits, save them as PNGs"
            " of 8."
        )
    return _Written(target, tuple(notices))


def _survey(files: Sequence[Path]) -> Survey:
    surveys = (one for batch in read_all(survey_picture, files, MOST_AT_ONCE) for one in batch)
    return reduce(Survey.joined, surveys)


@dataclass(frozen=True)
class _Tally:
    """What was met while the pictures of a split were written."""

    resized: int
    outside: int
    values: int
    highest: int


def _write(folder: Path, split: str, part: Part, target: Target) -> _Tally:
    """Write the images of a split."""
    resized = outside = values = highest = 0
    at_once = min(MOST_AT_ONCE, max(1, PIECE_BYTES // int(np.prod(target.shape))))

    def pieces() -> Iterator[Images]:
        nonlocal resized, outside, values, highest
        for batch in read_all(partial(fit_picture, target=target), part.files, at_once):
            resized += sum(fitted.was_resized for fitted in batch)
            outside += sum(fitted.outside for fitted in batch)
            values += sum(fitted.values for fitted in batch)
            piece = np.stack([fitted.pixels for fitted in batch])
            highest = max(highest, int(piece.max()))
            yield piece

    shape = (len(part.files), *target.shape)
    write_array(array_file(folder, f"{split}_images"), IMAGES, shape, pieces())
    return _Tally(resized, outside, values, highest)


def _told(root: str, target: Target, resized: int, count: int) -> list[str]:
    if not resized:
        return []
    common, size = ("{} x {}".format(*pair) for pair in (target.common, target.size))
    why = "the most common size"
    if common != size:
        why = f"because the most common size, {common}, is too large"
    return [f"{root}: {resized:,} of {count:,} pictures are resized to {size}, {why}."]
