"""The most confidently wrong out-of-fold predictions, with the samples themselves."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.analysis.report.subject import Subject
from search.data import Dataset, load
from search.data.folds import Folds
from search.errors import DataError, FoldwiseError
from search.tasks.outputs import SCORES
from search.tasks.scores import Predictions
from tracking.history import TrialHistory
from tracking.home import StudyFolder

MOST = 24
_SIDE = 128  # pixels; larger pictures are shrunk
_LONGEST = 400  # characters of a text
_COLUMNS = 12  # of a table's row


@dataclass(frozen=True)
class Wrong:
    """A sample a trial was sure of, and wrong.

    Attributes:
        index: the sample's number in the training set, from 0.
        true: number of its class.
        predicted: of the class it was taken for.
        confidence: probability given to that class, or its score.
        truth: the same of the true one.
        sample: a PNG; a text; or a row's values with their columns' names.
        is_scored: whether the model gives scores, not probabilities.
    """

    index: int
    true: int
    predicted: int
    confidence: float
    truth: float
    sample: bytes | str | list[tuple[str, str]]
    is_scored: bool = False


def most_confidently_wrong(
    subject: Subject, folder: StudyFolder, *, home: Path, data_dir: Path | None
) -> list[Wrong]:
    """Return the best trial's surest mistakes on samples it was not trained on.

    Args:
        subject: the study.
        folder: its files.
        home: where datasets are kept.
        data_dir: where the user's own copies are.

    Raises:
        DataError: predictions, folds or the dataset are not there, or not what they were.
    """
    study = subject.history.known_study()
    predictions, indices = _out_of_fold(subject.best, folder, len(study.classes))
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    order = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:MOST]
    if not len(order):
        return []
    dataset = _same_dataset(study.dataset, home, data_dir)
    labels = dataset.train_labels
    if len(labels) <= indices.max() or (labels[indices] != predictions.labels).any():
        raise DataError("the predictions' labels are not those of the dataset")
    samples = dataset.train_samples
    is_scored = any(fold.outputs == SCORES for fold in subject.best.finished_folds().values())
    return [
        Wrong(
            index=int(indices[place]),
            true=int(predictions.labels[place]),
            predicted=int(predictions.predicted[place]),
            confidence=float(predictions.confidence[place]),
            truth=float(predictions.truth[place]),
            sample=_sample(dataset, samples, int(indices[place])),
            is_scored=is_scored,
        )
        for place in order
    ]


def _out_of_fold(
    trial: TrialHistory, folder: StudyFolder, classes: int
) -> tuple[Predictions, NDArray[np.int64]]:
    """Return a trial's predictions on all validation parts, and which samples these are."""
    folds = Folds.load(folder.folds)
    parts, indices = [], []
    for fold in trial.finished_folds():
        path = folder.predictions(trial.number, fold)
        part = Predictions.load(path)
        if fold > len(folds) or not _fits(part, len(folds.validation[fold - 1]), classes):
            raise DataError(f"{path} does not fit the study's folds")
        parts.append(part)
        indices.append(folds.validation[fold - 1])
    if not parts:
        raise DataError("the trial has no finished fold")
    return Predictions.joined(parts), np.concatenate(indices)


def _fits(part: Predictions, samples: int, classes: int) -> bool:
    highest = max(part.labels.max(initial=0), part.predicted.max(initial=0))
    return len(part.labels) == samples and bool(highest < classes)


def _same_dataset(recorded: dict[str, Any], home: Path, data_dir: Path | None) -> Dataset:
    name = recorded["name"]
    try:
        dataset = load(name, home=home, data_dir=data_dir, download=False)
    except (FoldwiseError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{reason.rstrip('.')}; name its folder with `--data-dir`") from error
    if dataset.digest != recorded["digest"]:
        raise DataError(f"the dataset {name} on this machine is not the one the study began with")
    return dataset


def _sample(dataset: Dataset, samples: Any, index: int) -> Any:
    if dataset.kind == "text":
        text = samples[index]
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rstrip()} …"
    if dataset.kind == "table":
        return _row(dataset.columns, samples[index])
    return _png(np.asarray(samples[index]))


def _row(columns: Sequence[str], row: NDArray[Any]) -> list[tuple[str, str]]:
    names = list(columns) or [f"column {n}" for n in range(1, len(row) + 1)]
    pairs = [(name, f"{value:.5g}") for name, value in zip(names, row.tolist(), strict=False)]
    more = len(pairs) - _COLUMNS
    return pairs[:_COLUMNS] + ([("…", f"{more} more")] if more > 0 else [])


def _png(pixels: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_address(png: bytes) -> str:
    """Return a picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
