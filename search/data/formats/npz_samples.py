"""Samples of a user's `.npz` file: what kind they are, and how they become what is kept."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import IMAGES, ROWS
from search.errors import DataError

MAX_SAMPLES = 50_000_000
RULE = (
    "must be images (n, height, width) or (n, height, width, 1 or 3), a table of numbers"
    " (n, columns), or texts (n,) of dtype str"
)


@dataclass(frozen=True)
class Samples:
    """An array of samples and what they are.

    Attributes:
        array: (n, ...), of any dtype; images with their channels.
        kind: `image`, `table` or `text`.
        factor: what values are multiplied by to become pixels or numbers to keep; 0 where they
            are kept as they are.
        what: the array's name in messages.
    """

    array: NDArray[Any]
    kind: str
    factor: int
    what: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample as it is kept."""
        return self.array.shape[1:]

    @property
    def notices(self) -> tuple[str, ...]:
        """What was made of the values."""
        if not self.factor:
            return ()
        scaled = "multiplied by 255 and rounded" if self.factor == 255 else "rounded"
        return (f"{self.what} is {self.array.dtype}: its values are {scaled} to pixels 0..255.",)

    def take(self, chosen: NDArray[np.int64]) -> NDArray[Any]:
        """Return some samples as they are kept.

        Raises:
            DataError: a value is no finite number, or too large for float32.
        """
        values = self.array[chosen]
        if self.kind == "image":
            if not self.factor:
                return values
            return np.rint(values.astype(np.float64) * self.factor).astype(IMAGES)
        with np.errstate(over="ignore"):
            rows = values.astype(ROWS)
        wrong = np.argwhere(~np.isfinite(rows))
        if len(wrong):
            row, column = wrong[0]
            raise DataError(
                f"{self.what} must hold finite numbers within float32; [{chosen[row]}, {column}]"
                f" is {values[row, column]}. Replace it, or leave the row out."
            )
        return rows


def samples_of(array: NDArray[Any], what: str, like: Samples | None = None) -> Samples:
    """Say what an array of samples is.

    Args:
        array: of a file.
        what: its name in messages.
        like: the training samples, where these are those of the test.

    Raises:
        DataError: it is nothing of which samples could be made, or unlike the training samples.
    """
    kind = _kind(array, what)
    if kind == "image":
        array = _with_channels(array, what)
        samples = Samples(array, kind, _factor(array, what, like), what)
    else:
        samples = Samples(array, kind, 0, what)
    if like is not None and (samples.kind, samples.shape) != (like.kind, like.shape):
        raise DataError(
            f"{what} must hold samples as {like.what} does, which has {like.kind}s of shape"
            f" {like.shape}; got {kind}s of shape {samples.shape}"
        )
    return samples


def _kind(array: NDArray[Any], what: str) -> str:
    if array.ndim and len(array) > MAX_SAMPLES:
        raise DataError(f"{what} must hold at most {MAX_SAMPLES:,} samples; got {len(array):,}")
    numbers = array.dtype.kind in "biuf"
    if 0 not in array.shape:
        if array.ndim == 1 and array.dtype.kind == "U":
            return "text"
        if array.ndim == 2 and numbers:
            return "table"
        if array.ndim in (3, 4) and numbers:
            return "image"
    hint = " Texts of bytes become str by x.astype(str)." if array.dtype.kind == "S" else ""
    raise DataError(f"{what} {RULE}, none of them 0; got {array.dtype} {array.shape}.{hint}")


def _with_channels(array: NDArray[Any], what: str) -> NDArray[Any]:
    if array.ndim == 3:
        return array[..., np.newaxis]
    if array.shape[-1] in (1, 3):
        return array
    first = array.shape[1] in (1, 3)
    remedy = " Put the channels last: numpy.moveaxis(x, 1, -1)." if first else ""
    raise DataError(
        f"{what}: images must have 1 or 3 channels, the last axis; got {array.shape}.{remedy}"
    )


def _factor(array: NDArray[Any], what: str, like: Samples | None) -> int:
    """Return 255 for values 0..1 that are no whole numbers by type, 1 for other types, 0: uint8."""
    if array.dtype == IMAGES:
        return 0
    low, high = array.min(), array.max()
    top = 255
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and high <= 1):
        top = 1
    if like is not None and like.factor == 255:
        top = 1  # the test images are to be read as the training images are
    elif like is not None and like.factor == 1:
        top = 255
    if low != low:  # only NaN differs from itself
        raise DataError(f"{what}: values are missing (NaN). Fill them in.")
    if not (low >= 0 and high <= top):
        raise DataError(
            f"{what}: images must be uint8, or numbers within 0..255 or 0..1"
            + (f", here within 0..{top} as those of {like.what} are" if like else "")
            + f"; got {array.dtype} from {low} to {high}. Bring the values to 0..255."
        )
    return 255 // top
