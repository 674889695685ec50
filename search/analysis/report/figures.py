"""All figures of a study, by name; the page and the Python interface take them from here."""

from collections.abc import Callable
from dataclasses import dataclass

from plotly.graph_objects import Figure

from search.analysis.report.classes import class_scores, confusion
from search.analysis.report.folds import curves, pruning
from search.analysis.report.parameters import contours, importance, parallel_coordinates, slices
from search.analysis.report.progress import front, optimisation_history, time
from search.analysis.report.subject import NothingToDraw, Subject
from tracking.history import History

_FIGURES: dict[str, tuple[str, str, Callable[[Subject], Figure]]] = {
    "optimisation_history": (
        "Optimisation history",
        "Each trial's {name} in the order of proposal, with its spread over the folds; the line is"
        " the best so far. Look for where the line stops rising: more trials would have added"
        " little there. Trials that were stopped early are grey, at the score they had then, which"
        " is no full score.",
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
        "How far the values among the best trials differ from those among all (PED-ANOVA, for"
        " {name}). Look for bars that reach beyond their orange mark: shorter ones may be chance.",
        importance,
    ),
    "parallel_coordinates": (
        "Parallel coordinates",
        "Each line is a trial, from its settings to its score; the stronger its colour, the"
        " better. Grey ones were stopped early. Drag along an axis to pick out trials,"
        " drag its name to move it; look for where the good lines run together.",
        parallel_coordinates,
    ),
    "slices": (
        "Slices",
        "The score against one parameter at a time, the most important first. Look for a slope or a"
        " bump; a flat cloud means the parameter by itself does not matter. Ticks at the bottom are"
        " trials that were stopped early.{note}",
        slices,
    ),
    "contours": (
        "Contours",
        "The smoothed {name} over two parameters at once; points are trials, blank parts were not"
        " tried. Look for a ridge: there the two have to be set together.{note}",
        contours,
    ),
    "curves": (
        "Curves of all folds",
        "Accuracy and loss by epoch: single folds thin, their mean bold, the standard deviation"
        " shaded. Look for validation that turns while training goes on (overfitting), and for"
        " folds that part from the others.",
        curves,
    ),
    "pruning": (
        "Trials by length of training",
        "How many trials were trained for how long. The grey area is what was not trained because"
        " weak trials were stopped; look for where the blue edge drops.",
        pruning,
    ),
    "confusion": (
        "Confusion matrix",
        "Rows are true classes, columns predicted ones; colour is the share of the true class."
        " Look for dark cells off the diagonal: classes taken for each other.",
        confusion,
    ),
    "class_scores": (
        "Scores by class",
        "The weakest classes are on top. Precision left of recall: the class is named too often;"
        " recall left of precision: too seldom. The ring is the best baseline's F1.",
        class_scores,
    ),
    "time": (
        "Time of the trials",
        "How long each trial trained, and what came of it; larger points have more parameters. Look"
        " for a trial almost as good as the best for much less time.",
        time,
    ),
}


@dataclass(frozen=True)
class Chart:
    """A figure with its words.

    Attributes:
        name: as `figures` calls it.
        title: a short heading.
        caption: what it shows and what to look for; where there is no figure, why.
        figure: None where it makes no sense for the study.
    """

    name: str
    title: str
    caption: str
    figure: Figure | None


def charts(subject: Subject) -> dict[str, Chart]:
    """Return every chart by name, those without a figure too."""
    return {name: _chart(name, subject) for name in _FIGURES}


def figures(history: History) -> dict[str, Figure]:
    """Return a study's figures by name; those that make no sense for it are left out.

    They are `optimisation_history`, `front`, `importance`, `parallel_coordinates`, `slices`,
    `contours`, `curves`, `pruning`, `confusion`, `class_scores` and `time`.

    Args:
        history: the study's; complete or not, running or not.

    Raises:
        ValueError: it holds no study.
    """
    history.known_study()
    found = charts(Subject(history)).values()
    return {chart.name: chart.figure for chart in found if chart.figure is not None}


def _chart(name: str, subject: Subject) -> Chart:
    title, caption, draw = _FIGURES[name]
    try:
        return Chart(
            name,
            title,
            caption.format(name=subject.name, note=subject.compared.note),
            draw(subject),
        )
    except NothingToDraw as reason:
        return Chart(name, title, str(reason), None)
