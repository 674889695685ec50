"""Pictures of a training set of images: samples of each class, and each class's mean."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import pieces
from search.data.description import Description
from search.data.figures_canvas import (
    GREY,
    SMALL,
    TEXT,
    TITLE,
    Canvas,
    class_names,
    enlarged,
    fitted,
    folded,
    plain,
)
from tracking.plots.lettering import width

SAMPLES, SAMPLED_CLASSES = 10, 10
SMALL_TILE, LARGE_TILE = 64, 96  # pixels; images of more than SMALL_TILE are shown larger
MEAN_CLASSES, MEAN_TILE, MEAN_CELL, MEAN_COLUMNS = 100, 96, 124, 7
MARGIN, TOP, NAMES, GAP = 20, 56, 180, 4


def samples_png(description: Description) -> bytes:
    """Draw ten training images of each class, a class a row; of more than ten the ten largest.

    The images are spread evenly over the training set, so that the picture is always the same.
    """
    dataset = description.dataset
    images, labels = dataset.train_images, np.asarray(dataset.train_labels)
    chosen = largest_classes(description, SAMPLED_CLASSES)
    every = class_names(dataset.classes)
    names = [fitted(every[label], TEXT, NAMES) for label in chosen]
    side = SMALL_TILE if max(images.shape[1:3]) <= SMALL_TILE else LARGE_TILE
    tiles = [
        [enlarged(np.asarray(images[index]), side) for index in _spread(labels, label)]
        for label in chosen
    ]
    high, wide = tiles[0][0].shape[:2]
    left = MARGIN + 12 + int(max(width(name, TEXT) for name in names))
    title = f"{plain(dataset.title)}: training images of {of_classes(description, chosen)}"
    right = max(left + SAMPLES * (wide + GAP), MARGIN + int(width(title, TITLE)))
    canvas = Canvas(right + MARGIN, TOP + len(chosen) * (high + GAP) + MARGIN)
    canvas.write(title, MARGIN, 26, size=TITLE)
    for row, (name, drawn) in enumerate(zip(names, tiles, strict=True)):
        top = TOP + row * (high + GAP)
        canvas.write(name, left - 12, top + high / 2, align=1)
        for column, tile in enumerate(drawn):
            canvas.tile(tile, left + column * (wide + GAP), top)
    return canvas.png()


def class_means_png(description: Description) -> bytes:
    """Draw the mean training image of each class; of more than 100 classes the 100 largest."""
    dataset = description.dataset
    chosen = largest_classes(description, MEAN_CLASSES)
    names = class_names(dataset.classes)
    texts = [folded(names[label], TEXT, MEAN_CELL - 8) for label in chosen]
    means = _class_means(dataset.train_images, np.asarray(dataset.train_labels), chosen)
    tiles = [enlarged(np.round(mean).astype(np.uint8), MEAN_TILE) for mean in means]
    high, wide = tiles[0].shape[:2]
    rows = -(-len(chosen) // MEAN_COLUMNS)
    columns = -(-len(chosen) // rows)
    step = high + 34 + 16 * max(map(len, texts))
    title = f"{plain(dataset.title)}: mean training image of {of_classes(description, chosen)}"
    right = max(MARGIN + columns * MEAN_CELL, MARGIN + int(width(title, TITLE)))
    canvas = Canvas(right + MARGIN, TOP + rows * step)
    canvas.write(title, MARGIN, 26, size=TITLE)
    for number, (lines, mean, tile) in enumerate(zip(texts, means, tiles, strict=True)):
        middle = MARGIN + (number % columns + 0.5) * MEAN_CELL
        top = TOP + number // columns * step
        canvas.tile(tile, middle - wide / 2, top)
        for row, line in enumerate(lines):
            canvas.write(line, middle, top + high + 13 + 16 * row, align=0.5)
        below = top + high + 13 + 16 * len(lines)
        canvas.write(f"mean {mean.mean():.0f}", middle, below, size=SMALL, align=0.5, colour=GREY)
    return canvas.png()


def largest_classes(description: Description, most: int) -> list[int]:
    """Return the labels of the largest classes that have training samples, by label."""
    present = [counted for counted in description.classes if counted.train]
    chosen = sorted(present, key=lambda counted: -counted.train)[:most]
    return sorted(counted.label for counted in chosen)


def of_classes(description: Description, chosen: Sequence[int]) -> str:
    """Say which classes are drawn."""
    if len(chosen) == len(description.classes):
        return "each class"
    return f"the {len(chosen)} largest of {len(description.classes):,} classes"


def shrunk(images: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Return images whose longer side has at most `side` pixels, by averaging blocks.

    Args:
        images: (n, height, width, channels); rows and columns that fill no block are cut evenly.
        side: pixels.
    """
    high, wide = images.shape[1:3]
    block = -(-max(high, wide) // side)
    down, across = min(block, high), min(block, wide)
    rows, columns = high // down, wide // across
    top, left = (high - rows * down) // 2, (wide - columns * across) // 2
    cut = images[:, top : top + rows * down, left : left + columns * across]
    means = np.zeros((len(images), rows, columns, images.shape[-1]), np.float32)
    # Adding up every block's first pixels, then their second...: ten times as quick as `mean`.
    for y, x in np.ndindex(down, across):
        means += cut[:, y::down, x::across]
    means /= down * across
    return means


def _spread(labels: NDArray[np.int64], label: int) -> NDArray[np.int64]:
    """Return indices of at most `SAMPLES` samples of a class, spread over all of them."""
    indices = np.flatnonzero(labels == label)
    places = np.linspace(0, len(indices) - 1, min(SAMPLES, len(indices))).round().astype(np.int64)
    return indices[places]


def _class_means(
    images: NDArray[np.uint8], labels: NDArray[np.int64], chosen: Sequence[int]
) -> list[NDArray[np.float64]]:
    """Return mean images of the chosen classes, shrunk to the size of a tile where larger."""
    shape = shrunk(images[:1], MEAN_TILE).shape[1:]
    sums = np.zeros((len(chosen), *shape))
    for where, piece in pieces(images):
        small = shrunk(piece, MEAN_TILE)
        for row, label in enumerate(chosen):
            sums[row] += small[labels[where] == label].sum(axis=0, dtype=np.float64)
    counts = np.bincount(labels)[chosen]
    return [total / count for total, count in zip(sums, counts, strict=True)]
