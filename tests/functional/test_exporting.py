"""`export` as a user runs it: formats, the average of trainings, champion and challenger."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.functional.conftest import User
from tests.tracked import give_database

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A user with a study of three folds in bfloat16: trial 0 is good, trial 1 is poor."""
    user = User(tmp_path_factory.mktemp("user"))
    give_database(user.folder / "mlruns" / "mlflow.db")
    (user.folder / "two.py").write_text(SPACE)
    done = user.here(
        *("run", "--space", "two.py:SPACE", "--dataset", "digits", "--study", "two"),
        *("--folds", "3", "--epochs", "4", "--trials", "2", "--limit-samples", "400"),
        *("--precision", "mixed_bfloat16", "--pruner", "none", "--json"),
    )
    assert done.code == 0, done.err
    assert [trial["origin"] for trial in done.json["trials"]] == ["baseline:good", "baseline:poor"]
    return user


SPACE = """
from spaces import Float, ImageInput, Space


def build(parameters, data):
    from keras import Sequential, layers

    return Sequential([
        layers.Input(data.input_shape),
        layers.Rescaling(1 / 255),
        layers.Conv2D(8, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(data.classes, activation="softmax", dtype="float32"),
    ])


SPACE = Space(
    name="two", dataset="digits", inputs=ImageInput(size=(10, 10), channels=1),
    parameters=(Float("learning_rate", 1e-6, 1e-1, log=True, default=1e-3),),
    baselines={
        "good": {"learning_rate": 5e-3, "batch_size": 16}, "poor": {"learning_rate": 1e-6},
    },
    build=build,
)
"""


@pytest.fixture(scope="module")
def exports(study):
    """What four exports in a row said, by their folders: trial 0, 1, 1 with force, 0 thrice."""
    options = {
        "all": ("--format", "saved_model,tflite,onnx"),
        "poor": ("--trial", "1", "--json"),
        "forced": ("--trial", "1", "--force", "--json"),
        "joined": ("--refits", "3", "--format", "onnx", "--json"),
    }
    done = {
        name: study.here("export", "two", "--to", name, *more) for name, more in options.items()
    }
    assert [each.err for each in done.values() if each.code] == []
    return done


def test_compare_measures_the_latency_of_each_model(study):
    done = study.here("compare", "two", "--trials", "0,1", "--latency", "--json")
    assert done.code == 0, done.err
    found = [entry["latency_ms"] for entry in done.json["entries"]]
    assert len(found) == 2
    assert all(0 < latency < 1000 for latency in found)


def test_all_formats_of_a_model_trained_in_bfloat16_agree_in_float32(study, exports):
    done = exports["all"]
    told = done.out.splitlines()
    for name in ("keras", "saved_model", "tflite", "onnx"):
        [line] = [line for line in told if line.startswith(f"{name} ")]
        assert float(line.split()[-1]) < 1e-5
    assert "In MLflow it is the champion. It is the first model exported" in done.out
    assert "95 % interval" in done.out
    first, second, *epochs = done.err.splitlines()
    assert "training the model of trial 0 on all 1,437 training samples" in first
    assert "not calibrated: it sees 1,437 samples, where the search" in second
    assert all(line.startswith("epoch") for line in epochs), done.err
    folder = study.folder / "all"
    assert {path.name for path in folder.iterdir()} == {
        *("model.keras", "saved_model", "model.tflite", "model.onnx"),
        *("labels.json", "metrics.json", "MODEL_CARD.md", "reliability.png"),
    }
    import onnxruntime

    digits = load_digits()
    pixels = (digits.images[:9] * 255 / 16).astype(np.uint8)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    given = pixels[..., np.newaxis].astype(np.float32)  # in the dataset's own size
    (found,) = session.run(None, {"inputs": given})
    np.testing.assert_allclose(session.run(None, {"inputs": given / 255})[0], found, atol=1e-5)
    paths = [study.folder / f"{number}.png" for number in range(9)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    predicted = study.here("predict", "all", *map(str, paths), "--top", "10", "--json").json
    keras = [[item["classes"][str(digit)] for digit in range(10)] for item in predicted]
    np.testing.assert_allclose(found, keras, atol=1e-5)


def test_a_worse_trial_becomes_the_challenger_unless_forced(study, exports):
    poor, forced, joined = (exports[name].json["export"] for name in ("poor", "forced", "joined"))
    assert poor["alias"] == "challenger"
    assert "It is worse than the champion, trial 0" in poor["alias_reason"]
    assert "became the **challenger**" in (study.folder / "poor" / "MODEL_CARD.md").read_text()
    assert forced["alias"] == "champion"
    assert "--force" in forced["alias_reason"]
    assert "It is better than the champion, trial 1" in joined["alias_reason"]

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{study.folder}/mlruns/mlflow.db")
    for alias, exported in (("champion", joined), ("challenger", poor)):
        version = client.get_model_version_by_alias("two", alias)
        run = client.get_run(version.run_id)
        assert run.data.tags["search.model_sha256"] == exported["model_sha256"]


def test_an_ensemble_is_exported_scored_and_used(study, exports):
    exported = exports["joined"].json["export"]
    assert exported["models"] == 3
    assert max(entry["difference"] for entry in exported["formats"]) < 1e-5
    labels = json.loads((study.folder / "joined" / "labels.json").read_text())
    assert labels["outputs"] == "probabilities"
    evaluated = study.here("evaluate", "two", "--json")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.json["accuracy"] == exports["joined"].json["test"]["accuracy"] > 0.6
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(study.folder / "photo[black].png")
    assert "photo[black].png" in study.here("predict", "joined", "photo[black].png").out
