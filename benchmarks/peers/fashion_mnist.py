"""Fashion-MNIST for the peers' scripts: pixels 0..1, 32x32, as LeNet takes them."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def load(folder: Path, part: Path | None = None) -> tuple[Any, Any]:
    """Return training images, float32 `(n, 32, 32, 1)`, and labels `(n,)`.

    Args:
        folder: holds the IDX files that Fashion-MNIST is published in.
        part: `.npy` file with the numbers of the samples to take; None for all.
    """
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    if part is not None:
        chosen = np.load(part)
        images, labels = images[chosen], labels[chosen]
    images = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    return images.astype("float32") / 255, labels.astype("int64")
