import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.functional.serving import served

pytestmark = pytest.mark.slow


def test_run_prints_one_json_document_and_nothing_else(finished):
    _, done = finished
    document = done.json
    assert document["reason"] == "complete"
    for said in ("New study toy", "loading TensorFlow", "trial 0  fold 1/2", "trial 1   "):
        assert said in done.err, "standard error is the log of a job that nobody watches"
    adapted = [f"baseline:{name}, batch_size=64" for name in ("lenet5", "keras-tuner")]
    origins = [trial["origin"] for trial in document["trials"]]
    assert origins == [*adapted, "sampled", "sampled"]
    complete = [trial for trial in document["trials"] if trial["state"] == "complete"]
    pruned = [trial for trial in document["trials"] if trial["state"] == "pruned"]
    assert len(complete) + len(pruned) == 4
    assert all(len(trial["folds"]) == 2 for trial in complete)
    assert all(trial["stopped_at"]["fold"] and trial["reason"] for trial in pruned)
    best = max(complete, key=lambda trial: trial["scores"]["cv_accuracy"])
    assert document["best"]["trial"] == best["trial"]
    assert document["records_not_in_mlflow"] == 0
    assert "Traceback" not in done.err
    assert "WARNING" not in done.err
    # The published baselines have another batch size than was asked for, and it says so.
    [told] = [text for text in document["notices"] if "`--set` fixes other values" in text]
    assert "lenet5, batch_size=64" in told
    assert "keras-tuner, batch_size=64" in told


def test_every_trial_is_in_mlflow_with_params_curves_and_confusion_matrix(finished):
    from mlflow import MlflowClient

    user, done = finished
    client = MlflowClient(f"sqlite:///{user.folder}/mlruns/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "toy"]
    runs = client.search_runs([experiment.experiment_id], "tags.`search.kind` = 'trial'")
    assert len(runs) == 4
    by_trial = {int(run.data.tags["search.trial"]): run for run in runs}
    for trial in done.json["trials"]:
        run = by_trial[trial["trial"]]
        assert set(run.data.params) == set(trial["parameters"])
        assert run.data.tags["search.state"] == trial["state"]
        if trial["state"] == "pruned":
            assert run.data.tags["search.reason"] == trial["reason"]
            assert run.data.tags["search.stopped_fold"] == str(trial["stopped_at"]["fold"])
            assert "cv_accuracy" not in run.data.metrics
            continue
        assert run.data.metrics["cv_accuracy"] == pytest.approx(trial["scores"]["cv_accuracy"])
        for metric in ("loss", "accuracy", "val_loss", "val_accuracy"):
            history = client.get_metric_history(run.info.run_id, metric)
            assert [point.step for point in history] == [1, 2]
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert files >= {
            "confusion_matrix.png",
            "confusion_matrix.json",
            "curves.png",
            "classification_report.json",
            "model_summary.txt",
        }


def test_the_best_model_is_exported_evaluated_and_used(finished, tmp_path):
    user, _ = finished
    exported = user("export", "toy", "--to", "model", "--json")
    assert exported.code == 0, exported.err
    assert exported.err == ""
    test = exported.json["test"]
    folder = user.folder / "model"
    assert {path.name for path in folder.iterdir()} == {
        "model.keras",
        "labels.json",
        "metrics.json",
        "MODEL_CARD.md",
        "reliability.png",
    }
    assert json.loads((folder / "metrics.json").read_text())["test"]["accuracy"] == test["accuracy"]
    assert f"{test['accuracy']:.4f}" in (folder / "MODEL_CARD.md").read_text()

    evaluated = user.here("evaluate", "toy", "--json")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.json["accuracy"] == test["accuracy"]
    assert evaluated.json["test_set_openings"] == 2
    shown = user.here("show", "toy").out
    assert "test set opened (1) by export" in shown
    assert "test set opened (2) by evaluate" in shown

    again = user.here("export", "toy", "--to", "model")
    assert again.code == 2
    assert "--overwrite" in again.err
    (folder / "thesis.txt").write_text("precious")
    assert user.here("export", "toy", "--to", "model", "--overwrite").code == 0
    assert (folder / "thesis.txt").read_text() == "precious"
    assert not list(folder.glob(".*"))

    digits = load_digits()
    paths = [tmp_path / f"{number}.png" for number in range(19)] + [folder / "photo[final].png"]
    for path, image in zip(paths, digits.images, strict=False):
        pixels = (image * 255 / 16).astype(np.uint8)
        Image.fromarray(pixels).resize((80, 80)).save(path)
    predicted = user.here("predict", "model", *map(str, paths), "--json")
    assert predicted.code == 0, predicted.err
    assert predicted.err == ""
    assert [item["input"] for item in predicted.json] == [str(path) for path in paths]
    right = [
        item["class"] == str(digits.target[number]) for number, item in enumerate(predicted.json)
    ]
    assert sum(right) / len(right) == pytest.approx(test["accuracy"], abs=0.3)


def test_the_final_model_is_in_mlflow_as_champion(finished):
    from mlflow import MlflowClient

    user, _ = finished
    if not (user.folder / "model").exists():
        user.here("export", "toy", "--to", "model")
    client = MlflowClient(f"sqlite:///{user.folder}/mlruns/mlflow.db")
    version = client.get_model_version_by_alias("toy", "champion")
    run = client.get_run(version.run_id)
    assert run.data.tags["search.kind"] == "final"
    metrics = json.loads((user.folder / "model" / "metrics.json").read_text())
    assert run.data.metrics["test_accuracy"] == pytest.approx(metrics["test"]["accuracy"])


def test_the_champion_is_served(finished, tmp_path):
    user, _ = finished
    if not (user.folder / "model").exists():
        user.here("export", "toy", "--to", "model")
    digits = load_digits()
    images = (digits.images[:40, ..., np.newaxis] * 255 / 16).astype(np.uint8)
    with served(user.folder / "mlruns" / "mlflow.db", "toy", tmp_path) as answer:
        found = answer(images.tolist())
    assert found.shape == (40, 10)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    right = (found.argmax(axis=1) == digits.target[:40]).mean()
    metrics = json.loads((user.folder / "model" / "metrics.json").read_text())
    assert right == pytest.approx(metrics["test"]["accuracy"], abs=0.3)


def test_running_again_continues_up_to_the_new_total(finished):
    user, first = finished
    again = user.here("run", "--study", "toy", "--trials", "5", "--json")
    assert again.code == 0, again.err
    assert again.json["trials"][:4] == first.json["trials"]
    assert len(again.json["trials"]) == 5
    assert user.here("studies", "--json").json[0]["finished"] == 5


RUN = """
import sys
from search.cli.app import run

if __name__ == "__main__":
    try:
        run()
    except SystemExit as end:
        code = end.code
    heavy = {"tensorflow", "keras", "keras_tuner"} & set(sys.modules)
    sys.exit(f"imported {heavy}" if heavy else code)
"""


def test_without_data_and_network_the_main_job_runs_on_digits_says_so_and_loads_little(user):
    script = user.folder / "run.py"
    script.write_text(RUN)
    new = ("run", "--space", "lenet", "--limit-samples", "6000", "--no-baselines", "--trials", "1")
    done = subprocess.run(
        [sys.executable, str(script), *new, "--folds", "1", "--epochs", "1"],
        cwd=user.folder,
        env=user.environment | {"https_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr  # TensorFlow is imported by workers alone
    sentence = "is not on this machine and could not be downloaded"
    assert " ".join(done.stderr.split()).count(sentence) == 2  # at the start and at the end
    assert "New study lenet-digits" in done.stderr
    assert "1 complete" in done.stdout
    again = user.here(*new, "--study", "lenet-digits")
    assert again.code == 0, again.err
