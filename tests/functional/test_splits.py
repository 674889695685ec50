"""Splits from the command line to scores, each compared with scikit-learn on the same folds."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from search.data.folds import Folds
from search.tasks.classification import ClassPredictions
from tracking.home import Home

pytestmark = pytest.mark.slow

# A network that learns any of these tables by heart.
LEARNS = (
    *("--space", "mlp", "--trials", "1", "--no-baselines", "--precision", "float32"),
    *("--workers", "1", "--json", "--epochs", "40", "--set", "learning_rate=0.01"),
    *("--set", "units_1=64", "--set", "units_2=64", "--set", "batch_size=32"),
    *("--set", "dropout=0"),
)


def run(user: Any, study: str, dataset: str, *more: str) -> tuple[dict[str, Any], list[str]]:
    """Search a table; return the scores of its trial and what the user is told."""
    done = user.here("run", "--study", study, "--dataset", f"csv:{dataset}", *LEARNS, *more)
    assert done.code == 0, done.err
    return done.json["trials"][0], done.json["notices"]


def folds_of(user: Any, study: str) -> Folds:
    return Folds.load(Home(user.folder / "mlruns").study(study).folds)


def peers(x: Any, y: Any, folds: Folds) -> tuple[list[float], list[float]]:
    """Return the accuracies of scikit-learn's network and logistic regression on these folds."""
    pairs = list(zip(folds.train, folds.validation, strict=True))
    network = MLPClassifier((64, 64), max_iter=300, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [
            cross_val_score(make_pipeline(StandardScaler(), model), x, y, cv=pairs).tolist()
            for model in (network, LogisticRegression())
        ]
    return found[0], found[1]


def write(path: Any, **columns: Any) -> None:
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]))


def trained_rows(user: Any, study: str, path: Any, names: list[str]) -> tuple[Any, Any]:
    """Return the study's training samples as scikit-learn takes them."""
    from search.data import Dataset

    [folder] = (user.folder / "mlruns" / "datasets").glob(f"*{path.stem}*")
    dataset = Dataset.open(folder)
    assert list(dataset.column_names) == names
    return np.asarray(dataset.train_samples), np.asarray(dataset.train_labels)


def test_patients_that_stay_together_teach_nothing_and_torn_ones_everything(user):
    chance = np.random.default_rng(0)
    who = np.repeat(np.arange(30), 10)
    features = chance.normal(size=(30, 4))[who] + chance.normal(0, 0.05, (300, 4))
    columns = {name: features[:, at].round(4) for at, name in enumerate("abcd")}
    ill = chance.permutation(np.arange(30) % 2)[who]
    path = user.folder / "patients.csv"
    write(path, patient=who, **columns, label=ill)
    together, _ = run(user, "together", "patients.csv", "--groups", "patient")
    folds = folds_of(user, "together")
    x, y = trained_rows(user, "together", path, list("abcd"))
    network, linear = peers(x, y, folds)
    assert together["scores"]["cv_accuracy"] == pytest.approx(np.mean(network), abs=0.15)
    assert max(together["scores"]["cv_accuracy"], np.mean(network), np.mean(linear)) < 0.8
    torn, _ = run(user, "torn", "patients.csv", "--ignore", "patient")
    assert torn["scores"]["cv_accuracy"] > 0.9


def test_copies_of_noise_are_noise_in_folds_and_test(user):
    chance = np.random.default_rng(1)
    order = chance.permutation(np.repeat(np.arange(200), 4))
    features, noise = (
        chance.normal(size=(200, 6))[order].round(4),
        chance.integers(0, 2, 200)[order],
    )
    columns = {name: features[:, at] for at, name in enumerate("abcdef")}
    path = user.folder / "copies.csv"
    write(path, **columns, label=noise)
    trial, told = run(user, "copies", "copies.csv")
    assert any("training samples are copies of others" in text for text in told), told
    x, y = trained_rows(user, "copies", path, list("abcdef"))
    network, _ = peers(x, y, folds_of(user, "copies"))
    assert trial["scores"]["cv_accuracy"] == pytest.approx(0.5, abs=0.12)
    assert np.mean(network) == pytest.approx(0.5, abs=0.12)
    exported = user.here("export", "copies", "--to", "model", "--format", "keras")
    assert exported.code == 0, exported.err
    opening = user.here("show", "copies", "--json").json["test_set_openings"][0]
    assert opening["accuracy"] < 0.72


def test_a_study_in_time_trains_on_the_past_alone_and_scores_as_scikit_learn(user):
    chance = np.random.default_rng(2)
    day = chance.permutation(360)
    a, b = chance.normal(size=(2, 360)).round(4)
    label = (a * np.cos(day / 150) + b * np.sin(day / 150) > 0).astype(int)  # what counts drifts
    path = user.folder / "drift.csv"
    write(path, day=day, a=a, b=b, label=label)
    more = ("--time", "day", "--gap", "6", "--folds", "4", "--set", "early_stopping=on")
    trial, _ = run(user, "drift", "drift.csv", *more)
    folds = folds_of(user, "drift")
    x, y = trained_rows(user, "drift", path, ["a", "b"])
    assert len(x) == 287  # before the latest fifth
    time = np.asarray(folds.time)
    placed = np.argsort(time)
    for (train, validation), mine, part in zip(
        TimeSeriesSplit(4, gap=6).split(x), folds.train, folds.validation, strict=True
    ):
        assert sorted(placed[train].tolist()) == mine.tolist()
        assert sorted(placed[validation].tolist()) == part.tolist()
    network, linear = peers(x, y, folds)
    for ours, *theirs in zip(trial["folds"], network, linear, strict=True):
        assert ours == pytest.approx(np.mean(theirs), abs=0.15)
    shown = user.here("show", "drift", "--trial", "0", "--json").json
    assert np.sum(shown["confusion"]) == folds.validated == 228
    text = user.here("show", "drift", "--trial", "0").out
    assert "59 of 287 samples are in no validation part" in " ".join(text.split())


def test_repeated_folds_score_every_sample_repeatedly(user):
    chance = np.random.default_rng(3)
    a, b = chance.normal(size=(2, 150)).round(4)
    path = user.folder / "again.csv"
    write(path, a=a, b=b, label=(a + b + chance.normal(size=150) > 0).astype(int))
    more = ("--split", "repeated:2", "--folds", "3", "--epochs", "5")
    trial, _ = run(user, "again", "again.csv", *more)
    folds, home = folds_of(user, "again"), Home(user.folder / "mlruns").study("again")
    parts = [ClassPredictions.load(home.predictions(0, fold)) for fold in range(1, 7)]
    _, y = trained_rows(user, "again", path, ["a", "b"])
    true = np.concatenate([y[part] for part in folds.validation])
    guessed = np.concatenate([part.predicted for part in parts])
    shown = user.here("show", "again", "--trial", "0", "--json").json
    assert shown["confusion"] == confusion_matrix(true, guessed).tolist()
    assert np.sum(shown["confusion"]) == 2 * 120
    scores = trial["scores"]
    assert scores["macro_f1"] == pytest.approx(f1_score(true, guessed, average="macro"))
    each = [
        np.mean(y[rows] == one.predicted) for rows, one in zip(folds.validation, parts, strict=True)
    ]
    assert scores["cv_accuracy"] == pytest.approx(np.mean(each))
    text = " ".join(user.here("show", "again", "--trial", "0").out.split())
    assert "each is predicted 2 times" in text
    assert user.here("report", "again").code == 0
