"""Exports whose probabilities are calibrated, ensembles, and predictions with a coverage."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.metrics import log_loss
from sklearn.model_selection import ShuffleSplit
from typer.testing import CliRunner

from search import run_study
from search.analysis.calibration import Calibration
from search.cli.app import app
from search.errors import SettingsError
from search.export.folder import ModelFolder
from search.tasks import Classification
from tests.tracked import give_database

pytestmark = pytest.mark.slow

COMMON = {
    "folds": 3,
    "executor": "inline",
    "precision": "float32",
    "pruner": "none",
    "learn_from": "none",
    "baselines": False,
    "confirm": 0,
    "notify": lambda text: None,
}
NARROW = {"batch_size": 32, "learning_rate": 0.01, "units_1": "32:128", "dropout": 0}


NAMES = list("abcdef")


def frame(rows):
    """Return rows with names, as `predict` wants them in files."""
    return pd.DataFrame(rows, columns=NAMES[: rows.shape[1]])


def noisy(samples, classes, seed=0):
    """Return rows and classes that nothing tells with certainty."""
    source = np.random.default_rng(seed)
    rows = source.normal(size=(samples, len(NAMES)))
    logits = 1.2 * rows[:, :classes]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return rows, (shares.cumsum(axis=1) > source.random((samples, 1))).argmax(axis=1)


def searched(folder, name, data, **more):
    home = folder / "mlruns"
    give_database(home / "mlflow.db")
    rows, targets = data
    data = frame(rows), targets
    return run_study("mlp", data=data, dataset=name, study=name, home=home, **COMMON | more)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """A study of three classes whose models learn the training samples by heart."""
    folder = tmp_path_factory.mktemp("classes")
    return searched(folder, "three", noisy(1_500, 3), trials=3, epochs=25, set=NARROW)


@pytest.fixture(scope="module")
def exported(classes, tmp_path_factory):
    """The calibrated and the plain export of the best trial."""
    folder = tmp_path_factory.mktemp("exported")
    told = []
    made = {
        name: classes.export(
            folder / name, formats=["keras"], notify=told.append, force=True, **options
        )
        for name, options in {
            "calibrated": {"ensemble": "none"},
            "plain": {"ensemble": "none", "calibrate": False},
        }.items()
    }
    return folder, made, told


def test_the_exported_model_is_the_plain_one_with_a_temperature(exported, classes):
    import keras

    folder, made, told = exported
    known = made["calibrated"].export.calibration
    assert known["kind"] == "temperature"
    assert known["temperature"] > 1.3  # it is too sure
    assert known["loss"] < known["loss_before"]
    assert any("calibrated by a temperature of" in sentence for sentence in told)
    rows = noisy(200, 3, seed=5)[0].astype(np.float32)
    plain, calibrated = (
        keras.saving.load_model(folder / name / "model.keras").predict(rows, verbose=0)
        for name in ("plain", "calibrated")
    )
    task = Classification(("0", "1", "2"))
    wanted = Calibration("temperature", known["temperature"]).applied(plain, task)
    assert calibrated == pytest.approx(wanted, abs=1e-5)
    assert made["calibrated"].test.loss < made["plain"].test.loss
    assert made["calibrated"].test.scores["ece"] < made["plain"].test.scores["ece"]
    assert made["plain"].export.calibration["why"] == "it was not asked for"


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A study that saw 300 of 1,500 samples."""
    folder = tmp_path_factory.mktemp("few")
    return searched(
        folder, "few", noisy(1_500, 3), trials=1, epochs=25, set=NARROW, limit_samples=300
    )


@pytest.mark.parametrize(
    ("study", "options"), [("classes", {"refits": 3, "ensemble": "none"}), ("few", {})]
)
def test_what_the_search_does_not_tell_of_a_model_is_tried(request, tmp_path, study, options):
    import keras

    result, told = request.getfixturevalue(study), []
    made = {
        name: result.export(
            tmp_path / name,
            formats=["keras"],
            notify=told.append,
            force=True,
            calibrate=calibrate,
            **options,
        )
        for name, calibrate in {"tried": True, "plain": None}.items()
    }
    assert made["plain"].export.calibration["kind"] == "none"
    assert any("not calibrated" in each and "`--calibrate` finds out" in each for each in told)
    known = made["tried"].export.calibration
    assert (known["kind"], known["held_out"]) == ("temperature", 1_200)
    rows, truth = noisy(20_000, 3, seed=5)
    plain, calibrated = (
        keras.saving.load_model(tmp_path / name / "model.keras").predict(
            rows.astype(np.float32), verbose=0
        )
        for name in ("plain", "tried")
    )
    task = Classification(("0", "1", "2"))
    wanted = Calibration("temperature", known["temperature"]).applied(plain, task)
    assert calibrated == pytest.approx(wanted, abs=1e-5)
    losses = {
        power: log_loss(truth, Calibration("temperature", power).applied(plain, task))
        for power in np.geomspace(0.5, 4, 60)
    }
    best = min(losses, key=losses.get)
    assert best > 1.1  # there is something to mend
    assert known["temperature"] == pytest.approx(best, rel=0.15)
    card = (tmp_path / "tried" / "MODEL_CARD.md").read_text()
    assert "On 1,200 samples that models trained alike had not seen" in card
    assert "--calibrate" in card
    test = made["tried"].test
    assert 0.86 < test.coverage["found"] < 0.94


def test_card_metrics_and_picture_tell_how_far_it_can_be_believed(exported):
    folder, made, _ = exported
    card = (folder / "calibrated" / "MODEL_CARD.md").read_text()
    assert "calibrated by a temperature of" in card
    assert "(reliability.png)" in card
    assert "`predict --coverage 0.9`" in card
    assert "--no-calibrate" not in card
    assert "--no-calibrate" in (folder / "plain" / "MODEL_CARD.md").read_text()
    metrics = json.loads((folder / "calibrated" / "metrics.json").read_text())
    test = made["calibrated"].test
    assert metrics["calibration"] == made["calibrated"].export.calibration
    assert metrics["test"]["ece"] == test.scores["ece"]
    assert metrics["test"]["coverage"] == test.coverage
    assert test.coverage["size"] > 1
    hits = round(test.coverage["found"] * test.samples)
    assert 1e-3 < binom.cdf(hits, test.samples, 0.9) < 1 - 1e-3
    assert (folder / "calibrated" / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_predict_gives_sets_in_every_form(exported, tmp_path):
    folder = exported[0] / "calibrated"
    rows, labels = noisy(400, 3, seed=9)
    frame(rows).to_csv(tmp_path / "new.csv", index=False)

    def predict(*options, code=0):
        done = CliRunner().invoke(
            app, ["predict", str(folder), str(tmp_path / "new.csv"), *options]
        )
        assert done.exit_code == code, done.output
        return done.stdout

    found = json.loads(predict("--coverage", "0.9", "--json"))
    held = np.array([str(label) in one["set"] for one, label in zip(found, labels, strict=True)])
    assert 1e-3 < binom.cdf(held.sum(), 400, 0.9) < 1 - 1e-3
    assert all(one["set"][0] == one["class"] for one in found if one["set"])
    table = list(csv.DictReader(io.StringIO(predict("--coverage", "0.9", "--csv"))))
    assert [row["set"] for row in table] == ["|".join(one["set"]) for one in found]
    assert "set" in predict("--coverage", "0.9").splitlines()[0].split()
    wider = json.loads(predict("--coverage", "0.99", "--json"))
    sizes = [sum(len(one["set"]) for one in each) for each in (found, wider)]
    assert sizes[1] > sizes[0]
    assert "set" not in json.loads(predict("--json"))[0]
    predict("--coverage", "1.5", code=1)


def test_a_model_of_an_earlier_version_has_no_coverage(exported, tmp_path):
    import shutil

    from search.export.predict import predict_samples

    folder = shutil.copytree(exported[0] / "plain", tmp_path / "earlier")
    labels = json.loads((folder / "labels.json").read_text())
    del labels["conformal"]
    (folder / "labels.json").write_text(json.dumps(labels))
    (tmp_path / "one.csv").write_text("a,b,c,d,e,f\n1,2,3,4,5,6\n")
    with pytest.raises(SettingsError, match="Search and export again"):
        predict_samples(folder, [str(tmp_path / "one.csv")], coverage=0.9)
    labels["conformal"] = {"task": "regression", "scores": [[1.0]], "levels": [[0.5]], "samples": 1}
    (folder / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(Exception, match=r"labels\.json is damaged"):
        ModelFolder(folder).labels()


def test_an_ensemble_by_evidence_is_one_model_of_several_trials(classes, tmp_path):
    told = []
    made = classes.export(
        tmp_path / "model", formats=["keras"], ensemble=2, notify=told.append, force=True
    )
    weights = [member["weight"] for member in made.export.members]
    assert (len(weights), sum(weights)) == (2, pytest.approx(1))
    assert "Its nested loss is" in told[0]
    assert "parameters at prediction" in told[0]
    assert made.export.trial == made.export.members[0]["trial"]
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert "export three --ensemble 2" in card
    with pytest.raises(SettingsError, match="give one of them"):
        classes.export(tmp_path / "other", ensemble=2, trial=0)


def test_several_seeds_are_not_calibrated_by_what_single_models_showed(classes, tmp_path):
    told = []
    made = classes.export(
        tmp_path / "model",
        formats=["keras"],
        ensemble="none",
        refits=2,
        notify=told.append,
        force=True,
    )
    assert made.export.calibration["kind"] == "none"
    assert any("averages of several seeds are less sure" in sentence for sentence in told)
    assert made.test.coverage["found"] > 0.85


def test_the_model_in_memory_is_calibrated_as_the_written_one(tmp_path):
    study = searched(tmp_path, "memory", noisy(600, 3), trials=1, epochs=25, set=NARROW)
    rows = noisy(50, 3, seed=5)[0].astype(np.float32)
    in_memory = study.best_model(notify=lambda text: None).predict(frame(rows))
    study.export(tmp_path / "model", formats=["keras"], notify=lambda text: None)
    written = study.best_model(notify=lambda text: None).predict(frame(rows))
    assert in_memory == pytest.approx(written, abs=1e-5)


def test_numbers_get_intervals_that_hold(tmp_path):
    source = np.random.default_rng(0)
    rows = source.normal(size=(900, 5))
    prices = 1_000 * (rows[:, 0] + 0.3 * source.normal(size=900))
    study = searched(
        tmp_path, "prices", (rows, prices), task="regression", trials=1, epochs=15, set=NARROW
    )
    made = study.export(tmp_path / "model", formats=["keras"], notify=lambda text: None)
    hits = round(made.test.coverage["found"] * made.test.samples)
    assert 1e-3 < binom.cdf(hits, made.test.samples, 0.9) < 1 - 1e-3
    assert made.export.calibration == {}
    assert made.test.reliability == {}
    (tmp_path / "new.csv").write_text("a,b,c,d,e\n1,0,0,0,0\n")
    command = ["predict", str(tmp_path / "model"), str(tmp_path / "new.csv"), "--coverage", "0.9"]
    [found] = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    [(name, (low, high))] = found["intervals"].items()
    assert low < found["numbers"][name] < high
    assert (high - low) / 2 == pytest.approx(made.test.coverage["size"][0], rel=1e-3)
    table = CliRunner().invoke(app, [*command, "--csv"]).stdout.splitlines()
    assert table[0] == f"input,{name},{name}_low,{name}_high"
    more = {"formats": ["keras"], "calibrate": True, "force": True}
    averaged = study.export(tmp_path / "averaged", refits=2, notify=lambda text: None, **more)
    assert averaged.export.calibration == {"held_out": 720}
    card = (tmp_path / "averaged" / "MODEL_CARD.md").read_text()
    assert "is known from 720 samples that models trained alike had not seen" in card
    told = []
    study.export(tmp_path / "known", notify=told.append, **more)
    assert any("`--calibrate` changes nothing here" in sentence for sentence in told)
    assert averaged.test.coverage["size"][0] != made.test.coverage["size"][0]
    hits = round(averaged.test.coverage["found"] * averaged.test.samples)
    assert 1e-3 < binom.cdf(hits, averaged.test.samples, 0.9) < 1 - 1e-3


def test_labels_are_told_as_sure_or_undecided(tmp_path):
    source = np.random.default_rng(0)
    rows = source.normal(size=(900, 5))
    labels = (source.random((900, 2)) < 1 / (1 + np.exp(-3 * rows[:, :2]))).astype(np.uint8)
    study = searched(
        tmp_path, "labels", (rows, labels), task="multi-label", trials=1, epochs=15, set=NARROW
    )
    made = study.export(tmp_path / "model", formats=["keras"], notify=lambda text: None)
    assert made.test.coverage["found"] == pytest.approx(0.9, abs=0.06)
    (tmp_path / "new.csv").write_text("a,b,c,d,e\n3,0,0,0,0\n-3,-3,0,0,0\n")
    command = ["predict", str(tmp_path / "model"), str(tmp_path / "new.csv"), "--coverage", "0.9"]
    first, second = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert first["sure"] == ["y1"]
    assert first["undecided"] == ["y2"]
    assert second["sure"] == second["undecided"] == []
    table = CliRunner().invoke(app, [*command, "--csv"]).stdout.splitlines()
    assert table[0] == "input,labels,y1,y2,sure,undecided"
    assert "undecided" in CliRunner().invoke(app, command).stdout


def test_a_format_that_cannot_compute_a_calibration_does_not_cost_the_training(tmp_path):
    """Labels so sure that their complements have few digits left, of which ONNX has other ones."""
    source = np.random.default_rng(0)
    rows = source.normal(size=(400, 5))
    labels = (source.random((400, 2)) < 1 / (1 + np.exp(-rows[:, :2]))).astype(np.uint8)
    choices = {"units_1": 256, "dropout": 0.0, "learning_rate": 0.01}
    study = searched(
        tmp_path, "labels", (rows, labels), task="multi-label", trials=1, epochs=60, set=choices
    )
    told = []
    made = study.export(tmp_path / "model", formats=["keras", "onnx"], notify=told.append)
    assert [each["format"] for each in made.export.formats] == ["keras", "onnx"]
    assert max(each["difference"] for each in made.export.formats) < 1e-5
    [notice] = [text for text in told if "onnx gave probabilities" in text]
    assert notice.startswith("its probabilities are not calibrated: with that, onnx")
    assert notice.endswith("Leave that format out of `--format` to have them calibrated")
    assert made.export.calibration["kind"] == "none"
    again = study.export(tmp_path / "model", formats=["keras"], overwrite=True, notify=told.append)
    assert again.export.calibration["kind"] == "temperature"


def test_samples_that_are_held_out_several_times_count_as_one(tmp_path):
    home = tmp_path / "mlruns"
    give_database(home / "mlflow.db")
    study = run_study(
        "mlp",
        data=noisy(200, 2),
        cv=ShuffleSplit(4, test_size=0.5, random_state=0),
        study="drawn",
        home=home,
        trials=1,
        epochs=3,
        set=NARROW,
        **{name: value for name, value in COMMON.items() if name != "folds"},
    )
    rows = study.history.known_study().dataset["samples"]
    told = []
    for name, options in {"single": {}, "average": {"refits": 2, "calibrate": True}}.items():
        made = study.export(
            tmp_path / name, formats=["keras"], force=True, notify=told.append, **options
        )
        known = ModelFolder(tmp_path / name).labels().conformal
        assert known.samples <= rows < 4 * rows // 2
    held = made.export.calibration["held_out"]
    assert rows // 2 < held <= rows
    assert any(f": {held} samples in all" in sentence for sentence in told)
