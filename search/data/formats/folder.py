"""Pictures in class folders, `folder:DIR`."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from search.data.answers import Found, Surroundings
from search.data.arrays import IMAGES, PIECE_BYTES, Images, array_file, write_array
from search.data.contents import Contents
from search.data.formats.folder_pictures import Target, choose_target, fit_picture, read_all
from search.data.formats.folder_scan import Part, Scan, scan_folder
from search.data.formats.packed import expanded
from search.data.picture_files import quiet_pillow
from search.data.splits import held_out, write_labels

MOST_AT_ONCE = 256


def find(rest: str, _: Surroundings) -> Found:
    """Return the source that `folder:DIR` names; pictures are listed, not opened.

    Raises:
        DataError: there is no such folder, or it has another layout.
    """
    root = expanded(rest)
    scan = scan_folder(root)
    files = scan.train.files + (scan.test.files if scan.test else ())
    return Found(str(root), files, partial(write_folder, scan))


def write_folder(scan: Scan, folder: Path) -> Contents:
    """Read the pictures and write their arrays, a few pictures at a time.

    Size and channels are those of the training pictures.

    Args:
        scan: the pictures.
        folder: receives the `.npy` files.

    Raises:
        DataError: pictures that cannot be read; the first is named, the others counted.
    """
    notices = list(scan.notices)
    parts = {"train": scan.train}
    if scan.test is not None:
        parts["test"] = scan.test
    else:
        chosen, notice = held_out(scan.train.labels, str(scan.root))
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


def _write(folder: Path, split: str, part: Part, target: Target) -> int:
    """Write the images of a split; return how many had another size."""
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
        why = f"for the most common size, {common}, is larger than is kept"
    return [f"{root}: {resized:,} of {count:,} pictures are resized to {size}, {why}."]
