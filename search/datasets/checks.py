"""What must hold of every dataset, whatever format it came in."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.datasets.arrays import IMAGES, SPLITS, array_file, map_array
from search.errors import DataError


def check_arrays(folder: Path, classes: int, origin: str) -> None:
    """Check what every source must deliver, whatever its format.

    Args:
        folder: with the four arrays.
        classes: number of classes.
        origin: the source's name in messages.

    Raises:
        DataError: wrong dtype or shape, nothing in it, counts of images and labels that differ,
            labels outside the classes, or training and test images of different sizes.
    """
    sizes = []
    for split in SPLITS:
        images = map_array(array_file(folder, f"{split}_images"))
        labels = map_array(array_file(folder, f"{split}_labels"))
        check_images(images, f"{origin}: {split} images")
        check_labels(labels, classes, f"{origin}: {split} labels")
        check_counts(len(images), len(labels), f"{origin}: {split} set")
        sizes.append(images.shape[1:])
    if sizes[0] != sizes[1]:
        raise DataError(
            f"{origin}: training and test images must have one size;"
            f" got {sizes[0]} and {sizes[1]}. They belong to different datasets: get both again."
        )


def check_images(images: NDArray[Any], what: str) -> None:
    """Raise DataError unless `images` are uint8, (n, height, width, 1 or 3) and not empty."""
    fits = images.dtype == IMAGES and images.ndim == 4 and images.shape[-1] in (1, 3)
    if not fits or 0 in images.shape:
        raise DataError(
            f"{what} must be uint8 of shape (n, height, width, 1 or 3), none of them 0;"
            f" got {images.dtype} {images.shape}"
        )


def check_labels(labels: NDArray[Any], classes: int, what: str) -> None:
    """Raise DataError unless `labels` are whole numbers within `0..classes - 1`."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{what} must be whole numbers of shape (n,); got {labels.dtype} {labels.shape}"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(
            f"{what} must be within 0..{classes - 1}; number {wrong[0] + 1:,} is"
            f" {labels[wrong[0]]}, and {len(wrong):,} in all are outside."
            " The file is damaged or belongs to another dataset: get it again."
        )


def check_counts(images: int, labels: int, what: str) -> None:
    """Raise DataError unless there are as many labels as images."""
    if images != labels:
        raise DataError(
            f"{what} must have one label for each image; got {images:,} images and"
            f" {labels:,} labels. They belong to different datasets: get both again."
        )
