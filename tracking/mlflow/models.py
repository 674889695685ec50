"""An export in MLflow: its run, and the model with signature, requirements and registration.

The `.keras` file is filed as it is, not loaded and saved again: what is registered is what was
scored, byte for byte, and no process that ships records needs TensorFlow. The folder is that of
MLflow's own flavor for Keras 3, so `mlflow.keras.load_model` and `mlflow models serve` read it.

Both take raw samples. Where a SavedModel was exported, too, MLflow's flavor for TensorFlow serves
that: it takes words as well (texts, columns with categories), and gives several outputs by name.
Both give one value for each class, label or number. Nothing is pickled.
"""

import hashlib
import json
import platform
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import yaml
from mlflow import MlflowClient, pyfunc
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from tracking.history import History
from tracking.home import CARD, MODEL, RELIABILITY
from tracking.mlflow import artifacts
from tracking.mlflow import mapping as runs
from tracking.mlflow.description import score_text, study_label
from tracking.mlflow.mapping import Point, RunKey, Tags
from tracking.mlflow.store import MlflowStore
from tracking.objectives import measure_text, measured_of
from tracking.records import MULTI_OUTPUT, Json, ModelExported, StudyStarted, TestSetOpened
from tracking.text import counted, listed

Units: TypeAlias = int | Mapping[str, int]

_DIGEST, _MODEL_ID, _EXPORTED = "search.model_sha256", "search.model_id", "search.exported_at"
_ABOUT = (
    "The models exported from one study. The one to use has the alias `champion`; each version says"
    " whose params it has, how good it is and when it was exported."
)
# By SavedModels, as they are.
_TAKEN = {"text": str, "table": np.float32, "image": np.uint8, "sequence": np.float32}


@dataclass(frozen=True)
class NamedTensor:
    """A tensor that a SavedModel takes by its name.

    Attributes:
        name: of it.
        type: `str` for strings, else a dtype.
        shape: of one sample.
    """

    name: str
    type: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class KerasFile:
    """An exported model.

    Attributes:
        path: the `.keras` file.
        sha256: its digest.
        requirements: pinned packages, pip's notation.
        units: number of values it gives for a sample: of its classes, labels or numbers; of
            several outputs those of each by its name.
        saved_model: the SavedModel of the same export, None where there is none.
        raw_shape: of one sample as that takes it; empty for a text.
        raw_type: of its numbers; empty for the kind's own.
        tensors: each tensor that it takes by its name.
        returns: dtype of the values.
        kind: of the samples: `image`, `text` or `table`.
    """

    path: Path
    sha256: str
    requirements: Sequence[str]
    units: Units
    saved_model: Path | None = None
    raw_shape: tuple[int, ...] = ()
    raw_type: str = ""
    tensors: Sequence[NamedTensor] = ()
    returns: str = "float32"
    kind: str = "image"

    @property
    def loses_digits(self) -> bool:
        """Whether MLflow would serve it wrongly.

        Its wrapper calls Keras's `predict`, which rounds float64 to float32 before a model sees it.
        """
        return self.saved_model is None and self.raw_type == "float64"


@dataclass(frozen=True)
class Given:
    """An alias, as an export gave it.

    Attributes:
        alias: `champion` or `challenger`.
        reason: one sentence.
        at: when, seconds since 1970 (UTC).
    """

    alias: str
    reason: str
    at: float


def show_final(
    store: MlflowStore,
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
        _file_model(store, run_id, record, history, folder / record.folder)
    else:
        _show_test(store, run_id, record, history)
    made = _export_of(record, history) or record
    store.finish(run_id, "FINISHED", at=made.at)  # a test later on is no part of the training


def log_model(
    client: MlflowClient, model: KerasFile, *, experiment_id: str, run_id: str, tags: Tags
) -> str:
    """File the model with the run, once, and return MLflow's identifier of it."""
    query = f"tags.`{_DIGEST}` = '{model.sha256}' AND source_run_id = '{run_id}'"
    found = client.search_logged_models([experiment_id], query)
    logged = next(iter(found), None) or client.create_logged_model(
        experiment_id, name="model", source_run_id=run_id, tags={**tags, _DIGEST: model.sha256}
    )
    if str(logged.status) == "READY":
        return str(logged.model_id)
    with tempfile.TemporaryDirectory(prefix="foldwise-") as folder:
        description = Model(
            artifact_path=logged.artifact_location,
            run_id=run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
            signature=_signature(model),
        )
        _write_folder(Path(folder), model, description)
        client.log_model_artifacts(logged.model_id, folder)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id)


def register(
    client: MlflowClient,
    model_id: str,
    given: Given,
    *,
    name: str,
    study_id: str,
    tags: Tags,
    description: str,
) -> tuple[str, str]:
    """Register the model, once, give it its alias, and return name and version.

    A registered model of that name that is not this study's is left alone; this study's is then
    called `NAME-<first 8 digits of its id>`. An alias that a later export gave, or that points to
    a model exported later, stays where it is.

    Args:
        client: MLflow's.
        model_id: MLflow's identifier of the filed model.
        given: its alias.
        name: of the registered model, the study's.
        study_id: whose it is.
        tags: of the version.
        description: of the version.
    """
    name = _registered_name(client, re.sub(r"[/:.%\"'\\]", "-", name), study_id)
    # By a tag: MLflow's search does not give the models that versions were made of.
    known = client.search_model_versions(f"name = '{name}'")
    version = next((v for v in known if v.tags.get(_MODEL_ID) == model_id), None)
    marks = {_EXPORTED: repr(given.at), "search.alias": given.alias}
    if version is None:
        logged = client.get_logged_model(model_id)
        version = client.create_model_version(
            name,
            source=logged.artifact_location,
            run_id=logged.source_run_id,
            model_id=model_id,
            tags={**tags, **marks, _MODEL_ID: model_id},
            description=description,
        )
    number = str(version.version)
    _say(client, version, description, tags)
    if _is_newest(client, name, given):
        client.set_registered_model_alias(name, given.alias, number)
        for key, value in marks.items():
            client.set_model_version_tag(name, number, key, value)
    return name, number


def _say(client: MlflowClient, version: ModelVersion, description: str, tags: Tags) -> None:
    """Give a version its description and tags where it has others."""
    name, number = version.name, str(version.version)
    if version.description != description:
        client.update_model_version(name, number, description)
    for key, value in tags.items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(name, number, key, value)


def _is_newest(client: MlflowClient, name: str, given: Given) -> bool:
    """Say whether no later export has given the alias, or been given it."""
    try:
        holder = client.get_model_version_by_alias(name, given.alias)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return True  # nobody has it
    return float(holder.tags.get(_EXPORTED, 0.0)) <= given.at


def _signature(model: KerasFile) -> ModelSignature | None:
    if model.saved_model is None:
        return signature(model.path, model.units, model.returns)
    taken = [TensorSpec(np.dtype(t.type), (-1, *t.shape), t.name) for t in model.tensors] or [
        TensorSpec(np.dtype(model.raw_type or _TAKEN[model.kind]), (-1, *model.raw_shape))
    ]
    return ModelSignature(inputs=Schema(taken), outputs=_values(model.units, model.returns))


def _values(units: Units, kind: str) -> Schema:
    if isinstance(units, int):
        return Schema([TensorSpec(np.dtype(kind), (-1, units))])
    return Schema([TensorSpec(np.dtype(kind), (-1, own), name) for name, own in units.items()])


def signature(path: Path, units: Units, returns: str = "float32") -> ModelSignature | None:
    """Return the signature written in a `.keras` file; None when it does not say its inputs.

    Args:
        path: the `.keras` file, read as the archive it is; nothing in it is executed.
        units: the width of the output, or of several by name: a value for each class, label or
            number.
        returns: its dtype.
    """
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(layers, list):  # a class of its own may mean anything by that word
        return None
    inputs = [
        layer["config"]
        for layer in layers
        if isinstance(layer, dict) and layer.get("class_name") == "InputLayer"
    ]
    if not inputs or not all(each.get("batch_shape") for each in inputs):
        return None
    is_one = len(inputs) == 1
    if not is_one and not all(each.get("name") for each in inputs):
        return None
    taken = [_taken(each, None if is_one else str(each["name"])) for each in inputs]
    return ModelSignature(inputs=Schema(taken), outputs=_values(units, returns))


def _taken(layer: Json, name: str | None) -> TensorSpec:
    shape = [-1 if size is None else int(size) for size in layer["batch_shape"]]
    return TensorSpec(np.dtype(layer.get("dtype") or "float32"), (-1, *shape[1:]), name)


def _write_folder(folder: Path, model: KerasFile, description: Model) -> None:
    data = folder / "data"
    data.mkdir()
    shutil.copyfile(model.path, data / MODEL)
    served = "mlflow.keras"
    if model.saved_model is None:  # with both flavors MLflow would serve Keras's
        (data / "keras_module.txt").write_text("keras")
        description.add_flavor(
            "keras",
            data="data",
            keras_version=_keras_version(model.path),
            keras_backend="tensorflow",
            save_exported_model=False,
        )
    else:
        served = "mlflow.tensorflow"
        shutil.copytree(model.saved_model, folder / "tf2model")
        kind: dict[str, Any] = {"model_type": "tf2-module"}
        if model.tensors:  # MLflow calls a module with one tensor only, a signature with several
            kind = {
                "model_type": "tf1-estimator",
                "meta_graph_tags": ["serve"],
                "signature_def_key": "serving_default",
            }
        description.add_flavor("tensorflow", saved_model_dir="tf2model", **kind)
    if not model.loses_digits:
        pyfunc.add_to_model(
            description, served, conda_env="conda.yaml", python_env="python_env.yaml"
        )
    description.model_size_bytes = sum(
        path.stat().st_size for path in folder.rglob("*") if path.is_file()
    )
    description.save(str(folder / "MLmodel"))
    _write_environment(folder, ["mlflow", *model.requirements])


def _write_environment(folder: Path, requirements: list[str]) -> None:
    python = platform.python_version()
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n")
    environment = {"python": python, "dependencies": ["-r requirements.txt"]}
    conda: dict[str, Any] = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": requirements}],
    }
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment))
    (folder / "conda.yaml").write_text(yaml.safe_dump(conda))


def _keras_version(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return str(json.loads(archive.read("metadata.json"))["keras_version"])


def _registered_name(client: MlflowClient, name: str, study_id: str) -> str:
    """Return the name of the study's registered model; one made under a former name keeps it."""
    known = client.search_registered_models(
        filter_string=f"tags.`search.study_id` = '{study_id}'", max_results=1
    )
    if known:
        return str(known[0].name)
    for candidate in (name, f"{name}-{study_id[:8]}"):
        try:
            found = client.get_registered_model(candidate)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            client.create_registered_model(candidate, {"search.study_id": study_id}, _ABOUT)
            return candidate
        if found.tags.get("search.study_id") == study_id:
            return candidate
    raise ValueError(
        f"the registered models {name!r} and {candidate!r} both belong to others;"
        " rename or delete one in MLflow"
    )


def _final_run(store: MlflowStore, record: ModelExported | TestSetOpened, history: History) -> str:
    key = RunKey("final", record.trial, model=record.model_sha256)
    name = runs.run_label(history, key)
    run = store.find(key, name)
    if run is None:
        tags = runs.common_tags(history) | key.tags()
        began = record.at - getattr(record, "train_seconds", 0.0)
        run = store.create(key, name, tags, at=began)
    trial = history.trials.get(record.trial)
    store.log(run.id, params=runs.text_params(trial.started.parameters if trial else {}))
    return run.id


def _show_training(store: MlflowStore, run_id: str, record: ModelExported) -> None:
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

    title = f"trained on {_samples(record)} with the params of trial {record.trial}"
    files = {"curves.png": training_curves_png(record.curves, title)} if record.curves else {}
    store.upload(run_id, files | artifacts.text_files(record.summary))


def _file_model(
    store: MlflowStore, run_id: str, record: ModelExported, history: History, folder: Path
) -> None:
    path, card, study = folder / MODEL, folder / CARD, history.known_study()
    if not path.is_file() or _sha256(path) != record.model_sha256:
        # An export that was moved, or overwritten by a later one, before MLflow could be reached.
        store.log(run_id, tags={"search.model": f"not filed: {path} is no longer this model"})
        return
    model = KerasFile(
        path,
        record.model_sha256,
        tuple(record.requirements),
        _units(study),
        **_served(record, study, folder),
        kind=study.kind,
    )
    marks = {"search.study": study.study, "search.trial": str(record.trial)}
    marks |= {"search.score": _score(record, history), "search.exported": _date(record)}
    marks |= {"search.samples": str(record.samples)} if record.samples else {}
    marks |= {"search.averages": record.averages} if record.averages else {}
    needs = _needs(record, study)
    marks |= {"search.needs": needs} if needs else {}
    model_id = log_model(
        store.client, model, experiment_id=store.experiment_id, run_id=run_id, tags=marks
    )
    if card.is_file():
        store.upload(run_id, {CARD: card.read_bytes()})
    given = Given(record.alias, record.alias_reason, record.at)
    name, version = register(
        store.client,
        model_id,
        given,
        name=study.study,
        study_id=study.id,
        tags=marks,
        description=_version_text(record, history),
    )
    told = {"search.alias": record.alias, "search.alias_reason": record.alias_reason}
    store.log(run_id, tags={"search.model": f"models:/{name}/{version}", **told})


def _version_text(record: ModelExported, history: History, test: str = "") -> str:
    """Return what a registered version is: whose model, how good, since when, and why so called.

    Args:
        record: its export.
        history: everything up to then, or later.
        test: its score on the test set, where that was opened for it.
    """
    study = history.known_study()
    told = ", ".join(filter(None, (_score(record, history), test)))
    first = f"{told}; exported {_date(record)}, params of trial {record.trial} of"
    first += f" {study_label(study)}."
    more = _trained(record), record.alias_reason, _predicted(study, record), _needs(record, study)
    return " ".join(filter(None, (first, *more)))


def _samples(record: ModelExported) -> str:
    return counted(f"{record.samples:,}", "sample") if record.samples else "all training data"


def _trained(record: ModelExported) -> str:
    """Return what it was trained on and what it averages, one sentence; of earlier ones nothing."""
    if not record.samples:
        return ""
    average = f"The average of {record.averages}, trained" if record.averages else "Trained"
    return f"{average} on {_samples(record)}."


def _needs(record: ModelExported, study: StudyStarted) -> str:
    """Return what must be done before Keras opens the archive, one sentence, or nothing.

    What in it is not Keras's own can be opened only where its code has been imported.
    """
    own = [str(name) for each in record.formats for name in each.get("own", ())]
    formats = {str(each.get("format")): each for each in record.formats}
    if not own and formats.get("keras", {}).get("raw_type") != "float64":
        return ""
    if not own:
        return (
            "Its rows need float64, which Keras's `predict` rounds to float32: call the model that"
            " `mlflow.keras.load_model` gives, `model(rows)`. `mlflow models serve` needs an export"
            " with `saved_model`."
            if "saved_model" not in formats
            else ""
        )
    return (
        f"`model.keras` holds {', '.join(own[:5])}: import the code of space {study.space}"
        " before `mlflow.keras.load_model`."
    )


def _score(record: ModelExported, history: History) -> str:
    """Return the score that a model's trial has in cross-validation, for people."""
    trial = history.trials.get(record.trial)
    if trial is None or trial.value is None:
        return "Score not known"
    return score_text(history, trial)


def _date(record: ModelExported) -> str:
    return f"{datetime.fromtimestamp(record.at, UTC):%Y-%m-%d %H:%M} UTC"


def _export_of(record: ModelExported | TestSetOpened, history: History) -> ModelExported | None:
    """Return the export of a record's model; None where the journal has none."""
    same = (e for e in history.exports if e.model_sha256 == record.model_sha256)
    return next(same, None)


def _units(study: StudyStarted) -> Units:
    each = {output.name: len(output.study.classes) for output in study.outputs({})}
    return each if study.task == MULTI_OUTPUT else len(study.classes)


def _predicted(study: StudyStarted, record: ModelExported) -> str:
    """Return a sentence on what a model predicts; nothing of classes, which the card lists."""
    names = listed(study.classes)
    if study.task == MULTI_OUTPUT:
        each = (f"{output.name} ({output.study.task})" for output in study.outputs({}))
        told = f"It gives a dictionary of outputs: {listed(each)}."
        if not any(each.get("format") == "saved_model" for each in record.formats):
            told += (
                " Load it with `mlflow.keras.load_model`: MLflow's `pyfunc` knows one output of"
                " Keras only; `mlflow models serve` needs an export with `saved_model`."
            )
        return told
    return {
        "regression": f"It predicts {names} in the targets' own unit.",
        "multi-label": f"It gives the probability of each label: {names}.",
    }.get(study.task, "")


def _served(record: ModelExported, study: StudyStarted, folder: Path) -> dict[str, Any]:
    """Return what `KerasFile` says of what is served: the SavedModel, else the archive."""
    formats = {str(each.get("format")): each for each in record.formats}
    served = formats.get("saved_model")
    if served is None or not (folder / str(served["file"])).is_dir():
        own = formats.get("keras", {})
        return {"returns": _returned(own), "raw_type": str(own.get("raw_type", ""))}
    return {
        "saved_model": folder / str(served["file"]),
        "raw_shape": tuple(served.get("raw_shape", ())),
        "raw_type": str(served.get("raw_type", "")),
        "tensors": _tensors(served, study),
        "returns": _returned(served),
    }


def _tensors(served: Json, study: StudyStarted) -> tuple[NamedTensor, ...]:
    """Return the tensors that a SavedModel takes by names; MLflow wants one for several outputs."""
    found = tuple(
        NamedTensor(t["name"], t["type"], tuple(t.get("shape", ())))
        for t in served.get("tensors", ())
    )
    if found or study.task != MULTI_OUTPUT:
        return found
    kind = str(served.get("raw_type") or "str")
    return (NamedTensor(served["tensor"], kind, tuple(served["raw_shape"])),)


def _returned(entry: Json) -> str:
    return str(entry.get("returns", "float32"))  # earlier versions wrote nothing else


def _show_test(store: MlflowStore, run_id: str, record: TestSetOpened, history: History) -> None:
    of_model = [o for o in history.test_openings if o.model_sha256 == record.model_sha256]
    own = {"accuracy": record.accuracy, "loss": record.loss, "macro_f1": record.macro_f1}
    scores = {name: value for name, value in own.items() if value is not None} | record.scores
    # The time of the model's first opening: the same score once more is not a second point.
    first = min(opening.at for opening in of_model)
    tags: Tags = {
        "search.test_openings": str(sum(o.at <= record.at for o in of_model)),
        "mlflow.loggedImages": "True",
    }
    points = [Point(f"test_{name}", value, first) for name, value in scores.items()]
    store.log(run_id, points=points, tags=tags)
    title = "test set"
    if record.accuracy is not None:
        title += f": accuracy {record.accuracy:.4f}"
    study = history.known_study()
    files = artifacts.report_files(study, record.report, record.confusion, title, at=first)
    if record.reliability:
        from tracking.plots.probabilities import test_reliability_png

        files |= {RELIABILITY: test_reliability_png(record, study.study)}
    store.upload(run_id, files)
    main = measured_of(study)[0]
    _say_test(store, run_id, record, history, main.fold, scores.get(main.fold))


def _say_test(
    store: MlflowStore,
    run_id: str,
    record: TestSetOpened,
    history: History,
    metric: str,
    score: float | None,
) -> None:
    """Say of the registered version how good its model is on the test set."""
    made = _export_of(record, history)
    tags = store.client.get_run(run_id).data.tags
    filed = re.fullmatch(r"models:/(.+)/(\d+)", tags.get("search.model", ""))
    if made is None or filed is None or score is None:
        return
    test = f"test {metric} {measure_text(metric, score)}"
    text = _version_text(made, history, test)
    version = store.client.get_model_version(*filed.groups())
    _say(store.client, version, text, {"search.test_score": test})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
