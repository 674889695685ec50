"""On which samples a final model is trained, and for how many epochs."""

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from search.data import Dataset
from search.data.folds import Folds, Indices
from search.data.splits import SPLITTER
from search.study.identity import left_out
from spaces import Params
from tracking.history import TrialHistory
from tracking.records import StudyStarted
from tracking.text import counted, unheard

ALIKE = 1.5  # so many times the samples of the search are about as many


def all_samples(study: StudyStarted, dataset: Dataset, folds: Folds) -> Indices:
    """Return the sorted indices of all training samples that a study may learn from.

    These are all of the dataset, however many the study used, but those that `--drop-duplicates`
    leaves out; where a splitter of the user's cut the folds, what it left out stays out.

    Args:
        study: its first record.
        dataset: of the study.
        folds: of the study.
    """
    if study.settings.get("split") == SPLITTER:
        return folds.used
    every = np.arange(len(dataset.train_labels))
    if not study.settings.get("drop_duplicates"):
        return every
    return np.setdiff1d(every, left_out(dataset, unheard))


@dataclass(frozen=True)
class Length:
    """How long a final training is.

    Attributes:
        epochs: that schedules last, and that are trained unless something ends training earlier.
        until: after how many of them it ends, without an inner part that says so; None where they
            are all trained, or an inner part says when to stop.
        why: why they are not the trial's own; empty where they are.
    """

    epochs: int
    until: int | None = None
    why: str = ""

    @property
    def most(self) -> int:
        """The number of epochs that it takes at most."""
        return self.epochs if self.until is None else self.until


def length_of(trial: TrialHistory, params: Params, *, ratio: float, replays: bool) -> Length | None:
    """Return how long the params of a trial train on a number of samples.

    With about as many samples as in the search, early stopping has nothing left to find out: the
    median of the epochs that the folds chose is trained, on all samples, without an inner part.
    What few samples had chosen says little of many more, of which a tenth is cheap: there an inner
    part decides again. Epochs that are given stay, however many samples come.

    Args:
        trial: with its folds.
        params: its own.
        ratio: number of samples, per sample that the study used.
        replays: whether nothing but early stopping looks at an inner part.

    Returns:
        None for a `fit` of one's own that sets its epochs itself.
    """
    if "epochs" not in params:
        return None
    own = int(params["epochs"])
    chosen = [fold.scored_epoch for fold in trial.finished_folds().values() if fold.scored_epoch]
    if not (params.get("early_stopping") and replays and chosen) or ratio > ALIKE:
        return Length(own)
    until = max(1, round(median(chosen)))
    why = f"the median of what {counted(len(chosen), 'fold')} chose by early stopping"
    return Length(own, min(until, own), why)


def expected_seconds(
    trial: TrialHistory, folds: Folds, *, samples: int, length: Length | None
) -> float:
    """Return about how long a training of a trial's params takes, by its folds; 0 if not known.

    What a fold takes besides its epochs does not grow with the samples.

    Args:
        trial: with its folds.
        folds: of the study.
        samples: to train on.
        length: of the training; None where it is not known.
    """
    ended = trial.finished_folds()
    known = [trial.folds[number] for number in ended if number <= len(folds)]
    if not known:
        return 0.0
    usual = median(max(1, fold.epochs) for fold in ended.values())
    fold = median(one.seconds for one in ended.values())
    gaps = [
        (after.at - before.at) / len(folds.train[one.started.fold - 1])
        for one in known
        for before, after in pairwise(one.epochs.values())
    ]
    trained = median(len(folds.train[one.started.fold - 1]) for one in known)
    each = min(median(gaps) if gaps else math.inf, fold / (usual * trained))
    epochs = usual if length is None else length.most
    if length is not None and length.until is None and trial.params.get("early_stopping"):
        epochs = min(epochs, usual)
    return fold - each * usual * trained + each * samples * epochs


def about(seconds: float) -> str:
    """Return an expected time in words."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"
