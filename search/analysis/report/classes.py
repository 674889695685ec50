"""How well each class, or each label of several, is recognised."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
    set_panels,
)
from search.analysis.report.subject import NothingToDraw, Subject
from search.analysis.report.words import trial_name
from search.tasks import CLASSIFICATION, MULTI_LABEL
from tracking.history import TrialHistory
from tracking.records import Json

Counts = NDArray[np.int64]
LabelCounts = NDArray[
    np.int64
]  # (n_labels, 2, 2): true rows, predicted columns; no first, then yes
Scores = tuple[NDArray[np.float64], ...]  # precision, recall and F1, each `(n_classes,)`

_MOST = 24  # labels whose matrices are drawn
_HAS, _PANEL = ("no", "yes"), 210
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
    if subject.task.name != CLASSIFICATION:
        raise NothingToDraw(f"The task is {subject.task.name}; there are no classes.")
    names = subject.names
    matrices = _matrices(subject)
    if not matrices:
        raise NothingToDraw("The journal holds no confusion matrix of the best trial.")
    size = len(names)
    side = int(np.clip(46 * size, 300, 900))
    figure = blank_figure(side + 130, meta={"least_width": 14 * size + 190 if size > 12 else 0})
    traces = {label: [heatmap(counts, names)] for label, counts in matrices.items()}
    choose_among(figure, traces)
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
    names = subject.names
    counts = _counts(subject.best, len(names))
    if counts is None:
        raise NothingToDraw("The journal holds no confusion matrix of the best trial.")
    rival = _counts(subject.rival, len(names)) if subject.rival else None
    return drawn_scores(subject, measures(counts), None if rival is None else measures(rival)[2])


def drawn_scores(subject: Subject, found: Scores, rival: NDArray[np.float64] | None) -> Figure:
    """Draw scores of classes or labels, the weakest on top.

    Args:
        subject: the study.
        found: precision, recall and F1 of each.
        rival: the best baseline's F1 of each; None if unknown.
    """
    precision, recall, f1 = found
    order = np.argsort(-f1, kind="stable")  # Plotly counts from the bottom
    names, places = subject.names, list(range(len(subject.names)))
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
    if rival is not None:
        _add_rival(figure, subject, rival, order)
    figure.update_xaxes(title_text="score", tickformat=".2f")
    figure.update_yaxes(
        tickvals=places,
        ticktext=[plain(names[n], 22) for n in order],
        range=[-0.6, len(names) - 0.4],
    )
    legend_above(figure)
    return figure


def measures(counts: Counts) -> Scores:
    """Return precision, recall and F1 of each class; 0 where the divisor is 0."""
    hits = np.diag(counts).astype(np.float64)
    told, true = counts.sum(axis=0), counts.sum(axis=1)
    precision = hits / np.maximum(told, 1)
    recall = hits / np.maximum(true, 1)
    return precision, recall, 2 * hits / np.maximum(told + true, 1)


def commonest_mistakes(subject: Subject, most: int = 6) -> list[Mistake]:
    """Return the best trial's most frequent confusions, the most frequent first."""
    counts = _counts(subject.best, len(subject.names))
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


def _matrices(subject: Subject) -> dict[str, Counts]:
    read = {
        source: _as_counts(record.confusion, len(subject.names))
        for source, record in subject.described.items()
    }
    return {source: counts for source, counts in read.items() if counts is not None}


def _counts(trial: TrialHistory, size: int) -> Counts | None:
    return _as_counts(trial.ended.confusion if trial.ended else [], size)


def _as_counts(rows: list[list[int]], size: int) -> Counts | None:
    if len(rows) != size or any(len(row) != size for row in rows) or size < 2:
        return None
    return np.array(rows, dtype=np.int64)


def heatmap(counts: Counts, names: Sequence[str], *, of: str = "", zero: str = "") -> Heatmap:
    """Return the cells of a confusion matrix, coloured by their share of the row.

    Args:
        counts: `(n, n)`, rows are true.
        names: of rows and columns.
        of: the name of what it is of, for hover texts.
        zero: stands in cells without samples.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    hover_texts = [
        [
            f"{of and f'{plain(of)}: '}true {plain(true)}, predicted {plain(predicted)}:"
            f"<br>{counts[row, column]:,} ({share[row, column]:.1%} of the row)"
            for column, predicted in enumerate(names)
        ]
        for row, true in enumerate(names)
    ]
    # Half of the colours are for shares up to a fifth, because mistakes are rare and matter most.
    shown = np.sqrt(share)
    return Heatmap(
        z=np.round(shown, 4).tolist(),
        text=[[f"{count:,}" if count else zero for count in row] for row in counts.tolist()],
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


def _add_rival(
    figure: Figure, subject: Subject, f1: NDArray[np.float64], order: NDArray[np.int64]
) -> None:
    """Mark the best baseline's F1."""
    name = plain(trial_name(subject.rival), 30) if subject.rival else ""
    figure.add_trace(
        Scatter(
            x=[round(float(f1[n]), 4) for n in order],
            y=list(range(len(f1))),
            mode="markers",
            name=f"F1 of {name}",
            marker={"symbol": "circle-open", "size": 12, "color": GREY, "line": {"width": 2}},
            customdata=[plain(subject.names[n]) for n in order],
            hovertemplate="%{customdata}: baseline's F1 %{x:.4f}<extra></extra>",
        )
    )


# Labels, of which a sample may have several.


def label_confusion(subject: Subject) -> Figure:
    """Draw a confusion matrix for each label, those recognised worst first."""
    found = _labels_by_source(subject)
    first = next(iter(found.values()))
    order = np.argsort(label_measures(first)[2], kind="stable")[:_MOST]
    figure = blank_figure(_PANEL)
    traces = {
        source: [
            heatmap(matrices[label], _HAS, of=subject.names[label], zero="0").update(
                xaxis=f"x{panel + 1 if panel else ''}", yaxis=f"y{panel + 1 if panel else ''}"
            )
            for panel, label in enumerate(order)
        ]
        for source, matrices in found.items()
    }
    choose_among(figure, traces)
    for panel, label in enumerate(order):
        suffix = str(panel + 1) if panel else ""
        shared = {"tickvals": [0, 1], "ticktext": list(_HAS), "showgrid": False, "zeroline": False}
        title = f"<b>{plain(subject.names[label], 24)}</b> predicted"
        figure.update_layout(
            {
                f"xaxis{suffix}": {
                    **shared,
                    "title": {"text": title, "font": {"size": 12}},
                    "anchor": f"y{suffix}",
                },
                f"yaxis{suffix}": {
                    **shared,
                    "autorange": "reversed",
                    "anchor": f"x{suffix}",
                },
            }
        )
    set_panels(figure, len(order), columns=3, height=_PANEL)
    return figure


def label_scores(subject: Subject) -> Figure:
    """Draw precision, recall and F1 of each label, the weakest on top."""
    found = list(_labels_by_source(subject).values())
    ended = subject.rival.ended if subject.rival else None
    rival = _label_matrices(subject, ended.report) if ended else None
    return drawn_scores(
        subject, label_measures(found[0]), None if rival is None else label_measures(rival)[2]
    )


def label_measures(matrices: LabelCounts) -> Scores:
    """Return precision, recall and F1 of each label; 0 where the divisor is 0."""
    hits = matrices[:, 1, 1].astype(np.float64)
    told, true = matrices[:, :, 1].sum(axis=1), matrices[:, 1, :].sum(axis=1)
    return (
        hits / np.maximum(told, 1),
        hits / np.maximum(true, 1),
        2 * hits / np.maximum(told + true, 1),
    )


def _labels_by_source(subject: Subject) -> dict[str, LabelCounts]:
    """Return the matrices of the best trial, the best baseline and the test set.

    Raises:
        NothingToDraw: the study has no labels, or the journal says nothing of them.
    """
    if subject.task.name != MULTI_LABEL:
        raise NothingToDraw(
            f"The task is {subject.task.name}; there are no labels of which a"
            " sample may have several."
        )
    read = {
        source: _label_matrices(subject, record.report)
        for source, record in subject.described.items()
    }
    known = {source: matrices for source, matrices in read.items() if matrices is not None}
    if not known:
        raise NothingToDraw("The journal holds no confusion matrices of the best trial.")
    return known


def _label_matrices(subject: Subject, report: Json) -> LabelCounts | None:
    counts = report.get("confusion") or {}
    rows: list[Any] = [counts.get(name) for name in subject.task.names]
    if not rows or any(np.shape(row) != (2, 2) for row in rows):
        return None
    return np.array(rows, np.int64)
