"""scikit-learn's handwritten digits, the dataset that is always at hand.

Source: https://archive.ics.uci.edu/dataset/80 (its test part, as scikit-learn ships it).
"""

from pathlib import Path

import numpy as np

from search.data.arrays import IMAGES, LABELS, SPLITS, array_file, write_array
from search.data.holdout import hold_out

WHITE = 16


def write_digits(folder: Path) -> None:
    """Write the digits to `folder`: 1,437 for training, a stratified fifth (360) for the test.

    Values 0..16 become 0..255.

    Args:
        folder: receives the `.npy` files.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = ((digits.images.astype(np.int64) * 255 + WHITE // 2) // WHITE)[..., np.newaxis]
    for split, part in zip(SPLITS, hold_out(digits.target, "digits"), strict=True):
        target = array_file(folder, f"{split}_images")
        write_array(target, IMAGES, images[part].shape, [images[part]])
        labels = digits.target[part]
        write_array(array_file(folder, f"{split}_labels"), LABELS, labels.shape, [labels])
