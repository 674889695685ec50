"""How far the best trial's probabilities can be believed, and what a threshold trades off."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plotly.graph_objects import Scatter

from search.analysis.calibration import ISOTONIC, NONE, TEMPERATURE, Calibrated, calibrate
from search.analysis.coverage import Conformal, conformal
from search.analysis.library import Library
from search.analysis.measure import number_texts, rounded
from search.analysis.report.figures import Chart
from search.analysis.report.page import Markup, joined, table, tag
from search.analysis.report.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    blank_figure,
    hover,
    legend_above,
    plain,
)
from search.analysis.report.subject import Subject
from search.data.folds import Indices
from search.errors import DataError, SettingsError
from search.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION, Task
from search.tasks.reliability import Reliability
from tracking.home import StudyFolder

Numbers = NDArray[np.float64]

COVERAGES = (0.8, 0.9, 0.95)
_THRESHOLDS = 201


@dataclass(frozen=True, eq=False)
class Believed:
    """The best trial's out-of-fold predictions and what was made of them.

    Attributes:
        task: what is predicted.
        values: probabilities before calibration, or numbers, `(n, units)`.
        targets: `(n, ...)`.
        calibrated: None of numbers.
        conformal: of the calibrated probabilities, or the numbers.
        thresholds: that the folds decided by, of two classes; empty for 0.5.
        groups: `(n,)`, of samples that belong together; None if all are alone.
    """

    task: Task
    values: NDArray[Any]
    targets: NDArray[Any]
    calibrated: Calibrated | None
    conformal: Conformal
    thresholds: tuple[float, ...] = ()
    groups: Indices | None = None


def believed(subject: Subject, folder: StudyFolder) -> Believed:
    """Read the best trial's predictions and calibrate them.

    Raises:
        DataError: there are no files, not all probabilities, or the task is another.
    """
    task, best = subject.task, subject.best
    if task.name not in (CLASSIFICATION, MULTI_LABEL, REGRESSION):
        raise DataError("several outputs at once are not calibrated")
    library = Library.read(subject.history, folder, only=[best])
    values, targets = library.values(library.trials[0]), library.targets
    found = None
    if task.name != REGRESSION:
        found = calibrate(values, targets, task, library.splits())
    shown = values if found is None else found.values
    tuned = [fold.thresholds for fold in best.finished_folds().values() if fold.thresholds]
    return Believed(
        task,
        values,
        targets,
        found,
        conformal(shown, targets, task, groups=library.groups),
        tuple(each[0] for each in tuned) if task.units == 2 else (),
        library.groups,
    )


def reliability_chart(known: Calibrated) -> Chart:
    """Return the reliability diagram before and after calibration."""
    figure = blank_figure(440)
    entries = [("as predicted", known.before, ORANGE, "square")]
    if known.calibration.kind != NONE:
        entries.append(("calibrated", known.after, BLUE, "circle"))
    low = min(float(found.predicted[0]) for _, found, *_ in entries)
    low = min(low, *(float(found.low.min()) for _, found, *_ in entries))
    ends = [max(0.0, low - 0.03), 1.02]
    for name, found, colour, symbol in entries:
        figure.add_trace(_points(name, found, colour, symbol))
    figure.add_trace(
        Scatter(
            x=[ends[0], 1],
            y=[ends[0], 1],
            mode="lines",
            name="as sure as right",
            line={"color": GREY, "width": 1.5, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    what = plain(known.before.what, 40)
    figure.update_xaxes(title_text=f"probability of {what}", range=ends, tickformat=".0%")
    figure.update_yaxes(title_text="how often it was true", range=ends, tickformat=".0%")
    legend_above(figure)
    return Chart("reliability", "Reliability", _caption(known), figure)


def _caption(known: Calibrated) -> str:
    bins = len(known.before.counts)
    return (
        f"Out-of-fold predictions of the best trial in {bins} bins of equally many, with 95 %"
        " intervals. Points below the dotted line are too sure, points above it not sure enough."
        " Look for a bin whose interval lies clear of the line."
    )


def _points(name: str, found: Reliability, colour: str, symbol: str) -> Scatter:
    texts = [
        hover(
            f"{plain(name)}: {predicted:.1%} sure",
            f"true in {observed:.1%} ({low:.1%} to {high:.1%})",
            f"{count:,} predictions",
        )
        for predicted, observed, low, high, count in zip(
            found.predicted, found.observed, found.low, found.high, found.counts, strict=True
        )
    ]
    return Scatter(
        x=_rounded(found.predicted),
        y=_rounded(found.observed),
        error_y={
            "type": "data",
            "array": _rounded(found.high - found.observed),
            "arrayminus": _rounded(found.observed - found.low),
            "thickness": 1.2,
            "width": 0,
        },
        mode="markers+lines",
        name=name,
        line={"color": colour, "width": 1},
        marker={"color": colour, "size": 8, "symbol": symbol},
        hovertext=texts,
        hoverinfo="text",
    )


def calibration_scores(known: Calibrated) -> Markup:
    """Return the table of calibration error, Brier score and log loss, before and after."""
    rows = [_row("as predicted", known.before, known.brier_before, known.loss_before)]
    if known.calibration.kind != NONE:
        rows.append(_row(_named(known), known.after, known.brier, known.loss))
    head = (
        "probabilities",
        "expected calibration error",
        "of a perfect model, on average",
        "Brier score",
        "log loss",
    )
    caption = (
        f"{_finding(known)} The expected calibration error is the mean distance between"
        " probability and frequency over the bins; a perfect model has one, too, as each bin"
        " holds few samples. Brier score and log loss (nats) count the error of each probability;"
        " smaller is better. Calibrated values are nested: of each fold by what the others showed."
    )
    body = table(head, rows, numbers=range(1, 5))
    heading = tag("h3", "Calibration")
    return tag("div", heading, tag("p", caption, class_="soft"), body, class_="card")


def _row(name: str, found: Reliability, brier: float, loss: float) -> list[str]:
    scores = (found.error, found.error_by_chance, brier, loss)
    return [name, *(f"{score:.4f}" for score in scores)]


def _named(known: Calibrated) -> str:
    if known.calibration.kind == TEMPERATURE:
        return f"with temperature {known.calibration.temperature:.3g}"
    return "with isotonic regression"


def _finding(known: Calibrated) -> str:
    kind, temperature = known.calibration.kind, known.calibration.temperature
    if kind == NONE:
        return "No calibration lowers the nested log loss, so none is applied."
    is_sure = known.difference is not None and (known.difference.low or 0) > 0
    doubt = "beyond doubt" if is_sure else "on average, though chance may explain it"
    said = "" if kind == ISOTONIC else f", as it is {_sureness(temperature)}"
    return f"Calibration lowers the nested log loss {doubt}{said}."


def _sureness(temperature: float) -> str:
    return "too sure" if temperature > 1 else "not sure enough"


def threshold_chart(found: Believed, name: str) -> Chart:
    """Return precision, recall, F1 and balanced accuracy of two classes against the threshold.

    Args:
        found: of two classes.
        name: of the second class.
    """
    cuts = np.linspace(0, 1, _THRESHOLDS)[1:-1]
    scores = threshold_scores(found.values[:, 1], found.targets == 1, cuts)
    chosen = float(np.mean(found.thresholds)) if found.thresholds else 0.5
    figure = blank_figure(400)
    for (label, values), colour in zip(scores.items(), (ORANGE, GREEN, BLUE, PINK), strict=True):
        figure.add_trace(
            Scatter(
                x=_rounded(cuts),
                y=[None if np.isnan(value) else rounded(float(value)) for value in values],
                mode="lines",
                name=label,
                line={"color": colour, "width": 2},
                hovertemplate=f"threshold %{{x:.3f}}: {label} %{{y:.4f}}<extra></extra>",
            )
        )
    figure.add_vline(x=chosen, line={"color": GREY, "width": 2, "dash": "dash"})
    told = "tuned, mean of the folds" if found.thresholds else "chosen"
    figure.add_annotation(
        x=chosen,
        y=0.02,
        yref="paper",
        text=f"{told}: {chosen:.3g}",
        showarrow=False,
        xanchor="left" if chosen < 0.7 else "right",
        xshift=6 if chosen < 0.7 else -6,
        font={"color": GREY},
    )
    figure.update_xaxes(title_text=f"threshold for {plain(name, 40)}", range=[0, 1])
    least = min(float(np.nanmin(values)) for values in scores.values())
    figure.update_yaxes(title_text="score", range=[max(0.0, 0.1 * int(10 * least - 0.5)), 1.02])
    legend_above(figure)
    caption = _of_threshold(found, scores, cuts, chosen, name)
    return Chart("threshold", "Threshold", caption, figure)


def _of_threshold(
    found: Believed, scores: dict[str, Numbers], cuts: Numbers, chosen: float, name: str
) -> str:
    at = threshold_scores(found.values[:, 1], found.targets == 1, np.array([chosen]))
    told = ", ".join(f"{label} {values[0]:.3f}" for label, values in at.items())
    best = float(cuts[int(np.nanargmax(scores["balanced accuracy"]))])
    return (
        f"A sample counts as {name} if its out-of-fold probability is above the threshold. At"
        f" {chosen:.3g}: {told}. A lower threshold finds more of the class (recall), a higher one"
        f" is right more often (precision). Balanced accuracy is largest at about {best:.2g} on"
        " these samples; `--threshold tuned` searches one on training parts."
    ).replace("`", "")


def threshold_scores(
    shares: NDArray[Any], is_true: NDArray[np.bool_], cuts: Numbers
) -> dict[str, Numbers]:
    """Return scores at thresholds by name, each `(thresholds,)`; NaN without a prediction.

    Args:
        shares: probabilities of the second class, `(n,)`.
        is_true: whether a sample is of it, `(n,)`.
        cuts: the thresholds; a larger probability counts as the class.
    """
    values = np.asarray(shares, np.float64)
    hits = _above(np.sort(values[is_true]), cuts)
    false = _above(np.sort(values[~is_true]), cuts)
    positives, negatives = int(is_true.sum()), int((~is_true).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = hits / (hits + false), hits / positives
        f1 = 2 * hits / (hits + false + positives)
        balanced = (recall + 1 - false / negatives) / 2
    return {"precision": precision, "recall": recall, "F1": f1, "balanced accuracy": balanced}


def _above(ascending: Numbers, cuts: Numbers) -> Numbers:
    return np.asarray(len(ascending) - np.searchsorted(ascending, cuts, side="right"), np.float64)


def coverage_table(found: Believed, names: list[str]) -> Markup:
    """Return how large sets or intervals are at some coverages."""
    rows = [row for coverage in COVERAGES for row in _rows_at(found, coverage, names)]
    if not rows:
        return Markup("")
    head: tuple[str, ...]
    if found.task.name == REGRESSION:
        title, head = "Intervals", ("coverage", "number", "interval: predicted ±")
        what = "An interval holds the true number of a new sample as often as its coverage says."
    elif found.task.name == MULTI_LABEL:
        title, head = "Sets of labels", ("coverage", "labels decided", "undecided")
        what = "Each label is told as yes or no only where its set holds one of them."
    else:
        title = "Sets of classes"
        head = ("coverage", "classes in a set, on average", "sets of one class", "empty sets")
        what = (
            "A set holds the true class of a new sample as often as its coverage says. It is empty"
            " where no class looks as likely as the true ones of most samples did."
        )
    caption = (
        f"{what} Made of the errors out of fold (cross-conformal);"
        f" predict --coverage 0.9 gives them for an exported model."
    )
    body = table(head, rows, numbers=range(len(head)))
    return tag("div", tag("h3", title), tag("p", caption, class_="soft"), body, class_="card")


def _rows_at(found: Believed, coverage: float, names: list[str]) -> list[list[str]]:
    try:
        limits = found.conformal.limits(coverage)
    except SettingsError:  # too few samples
        return []
    told = f"{coverage:.0%}"
    if found.task.name == REGRESSION:
        texts = (number_texts([float(limit)])[0] for limit in limits)
        return [[told, name, f"± {text}"] for name, text in zip(names, texts, strict=True)]
    values = found.values if found.calibrated is None else found.calibrated.values
    sets = found.conformal.sets(values, coverage)
    if found.task.name == MULTI_LABEL:
        decided = float((sets.sum(axis=-1) == 1).mean())
        return [[told, f"{decided:.1%}", f"{1 - decided:.1%}"]]
    sizes = sets.sum(axis=1)
    return [
        [told, f"{sizes.mean():.2f}", f"{(sizes == 1).mean():.1%}", f"{(sizes == 0).mean():.1%}"]
    ]


def _rounded(values: NDArray[Any]) -> list[float]:
    return [rounded(float(value)) for value in values]


def no_probabilities(reason: str) -> Markup:
    """Return the sentence that stands where nothing can be said of probabilities."""
    return tag("div", joined([tag("p", reason, class_="soft")]), class_="card")
