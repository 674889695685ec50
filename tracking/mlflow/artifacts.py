"""What a study's records say in files: the artifacts of MLflow's runs, by their paths."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, uuid5

from tracking.history import TrialHistory
from tracking.home import REPORT
from tracking.mlflow.description import trial_name
from tracking.mlflow.views import IMAGE_KEY
from tracking.records import Json, ReportWritten, TrialEnded

if TYPE_CHECKING:
    from tracking.mlflow.store import MlflowStore


def trial_files(trial: TrialHistory, ended: TrialEnded, classes: list[str]) -> dict[str, bytes]:
    """Return a finished trial's artifacts by their paths."""
    from tracking.plots.trials import curves_png  # Matplotlib, with the first picture

    name = trial_name(trial)
    files: dict[str, bytes] = {}
    if ended.confusion:
        score = ended.scores.get("cv_accuracy")
        title = f"{name}, out of fold" + (f": accuracy {score:.4f}" if score is not None else "")
        files |= confusion_files(ended.confusion, classes, title, at=ended.at)
    if trial.finished_folds():
        title = name if ended.state == "complete" else f"{name} ({ended.state})"
        files["curves.png"] = curves_png(trial, title)
    return files | text_files(ended.report, ended.summary, ended.error)


def confusion_files(
    confusion: list[list[int]], classes: list[str], title: str, *, at: float
) -> dict[str, bytes]:
    """Return a confusion matrix as data, as a picture, and as an image of MLflow's image charts.

    MLflow's charts show images whose file names follow its own scheme, each in two sizes.
    """
    # Matplotlib, with the first picture
    from tracking.plots.trials import confusion_matrix_png, thumbnail

    names = [*classes, *(f"class {n}" for n in range(len(classes), len(confusion)))]
    picture = confusion_matrix_png(confusion, names[: len(confusion)], title)
    matrix = {"classes": names, "rows": "true", "columns": "predicted", "matrix": confusion}
    moment = round(at * 1000)
    image = f"images/{IMAGE_KEY}+step+0+timestamp+{moment}+{uuid5(NAMESPACE_OID, title)}"
    return {
        "confusion_matrix.png": picture,
        "confusion_matrix.json": _json(matrix),
        f"{image}.png": picture,
        f"{image}+compressed.png": thumbnail(picture),
    }


def text_files(report: Json, summary: str = "", error: str = "") -> dict[str, bytes]:
    """Return the artifacts that are text; what is empty is left out."""
    files = {
        "classification_report.json": _json(report) if report else b"",
        "model_summary.txt": summary.encode(),
        "error.txt": error.encode(),
    }
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
