"""The test set of a dataset that comes without one: a stratified fifth, set aside for good."""

import numpy as np
from numpy.typing import NDArray

from search.errors import DataError

TEST_FRACTION = 0.2
SPLIT_SEED = 0  # the test set is the same in every study, whatever the study's seed


def hold_out(
    labels: NDArray[np.integer], origin: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sorted indices of the training and of the test samples.

    Args:
        labels: (n,).
        origin: the source's name in messages.

    Raises:
        DataError: a class has a single sample.
    """
    from sklearn.model_selection import train_test_split

    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise DataError(
            f"{origin} has no test part, so a fifth of each class is set aside; class"
            f" {classes[counts.argmin()]} has one sample only. Add samples of it, or a test part."
        )
    train, test = train_test_split(
        np.arange(len(labels)),
        test_size=max(TEST_FRACTION, len(classes) / len(labels)),
        stratify=labels,
        random_state=SPLIT_SEED,
    )
    return np.sort(train), np.sort(test)
