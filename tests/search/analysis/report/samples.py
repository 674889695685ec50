"""A small study with folds and predictions on real digits, or on rows or texts of a file."""

from pathlib import Path

import numpy as np

from search.data import Reading, load
from search.data.folds import Folds
from search.data.splits import make_folds
from search.tasks.classification import ClassPredictions
from tests.studies import StudyBuilder
from tracking.home import Home

SURE = 0.99


def study_on(
    home: Path,
    dataset: str = "digits",
    *,
    data_dir: Path | None = None,
    reading: Reading | None = None,
    repeats: int = 1,
) -> StudyBuilder:
    """Write a study of one complete trial; of each fold it is sure and wrong about one sample."""
    data, name = load(dataset, home=home, data_dir=data_dir, reading=reading), "study"
    folds = make_folds(np.asarray(data.train_labels), folds=2, seed=0)
    folds = Folds.joined([folds] * repeats)
    study = StudyBuilder(name, folds=len(folds))
    classes = list(data.classes)
    study.records[0].dataset.update(
        name=data.name, digest=data.digest, classes=classes, kind=data.kind, samples=folds.samples
    )
    study.session(1)
    size = len(classes)
    matrix = [
        [int(r == c) * 9 + int(c == (r + 1) % size) for c in range(size)] for r in range(size)
    ]
    study.complete_trial(0, confusion=matrix)
    folder = Home(home).study(name)
    study.write(folder.journal)
    folds.save(folder.folds)
    for fold, part in enumerate(folds.validation, start=1):
        labels = np.asarray(data.train_labels)[part]
        predicted, confidence = labels.copy(), np.full(len(part), 0.7, np.float32)
        predicted[3], confidence[3] = (labels[3] + 1) % size, SURE + fold / 1000
        truth = np.where(predicted == labels, confidence, 1 - confidence).astype(np.float32)
        ClassPredictions(labels, predicted, confidence, truth).save(folder.predictions(0, fold))
    return study
