"""The saved views of a study in MLflow's web pages.

MLflow keeps a named view as an experiment tag: JSON whose `state` is the page's state, compressed.
The format is read off MLflow 3.17's pages; a field another version does not know is ignored there.
"""

import base64
import json
import zlib
from collections.abc import Sequence
from urllib.parse import urlencode

from tracking.mlflow.charts import SCORES, SIZES, compare_charts, searched
from tracking.objectives import Objective, objectives_of
from tracking.records import Json, StudyStarted

TAG_PREFIX = "mlflow.sharedViewState."
BEST = "foldwise-best"
COMPARE = "foldwise-compare"

_TRIALS = "tags.`search.kind` = 'trial'"
_STATE, _BEST, _FRONT = "tags.`search.state`", "tags.`search.best`", "tags.`search.front`"
_FIRST_COLUMNS = {"attributes.`Run Name`": 170, "runDateAndNestInfo": 130, "duration": 80}
_MAX_COLUMNS = 24  # the table gets slow and unreadable with more


def view_tags(study: StudyStarted, *, confirmed: bool = False) -> dict[str, str]:
    """Return the experiment tags that make up the study's saved views.

    Args:
        study: the study.
        confirmed: whether any of its trials was confirmed; these scores then have columns.
    """
    at = round(study.at * 1000)
    return {
        TAG_PREFIX + BEST: _encode("Best trials first", _best_trials(study, confirmed), at),
        TAG_PREFIX + COMPARE: _encode("Compare", _compare(study), at),
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
        "searchFilter": _TRIALS,
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
    state: Json = json.loads(zlib.decompress(base64.b64decode(packed)))
    return view["name"], state


def _encode(name: str, state: Json, at: int) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    view = {"name": name, "createdAt": at, "updatedAt": at, "state": f"deflate;{packed}"}
    return json.dumps(view)


def _best_trials(study: StudyStarted, confirmed: bool) -> Json:
    objectives = [objective.name for objective in objectives_of(study.settings)]
    # The best by its confirmation need not stand first.
    further = [*_metrics([confirmed_name(objectives[0])]), _BEST] if confirmed else []
    front = [_FRONT] if len(objectives) > 1 else []
    params = [f"params.`{name}`" for name in searched(study, conditional=True)]
    sizes = [name for name in SIZES if name != "latency_ms"]  # only measured as an objective
    scores = [*_metrics(objectives), *further, *_metrics(SCORES)]
    columns = _distinct([_STATE, *front, *scores, *params, *_metrics(sizes)])[:_MAX_COLUMNS]
    state = _state(study, columns)
    # MLflow's own order is params, metrics, tags, each by the alphabet.
    state["columnOrder"] = [*_FIRST_COLUMNS, *columns]
    state["columnWidths"] = {**_FIRST_COLUMNS, **{name: _width(name) for name in columns}}
    return state


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


def _compare(study: StudyStarted) -> Json:
    scores = [objective.name for objective in objectives_of(study.settings)]
    return _state(study, [_STATE, *_metrics(scores)]) | compare_charts(study)


def _state(study: StudyStarted, columns: Sequence[str]) -> Json:
    first = objectives_of(study.settings)[0]
    return {
        "searchFilter": _TRIALS,
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
