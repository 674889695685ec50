"""Studies in a folder whose trials predicted given values."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.data.folds import Folds
from search.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION, OutputMeaning, Task
from search.tasks.classification import Outputs
from tests.studies import MultiLabelStudyBuilder, RegressionStudyBuilder, StudyBuilder
from tracking.history import History
from tracking.home import StudyFolder
from tracking.records import StudyStarted

_BUILDERS = {
    CLASSIFICATION: StudyBuilder,
    MULTI_LABEL: MultiLabelStudyBuilder,
    REGRESSION: RegressionStudyBuilder,
}


def folds_of(samples: int, folds: int, groups: NDArray[np.int64] | None = None) -> Folds:
    """Return folds that validate every folds-th sample, or group."""
    numbers = (np.arange(samples) if groups is None else groups) % folds
    validation = tuple(np.flatnonzero(numbers == n) for n in range(folds))
    train = tuple(np.flatnonzero(numbers != n) for n in range(folds))
    return Folds(train, validation, groups)


def study_of(
    root: Path,
    task: Task,
    targets: NDArray[np.generic],
    values: Sequence[NDArray[np.floating]],
    *,
    folds: Folds | None = None,
    outputs: OutputMeaning | None = None,
    split: str = "stratified",
) -> tuple[History, StudyFolder]:
    """Write a study whose trials are complete and predicted these values of all samples."""
    folder, cut = StudyFolder(root), folds or folds_of(len(targets), 5)
    builder = _BUILDERS[task.name](folds=len(cut))
    builder.names = task.names
    builder.session()
    if task.name == CLASSIFICATION and outputs is None:
        outputs = Outputs("probabilities", task.units)
    root.mkdir(parents=True, exist_ok=True)
    cut.save(folder.folds)
    for trial, own in enumerate(values):
        builder.complete_trial(trial, level=0.5 + trial / 100)
        for number, rows in enumerate(cut.validation, start=1):
            made = task.predicted(own[rows], targets[rows], outputs)
            made.save(folder.predictions(trial, number))
    first = builder.records[0]
    assert isinstance(first, StudyStarted)
    dataset = first.dataset | {"classes": list(task.names)}
    settings = first.settings | {"split": split}
    builder.records[0] = replace(first, folds_digest=cut.digest, dataset=dataset, settings=settings)
    builder.write(folder.journal)
    return builder.history, folder


def logits_of(samples: int, classes: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Return the logits of true probabilities, and classes drawn from these."""
    source = np.random.default_rng(seed)
    logits = source.normal(0, 2, (samples, classes))
    return logits, (softmax(logits).cumsum(axis=1) > source.random((samples, 1))).argmax(axis=1)


def softmax(logits: NDArray) -> NDArray:
    """Return the probabilities of logits."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
