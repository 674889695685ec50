"""What a study's records say in files: the artifacts of MLflow's runs, by their paths."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, uuid5

from tracking.history import TrialHistory
from tracking.home import REPORT
from tracking.mlflow.description import trial_name
from tracking.mlflow.views import image_key
from tracking.objectives import measure_text, measured_of
from tracking.records import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    Json,
    OutputReport,
    ReportWritten,
    StudyStarted,
    TrialEnded,
)

if TYPE_CHECKING:
    from tracking.mlflow.store import MlflowStore

_REPORTS = {
    CLASSIFICATION: "classification_report.json",
    MULTI_LABEL: "labels_report.json",
    REGRESSION: "regression_report.json",
}
_IMAGES = "images/"  # where MLflow looks for the images of its charts


def trial_files(trial: TrialHistory, ended: TrialEnded, study: StudyStarted) -> dict[str, bytes]:
    """Return a finished trial's artifacts by their paths."""
    from tracking.plots.trials import curves_png  # Matplotlib, with the first picture

    name, main = trial_name(trial), measured_of(study)[0]
    score = ended.scores.get(main.name)
    title = f"{name}, out of fold"
    if score is not None:
        title += f": {main.fold} {measure_text(main.name, score)}"
    files = report_files(study, ended.report, ended.confusion, title, at=ended.at)
    if trial.finished_folds():
        title = name if ended.state == "complete" else f"{name} ({ended.state})"
        files["curves.png"] = curves_png(trial, title, main.fold)
    return files | text_files(ended.summary, ended.error)


def report_files(
    study: StudyStarted, report: Json, confusion: list[list[int]], title: str, *, at: float
) -> dict[str, bytes]:
    """Return what shows predictions beside what is true; of several outputs in a folder for each.

    Args:
        study: whose task and names they have.
        report: as `TrialEnded.report`.
        confusion: of classes, as `TrialEnded.confusion`.
        title: of the pictures.
        at: when they were made, seconds since 1970.
    """
    files: dict[str, bytes] = {}
    for output in study.outputs(report, confusion):
        place = f"{output.name}/" if output.name else ""
        more = f"{title}; output {output.name}" if output.name else title
        for name, content in _pictures(output, more, at).items():
            files[name if name.startswith(_IMAGES) else place + name] = content
        if output.report:
            file = _REPORTS.get(output.study.task, "report.json")
            files[place + file] = _json(output.report)
    return files


def _pictures(output: OutputReport, title: str, at: float) -> dict[str, bytes]:
    # Matplotlib, with the first picture
    from tracking.plots.predictions import labels_png, numbers_png

    study, report, key = output.study, output.report, image_key(output)
    if output.confusion:
        return _confusion_files(output.confusion, study.classes, key, title, at)
    if study.task == REGRESSION and report:
        picture = numbers_png(report["numbers"], title)
        return {"predictions.png": picture} | _image_files(key, picture, title, at)
    if study.task == MULTI_LABEL and report:
        picture = labels_png(report["confusion"], title)
        matrices = {"rows": "true", "columns": "predicted", "matrices": report["confusion"]}
        return {
            "confusion_matrices.png": picture,
            "confusion_matrices.json": _json(matrices),
            **_image_files(key, picture, title, at),
        }
    return {}


def _confusion_files(
    confusion: list[list[int]], classes: list[str], key: str, title: str, at: float
) -> dict[str, bytes]:
    """Return a confusion matrix as data, as a picture, and as an image of MLflow's image charts."""
    from tracking.plots.trials import confusion_matrix_png  # Matplotlib, with the first picture

    names = [*classes, *(f"class {n}" for n in range(len(classes), len(confusion)))]
    picture = confusion_matrix_png(confusion, names[: len(confusion)], title)
    matrix = {"classes": names, "rows": "true", "columns": "predicted", "matrix": confusion}
    return {
        "confusion_matrix.png": picture,
        "confusion_matrix.json": _json(matrix),
        **_image_files(key, picture, title, at),
    }


def _image_files(key: str, picture: bytes, title: str, at: float) -> dict[str, bytes]:
    """Return a picture for MLflow's charts, which show images in two sizes.

    Their names follow MLflow's own scheme.
    """
    from tracking.plots.trials import thumbnail

    image = f"{_IMAGES}{key}+step+0+timestamp+{round(at * 1000)}+{uuid5(NAMESPACE_OID, title)}"
    return {f"{image}.png": picture, f"{image}+compressed.png": thumbnail(picture)}


def text_files(summary: str, error: str = "") -> dict[str, bytes]:
    """Return the artifacts that are text; what is empty is left out."""
    files = {"model_summary.txt": summary.encode(), "error.txt": error.encode()}
    return {name: content for name, content in files.items() if content}


def show_report(store: "MlflowStore", run_id: str, record: ReportWritten) -> None:
    """File the report with a study's run; the tag `search.report` says where it was written.

    A file that is gone, or was replaced by a later report, is not filed.
    """
    try:
        content = Path(record.file).read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() == record.sha256:
        store.upload(run_id, {REPORT: content})
        store.log(run_id, tags={"search.report": REPORT})
    else:
        note = f"not filed: {record.file} is no longer this report"
        store.log(run_id, tags={"search.report": note})


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode()
