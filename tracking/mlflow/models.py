"""An exported Keras model as MLflow's model, with signature, requirements and registration.

The `.keras` file is filed as it is, not loaded and saved again: what is registered is what was
scored, byte for byte, and no process that ships records needs TensorFlow. The folder is that of
MLflow's own flavor for Keras 3, so `mlflow.keras.load_model` and `mlflow models serve` read it.

Where a SavedModel was exported, too, MLflow's flavor for TensorFlow serves that: it takes samples
as they are (texts, rows, images) and gives one probability a class. Nothing is pickled.
"""

import json
import platform
import re
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from mlflow import MlflowClient, pyfunc
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from tracking.mlflow.mapping import Tags

_DIGEST, _MODEL_ID, _EXPORTED = "search.model_sha256", "search.model_id", "search.exported_at"
_TAKEN = {"text": str, "table": np.float32, "image": np.uint8}  # by SavedModels, as they are


@dataclass(frozen=True)
class KerasFile:
    """An exported model.

    Attributes:
        path: the `.keras` file.
        sha256: its digest.
        requirements: pinned packages, pip's notation.
        classes: number of classes it tells apart.
        saved_model: the SavedModel of the same export, None where there is none.
        raw_shape: of one sample as that takes it; empty for a text.
        kind: of the samples: `image`, `text` or `table`.
        own: names of what in the archive is not Keras's own; it can be opened only where their
            code has been imported.
        space: reference of the space that this code is in.
    """

    path: Path
    sha256: str
    requirements: Sequence[str]
    classes: int
    saved_model: Path | None = None
    raw_shape: tuple[int, ...] = ()
    kind: str = "image"
    own: Sequence[str] = ()
    space: str = ""

    @property
    def needs(self) -> str:
        """What must be done before Keras opens the archive, one sentence, or nothing."""
        if not self.own:
            return ""
        return (
            f"`model.keras` holds {', '.join(self.own[:5])}: import the code of space {self.space}"
            " before `mlflow.keras.load_model`."
        )


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
    needs: str = "",
) -> tuple[str, str]:
    """Register the model, once, give it its alias, and return name and version.

    A registered model of that name that is not this study's is left alone; this study's is then
    called `NAME-<first 8 digits of its id>`. An alias that a later export gave, or that points to
    a model exported later, stays where it is. The version's description is the alias's reason and
    what the model `needs`.
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
            description=" ".join(filter(None, (given.reason, needs))) or None,
        )
    number = str(version.version)
    if _is_newest(client, name, given):
        client.set_registered_model_alias(name, given.alias, number)
        for key, value in marks.items():
            client.set_model_version_tag(name, number, key, value)
    return name, number


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
        return signature(model.path, model.classes)
    taken = TensorSpec(np.dtype(_TAKEN[model.kind]), (-1, *model.raw_shape))
    return ModelSignature(inputs=Schema([taken]), outputs=_probabilities(model.classes))


def _probabilities(classes: int) -> Schema:
    return Schema([TensorSpec(np.dtype("float32"), (-1, classes))])


def signature(path: Path, classes: int) -> ModelSignature | None:
    """Return the signature written in a `.keras` file; None when it does not say its inputs.

    Args:
        path: the `.keras` file, read as the archive it is; nothing in it is executed.
        classes: the width of the output, class probabilities.
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
    if len(inputs) != 1 or not inputs[0].get("batch_shape"):
        return None
    shape = [-1 if size is None else int(size) for size in inputs[0]["batch_shape"]]
    kind = np.dtype(inputs[0].get("dtype") or "float32")
    return ModelSignature(
        inputs=Schema([TensorSpec(kind, (-1, *shape[1:]))]),
        outputs=_probabilities(classes),
    )


def _write_folder(folder: Path, model: KerasFile, description: Model) -> None:
    data = folder / "data"
    data.mkdir()
    shutil.copyfile(model.path, data / "model.keras")
    served = "mlflow.keras"
    if model.saved_model is None:
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
        description.add_flavor("tensorflow", saved_model_dir="tf2model", model_type="tf2-module")
    pyfunc.add_to_model(description, served, conda_env="conda.yaml", python_env="python_env.yaml")
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
    for candidate in (name, f"{name}-{study_id[:8]}"):
        try:
            found = client.get_registered_model(candidate)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            client.create_registered_model(candidate, tags={"search.study_id": study_id})
            return candidate
        if found.tags.get("search.study_id") == study_id:
            return candidate
    raise ValueError(
        f"the registered models {name!r} and {candidate!r} both belong to others;"
        " rename or delete one in MLflow"
    )
