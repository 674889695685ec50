"""Out-of-fold predictions of a contender's trial, as far as they can be read."""

from collections.abc import Sequence

import numpy as np

from search.analysis.comparison.contenders import Contender
from search.errors import DataError
from search.tasks.scores import Predictions


def readable_answers(
    contenders: Sequence[Contender],
) -> tuple[list[Predictions | None], list[str]]:
    """Return each contender's predictions, and a sentence for each that has none to be used.

    Those of contenders that share folds are of the same samples in the same order.
    """
    answers: list[Predictions | None] = []
    missing = []
    first: dict[tuple[str, str], tuple[str, Predictions]] = {}
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


def out_of_fold(contender: Contender) -> Predictions:
    """Return the predictions in all the study's folds: each sample once, in the folds' order.

    Raises:
        DataError: a file is missing or damaged.
    """
    number = contender.trial.number
    return Predictions.joined(
        [
            Predictions.load(contender.folder.predictions(number, fold))
            for fold in contender.trial.finished_folds()
        ]
    )
