"""What is to be said about a training set of images."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.description_pieces import pieces

LEVELS = 256


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics over all training images.

    Attributes:
        lowest: smallest value of any pixel, 0..255.
        highest: largest.
        mean: over all pixels and channels.
        std: standard deviation, likewise.
        channel_means: mean of each channel.
        channel_stds: standard deviation of each.
        constant_pixels: share of pixels (of a channel) that have one value in all images.
        brightest: name of the class with the largest mean over its pixels.
        brightest_mean: that mean.
        darkest: name of the class with the smallest.
        darkest_mean: that mean.
    """

    lowest: int
    highest: int
    mean: float
    std: float
    channel_means: tuple[float, ...]
    channel_stds: tuple[float, ...]
    constant_pixels: float
    brightest: str
    brightest_mean: float
    darkest: str
    darkest_mean: float

    def to_json(self) -> dict[str, Any]:
        """Return everything; no value can be missing in an image."""
        return {"missing_values": 0, **asdict(self)}


def describe_images(
    images: NDArray[np.uint8], labels: NDArray[np.int64], classes: tuple[str, ...]
) -> ImageStatistics:
    """Return the statistics of images.

    Args:
        images: (n, height, width, channels), memory-mapped; read in pieces.
        labels: (n,).
        classes: their names.
    """
    histogram, changing, brightness = _tally(images)
    levels = np.flatnonzero(histogram.sum(axis=0))
    mean, std = _moments(histogram.sum(axis=0))
    of_channels = [_moments(row) for row in histogram]
    ranked = _by_brightness(brightness, labels, classes)
    return ImageStatistics(
        lowest=int(levels[0]),
        highest=int(levels[-1]),
        mean=mean,
        std=std,
        channel_means=tuple(mean for mean, _ in of_channels),
        channel_stds=tuple(std for _, std in of_channels),
        constant_pixels=1 - float(changing.mean()),
        brightest=ranked[-1][1],
        brightest_mean=ranked[-1][0],
        darkest=ranked[0][1],
        darkest_mean=ranked[0][0],
    )


def _tally(
    images: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return what one pass over the images tells.

    Returns:
        How often each value occurs, (channels, 256); which pixels have more than one value,
        (height, width, channels); each image's mean, (n,).
    """
    channels = images.shape[-1]
    histogram = np.zeros((channels, LEVELS), np.int64)
    changing = np.zeros(images.shape[1:], np.bool_)
    brightness = np.empty(len(images))
    first = np.asarray(images[0])
    for where, piece in pieces(images):
        for channel in range(channels):
            values = piece[..., channel].ravel()
            histogram[channel] += np.bincount(values, minlength=LEVELS)
        changing |= (piece != first).any(axis=0)
        brightness[where] = piece.reshape(len(piece), -1).mean(axis=1)
    return histogram, changing, brightness


def _moments(histogram: NDArray[np.int64]) -> tuple[float, float]:
    """Return mean and standard deviation of values 0..255 counted in `histogram`."""
    values, count = np.arange(LEVELS), histogram.sum()
    mean = (histogram * values).sum() / count
    return float(mean), float(np.sqrt((histogram * (values - mean) ** 2).sum() / count))


def _by_brightness(
    brightness: NDArray[np.float64], labels: NDArray[np.int64], classes: tuple[str, ...]
) -> list[tuple[float, str]]:
    """Return mean and name of each class that has images, the darkest first."""
    counts = np.bincount(labels, minlength=len(classes))
    sums = np.bincount(labels, weights=brightness, minlength=len(classes))
    present = np.flatnonzero(counts)
    return sorted((float(sums[label] / counts[label]), classes[label]) for label in present)
