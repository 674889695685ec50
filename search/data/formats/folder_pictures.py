"""The pictures of a folder brought to one size and mode."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from search.data.ahead import map_ahead
from search.data.arrays import Images
from search.data.picture_files import flattened, open_picture, read_head
from search.errors import DataError

Result = TypeVar("Result")

LARGEST = 512  # pictures are kept as they are up to this many pixels on the longer side,
REDUCED = 256  # larger ones are brought to this many
HEADS_AT_ONCE = 256


@dataclass(frozen=True)
class Target:
    """What every picture is brought to.

    Attributes:
        size: (width, height) in pixels.
        mode: `L` or `RGB`.
        common: the most common size of the pictures, which may be larger.
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
    """A picture of the target's size and mode.

    Attributes:
        pixels: uint8, the target's shape.
        was_resized: the file has another size.
    """

    pixels: Images
    was_resized: bool


def choose_target(files: Sequence[Path]) -> Target:
    """Return the most common size, reduced where it is large, and grey if all pictures are.

    Of sizes that are equally common the largest counts.

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
    """Read a picture: upright, on black where it is transparent, resized (bilinear, antialiased).

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
    """Yield what `read` makes of the files, in order, in batches that are read in threads.

    Pillow lets other threads run while it unpacks a picture.

    Args:
        read: raises DataError for a file that cannot be read.
        files: any number.
        at_once: files in a batch.

    Raises:
        DataError: of the first file that cannot be read, with the number of the others.
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
