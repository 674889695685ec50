"""The `final` run: the exported model, filed and registered, and its scores on the test set."""

import hashlib
import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tracking import run_files
from tracking.history import History
from tracking.mlflow import mapping as runs
from tracking.mlflow.mapping import Point, RunKey, Tags
from tracking.records import ModelExported, StudyStarted, TestSetOpened

if TYPE_CHECKING:
    from tracking.mlflow.store import MlflowStore

MODEL_FILE = "model.keras"
CARD_FILE = "MODEL_CARD.md"


def show_final(
    store: "MlflowStore",
    record: ModelExported | TestSetOpened,
    history: History,
    *,
    folder: Path,
) -> None:
    """Show an export or an opening of the test set in the run of that model.

    Args:
        store: the study's experiment, open.
        record: what happened.
        history: everything up to `record`.
        folder: what relative export folders are relative to.
    """
    run_id = _final_run(store, record, history)
    if isinstance(record, ModelExported):
        _show_training(store, run_id, record)
        _file_model(store, run_id, record, history.known_study(), folder / record.folder)
    else:
        _show_test(store, run_id, record, history)
    store.finish(run_id, "FINISHED", at=record.at)


def _final_run(
    store: "MlflowStore", record: ModelExported | TestSetOpened, history: History
) -> str:
    key = RunKey("final", record.trial, model=record.model_sha256)
    run = store.find(key)
    if run is None:
        tags = runs.common_tags(history) | key.tags() | {"mlflow.runName": "final"}
        run = store.create(key, tags, at=record.at - getattr(record, "train_seconds", 0.0))
    trial = history.trials.get(record.trial)
    store.log(run.id, params=runs.text_params(trial.started.parameters if trial else {}))
    return run.id


def _show_training(store: "MlflowStore", run_id: str, record: ModelExported) -> None:
    curves = [
        Point(name, value, record.at, epoch)
        for epoch, row in enumerate(record.curves, start=1)
        for name, value in row.items()
    ]
    sums = [
        Point("train_seconds", record.train_seconds, record.at),
        Point("model_parameters", record.model_parameters, record.at),
    ]
    store.log(run_id, points=curves + sums)
    from tracking.plots.trials import training_curves_png  # Matplotlib, with the first picture

    title = f"trained on all training data with the setting of trial {record.trial}"
    files = {"curves.png": training_curves_png(record.curves, title)} if record.curves else {}
    store.upload(run_id, files | run_files.text_files({}, record.summary))


def _file_model(
    store: "MlflowStore", run_id: str, record: ModelExported, study: StudyStarted, folder: Path
) -> None:
    mlflow_models = _import_models()
    path, card = folder / MODEL_FILE, folder / CARD_FILE
    if not path.is_file() or _sha256(path) != record.model_sha256:
        # An export that was moved, or overwritten by a later one, before MLflow could be reached.
        store.log(run_id, tags={"search.model": f"not filed: {path} is no longer this model"})
        return
    model = mlflow_models.KerasFile(
        path,
        record.model_sha256,
        tuple(record.requirements),
        len(study.classes),
        *_saved_model(record, folder),
        kind=study.kind,
        own=tuple(str(name) for each in record.formats for name in each.get("own", ())),
        space=study.space,
    )
    marks = {"search.study": study.study, "search.trial": str(record.trial)}
    marks |= {"search.needs": model.needs} if model.needs else {}
    model_id = mlflow_models.log_model(
        store.client, model, experiment_id=store.experiment_id, run_id=run_id, tags=marks
    )
    if card.is_file():
        store.upload(run_id, {CARD_FILE: card.read_bytes()})
    given = mlflow_models.Given(record.alias, record.alias_reason, record.at)
    name, version = mlflow_models.register(
        store.client,
        model_id,
        given,
        name=study.study,
        study_id=study.id,
        tags=marks,
        needs=model.needs,
    )
    told = {"search.alias": record.alias, "search.alias_reason": record.alias_reason}
    store.log(run_id, tags={"search.model": f"models:/{name}/{version}", **told})


def _saved_model(record: ModelExported, folder: Path) -> tuple[Path | None, tuple[int, ...]]:
    """Return the SavedModel of an export, and the shape of one sample as it takes it."""
    for each in record.formats:
        if each.get("format") == "saved_model" and (folder / str(each["file"])).is_dir():
            return folder / str(each["file"]), tuple(each.get("raw_shape", ()))
    return None, ()


def _import_models() -> ModuleType:
    # MLflow warns at its import of a type hint of its own; nothing that a user could mend.
    warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType")
    from tracking.mlflow import models as mlflow_models

    return mlflow_models


def _show_test(store: "MlflowStore", run_id: str, record: TestSetOpened, history: History) -> None:
    of_model = [o for o in history.test_openings if o.model_sha256 == record.model_sha256]
    scores = {
        "test_accuracy": record.accuracy,
        "test_loss": record.loss,
        "test_macro_f1": record.macro_f1,
    }
    # The time of the model's first opening: the same score once more is not a second point.
    first = min(opening.at for opening in of_model)
    tags: Tags = {
        "search.test_openings": str(sum(o.at <= record.at for o in of_model)),
        "mlflow.loggedImages": "True",
    }
    points = [Point(name, value, first) for name, value in scores.items() if value is not None]
    store.log(run_id, points=points, tags=tags)
    title = f"test set: accuracy {record.accuracy:.4f}"
    classes = history.known_study().classes
    files = run_files.confusion_files(record.confusion, classes, title, at=first)
    store.upload(run_id, files | run_files.text_files(record.report))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
