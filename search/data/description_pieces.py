"""Going through a large array without holding it in memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import PIECE_BYTES


def pieces(array: NDArray[Any]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield consecutive parts of `array` along its first axis, each with where it lies.

    Args:
        array: (n, ...), memory-mapped; a part has about `PIECE_BYTES`.
    """
    rows = max(1, PIECE_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        where = slice(start, min(start + rows, len(array)))
        yield where, np.asarray(array[where])
