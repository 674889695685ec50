"""MLflow's server as `ui` starts it: its pages open on trials, not on language-model traces.

MLflow 3.17 decides in the browser which of its two faces it shows: by `workflowType` in an address,
else by a setting of the browser's, which is for language models until somebody changes it. No tag
of an experiment counts. So an experiment that is opened from MLflow's list shows no trial. The page
that is served here sets what the browser has not set yet, and nothing else; what a user chooses
later stays. Experiments opened from the list, and all of them side by side, have columns with
scores. An address without a page leads to the study that was worked on last.

MLflow finds `create_app` by the entry point `foldwise` in the group `mlflow.app`.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.mlflow.views import BEST, TAG_PREFIX, TRIALS, decode_view, view_path
from tracking.records import Json

if TYPE_CHECKING:
    from fastapi import FastAPI

APP = "foldwise"
_TOGETHER = ("attributes.`Experiment Name`",)  # the first column of several studies
STORE = "FOLDWISE_UI_STORE"  # environment variable: the served store's address
# As MLflow's pages keep them, each with the version of its meaning.
_KEPT = "MLflowLocalStorage-1.1-ExperimentPage-{experiments}-ReactComponentState"
_SETTINGS = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,  # else its assistant covers the trials
}
_SCRIPT = """<script>
try {
  for (const [name, value] of Object.entries(SETTINGS))
    if (localStorage.getItem(name) === null) localStorage.setItem(name, JSON.stringify(value));
} catch {}
if (!location.hash && START) location.replace(START);
</script>"""


def is_installed() -> bool:
    """Tell whether MLflow's server finds `create_app`; an installation may be an earlier one."""
    return bool(entry_points(group="mlflow.app", name=APP))


def create_app() -> "FastAPI":
    """Return MLflow's server with a front page of ours."""
    from flask import Response
    from mlflow.server import app as pages
    from mlflow.server.fastapi_app import app

    served = pages.view_functions["serve"]
    index = Path(pages.static_folder or "", "index.html")

    def front_page() -> Any:
        if not index.is_file():
            return served()  # MLflow says what is missing
        try:
            start, settings = _studies(os.environ.get(STORE, ""))
        except Exception:  # noqa: BLE001 # of a store that MLflow's own pages will tell of
            start, settings = "", {}
        page = with_settings(index.read_text("utf-8"), settings, start)
        return Response(page, mimetype="text/html", headers={"Cache-Control": "no-store"})

    pages.view_functions["serve"] = front_page
    made: FastAPI = app
    return made


def with_settings(page: str, settings: Json, start: str) -> str:
    """Return MLflow's page such that a browser sees trials first.

    Args:
        page: as MLflow serves it.
        settings: of the browser's, beside those that do not depend on studies.
        start: where an address without a page leads, from its `#` on; empty for MLflow's own.
    """
    script = _SCRIPT.replace("SETTINGS", _literal(_SETTINGS | settings))
    script = script.replace("START", _literal(start))
    return page.replace("<head>", f"<head>{script}", 1)


def _studies(store: str) -> tuple[str, Json]:
    """Return the way to the study that began a trial last, and what pages of studies show.

    Of the hundred newest studies, and of the twenty newest ones.
    """
    from mlflow import MlflowClient

    if not store:
        return "", {}
    client = MlflowClient(store)
    known = client.search_experiments(
        max_results=100, filter_string="tags.`search.study_id` LIKE '%'"
    )
    latest = client.search_runs(
        [experiment.experiment_id for experiment in known],
        TRIALS,
        max_results=1,
        order_by=["start_time DESC"],
    )
    newest = [run.info.experiment_id for run in latest] + [e.experiment_id for e in known]
    start = view_path(newest[0], BEST).removeprefix("/") if newest else ""
    return start, shown_columns({e.experiment_id: e.tags for e in known}, most=20)


def shown_columns(studies: Mapping[str, Mapping[str, str]], most: int) -> Json:
    """Return what MLflow's pages keep of a table's columns: of each study, and of all together.

    Args:
        studies: the tags of the experiments by their identifiers.
        most: of so many studies.
    """
    tables: dict[str, Json] = {}
    for experiment, tags in studies.items():
        with suppress(KeyError, ValueError):  # a view that somebody has saved anew
            tables[experiment] = decode_view(tags[TAG_PREFIX + BEST])[1]
    settings = {
        _KEPT.format(experiments=_ids([experiment])): _columns(table)
        for experiment, table in [*tables.items()][:most]
    }
    if len(studies) > 1:
        scores = [_columns(table)["selectedColumns"][:3] for table in tables.values()]
        columns = dict.fromkeys([*_TOGETHER, *(column for each in scores for column in each)])
        settings[_KEPT.format(experiments=_ids(studies))] = {"selectedColumns": [*columns]}
    return settings


def _columns(table: Json) -> Json:
    names = ("selectedColumns", "columnOrder", "columnWidths")
    return {name: table[name] for name in names if name in table}


def _ids(experiments: Iterable[str]) -> str:
    return json.dumps(sorted(experiments), separators=(",", ":"))


def _literal(value: object) -> str:
    """Return a value as JavaScript within HTML has it."""
    return json.dumps(value).replace("<", "\\u003c")
