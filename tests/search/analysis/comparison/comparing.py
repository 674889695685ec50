"""Studies with chosen scores of every fold, for what compares them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from search.tasks.classification import ClassPredictions
from tests.studies import STUDY_ID, StudyBuilder
from tracking.home import Home
from tracking.records import FoldEnded, FoldStarted, TrialConfirmed

STRONG = [0.91, 0.89, 0.93, 0.90, 0.92]
MIDDLE = [0.90, 0.895, 0.925, 0.905, 0.90]
WEAK = [0.85, 0.84, 0.87, 0.83, 0.86]


class Studies:
    """Writes studies into a home.

    Args:
        root: the home's folder.
    """

    def __init__(self, root: Path) -> None:
        self.home = Home(root)

    def begin(self, name: str, *, folds: int = 5, **start: object) -> StudyBuilder:
        """Return a study's builder; `start` replaces fields of its first record."""
        study = StudyBuilder(name, STUDY_ID, folds=folds)
        study.records[0] = replace(study.records[0], **start)
        study.session()
        return study

    def write(self, study: StudyBuilder) -> str:
        """Write the study's journal and return its name."""
        name: str = study.history.known_study().study
        study.write(self.home.study(name).journal)
        return name

    def study(
        self, name: str, *trials: Sequence[float], baselines: int = 0, **start: object
    ) -> str:
        """Write a study of complete trials with these accuracies; the first ones are baselines."""
        study = self.begin(name, folds=len(trials[0]), **start)
        for number, scores in enumerate(trials):
            origin = f"baseline:plain-{number}" if number < baselines else "sampled"
            complete(study, number, scores, origin=origin)
        return self.write(study)

    def predict(self, name: str, trial: int, right: Sequence[Sequence[bool]]) -> list[Path]:
        """Write predictions that are right or wrong as said, fold by fold; return the files."""
        paths = []
        for fold, answers in enumerate(right, start=1):
            labels = np.arange(len(answers)) % 3
            predicted = np.where(answers, labels, (labels + 1) % 3)
            one = np.ones(len(labels), np.float32)
            path = self.home.study(name).predictions(trial, fold)
            ClassPredictions(labels, predicted, one, one).save(path)
            paths.append(path)
        return paths


def complete(
    study: StudyBuilder, trial: int, accuracies: Sequence[float], origin: str = "sampled", **fields
) -> None:
    """Add a complete trial with these accuracies."""
    study.start_trial(trial, origin)
    add_folds(study, trial, accuracies, first=1)
    study.end_trial(trial, "complete", float(np.mean(accuracies)), **fields)


def confirm(study: StudyBuilder, trial: int, scores: Sequence[float]) -> None:
    """Add the folds that confirm a trial."""
    add_folds(study, trial, scores, first=study.folds + 1)
    means = {"cv_accuracy": float(np.mean(scores)), "cv_accuracy_std": 0.01}
    study.add(TrialConfirmed, trial=trial, repeats=2, scores=means)


def add_folds(study: StudyBuilder, trial: int, scores: Sequence[float], *, first: int) -> None:
    """Add folds with these accuracies from a number on."""
    for fold, accuracy in enumerate(scores, start=first):
        study.add(FoldStarted, trial=trial, fold=fold)
        study.add(
            FoldEnded,
            trial=trial,
            fold=fold,
            accuracy=accuracy,
            loss=1.3 - accuracy,
            macro_f1=accuracy - 0.01,
            seconds=3.0,
            predictions="",
        )
