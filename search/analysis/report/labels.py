"""How well each label of several is recognised."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from plotly.graph_objects import Figure

from search.analysis.report.classes import Scores, drawn_scores, heatmap
from search.analysis.report.style import (
    blank_figure,
    choose_among,
    plain,
    set_panels,
)
from search.analysis.report.subject import NothingToDraw, Subject
from search.tasks import MULTI_LABEL
from tracking.records import Json

Matrices = NDArray[np.int64]  # (n_labels, 2, 2): true rows, predicted columns; no first, then yes

_MOST = 24  # labels whose matrices are drawn
_HAS, _PANEL = ("no", "yes"), 210


def label_confusion(subject: Subject) -> Figure:
    """Draw a confusion matrix for each label, those recognised worst first."""
    found = _sources(subject)
    first = next(iter(found.values()))
    order = np.argsort(scores_of(first)[2], kind="stable")[:_MOST]
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
    found = list(_sources(subject).values())
    ended = subject.rival.ended if subject.rival else None
    rival = _matrices(subject, ended.report) if ended else None
    return drawn_scores(
        subject, scores_of(found[0]), None if rival is None else scores_of(rival)[2]
    )


def scores_of(matrices: Matrices) -> Scores:
    """Return precision, recall and F1 of each label; 0 where the divisor is 0."""
    hits = matrices[:, 1, 1].astype(np.float64)
    told, true = matrices[:, :, 1].sum(axis=1), matrices[:, 1, :].sum(axis=1)
    return (
        hits / np.maximum(told, 1),
        hits / np.maximum(true, 1),
        2 * hits / np.maximum(told + true, 1),
    )


def _sources(subject: Subject) -> dict[str, Matrices]:
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
        source: _matrices(subject, record.report) for source, record in subject.described.items()
    }
    known = {source: matrices for source, matrices in read.items() if matrices is not None}
    if not known:
        raise NothingToDraw("The journal holds no confusion matrices of the best trial.")
    return known


def _matrices(subject: Subject, report: Json) -> Matrices | None:
    counts = report.get("confusion") or {}
    rows: list[Any] = [counts.get(name) for name in subject.task.names]
    if not rows or any(np.shape(row) != (2, 2) for row in rows):
        return None
    return np.array(rows, np.int64)
