"""How well each class is recognised, and the most confident mistakes."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from plotly.graph_objects import Figure, Heatmap, Scatter

from search.analysis.report.style import (
    BLUE,
    FILL_SCALE,
    GREEN,
    GREY,
    ORANGE,
    blank_figure,
    choose_among,
    legend_above,
    plain,
)
from search.analysis.report.subject import NothingToDraw, Subject
from search.analysis.report.words import trial_name
from search.data import Dataset, Reading, load
from search.data.folds import Folds
from search.data.inputs import columns_of
from search.data.pictures import draw_sequence
from search.data.reading import Column, began_with
from search.errors import DataError, FoldwiseError
from search.tasks.classification import SCORES, ClassPredictions
from tracking.history import TrialHistory
from tracking.home import StudyFolder
from tracking.records import StudyStarted

Counts = NDArray[np.int64]

_WRITTEN = 25  # classes; with more, counts in the cells would be unreadable


@dataclass(frozen=True)
class Mistake:
    """How often one class was predicted as another.

    Attributes:
        true: number of the true class.
        predicted: number of the predicted class.
        count: number of samples.
        share: fraction of the true class's samples.
    """

    true: int
    predicted: int
    count: int
    share: float


def confusion(subject: Subject) -> Figure:
    """Draw the confusion matrices of the best trial, the best baseline and the test set."""
    names = class_names(subject)
    matrices = _matrices(subject)
    if not matrices:
        raise NothingToDraw("The journal holds no confusion matrix of the best trial.")
    size = len(names)
    side = int(np.clip(46 * size, 300, 900))
    figure = blank_figure(side + 130, meta={"least_width": 14 * size + 190 if size > 12 else 0})
    for number, counts in enumerate(matrices.values()):
        figure.add_trace(_heatmap(counts, names).update(visible=number == 0))
    choose_among(
        figure,
        {
            label: [{"visible": [n == number for n in range(len(matrices))]}, {}]
            for number, label in enumerate(matrices)
        },
    )
    places = list(range(size))
    short = [plain(name, 14 if size > 12 else 18) for name in names]
    shared = {"tickvals": places, "ticktext": short, "showgrid": False, "zeroline": False}
    figure.update_xaxes(title_text="predicted", tickangle=-45 if size > 4 else 0, **shared)
    figure.update_yaxes(title_text="true", autorange="reversed", **shared)
    if size > _WRITTEN:
        figure.update_layout(font_size=11)
    return figure


def class_scores(subject: Subject) -> Figure:
    """Draw precision, recall and F1 of each class, the weakest class on top."""
    names = class_names(subject)
    counts = _counts(subject.best, len(names))
    if counts is None:
        raise NothingToDraw("The journal holds no confusion matrix of the best trial.")
    precision, recall, f1 = measures(counts)
    order = np.argsort(-f1, kind="stable")  # Plotly counts from the bottom
    places = list(range(len(names)))
    figure = blank_figure(110 + 26 * len(names))
    for values, name, symbol, colour, size in (
        (precision, "precision", "triangle-up", ORANGE, 9),
        (recall, "recall", "square", GREEN, 8),
        (f1, "F1", "circle", BLUE, 12),
    ):
        figure.add_trace(
            Scatter(
                x=[round(float(values[n]), 4) for n in order],
                y=places,
                mode="markers",
                name=name,
                marker={"symbol": symbol, "size": size, "color": colour},
                customdata=[plain(names[n]) for n in order],
                hovertemplate=f"%{{customdata}}: {name} %{{x:.4f}}<extra></extra>",
            )
        )
    _add_rival(figure, subject, order)
    figure.update_xaxes(title_text="score", tickformat=".2f")
    figure.update_yaxes(
        tickvals=places,
        ticktext=[plain(names[n], 22) for n in order],
        range=[-0.6, len(names) - 0.4],
    )
    legend_above(figure)
    return figure


def measures(counts: Counts) -> tuple[NDArray[np.float64], ...]:
    """Return precision, recall and F1 of each class; 0 where the divisor is 0."""
    hits = np.diag(counts).astype(np.float64)
    told, true = counts.sum(axis=0), counts.sum(axis=1)
    precision = hits / np.maximum(told, 1)
    recall = hits / np.maximum(true, 1)
    return precision, recall, 2 * hits / np.maximum(told + true, 1)


def commonest_mistakes(subject: Subject, most: int = 6) -> list[Mistake]:
    """Return the best trial's most frequent confusions, the most frequent first."""
    counts = _counts(subject.best, len(class_names(subject)))
    if counts is None:
        return []
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    totals = counts.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    cells = [divmod(int(flat), len(counts)) for flat in order]
    return [
        Mistake(
            true,
            predicted,
            int(wrong[true, predicted]),
            float(wrong[true, predicted] / totals[true]),
        )
        for true, predicted in cells
        if wrong[true, predicted] > 0
    ]


def class_names(subject: Subject) -> list[str]:
    """Return the classes' names; a class without a name is called by its number."""
    names = subject.history.known_study().classes
    return [name.strip() or f"class {number}" for number, name in enumerate(names)]


def _matrices(subject: Subject) -> dict[str, Counts]:
    size = len(class_names(subject))
    wanted = [subject.best, *([subject.rival] if subject.rival else [])]
    found = {}
    for trial in wanted:
        counts = _counts(trial, size)
        if counts is not None:
            found[f"{plain(trial_name(trial), 40)}, out of fold"] = counts
    if subject.history.test_openings:
        last = subject.history.test_openings[-1]
        counts = _as_counts(last.confusion, size)
        if counts is not None:
            found[f"trial {last.trial}, on the test set"] = counts
    return found


def _counts(trial: TrialHistory, size: int) -> Counts | None:
    return _as_counts(trial.ended.confusion if trial.ended else [], size)


def _as_counts(rows: list[list[int]], size: int) -> Counts | None:
    if len(rows) != size or any(len(row) != size for row in rows) or size < 2:
        return None
    return np.array(rows, dtype=np.int64)


def _heatmap(counts: Counts, names: list[str]) -> Heatmap:
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    hover_texts = [
        [
            f"true {plain(true)}, predicted {plain(predicted)}:"
            f"<br>{counts[r, c]:,} ({share[r, c]:.1%} of the true class)"
            for c, predicted in enumerate(names)
        ]
        for r, true in enumerate(names)
    ]
    # Half of the colours are for shares up to a fifth, because mistakes are rare and matter most.
    shown = np.sqrt(share)
    texts = [[str(count) if count else "" for count in row] for row in counts.tolist()]
    return Heatmap(
        z=np.round(shown, 4).tolist(),
        text=texts,
        texttemplate="%{text}" if len(names) <= _WRITTEN else None,
        zmin=0,
        zmax=1,
        colorscale=FILL_SCALE,
        showscale=False,
        xgap=1,
        ygap=1,
        hovertext=hover_texts,
        hoverinfo="text",
    )


def _add_rival(figure: Figure, subject: Subject, order: NDArray[np.int64]) -> None:
    """Mark the best baseline's F1."""
    rival, names = subject.rival, class_names(subject)
    counts = _counts(rival, len(names)) if rival else None
    if rival is None or counts is None:
        return
    f1 = measures(counts)[2]
    figure.add_trace(
        Scatter(
            x=[round(float(f1[n]), 4) for n in order],
            y=list(range(len(names))),
            mode="markers",
            name=f"F1 of {plain(trial_name(rival), 30)}",
            marker={"symbol": "circle-open", "size": 12, "color": GREY, "line": {"width": 2}},
            customdata=[plain(names[n]) for n in order],
            hovertemplate="%{customdata}: baseline's F1 %{x:.4f}<extra></extra>",
        )
    )


MOST = 24
_SIDE = 128  # pixels; larger pictures are scaled down
_PLOT = 180, 72  # pixels of a sequence's lines, wide and high
_LONGEST = 400  # characters of a text
_COLUMNS = 12  # values of a table's row


@dataclass(frozen=True)
class Wrong:
    """A confident mistake of a trial.

    Attributes:
        index: the sample's number in the training set, from 0.
        true: number of its class.
        predicted: number of the predicted class.
        confidence: probability or score of the predicted class.
        truth: probability or score of the true class.
        sample: a PNG; a text; or the values of a row with the names of their columns.
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
    """Return the best trial's most confident mistakes on samples it was not trained on.

    Args:
        subject: the study.
        folder: its files.
        home: the home, with cached datasets.
        data_dir: folder with the user's datasets.

    Raises:
        DataError: predictions, folds or the dataset are missing or have changed.
    """
    study = subject.history.known_study()
    predictions, indices = _out_of_fold(subject.best, folder, len(study.classes))
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    order = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")]
    firsts = np.unique(indices[order], return_index=True)[1]  # a sample may be validated repeatedly
    order = order[np.sort(firsts)][:MOST]
    if not len(order):
        return []
    dataset = _same_dataset(study, home, data_dir)
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
) -> tuple[ClassPredictions, NDArray[np.int64]]:
    """Return a trial's predictions on all validation parts, and the indices of their samples."""
    folds = Folds.load(folder.folds)
    parts, indices = [], []
    for fold in trial.finished_folds():
        path = folder.predictions(trial.number, fold)
        part = ClassPredictions.load(path)
        if fold > len(folds) or not _fits(part, len(folds.validation[fold - 1]), classes):
            raise DataError(f"{path} does not fit the study's folds")
        parts.append(part)
        indices.append(folds.validation[fold - 1])
    if not parts:
        raise DataError("the trial has no finished fold")
    return ClassPredictions.joined(parts), np.concatenate(indices)


def _fits(part: ClassPredictions, samples: int, classes: int) -> bool:
    highest = max(part.labels.max(initial=0), part.predicted.max(initial=0))
    return len(part.labels) == samples and bool(highest < classes)


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
