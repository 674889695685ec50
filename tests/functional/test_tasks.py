"""Studies of numbers and of labels, from their first record to what `doctor` says of them."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from search import SettingsError, run_study
from search.doctor import OK, Place, examine_home
from search.tasks.regression import NumberPredictions
from search.tracker import Tracker
from tracking.home import Home
from tracking.objectives import objectives_of

pytestmark = pytest.mark.slow

SMALL = {"folds": 3, "epochs": 3, "executor": "inline", "set": {"batch_size": 32}, "seed": 4}


def build(hp):
    import keras

    units = hp.Int("units", 4, 32)
    return keras.Sequential(
        [keras.layers.Input((5,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(1)]
    )


def build_labels(hp):
    import keras

    units = hp.Int("units", 4, 32)
    return keras.Sequential(
        [
            keras.layers.Input((5,)),
            keras.layers.Dense(units, "relu"),
            keras.layers.Dense(3, "sigmoid"),
        ]
    )


@pytest.fixture(scope="module")
def samples():
    source = np.random.default_rng(3)
    features = source.normal(size=(150, 5))
    hidden = features @ source.normal(size=(5, 3)) + source.normal(0, 0.3, (150, 3))
    return features, 250_000 + 40_000 * hidden[:, 0], (hidden > 0).astype(np.uint8)


@pytest.fixture(scope="module")
def regression(samples, tmp_path_factory):
    home = tmp_path_factory.mktemp("user") / "mlruns"
    features, prices, _ = samples
    given = {"data": (features, prices), "home": home, "study": "prices", "notify": print}
    found = run_study(build, trials=4, metrics=["neg_max_error", "r2"], **given, **SMALL)
    return home, given, found


def test_a_regression_races_by_its_error_and_scores_as_scikit_learn_does(regression, samples):
    _, _, found = regression
    start, best = found.history.known_study(), found.best
    assert [o.name for o in objectives_of(start)] == ["cv_rmse"]
    assert (start.task, start.settings["objective"]) == ("regression", "cv_rmse")
    assert list(start.settings["metrics"]) == ["neg_max_error"]
    values = [t.value for t in found.history.completed()]
    assert values == sorted(values)
    rmse, mae, worst = [], [], []
    for ended in best.finished_folds().values():
        made = NumberPredictions.load(found.folder.root / ended.predictions)
        rmse.append(root_mean_squared_error(made.actual, made.predicted))
        mae.append(mean_absolute_error(made.actual, made.predicted))
        worst.append(-np.abs(made.predicted - made.actual).max())
    scores = best.ended.scores
    assert scores["cv_rmse"] == pytest.approx(np.mean(rmse))
    assert scores["cv_rmse_std"] == pytest.approx(np.std(rmse, ddof=1))
    assert scores["cv_mae"] == pytest.approx(np.mean(mae))
    assert scores["cv_neg_max_error"] == pytest.approx(np.mean(worst))
    told = next(iter(best.ended.report["numbers"].values()))
    assert told["samples"] == start.dataset["samples"]


def test_the_same_study_goes_on_with_its_objective_in_other_words(regression):
    _, given, found = regression
    more = run_study(
        build, trials=5, objective="rmse", metrics="r2,neg_max_error", **given, **SMALL
    )
    assert more.history.known_study().id == found.history.known_study().id
    assert len(more.history.finished()) == 5
    with pytest.raises(SettingsError, match="`--objective`: study 'prices' began with cv_rmse"):
        run_study(build, trials=5, objective="cv_mae", **given, **SMALL)


def test_doctor_finds_that_scores_and_predictions_agree_until_they_do_not(regression):
    home, _, found = regression
    place = Place(Home(home), Tracker(Home(home)))

    def wrong():
        findings = examine_home(place, ["prices"], repair=False, notify=print)
        return [each.text for each in findings if each.level != OK]

    assert wrong() == []
    fold = found.best.finished_folds()[1]
    path = found.folder.root / fold.predictions
    made = NumberPredictions.load(path)
    NumberPredictions(made.actual, made.predicted + 1).save(path)
    assert any("fold 1 has rmse" in text for text in wrong())
    made.save(path)


def test_labels_have_their_report_and_any_objective(samples, tmp_path):
    features, _, labels = samples
    found = run_study(
        build_labels,
        data=(features, labels),
        task="multi-label",
        objective="min:hamming_loss",
        trials=2,
        pruner="none",
        home=tmp_path / "mlruns",
        notify=print,
        **SMALL,
    )
    scores = found.best.ended.scores
    assert found.best.value == scores["cv_hamming_loss"]
    assert {"cv_macro_f1", "cv_macro_f1_std", "cv_exact_match", "cv_hamming_loss_std"} <= set(
        scores
    )
    assert len(found.best.ended.report["confusion"]) == 3
