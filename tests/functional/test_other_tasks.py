"""Models of numbers and of labels, from a search to predictions of new samples."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, mean_absolute_error, r2_score, root_mean_squared_error
from typer.testing import CliRunner

from search import run_study
from search.cli.app import app
from search.data import Dataset
from search.export.predict import predict_samples
from tests.tracked import give_database
from tracking.home import Home
from tracking.mlflow.sink import open_store

pytestmark = pytest.mark.slow

SMALL = {"folds": 2, "epochs": 4, "executor": "inline", "set": {"batch_size": 32}, "pruner": "none"}
FORMATS = ("keras", "saved_model", "onnx", "tflite")


def held_out(home, name):
    """Return a dataset's test samples, targets and weights."""
    [folder] = [path for path in Home(home).datasets.iterdir() if name in path.name]
    dataset = Dataset.open(folder)
    return *map(np.asarray, dataset.open_test()), dataset.test_weights()


@pytest.fixture(scope="module")
def prices(tmp_path_factory):
    """A study of two numbers of very different sizes, of weighted rows, and its export."""
    folder = tmp_path_factory.mktemp("prices")
    home = folder / "mlruns"
    give_database(home / "mlflow.db")
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 4))
    price = 250_000 + 40_000 * rows[:, 0] + 9_000 * random.normal(size=300)
    share = 2e-3 + 1e-4 * rows[:, 1]
    result = run_study(
        "mlp",
        data=(rows, np.column_stack([price, share])),
        sample_weight=random.uniform(0.1, 3, 300),
        dataset="flats",
        study="flats",
        home=home,
        trials=1,
        metrics=["neg_median_absolute_error"],
        notify=lambda text: None,
        **SMALL,
    )
    exported = result.export(folder / "model", formats=FORMATS, notify=lambda text: None)
    return folder, home, exported


def test_numbers_leave_every_format_in_their_own_unit(prices):
    _, _, exported = prices
    assert {each["format"] for each in exported.export.formats} == set(FORMATS)
    for each in exported.export.formats:
        assert each["difference"] < 5e-5
        assert "returns numbers" in each["takes"] or "return numbers" in each["takes"]


def test_test_scores_are_scikit_learns_of_what_plain_keras_predicts(prices):
    import keras

    folder, home, exported = prices
    rows, targets, weights = held_out(home, "flats")
    model = keras.saving.load_model(folder / "model" / "model.keras")
    values = np.asarray(model(np.asarray(rows, model.input.dtype)), np.float64)
    scores, known = exported.test.scores, {"sample_weight": weights}
    assert scores["rmse"] == pytest.approx(root_mean_squared_error(targets, values, **known), 1e-5)
    assert scores["mae"] == pytest.approx(mean_absolute_error(targets, values, **known), 1e-5)
    assert scores["r2"] == pytest.approx(r2_score(targets, values, **known), 1e-4)
    assert set(scores) == {"rmse", "mae", "r2", "neg_median_absolute_error"}
    assert exported.test.samples == len(rows) == 60
    low, high = exported.test.intervals["rmse"]
    assert low < scores["rmse"] < high
    written = json.loads((folder / "model" / "metrics.json").read_text())["test"]
    assert written["rmse"] == scores["rmse"]
    assert written["rmse_interval"] == [low, high]


def test_predict_gives_numbers_for_files_with_and_without_targets(prices):
    folder, home, _ = prices
    rows, _, _ = held_out(home, "flats")
    names = json.loads((folder / "model" / "labels.json").read_text())
    columns, numbers = [column["name"] for column in names["columns"]], names["classes"]
    for name, more in (("plain", ()), ("whole", numbers)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, *more])
            writer.writerows([*row, *(1.5 for _ in more)] for row in rows[:3].tolist())
    plain, whole = (
        predict_samples(folder / "model", [str(folder / f"{name}.csv")])
        for name in ("plain", "whole")
    )
    assert [item.values for item in plain] == [item.values for item in whole]
    runner = CliRunner()
    given = ["predict", str(folder / "model"), str(folder / "plain.csv")]
    told = json.loads(runner.invoke(app, [*given, "--json"]).stdout)
    assert [one["numbers"] for one in told] == [dict(item.values) for item in plain]
    head, *lines = csv.reader(runner.invoke(app, [*given, "--csv"]).stdout.splitlines())
    assert head == ["input", *numbers]
    assert [tuple(map(float, line[1:])) for line in lines] == [
        tuple(value for _, value in item.values) for item in plain
    ]
    assert numbers[0] in runner.invoke(app, given).stdout
    refused = runner.invoke(app, [*given, "--top", "2"])
    assert isinstance(refused.exception, Exception)
    assert "of which all are listed" in str(refused.exception) + refused.output


def test_mlflow_has_the_models_signature_and_its_test_scores(prices):
    _, home, exported = prices
    client = open_store(f"sqlite:///{home / 'mlflow.db'}", artifacts=None).client
    experiment = client.get_experiment_by_name("flats")
    [run] = client.search_runs([experiment.experiment_id], "tags.`search.kind` = 'final'")
    for name, value in exported.test.scores.items():
        assert run.data.metrics[f"test_{name}"] == pytest.approx(value)
    [version] = client.search_model_versions("name = 'flats'")
    assert "It predicts y1, y2 in the targets' own unit." in version.description


@pytest.fixture(scope="module")
def tags(tmp_path_factory):
    """An ensemble for three labels of images."""
    folder = tmp_path_factory.mktemp("tags")
    give_database(folder / "mlruns" / "mlflow.db")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (200, 8, 8, 1)).astype(np.uint8)
    means = images[:, ::4, ::3, 0].reshape(200, -1)[:, :3]
    result = run_study(
        "mlp",
        data=(images, (means > 128).astype(np.int64)),
        dataset="looks",
        study="looks",
        home=folder / "mlruns",
        trials=1,
        notify=lambda text: None,
        **SMALL,
    )
    exported = result.export(
        folder / "model", formats=("keras", "onnx"), refits=2, notify=lambda text: None
    )
    return folder, exported


def test_an_ensemble_averages_probabilities_of_labels(tags):
    import keras

    folder, exported = tags
    images, targets, _ = held_out(folder / "mlruns", "looks")
    model = keras.saving.load_model(folder / "model" / "model.keras")
    labels = json.loads((folder / "model" / "labels.json").read_text())
    taken = images / 255 if labels["input"]["scaled"] else images
    taken = taken.astype(np.float32)
    members = [model.get_layer(f"model_{n}").predict(taken, verbose=0) for n in (1, 2)]
    values = model.predict(taken, verbose=0)
    np.testing.assert_allclose(values, np.mean(members, axis=0), atol=1e-6)
    expected = f1_score(targets, values > 0.5, average="macro", zero_division=0)
    assert exported.test.scores["macro_f1"] == pytest.approx(expected)
    assert exported.test.accuracy is None
    assert exported.test.confusion == []
    assert max(each["difference"] for each in exported.export.formats) < 1e-5
