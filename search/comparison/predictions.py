"""Out-of-fold predictions of a contender's trial, as far as they can be read."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.comparison.contenders import Contender
from search.errors import DataError

# All that NumPy raises for a file that is no archive, or a broken one.
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class Answers:
    """What a trial's models said of samples they were not trained on.

    Attributes:
        labels: true classes, int64 `(n,)`.
        predicted: likeliest classes, int64 `(n,)`.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """For each sample whether the prediction is right, `(n,)`."""
        return np.equal(self.labels, self.predicted)


def readable_answers(contenders: Sequence[Contender]) -> tuple[list[Answers | None], list[str]]:
    """Return each contender's answers, and a sentence for each that has none to be used.

    Answers of contenders that share folds are of the same samples in the same order.
    """
    answers: list[Answers | None] = []
    missing = []
    first: dict[tuple[str, str], tuple[str, Answers]] = {}
    for contender in contenders:
        try:
            found = out_of_fold(contender)
            name, known = first.setdefault(contender.digests, (contender.label, found))
            if not np.array_equal(known.labels, found.labels):
                raise DataError(f"its predictions are not of the same samples as those of {name}")
        except DataError as error:
            answers.append(None)
            missing.append(f"McNemar's test of {contender.label} is left out: {error}.")
        else:
            answers.append(found)
    return answers, missing


def out_of_fold(contender: Contender) -> Answers:
    """Return the answers in all the study's folds: each sample once, in the folds' order.

    Raises:
        DataError: a file is missing or damaged.
    """
    parts = [
        _read(contender.folder.predictions(contender.trial.number, fold))
        for fold in contender.trial.finished_folds()
    ]
    return Answers(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.predicted for part in parts]),
    )


def _read(path: Path) -> Answers:
    """Read what `search.evaluation.Predictions` wrote; the file is closed if broken, too."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            answers = Answers(arrays["labels"], arrays["predicted"])
        if answers.labels.ndim != 1 or answers.labels.shape != answers.predicted.shape:
            raise ValueError("it has not one prediction a sample")
    except FileNotFoundError as error:
        raise DataError(f"the predictions in {path} are missing") from error
    except _UNREADABLE as error:
        raise DataError(f"the predictions in {path} cannot be read ({error})") from error
    return answers
