"""All figures of a study, by name, for the page and the Python interface."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from plotly.graph_objects import Figure

from search.analysis.measure import objective_name
from search.analysis.report.classes import (
    class_scores,
    confusion,
    label_confusion,
    label_scores,
)
from search.analysis.report.curves import curves, curves_caption, trial_curves, trial_curves_caption
from search.analysis.report.numbers import errors_by_size, predicted_actual, residuals
from search.analysis.report.parameters import contours, importance, parallel_coordinates, slices
from search.analysis.report.progress import front, left_out, optimisation_history, time
from search.analysis.report.pruning import pruning
from search.analysis.report.subject import NothingToDraw, Subject
from tracking.history import History
from tracking.text import joined

_FIGURES: dict[str, tuple[str, str, Callable[[Subject], Figure]]] = {
    "optimisation_history": (
        "Optimisation history",
        "Each trial's {name} in the order of proposal, with its spread over the folds; the line is"
        " the best so far. Look for where the line stops {moving}: from there, more trials added"
        " little. Pruned trials are grey, at the score at which they were pruned, which is not a"
        " full score.{left_out}",
        optimisation_history,
    ),
    "front": (
        "Pareto front",
        "Both objectives against each other. No other trial equals or beats those on the line in"
        " both; look for the bend, where a little more of one costs much of the other.",
        front,
    ),
    "importance": (
        "Parameter importance",
        "How far a parameter's values among the best trials differ from those among all (PED-ANOVA,"
        " for {names}). Blue is what chance does not explain, and decides the order; of a parameter"
        " without blue nothing is known yet.",
        importance,
    ),
    "parallel_coordinates": (
        "Parallel coordinates",
        "Each line is a trial, from its params to its score; the stronger its colour, the better."
        " Grey trials were pruned. Drag along an axis to select trials, or drag its name to move"
        " it; look for values that the good lines share.",
        parallel_coordinates,
    ),
    "slices": (
        "Slices",
        "The score against one parameter at a time, the most important first. Look for a slope or a"
        " bump; a flat cloud means the parameter by itself does not matter. Ticks at the {worse}"
        " are pruned trials.{lower}{note}",
        slices,
    ),
    "contours": (
        "Contours",
        "The smoothed {name} over two parameters at once; points are trials, blank parts were not"
        " tried. Look for a ridge: there the two must be chosen together.{note}",
        contours,
    ),
    "curves": (
        "Curves of all folds",
        "{curves}",
        curves,
    ),
    "trial_curves": (
        "Curves of all trials",
        "{trial_curves}",
        trial_curves,
    ),
    "pruning": (
        "Trials by length of training",
        "How many trials were trained for how long. The grey area was saved by pruning weak trials;"
        " look for where the blue edge drops.",
        pruning,
    ),
    "confusion": (
        "Confusion matrix",
        "Rows are true classes, columns predicted ones; colour is the share of the true class."
        " Look for dark cells off the diagonal: confused classes.",
        confusion,
    ),
    "class_scores": (
        "Scores by class",
        "The weakest classes are on top. Precision left of recall: the class is predicted too"
        " often; recall left of precision: too rarely. The ring is the best baseline's F1.",
        class_scores,
    ),
    "label_confusion": (
        "Confusion matrix of each label",
        "For each label, rows say whether samples have it, columns whether it was predicted; colour"
        " is the share of the row. The worst F1 comes first, up to 24 labels. Look at the lower"
        " left corner for missed labels, at the upper right one for labels given wrongly.",
        label_confusion,
    ),
    "label_scores": (
        "Scores by label",
        "The weakest labels are on top. Precision left of recall: the label is given too often;"
        " recall left of precision: too rarely. The ring is the best baseline's F1.",
        label_scores,
    ),
    "predicted_actual": (
        "Predicted against actual",
        "How many samples with an actual value were predicted as what, out of fold; the darker, the"
        " more. On the dotted line predictions are right. Look for a cloud that is flatter than the"
        " line: large values are predicted too small and small ones too large.",
        predicted_actual,
    ),
    "residuals": (
        "Residuals",
        "By how much out-of-fold predictions are off. Look for a mean away from 0 (a bias), for a"
        " long tail on one side, and for a second hill.",
        residuals,
    ),
    "errors_by_size": (
        "Errors by size",
        "Samples in the order of their actual value, in tenths of equal size: how far their"
        " predictions are off, half of them within the box, nine of ten within the lines. Look for"
        " boxes that grow to the right (errors in proportion to the value: predict its logarithm),"
        " and for means that fall from above 0 to below it.",
        errors_by_size,
    ),
    "time": (
        "Time of the trials",
        "How long each trial trained, and its score; larger points have more parameters. Look for a"
        " trial that is almost as good as the best in much less time.",
        time,
    ),
}


@dataclass(frozen=True)
class Chart:
    """A figure with title and caption.

    Attributes:
        name: key in the result of `figures`.
        title: a short heading.
        caption: what it shows and what to look for; without a figure, the reason.
        figure: None if it makes no sense for the study.
    """

    name: str
    title: str
    caption: str
    figure: Figure | None


class _Words(dict[str, str]):
    """What captions say of a study; each word is made when a caption asks for it."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._subject = subject

    def __missing__(self, word: str) -> str:
        subject, larger = self._subject, self._subject.first.larger
        match word:
            case "name":
                return subject.name
            case "names":
                return joined(map(objective_name, subject.history.objectives), "or")
            case "note":
                return subject.compared.note
            case "lower":
                return "" if larger else " Lower is better."
            case "moving":
                return "rising" if larger else "falling"
            case "worse":
                return "bottom" if larger else "top"
            case "left_out":
                return left_out(subject)
            case "curves":
                return curves_caption(subject)
            case "trial_curves":
                return trial_curves_caption(subject)
        raise KeyError(word)


def charts(subject: Subject, names: Iterable[str] = ()) -> dict[str, Chart]:
    """Return charts by name, including those without a figure; without names all."""
    return {name: _chart(name, subject) for name in tuple(names) or _FIGURES}


def figures(history: History) -> dict[str, Figure]:
    """Return a study's figures by name, without those that make no sense for it.

    Names: `optimisation_history`, `front`, `importance`, `parallel_coordinates`, `slices`,
    `contours`, `curves`, `trial_curves`, `pruning`, `time`; of classes `confusion` and
    `class_scores`, of labels `label_confusion` and `label_scores`, of numbers `predicted_actual`,
    `residuals` and `errors_by_size`.

    Args:
        history: of the study, which may be running.

    Raises:
        ValueError: it holds no study.
    """
    history.known_study()
    found = charts(Subject(history)).values()
    return {chart.name: chart.figure for chart in found if chart.figure is not None}


def _chart(name: str, subject: Subject) -> Chart:
    title, caption, draw = _FIGURES[name]
    try:
        figure = draw(subject)
        return Chart(name, title, caption.format_map(_Words(subject)), figure)
    except NothingToDraw as reason:
        return Chart(name, title, str(reason), None)
