"""An exported Keras model as MLflow's model, with signature, requirements and registration.

The `.keras` file is filed as it is, not loaded and saved again: what is registered is what was
scored, byte for byte, and no process that ships records needs TensorFlow. The folder is that of
MLflow's own flavor for Keras 3, so `mlflow.keras.load_model` and `mlflow models serve` read it.
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

from tracking.runs import Tags

ALIAS = "champion"
_DIGEST, _MODEL_ID = "search.model_sha256", "search.model_id"


@dataclass(frozen=True)
class KerasFile:
    """An exported model.

    Attributes:
        path: the `.keras` file.
        sha256: its digest.
        requirements: pinned packages, pip's notation.
        classes: number of classes it tells apart.
    """

    path: Path
    sha256: str
    requirements: Sequence[str]
    classes: int


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
            signature=signature(model.path, model.classes),
        )
        _write_folder(Path(folder), model, description)
        client.log_model_artifacts(logged.model_id, folder)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id)


def register(
    client: MlflowClient, model_id: str, *, name: str, study_id: str, tags: Tags
) -> tuple[str, str]:
    """Register the model, once, give it the alias `champion`, and return name and version.

    A registered model of that name that is not this study's is left alone; this study's is then
    called `NAME-<first 8 digits of its id>`.
    """
    name = _registered_name(client, re.sub(r"[/:.%\"'\\]", "-", name), study_id)
    # By a tag: MLflow's search does not give the models that versions were made of.
    known = client.search_model_versions(f"name = '{name}'")
    version = next((v for v in known if v.tags.get(_MODEL_ID) == model_id), None)
    if version is None:
        logged = client.get_logged_model(model_id)
        version = client.create_model_version(
            name,
            source=logged.artifact_location,
            run_id=logged.source_run_id,
            model_id=model_id,
            tags={**tags, _MODEL_ID: model_id},
        )
    client.set_registered_model_alias(name, ALIAS, str(version.version))
    return name, str(version.version)


def signature(path: Path, classes: int) -> ModelSignature | None:
    """Return the signature written in a `.keras` file; None when it does not say its inputs.

    Args:
        path: the `.keras` file, read as the archive it is; nothing in it is executed.
        classes: the width of the output, class probabilities.
    """
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    layers = config.get("config", {}).get("layers", [])
    inputs = [layer["config"] for layer in layers if layer.get("class_name") == "InputLayer"]
    if len(inputs) != 1 or not inputs[0].get("batch_shape"):
        return None
    shape = [-1 if size is None else int(size) for size in inputs[0]["batch_shape"]]
    kind = np.dtype(inputs[0].get("dtype") or "float32")
    return ModelSignature(
        inputs=Schema([TensorSpec(kind, (-1, *shape[1:]))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, classes))]),
    )


def _write_folder(folder: Path, model: KerasFile, description: Model) -> None:
    data = folder / "data"
    data.mkdir()
    shutil.copyfile(model.path, data / "model.keras")
    (data / "keras_module.txt").write_text("keras")
    description.add_flavor(
        "keras",
        data="data",
        keras_version=_keras_version(model.path),
        keras_backend="tensorflow",
        save_exported_model=False,
    )
    pyfunc.add_to_model(
        description, "mlflow.keras", conda_env="conda.yaml", python_env="python_env.yaml"
    )
    description.model_size_bytes = model.path.stat().st_size
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
