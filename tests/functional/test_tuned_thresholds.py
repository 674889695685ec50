"""Thresholds tuned on training parts, from a search to predictions of new samples."""

import csv
import json

import numpy as np
import pytest
from sklearn import metrics

from search import run_study
from search.data import Dataset
from search.doctor import OK, Place, examine_home
from search.errors import SettingsError
from search.export.predict import predict_samples
from search.sklearn import KerasSearchCV
from search.tracker import Tracker
from tests.tracked import give_database
from tracking.home import Home

pytestmark = pytest.mark.slow

SMALL = {"folds": 2, "epochs": 6, "executor": "inline", "set": {"batch_size": 32}, "pruner": "none"}
RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(600, 4))
Y = np.where(X[:, 0] + 0.7 * RANDOM.normal(size=600) > 1.7, "yes", "no")  # 8 in 100
LABELS = np.stack([X[:, 0] > 1.2, X[:, 1] + X[:, 2] > 1.5], axis=1).astype(np.uint8)


def study(folder, threshold, *, targets=Y, name="rare", **more):
    give_database(folder / "mlruns" / "mlflow.db")
    more = {"objective": "cv_f1", "metrics": ["roc_auc", "neg_log_loss"]} | more
    return run_study(
        "mlp",
        data=(X, targets),
        dataset=name,
        study=f"{name}-{threshold}",
        home=folder / "mlruns",
        trials=1,
        threshold=threshold,
        notify=lambda text: None,
        **(SMALL | more),
    )


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    """A study of a rare class with a tuned threshold, and its export."""
    folder = tmp_path_factory.mktemp("rare")
    result = study(folder, "tuned")
    return folder, result, result.export(folder / "model", notify=lambda text: None)


def folds_of(result):
    [trial] = result.history.completed()
    return trial.finished_folds()


def dataset_of(home, name):
    [folder] = [path for path in Home(home).datasets.iterdir() if name in path.name]
    return Dataset.open(folder)


def test_scores_of_decisions_are_those_of_the_recorded_threshold(rare):
    folder, result, _ = rare
    root = folder / "mlruns" / "studies" / "rare-tuned"
    targets = np.asarray(dataset_of(folder / "mlruns", "rare").train_labels)
    with np.load(root / "folds.npz") as arrays:
        parts = {name: arrays[name] for name in arrays}
    for number, fold in folds_of(result).items():
        [threshold] = fold.thresholds
        assert threshold != 0.5
        with np.load(root / fold.predictions) as kept:
            true, given = kept["labels"], kept["predicted"]
            sure = kept["confidence"].astype(np.float64)
        assert any(np.array_equal(targets[rows], true) for rows in parts.values() if rows.ndim == 1)
        second = np.where(given == 1, sure, 1 - sure)
        np.testing.assert_array_equal(given, second > threshold)
        assert fold.metric("f1") == pytest.approx(metrics.f1_score(true, given))
        assert fold.accuracy == pytest.approx(metrics.accuracy_score(true, given))
        assert fold.macro_f1 == pytest.approx(metrics.f1_score(true, given, average="macro"))
        assert fold.metric("roc_auc") == pytest.approx(metrics.roc_auc_score(true, second))
        [trial] = result.history.completed()
        last = trial.folds[number].epochs[fold.scored_epoch].metrics
        assert last["val_f1"] == fold.metric("f1")


def test_what_needs_no_threshold_is_the_same_without_tuning(rare, tmp_path):
    plain = study(tmp_path, "0.5")
    for (_, tuned), (_, usual) in zip(
        folds_of(rare[1]).items(), folds_of(plain).items(), strict=True
    ):
        assert usual.thresholds == []
        for name in ("loss", "roc_auc", "neg_log_loss"):
            assert tuned.metric(name) == usual.metric(name)


def test_the_exported_model_has_the_threshold_that_is_best_on_the_final_training_part(rare):
    import keras

    folder, _, exported = rare
    labels = json.loads((folder / "model" / "labels.json").read_text())
    dataset = dataset_of(folder / "mlruns", "rare")
    model = keras.saving.load_model(folder / "model" / "model.keras")

    def second(rows):
        found = np.asarray(model(rows.astype(model.input.dtype)))
        return found[:, -1].astype(np.float64)

    [threshold] = labels["thresholds"]
    assert exported.export.thresholds == [threshold]
    true = np.asarray(dataset.train_labels)
    found = second(np.asarray(dataset.train_samples))
    best = max(metrics.f1_score(true, found >= cut) for cut in np.unique(found))
    assert metrics.f1_score(true, found > threshold) == pytest.approx(best)

    rows, targets = map(np.asarray, dataset.open_test())
    given = second(rows) > threshold
    assert exported.test.scores["f1"] == pytest.approx(metrics.f1_score(targets, given))
    assert exported.test.accuracy == pytest.approx(metrics.accuracy_score(targets, given))
    assert exported.test.scores["roc_auc"] == pytest.approx(
        metrics.roc_auc_score(targets, second(rows))
    )
    assert exported.test.confusion == metrics.confusion_matrix(targets, given).tolist()

    with (folder / "new.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column["name"] for column in labels["columns"]])
        writer.writerows(rows.tolist())
    predicted = predict_samples(folder / "model", [str(folder / "new.csv")])
    assert [one.values[0][0] == "yes" for one in predicted] == given.tolist()
    assert any(value < 0.5 for one in predicted for _, value in one.values)
    card = (folder / "model" / "MODEL_CARD.md").read_text()
    assert "the class is yes where its probability (of scores" in card
    assert f"above {threshold:.6g}, `thresholds` in `labels.json`" in card


def test_doctor_finds_the_scores_in_the_predictions(rare, tmp_path):
    folder, _, _ = rare
    assert not faults(folder, "rare-tuned")
    study(
        tmp_path,
        "tuned",
        targets=LABELS,
        name="two",
        objective="cv_macro_f1",
        metrics=[],
        task="multi-label",
    )
    assert not faults(tmp_path, "two-tuned")


def faults(folder, name):
    home = Home(folder / "mlruns")
    found = examine_home(Place(home, Tracker(home)), [name], repair=False, notify=print)
    return [each.text for each in found if each.level != OK]


def test_each_label_has_a_threshold_of_its_own(tmp_path):
    result = study(
        tmp_path,
        "tuned",
        targets=LABELS,
        name="two",
        objective="cv_macro_f1",
        metrics=["roc_auc"],
        task="multi-label",
    )
    root = tmp_path / "mlruns" / "studies" / "two-tuned"
    for fold in folds_of(result).values():
        with np.load(root / fold.predictions) as kept:
            true, given = kept["labels"], kept["probabilities"].astype(np.float64)
        decided = given > fold.thresholds
        assert len(fold.thresholds) == 2
        wanted = metrics.f1_score(true, decided, average="macro")
        assert fold.metric("macro_f1") == pytest.approx(wanted)
        assert fold.metric("exact_match") == pytest.approx(metrics.accuracy_score(true, decided))
        assert fold.metric("roc_auc") == pytest.approx(metrics.roc_auc_score(true, given))
    exported = result.export(tmp_path / "model", notify=lambda text: None)
    labels = json.loads((tmp_path / "model" / "labels.json").read_text())
    assert labels["thresholds"] == exported.export.thresholds
    assert (
        "Labels count as given by `thresholds`"
        in (tmp_path / "model" / "MODEL_CARD.md").read_text()
    )
    ensemble = result.export(tmp_path / "both", refits=2, notify=lambda text: None)
    assert len(ensemble.export.thresholds) == 2


def test_with_early_stopping_the_inner_part_tunes_the_threshold(tmp_path):
    early = {**SMALL["set"], "early_stopping": "on"}
    result = study(tmp_path, "tuned", name="early", set=early)
    assert all(fold.thresholds for fold in folds_of(result).values())


def test_several_classes_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(SettingsError, match="`--threshold tuned` is for two classes or for labels"):
        study(
            tmp_path,
            "tuned",
            targets=np.arange(600) % 3,
            name="three",
            objective="cv_accuracy",
            metrics=[],
        )
    assert not (tmp_path / "mlruns" / "studies" / "three-tuned").exists()


def test_a_classifier_of_scikit_learn_predicts_by_its_tuned_threshold(tmp_path):
    search = KerasSearchCV(
        "mlp",
        n_trials=1,
        cv=2,
        epochs=6,
        scoring="f1",
        settings={"threshold": "tuned", "pruner": "none"},
        home=tmp_path / "mlruns",
    ).fit(X, Y == "yes")
    chances, given = search.predict_proba(X)[:, 1], search.predict(X)
    [threshold] = search.best_estimator_.labels.outputs.thresholds
    np.testing.assert_array_equal(given, chances > threshold)
    assert search.score(X, Y == "yes") == pytest.approx(metrics.f1_score(Y == "yes", given))
