"""The charts of a study's saved view "Compare" in MLflow's web pages.

Their fields are read off MLflow 3.17's pages.
"""

from collections.abc import Sequence
from typing import Any

from tracking.objectives import Objective, objectives_of
from tracking.records import Json, StudyStarted

IMAGE_KEY = "confusion_matrix"
SCORES = ("cv_accuracy", "cv_accuracy_std", "macro_f1", "train_seconds")
SIZES = ("cv_loss", "epochs_trained", "model_parameters", "latency_ms")
_CURVES = ("val_accuracy", "val_loss", "accuracy", "loss", "val_macro_f1")
_CONFIRMED = (
    "confirmed_accuracy",
    "confirmed_accuracy_std",
    "confirmed_loss",
    "confirmed_macro_f1",
)
# Sections of the view "Compare", from top to bottom.
_CURVES_SECTION, _PROGRESS = "foldwise-curves", "foldwise-progress"
_SETTINGS = "foldwise-settings"
_SCORES_SECTION, _IMAGES = "foldwise-scores", "foldwise-images"


def compare_charts(study: StudyStarted) -> Json:
    """Return what the page's state says of charts and their sections."""
    objectives = objectives_of(study.settings)
    lines = dict.fromkeys([objectives[0].epoch, "val_accuracy", "val_loss"])
    # What trials did comes first: it says something from the first trial on, pruned ones included.
    charts = [
        *(_line(metric) for metric in lines),
        *_how_far(study),
        *_parallel_coordinates(study),
        *_scatter(objectives),
        *(_bars(objective.name) for objective in objectives),
        _images(),
    ]
    used = {chart["metricSectionId"] for chart in charts}
    return {
        "compareRunCharts": [*charts, *_unwanted(charts)],
        "compareRunSections": [section for section in _sections() if section["uuid"] in used],
        "isAccordionReordered": True,
    }


def searched(study: StudyStarted, *, conditional: bool) -> list[str]:
    """Return the names of the parameters that are searched, with or without conditional ones."""
    return [
        str(parameter["name"])
        for parameter in study.parameters
        if parameter.get("searched") and (conditional or not parameter.get("when"))
    ]


def _unwanted(charts: Sequence[Json]) -> list[Json]:
    """Return removed charts: MLflow adds one for every metric that has neither."""
    shown = {chart.get("metricKey") for chart in charts}
    return [
        _chart("BAR", f"no-{name}", _SCORES_SECTION, metricKey=name) | {"deleted": True}
        for name in (*SCORES, *SIZES, *_CURVES, *_CONFIRMED)
        if name not in shown
    ]


def _sections() -> list[Json]:
    return [
        _section(_CURVES_SECTION, "Curves", columns=2, height=360),
        # Axes of ten parameters side by side need the whole width.
        _section(_PROGRESS, "How far trials came, pruned ones included", columns=1, height=400),
        _section(_SETTINGS, "Settings and scores, complete trials", columns=1, height=400),
        _section(_SCORES_SECTION, "Scores, complete trials", columns=2, height=360),
        _section(_IMAGES, "Confusion matrices", columns=1, height=640),
    ]


def _how_far(study: StudyStarted) -> list[Json]:
    """Return a chart of the epochs every trial was given, where a pruner decides on them.

    Most trials of such a study have no score, and are not drawn where a score is an axis.
    """
    parameters = searched(study, conditional=False)
    if not parameters or study.settings.get("pruner", "none") == "none":
        return []
    return [_parallel("epochs trained", _PROGRESS, parameters, ["epochs_trained"])]


def _parallel_coordinates(study: StudyStarted) -> list[Json]:
    """Return one chart of the parameters every trial has, and one with the conditional ones.

    A trial without one of a chart's parameters is not drawn on it. The last of the metrics gives
    the lines their colours: the first objective.
    """
    metrics = [objective.name for objective in objectives_of(study.settings)][::-1]
    everywhere = searched(study, conditional=False)
    everything = searched(study, conditional=True)
    charts = [_parallel("parameters", _SETTINGS, everywhere, metrics)] if everywhere else []
    if len(everything) > len(everywhere):
        name = "parameters, conditional ones included"
        charts.append(_parallel(name, _SETTINGS, everything, metrics))
    return charts


def _parallel(name: str, section: str, parameters: Sequence[str], metrics: Sequence[str]) -> Json:
    return _chart(
        "PARALLEL",
        name,
        section,
        displayName=name,
        selectedParams=list(parameters),
        selectedMetrics=list(metrics),
        showAllRuns=True,
    )


def _scatter(objectives: Sequence[Objective]) -> list[Json]:
    """Return a chart of the first objective over the second: the front is its upper edge."""
    if len(objectives) < 2:
        return []
    first, second = objectives[:2]
    return [
        _chart(
            "SCATTER",
            "objectives",
            _SCORES_SECTION,
            displayName=f"{first.name} over {second.name}",
            xaxis={"key": second.name, "type": "METRIC"},
            yaxis={"key": first.name, "type": "METRIC"},
        )
    ]


def _bars(metric: str) -> Json:
    return _chart("BAR", f"bars-{metric}", _SCORES_SECTION, metricKey=metric, displayName=metric)


def _line(metric: str) -> Json:
    return _chart(
        "LINE",
        f"line-{metric}",
        _CURVES_SECTION,
        metricKey=metric,
        selectedMetricKeys=[metric],
        displayName=metric,
        lineSmoothness=0,
        xAxisKey="step",
        xAxisScaleType="linear",
        scaleType="linear",
        yAxisKey="metric",
        yAxisExpressions=[],
        range={},
        ignoreOutliers=False,
        useGlobalXaxisKey=True,
        useGlobalLineSmoothing=True,
    )


def _images() -> Json:
    return _chart("IMAGE", "images", _IMAGES, imageKeys=[IMAGE_KEY], step=0, showRunParams=False)


def _section(key: str, name: str, *, columns: int, height: int) -> Json:
    return {
        "uuid": key,
        "name": name,
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
        "columns": columns,
        "cardHeight": height,  # pixels
    }


def _chart(kind: str, key: str, section: str, **fields: Any) -> Json:
    chart = {
        "type": kind,
        "uuid": f"foldwise-{key}",
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 20,
    }
    return chart | fields
