"""The samples that a trial got most wrong, out of fold, as people see them."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.analysis.measure import number_texts
from search.analysis.report.subject import Subject
from search.data import Dataset, Reading, load
from search.data.folds import Folds
from search.data.inputs import columns_of
from search.data.pictures import draw_sequence
from search.data.reading import Column, began_with
from search.errors import DataError, FoldwiseError
from search.tasks import Predictions
from search.tasks.classification import SCORES, ClassPredictions
from search.tasks.multi_label import THRESHOLD, LabelPredictions
from search.tasks.regression import NumberPredictions
from tracking.home import StudyFolder
from tracking.objectives import number_text
from tracking.records import StudyStarted

Rows: TypeAlias = NDArray[np.int64]

MOST = 24
_SIDE = 128  # pixels; larger pictures are scaled down
_PLOT = 180, 72  # pixels of a sequence's lines, wide and high
_LONGEST = 400  # characters of a text
_COLUMNS = 12  # values of a table's row


@dataclass(frozen=True)
class Words:
    """A wrong prediction in words.

    Attributes:
        true: what is true: a class, `not western` of a label, or a number.
        predicted: what was predicted, and how sure, or how far off.
        beside: what else is to be known; may be empty.
    """

    true: str
    predicted: str
    beside: str = ""


@dataclass(frozen=True)
class Wrong:
    """A sample that a trial got wrong.

    Attributes:
        index: the sample's number in the training set, from 0.
        words: what is true and what was predicted.
        size: by which the samples are ordered: confidence, or error.
        sample: a PNG; a text; or the values of a row with the names of their columns.
    """

    index: int
    words: Words
    size: float
    sample: bytes | str | list[tuple[str, str]]


@dataclass(frozen=True)
class Worst:
    """The samples that a trial got wrong, the worst first.

    Attributes:
        rows: their places in the predictions.
        sizes: of each, by which they are ordered.
        told: returns the words on the sample at a place.
    """

    rows: Rows
    sizes: NDArray[np.floating]
    told: Callable[[int], Words]


def worst(predictions: Predictions, names: Sequence[str], *, are_scores: bool = False) -> Worst:
    """Return the samples that are wrong, the worst first.

    Args:
        predictions: out of fold.
        names: of the classes, labels or numbers.
        are_scores: whether the confidence of classes are scores, not probabilities.

    Raises:
        DataError: there is no order of how wrong they are.
    """
    match predictions:
        case ClassPredictions():
            return _wrong_classes(predictions, names, are_scores=are_scores)
        case NumberPredictions():
            return _far_numbers(predictions, names)
        case LabelPredictions():
            return _wrong_labels(predictions, names)
    raise DataError("mistakes of several outputs at once have no order")


def _wrong_classes(
    predictions: ClassPredictions, names: Sequence[str], *, are_scores: bool
) -> Worst:
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    rows = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")]

    def sureness(value: float) -> str:
        return f"score {value:.3g}" if are_scores else f"{value:.1%}"

    def told(row: int) -> Words:
        return Words(
            names[int(predictions.labels[row])],
            f"{names[int(predictions.predicted[row])]}, {sureness(predictions.confidence[row])}",
            f"true class {sureness(predictions.truth[row])}",
        )

    return Worst(rows, predictions.confidence[rows], told)


def _far_numbers(predictions: NumberPredictions, names: Sequence[str]) -> Worst:
    errors = predictions.errors
    rows = np.argsort(-errors, kind="stable")[: np.count_nonzero(errors)]

    def told(row: int) -> Words:
        actual, given = predictions.actual[row], predictions.predicted[row]
        if len(actual) == 1:
            true, predicted = number_texts((actual[0], given[0]))
            off = number_text(abs(given[0] - actual[0]))
            return Words(true, predicted, f"{off} too {'high' if given[0] > actual[0] else 'low'}")
        spread = predictions.actual.std(axis=0)
        far = int(np.argmax(np.abs(given - actual) / np.where(spread > 0, spread, 1)))
        pairs = [number_texts(pair) for pair in zip(actual, given, strict=True)]
        lists = [
            ", ".join(f"{name} {one[n]}" for name, one in zip(names, pairs, strict=True))
            for n in (0, 1)
        ]
        return Words(lists[0], lists[1], f"farthest off: {names[far]}")

    return Worst(rows, errors[rows], told)


def _wrong_labels(predictions: LabelPredictions, names: Sequence[str]) -> Worst:
    cuts = THRESHOLD if predictions.thresholds is None else predictions.thresholds
    sureness = np.abs(predictions.probabilities.astype(np.float64) - cuts)
    sureness[predictions.predicted == predictions.labels] = -1.0
    surest, places = sureness.max(axis=1), sureness.argmax(axis=1)
    rows = np.argsort(-surest, kind="stable")[: np.count_nonzero(surest >= 0)]

    def told(row: int) -> Words:
        name, label = names[int(places[row])], int(predictions.labels[row, places[row]])
        sure = float(predictions.probabilities[row, places[row]])
        has = [names[int(n)] for n in np.flatnonzero(predictions.labels[row])]
        words = (f"not {name}", name)
        share = sure if not label else 1 - sure
        return Words(
            words[label], f"{words[1 - label]}, {share:.1%}", f"labels: {', '.join(has) or 'none'}"
        )

    return Worst(rows, surest[rows] + THRESHOLD, told)


def most_wrong(
    subject: Subject, folder: StudyFolder, *, home: Path, data_dir: Path | None
) -> list[Wrong]:
    """Return the best trial's worst mistakes on samples it was not trained on.

    Of classes and labels these are the most confident ones, of numbers the largest errors.

    Args:
        subject: the study.
        folder: its files.
        home: the home, with cached datasets.
        data_dir: folder with the user's datasets.

    Raises:
        DataError: predictions, folds or the dataset are missing or have changed.
    """
    study = subject.history.known_study()
    predictions, indices = _out_of_fold(subject, folder)
    is_scored = any(fold.outputs == SCORES for fold in subject.best.finished_folds().values())
    found = worst(predictions, subject.names, are_scores=is_scored)
    # A sample may be validated repeatedly.
    firsts = np.sort(np.unique(indices[found.rows], return_index=True)[1])[:MOST]
    if not len(firsts):
        return []
    dataset = _same_dataset(study, home, data_dir)
    targets = dataset.train_labels
    if len(targets) <= indices.max() or (targets[indices] != predictions.targets).any():
        raise DataError("the predictions' labels are not those of the dataset")
    samples = dataset.train_samples
    return [
        Wrong(
            index=int(indices[row]),
            words=found.told(int(row)),
            size=float(found.sizes[place]),
            sample=_sample(dataset, samples, int(indices[row])),
        )
        for place, row in zip(firsts, found.rows[firsts], strict=True)
    ]


def _out_of_fold(subject: Subject, folder: StudyFolder) -> tuple[Predictions, Rows]:
    """Return the best trial's predictions on validation parts, and the indices of their samples."""
    folds, trial, kind = Folds.load(folder.folds), subject.best, subject.task.predictions
    parts, indices = [], []
    for fold in trial.finished_folds():
        path = folder.predictions(trial.number, fold)
        part = kind.load(path)
        rows = folds.validation[fold - 1] if fold <= len(folds) else None
        if rows is None or len(part.targets) != len(rows) or not _fits(part, len(subject.names)):
            raise DataError(f"{path} does not fit the study's folds")
        parts.append(part)
        indices.append(rows)
    if not parts:
        raise DataError("the trial has no finished fold")
    return kind.joined(parts), np.concatenate(indices)


def _fits(part: Predictions, units: int) -> bool:
    if isinstance(part, ClassPredictions):
        return bool(max(part.labels.max(initial=0), part.predicted.max(initial=0)) < units)
    return bool(part.targets.shape[1] == units)


def _same_dataset(study: StudyStarted, home: Path, data_dir: Path | None) -> Dataset:
    name, digest = study.dataset["name"], study.dataset["digest"]
    reading = Reading.of(began_with(study.settings))
    try:
        dataset = load(
            name, home=home, data_dir=data_dir, reading=reading, digest=digest, download=False
        )
    except (FoldwiseError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{reason.rstrip('.')}; name its folder with `--data-dir`") from error
    if dataset.digest != digest:
        raise DataError(f"the dataset {name} on this machine is not the one the study began with")
    return dataset


def _sample(dataset: Dataset, samples: Any, index: int) -> Any:
    if dataset.kind == "text":
        text = samples[index]
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rstrip()} …"
    if dataset.kind == "table":
        return _row(columns_of(dataset), samples[index])
    if dataset.kind == "sequence":
        return _line_plot(np.asarray(samples[index]))
    return _png(np.asarray(samples[index]))


def _line_plot(sequence: NDArray[Any]) -> bytes:
    """Return a picture of a sequence's features over time, each on its own scale."""
    drawn = draw_sequence(sequence, sequence.min(axis=0), sequence.max(axis=0), _PLOT)
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _row(columns: Sequence[Column], row: NDArray[Any]) -> list[tuple[str, str]]:
    shown = zip(columns, row[:_COLUMNS].tolist(), strict=False)
    pairs = [(column.name, column.shown(value)) for column, value in shown]
    more = len(row) - _COLUMNS
    return pairs + ([("…", f"{more} more")] if more > 0 else [])


def _png(pixels: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_address(png: bytes) -> str:
    """Return a picture as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
