"""The saved views of a study in MLflow's web pages, and the charts of "Compare".

MLflow keeps a named view as an experiment tag: JSON whose `state` is the page's state, compressed.
The format, and the fields of charts, are read off MLflow 3.17's pages; a field another version does
not know is ignored there.
"""

import base64
import json
import re
import zlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from tracking.history import History, TrialHistory
from tracking.objectives import Objective, measured_of, objectives_of
from tracking.records import (
    MULTI_LABEL,
    MULTI_OUTPUT,
    REGRESSION,
    Json,
    OutputReport,
    StudyStarted,
)

TAG_PREFIX = "mlflow.sharedViewState."
BEST = "foldwise-best"
COMPARE = "foldwise-compare"

TRIALS = "tags.`search.kind` = 'trial'"
_STATE, _BEST, _FRONT = "tags.`search.state`", "tags.`search.best`", "tags.`search.front`"
_FIRST_COLUMNS = {"attributes.`Run Name`": 250, "runDateAndNestInfo": 140, "duration": 80}
_MAX_COLUMNS = 24  # the table gets slow and unreadable with more
IMAGE_KEY = "confusion_matrix"  # of classes, and of each label
NUMBERS_KEY = "predictions"
SIZES = ("cv_loss", "epochs_trained", "model_parameters", "latency_ms")
_LOSSES = ("val_loss", "loss")
# Sections of the view "Compare", from top to bottom.
_CURVES_SECTION, _PROGRESS = "foldwise-curves", "foldwise-progress"
_SETTINGS = "foldwise-settings"
_SCORES_SECTION, _IMAGES = "foldwise-scores", "foldwise-images"


def view_tags(history: History) -> dict[str, str]:
    """Return the experiment tags that make up a study's saved views.

    Once any of its trials was confirmed, these scores have columns. Charts that compare trials are
    there from the second trial on that they can show.

    Raises:
        ValueError: `history` has no `StudyStarted`.
    """
    study, confirmed = history.known_study(), bool(history.confirmed())
    at = round(study.at * 1000)
    return {
        TAG_PREFIX + BEST: _encode("Best trials first", _best_trials(study, confirmed), at),
        TAG_PREFIX + COMPARE: _encode("Compare", _compare(study, history), at),
    }


def view_path(experiment_id: str, view: str) -> str:
    """Return the part of a link after MLflow's address that opens the view.

    Args:
        experiment_id: MLflow's identifier.
        view: `BEST` or `COMPARE`.
    """
    query = {
        "workflowType": "machine_learning",  # else the page opens on language-model traces
        "compareRunsMode": "CHART" if view == COMPARE else "TABLE",
        "viewStateShareKey": view,
    }
    return f"/#/experiments/{experiment_id}/runs?{urlencode(query)}"


def comparison_path(experiment_ids: Sequence[str], objective: Objective) -> str:
    """Return the part of a link after MLflow's address that shows several studies' trials together.

    MLflow keeps no named view of several experiments, so the link carries filter and order.

    Args:
        experiment_ids: MLflow's identifiers.
        objective: what the trials are ordered by, the best first.
    """
    query = {
        "experiments": json.dumps(list(experiment_ids), separators=(",", ":")),
        "workflowType": "machine_learning",
        "searchFilter": TRIALS,
        "orderByKey": f"metrics.`{objective.name}`",
        "orderByAsc": "false" if objective.larger else "true",
    }
    return f"/#/compare-experiments/s?{urlencode(query)}"


def decode_view(value: str) -> tuple[str, Json]:
    """Return the name and the page's state that a view's tag holds.

    Raises:
        ValueError: the tag holds no compressed view.
    """
    view = json.loads(value)
    method, _, packed = view["state"].partition(";")
    if method != "deflate":
        raise ValueError(f"a view's state must be compressed by deflate; got {method!r}")
    try:
        state: Json = json.loads(zlib.decompress(base64.b64decode(packed)))
    except zlib.error as error:
        raise ValueError(f"a view's state cannot be unpacked: {error}") from error
    return view["name"], state


def _encode(name: str, state: Json, at: int) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    view = {"name": name, "createdAt": at, "updatedAt": at, "state": f"deflate;{packed}"}
    return json.dumps(view)


def _best_trials(study: StudyStarted, confirmed: bool) -> Json:
    objectives = [objective.name for objective in objectives_of(study)]
    # The best by its confirmation need not stand first.
    confirmation_folds = [*_metrics([confirmed_name(objectives[0])]), _BEST] if confirmed else []
    front = [_FRONT] if len(objectives) > 1 else []
    params = [f"params.`{name}`" for name in _searched(study, conditional=True)]
    sizes = [name for name in SIZES if name != "latency_ms"]  # only measured as an objective
    spreads = [f"{objective.name}_std" for objective in objectives_of(study) if objective.fold]
    scores = [
        *_metrics(objectives),
        *confirmation_folds,
        *_metrics(spreads),
        *_metrics(scores_of(study)),
    ]
    columns = _distinct([_STATE, *front, *scores, *params, *_metrics(sizes)])[:_MAX_COLUMNS]
    state = _state(study, columns)
    # MLflow's own order is params, metrics, tags, each by the alphabet.
    state["columnOrder"] = [*_FIRST_COLUMNS, *columns]
    state["columnWidths"] = {**_FIRST_COLUMNS, **{name: _width(name) for name in columns}}
    return state


def scores_of(study: StudyStarted) -> tuple[str, ...]:
    """Return the metrics of complete trials that tell how good they are, and how long they took."""
    main, *others = [metric.name for metric in measured_of(study)]
    return main, f"{main}_std", *others, "train_seconds"


def image_key(output: OutputReport) -> str:
    """Return by which name MLflow's charts find the picture of an output's predictions."""
    key = NUMBERS_KEY if output.study.task == REGRESSION else IMAGE_KEY
    return re.sub(r"[^A-Za-z0-9_. -]", "_", f"{output.name}_{key}") if output.name else key


def confirmed_name(score: str) -> str:
    """Return the metric that holds a score on the folds a trial was confirmed on."""
    return "confirmed_" + score.removeprefix("cv_")


def _distinct(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _metrics(names: Sequence[str]) -> list[str]:
    return [f"metrics.`{name}`" for name in names]


def _width(column: str) -> int:
    """Return pixels: room for the heading, and for MLflow's long decimals of a score."""
    return max(90, 7 * (len(column) - column.index("`")) + 26)


def _compare(study: StudyStarted, history: History) -> Json:
    scores = [objective.name for objective in objectives_of(study)]
    return _state(study, [_STATE, *_metrics(scores)]) | _compare_charts(study, history)


def _state(study: StudyStarted, columns: Sequence[str]) -> Json:
    first = objectives_of(study)[0]
    return {
        "searchFilter": TRIALS,
        "orderByKey": f"metrics.`{first.name}`",
        "orderByAsc": not first.larger,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "runsHiddenMode": "FIRST_20_RUNS",
        "hideEmptyCharts": True,
        "groupBy": None,
    }


def _compare_charts(study: StudyStarted, history: History) -> Json:
    """Return what the page's state says of charts and their sections."""
    objectives, complete = objectives_of(study), history.completed()
    compared = objectives if len(complete) > 1 else ()
    lines = dict.fromkeys([objectives[0].epoch, measured_of(study)[0].epoch, "val_loss"])
    # What trials did comes first: it says something from the first trial on, pruned ones included.
    charts = [
        *(_line(metric) for metric in lines),
        *_how_far(study, history.finished()),
        *_parallel_coordinates(study, complete),
        *_scatter(compared),
        *(_bars(objective.name) for objective in compared),
        _images([image_key(output) for output in study.outputs({})]),
    ]
    used = {chart["metricSectionId"] for chart in charts}
    return {
        "compareRunCharts": [*charts, *_unwanted(study, charts)],
        "compareRunSections": [section for section in _sections(study) if section["uuid"] in used],
        "isAccordionReordered": True,
    }


def _searched(study: StudyStarted, *, conditional: bool) -> list[str]:
    """Return the names of the parameters that are searched, with or without conditional ones."""
    return [
        str(parameter["name"])
        for parameter in study.parameters
        if parameter.get("searched") and (conditional or not parameter.get("when"))
    ]


def _unwanted(study: StudyStarted, charts: Sequence[Json]) -> list[Json]:
    """Return removed charts: MLflow adds one for every metric that has neither."""
    measured = measured_of(study)
    scores = [name for name in scores_of(study) if name != "train_seconds"]
    names = (
        *(objective.name for objective in objectives_of(study)),
        *(*scores_of(study), *SIZES, *_LOSSES),
        *(metric.epoch for metric in measured),
        *(metric.epoch.removeprefix("val_") for metric in measured),
        *(confirmed_name(score) for score in (*scores, "cv_loss")),
    )
    shown = {chart.get("metricKey") for chart in charts}
    return [
        _chart("BAR", f"no-{name}", _CURVES_SECTION, metricKey=name) | {"deleted": True}
        for name in dict.fromkeys(names)
        if name not in shown
    ]


def _sections(study: StudyStarted) -> list[Json]:
    pictures = {
        REGRESSION: "Predictions, errors and errors by size",
        MULTI_LABEL: "Confusion matrices of the labels",
        MULTI_OUTPUT: "Predictions of each output",
    }.get(study.task, "Confusion matrices")
    return [
        _section(_CURVES_SECTION, "Curves", columns=2, height=360),
        # Axes of ten parameters side by side need the whole width.
        _section(_PROGRESS, "How far trials came, pruned ones included", columns=1, height=400),
        _section(_SETTINGS, "Settings and scores, complete trials", columns=1, height=400),
        _section(_SCORES_SECTION, "Scores, complete trials", columns=2, height=360),
        _section(_IMAGES, pictures, columns=1, height=640),
    ]


def _how_far(study: StudyStarted, trials: Sequence[TrialHistory]) -> list[Json]:
    """Return a chart of the epochs every trial was given, where a pruner decides on them.

    Most trials of such a study have no score, and are not drawn where a score is an axis.
    """
    parameters = _searched(study, conditional=False)
    if study.settings.get("pruner", "none") == "none" or not _are_several(trials, parameters):
        return []
    return [_parallel("epochs trained", _PROGRESS, parameters, ["epochs_trained"])]


def _parallel_coordinates(study: StudyStarted, trials: Sequence[TrialHistory]) -> list[Json]:
    """Return one chart of the parameters every trial has, and one with the conditional ones.

    A trial without one of a chart's parameters is not drawn on it. The last of the metrics gives
    the lines their colours: the first objective.
    """
    metrics = [objective.name for objective in objectives_of(study)][::-1]
    everywhere = _searched(study, conditional=False)
    everything = _searched(study, conditional=True)
    charts = {"parameters": everywhere}
    if len(everything) > len(everywhere):
        charts["parameters, conditional ones included"] = everything
    return [
        _parallel(name, _SETTINGS, parameters, metrics)
        for name, parameters in charts.items()
        if _are_several(trials, parameters)
    ]


def _are_several(trials: Sequence[TrialHistory], parameters: Sequence[str]) -> bool:
    """Tell whether parallel coordinates of these parameters would show more than one trial."""
    known = (trial.started.parameters.keys() for trial in trials)
    return bool(parameters) and sum(set(parameters) <= each for each in known) > 1


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


def _images(keys: Sequence[str]) -> Json:
    return _chart("IMAGE", "images", _IMAGES, imageKeys=list(keys), step=0, showRunParams=False)


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
