"""`KerasSearchCV` as scikit-learn sees it."""

import pickle
import warnings

import keras
import numpy as np
import pandas
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier, is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import (
    f1_score,
    get_scorer,
    log_loss,
    mean_absolute_error,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from search import KerasSearchCV, KerasSearchRegressorCV, Notice, load_study
from search.tasks.classification import ClassPredictions
from search.tasks.regression import NumberPredictions

pytestmark = pytest.mark.filterwarnings("ignore::search.Notice")

TINY = {"set": {"learning_rate": 0.01, "batch_size": 32}, "pruner": "none"}
NAMES = np.array(["setosa", "versicolor", "virginica"])


@pytest.fixture(scope="module")
def iris():
    rows, labels = load_iris(return_X_y=True, as_frame=True)
    return rows, NAMES[labels]


@pytest.fixture(scope="module")
def fitted(iris):
    return KerasSearchCV("mlp", n_trials=3, cv=3, epochs=8, settings=TINY).fit(*iris)


def test_parameters_can_be_read_set_and_cloned():
    search = KerasSearchCV("lenet", n_trials=7, settings={"pruner": "none"})
    again = clone(search.set_params(cv=3))
    assert again.get_params() == search.get_params()
    assert again.get_params()["cv"] == 3
    with pytest.raises(NotFittedError):
        again.predict(np.zeros((1, 4)))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"scoring": "roc_auk"}, "no metric is called 'roc_auk'; for classification there are"),
        ({"scoring": "roc_auc"}, "does not fit classification with 3 classes"),
        ({"scoring": "r2"}, "does not fit classification"),
        ({"scoring": "latency_ms"}, "must name a metric of predictions; got 'latency_ms'"),
        ({"scoring": f1_score}, "the name of one metric; got a function. Workers compute it from"),
        ({"scoring": ["accuracy", "f1"]}, "the name of one metric; got a list"),
        ({"space": 5}, "it is of type int"),
        ({"space": "mpl"}, "did you mean mlp"),
        ({"n_trials": 0}, "`--trials`"),
        ({"settings": {"folks": 3}}, "did you mean folds"),
        ({"cv": [([0, 1], [1, 2])]}, "a sample must not be in both parts"),
    ],
)
def test_wrong_parameters_are_value_errors_in_a_sentence(iris, more, said):
    with pytest.raises(ValueError, match="(?s)" + said.replace("(", r"\(")) as caught:
        KerasSearchCV(**{"n_trials": 1, **more}).fit(*iris)
    assert len(str(caught.value)) < 300


@pytest.mark.slow
def test_results_are_those_of_the_trials_on_scikit_learns_folds(fitted, iris):
    results = fitted.cv_results_
    scores = np.column_stack([results[f"split{fold}_test_score"] for fold in range(3)])
    assert np.allclose(results["mean_test_score"], scores.mean(axis=1))
    assert np.allclose(results["std_test_score"], scores.std(axis=1))
    assert fitted.best_score_ == results["mean_test_score"].max()
    assert results["rank_test_score"][fitted.best_index_] == 1
    assert fitted.best_params_ == results["params"][fitted.best_index_]
    assert (results["mean_fit_time"] > 0).all()
    assert fitted.n_splits_ == 3
    sizes = [len(part) for _, part in StratifiedKFold(3).split(*iris)]
    whole = scores * sizes  # right answers are whole numbers
    assert np.allclose(whole, np.rint(whole))


@pytest.mark.slow
def test_the_refitted_model_predicts_and_scores(fitted, iris):
    rows, labels = iris
    found = fitted.predict_proba(rows)
    assert list(fitted.classes_) == list(NAMES)
    assert np.allclose(found.sum(axis=1), 1)
    assert (fitted.predict(rows) == NAMES[found.argmax(axis=1)]).all()
    assert fitted.score(rows, labels) == (fitted.predict(rows) == labels).mean() > 0.85
    assert fitted.n_features_in_ == 4
    assert list(fitted.feature_names_in_) == list(rows.columns)
    assert fitted.best_estimator_.predict(rows[:3]).tolist() == fitted.predict(rows[:3]).tolist()
    shown = fitted.best_estimator_._repr_mimebundle_()
    assert shown["text/plain"] == repr(fitted.best_estimator_)
    assert len(shown["text/plain"]) < 200
    assert repr(fitted.best_estimator_).startswith("<TrainedClassifier of a Keras model ")


@pytest.mark.slow
def test_a_fitted_search_survives_pickling(fitted, iris):
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301 # our own
    assert np.array_equal(again.predict_proba(iris[0]), fitted.predict_proba(iris[0]))
    assert again.best_params_ == fitted.best_params_


@pytest.mark.slow
def test_a_row_is_predicted_alike_whatever_stands_beside_it(fitted, iris):
    rows = iris[0]
    alone = np.concatenate([fitted.predict_proba(rows[n : n + 1]) for n in range(0, 150, 30)])
    assert np.array_equal(alone, fitted.predict_proba(rows)[::30])


@pytest.mark.slow
def test_it_works_in_cross_validation_pipelines_and_grids(iris):
    rows, labels = iris
    search = KerasSearchCV("mlp", n_trials=1, cv=2, epochs=8, settings=TINY)
    scores = cross_val_score(make_pipeline(StandardScaler(), search), rows, labels, cv=2)
    assert (scores > 0.7).all()
    grid = GridSearchCV(search, {"epochs": [1, 8]}, cv=2, refit=False).fit(rows, labels)
    assert grid.best_params_ == {"epochs": 8}


@pytest.mark.slow
def test_the_other_scorings_are_those_of_scikit_learn(iris):
    rows, labels = iris
    for scoring, score in (
        ("neg_log_loss", lambda s: -log_loss(labels, s.predict_proba(rows))),
        ("f1_macro", lambda s: f1_score(labels, s.predict(rows), average="macro")),
    ):
        search = KerasSearchCV(
            "mlp", n_trials=2, cv=2, scoring=scoring, epochs=4, settings=TINY
        ).fit(rows, labels)
        assert search.best_score_ == max(search.cv_results_["mean_test_score"])
        assert (search.best_score_ < 0) == (scoring == "neg_log_loss")
        assert search.score(rows, labels) == pytest.approx(score(search), abs=1e-6)


@pytest.mark.slow
def test_groups_are_for_the_splitter(iris):
    rows, labels = iris
    groups = np.arange(150) % 10
    search = KerasSearchCV("mlp", n_trials=1, cv=GroupKFold(5), epochs=1, settings=TINY)
    assert search.fit(rows, labels, groups=groups).n_splits_ == 5
    with pytest.raises(ValueError, match="groups"):
        search.fit(rows, labels)


@pytest.mark.slow
def test_pruned_trials_have_no_score_for_folds_they_did_not_see(iris):
    search = KerasSearchCV("mlp", n_trials=8, cv=4, epochs=2, refit=False).fit(*iris)
    results = search.cv_results_
    pruned = results["state"] == "pruned"
    assert pruned.any()
    assert np.isnan(results["mean_test_score"][pruned]).all()
    assert not np.isnan(results["split0_test_score"]).all()
    assert (results["rank_test_score"][pruned] > (~pruned).sum()).all()
    with pytest.raises(NotFittedError, match="refit=False"):
        search.predict(iris[0])


@pytest.mark.slow
def test_images_and_texts_are_taken(iris):
    chance = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = chance.integers(0, 100, (60, 8, 8), np.uint8) + 100 * labels[:, None, None].astype(
        "u1"
    )
    search = KerasSearchCV("lenet", n_trials=1, cv=2, epochs=15).fit(images, labels)
    assert search.score(images, labels) > 0.9
    texts = [f"{('bad', 'good')[n]} film {k}" for k, n in enumerate(labels)]
    search = KerasSearchCV("bilstm", n_trials=1, cv=2, epochs=1).fit(texts, labels)
    assert set(search.predict(["good film", "bad film"])) <= {0, 1}


@pytest.mark.slow
def test_a_home_keeps_the_study_and_the_same_fit_continues_it(iris, tmp_path):
    make = {"space": "mlp", "cv": 2, "epochs": 1, "settings": TINY, "home": tmp_path}
    first = KerasSearchCV(n_trials=1, **make).fit(*iris)
    second = KerasSearchCV(n_trials=2, **make).fit(*iris)
    assert first.study_.name == second.study_.name == "mlp-table"
    assert len(load_study("mlp-table", home=tmp_path).trials) == 2
    assert second.cv_results_["params"][0] == first.cv_results_["params"][0]


@pytest.mark.slow
def test_an_estimator_leaves_nothing_in_a_home_that_only_the_environment_names(
    iris, tmp_path, monkeypatch
):
    monkeypatch.setenv("FOLDWISE_HOME", str(tmp_path / "named"))
    make = {"space": "mlp", "n_trials": 1, "cv": 2, "epochs": 1, "settings": TINY}
    KerasSearchCV(**make).fit(*iris)
    assert not (tmp_path / "named").exists()
    KerasSearchCV(**make, home=tmp_path / "named").fit(*iris)
    assert len(load_study("mlp-table").trials) == 1


@pytest.mark.slow
def test_what_is_shown_begins_with_the_data_and_with_loading(iris, capsys):
    make = {"space": "mlp", "n_trials": 1, "cv": 2, "epochs": 1, "settings": TINY}
    KerasSearchCV(**make, verbose=1).fit(*iris)
    shown = capsys.readouterr().err
    stages = ["reading the data", "New study mlp-table", "loading TensorFlow", "trial 0"]
    places = [shown.find(stage) for stage in stages]
    assert -1 not in places, shown
    assert places == sorted(places)
    assert shown.count(stages[0]) == 1


# What scikit-learn asks of estimators, and a network trained in batches does not do.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "a sample twice as heavy is not the same as"
    " two samples where batches are drawn and epochs counted",
}


@pytest.mark.slow
def test_scikit_learns_checks_of_estimators_pass():
    search = KerasSearchCV("mlp", n_trials=1, cv=2, epochs=20, settings=TINY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the checks' own making
        found = check_estimator(search, expected_failed_checks=EXPECTED, on_fail=None, on_skip=None)
    failed = [one["check_name"] for one in found if one["status"] == "failed"]
    assert failed == []
    assert {one["check_name"] for one in found if one["status"] == "xfail"} == set(EXPECTED)
    assert sum(one["status"] == "passed" for one in found) > 40


def test_frames_with_words_are_taken_as_they_are():
    frame = pandas.DataFrame({"a": ["x", "y"] * 10, "b": range(20)})
    train, test = train_test_split(frame, random_state=0)
    search = KerasSearchCV("mlp")
    assert search._checked(train, [0, 1, 1] * 5)[0] is train
    assert search.n_features_in_ == 2
    with pytest.raises(ValueError, match="feature names should match"):
        search._checked_new(test[["a"]])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*baseline.*:search.Notice")
def test_folds_are_those_of_cv_where_samples_are_equal_which_is_told(iris):
    rows, labels = iris[0].iloc[::5].to_numpy().repeat(2, axis=0), iris[1][::5].repeat(2)
    cut = StratifiedKFold(2, shuffle=True, random_state=0)
    search = KerasSearchCV("mlp", n_trials=1, cv=cut, epochs=1, refit=False, settings=TINY)
    with pytest.warns(Notice, match=r"3\d of 60 samples are copies of others"):
        search.fit(rows, labels)
    assert search.study_.history.known_study().dataset["samples"] == 60
    kept = search.set_params(settings={**TINY, "allow_duplicates": False}).fit(rows, labels)
    splits = kept.study_.history.known_study().split
    assert splits["share"] > 1  # copies of validated samples have left the training parts


def second(held):
    """Return the probability of the second of two classes."""
    return np.where(held.predicted == 1, held.confidence, 1 - held.confidence).astype(float)


def of_fold(search, kind, trial, fold):
    ended = search.study_.history.trials[trial].finished_folds()[fold]
    return kind.load(search.study_.folder.root / ended.predictions)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scoring", "sign", "score"),
    [
        ("roc_auc", 1, lambda true, held: roc_auc_score(true, second(held))),
        ("recall@sick", 1, lambda true, held: recall_score(true, held.predicted, pos_label=0)),
        ("binary_crossentropy", -1, lambda true, held: log_loss(true, second(held))),
    ],
)
def test_any_metric_scores_folds_as_scikit_learn_scores_their_predictions(
    tmp_path, scoring, sign, score
):
    rows, labels = load_breast_cancer(return_X_y=True)
    search = KerasSearchCV(
        "mlp", n_trials=2, cv=3, epochs=3, scoring=scoring, settings=TINY, home=tmp_path
    ).fit(rows, np.array(["well", "sick"])[1 - labels])
    for trial in range(2):
        for fold in range(3):
            held = of_fold(search, ClassPredictions, trial, fold + 1)
            found = search.cv_results_[f"split{fold}_test_score"][trial]
            expected = score(held.targets, held)
            assert found == pytest.approx(sign * expected, abs=2e-4)
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    assert np.sign(search.score(rows, np.array(["well", "sick"])[1 - labels])) == sign


ROWS = np.random.default_rng(0).normal(size=(90, 4))
NOISY = (ROWS[:, 0] + 0.8 * np.random.default_rng(1).normal(size=90) > 0.4).astype(int)
HEAVY = np.random.default_rng(2).uniform(1, 9, 90)
THIRDS = np.repeat([0, 1, 2], 30)
LACKING = [np.r_[0:15, 30:45], np.r_[15:30, 60:75], np.r_[45:60, 75:90]]  # one class each


def parts_of(validated):
    return [(np.setdiff1d(np.arange(90), part), part) for part in validated]


HALVES = parts_of([np.arange(0, 90, 2), np.arange(1, 90, 2)])


class Held(ClassifierMixin, BaseEstimator):
    """What a study predicted of a fold's samples, as an estimator of the user's classes."""

    def __init__(self, held, classes):
        self.held, self.classes_ = held, classes

    def predict(self, X):  # noqa: N803 # scikit-learn's name
        return self.classes_[self.held.predicted]

    def predict_proba(self, X):  # noqa: N803
        shares = np.asarray(self.held.probabilities, float)
        return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scoring", "labels", "weights", "pairs"),
    [
        ("neg_log_loss", NOISY, HEAVY, HALVES),
        ("f1_macro", NAMES[THIRDS], HEAVY, parts_of(LACKING)),
        ("cv_f1", NOISY + 1, None, HALVES),
        ("average_precision", 2 - NOISY, HEAVY, HALVES),
        ("roc_auc_ovo", np.arange(90) % 3, HEAVY, HALVES),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
def test_best_score_and_score_are_scikit_learns_of_the_labels_as_they_were_passed(
    tmp_path, scoring, labels, weights, pairs
):
    search = KerasSearchCV(
        "mlp", n_trials=1, cv=pairs, epochs=2, scoring=scoring, settings=TINY, home=tmp_path
    ).fit(ROWS, labels, sample_weight=weights)
    scorer = get_scorer(scoring.removeprefix("max:").removeprefix("cv_"))
    is_weighted = weights is not None and "ovo" not in scoring

    def given(rows):
        return {"sample_weight": weights[rows]} if is_weighted else {}

    for fold, (_, part) in enumerate(pairs):
        held = Held(of_fold(search, ClassPredictions, 0, fold + 1), search.classes_)
        found = search.cv_results_[f"split{fold}_test_score"][0]
        wanted = scorer(held, ROWS[part], labels[part], **given(part))
        assert found == pytest.approx(wanted, abs=2e-3)  # kept in half precision
    assert search.best_score_ == search.cv_results_["mean_test_score"][0]
    every = np.arange(90)
    assert search.score(ROWS, labels, sample_weight=weights) == pytest.approx(
        scorer(search, ROWS, labels, **given(every)), abs=1e-12
    )


@pytest.mark.parametrize(
    ("scoring", "labels", "said"),
    [
        ("f1", ["sick", "well"], "of f1; got the classes sick, well. Give `f1@well`, `f1_macro`"),
        ("cv_recall", [0, 2], "positive one of recall; got the classes 0, 2. Give `recall@2`"),
        ("recall@0", [1, 2], "recall@0 must name one of the classes of y: 1, 2"),
        ("f1@1", ["sick", "well"], "f1@1 must name one of the classes of y: sick, well"),
        ("min:f1", [1, 2], "of cv_f1_0 a larger value is better"),
    ],
)
def test_what_scikit_learn_could_not_score_is_refused_before_anything_is_trained(
    monkeypatch, scoring, labels, said
):
    monkeypatch.setattr("search.sklearn.run_opened", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(ValueError, match="`") as caught:
        KerasSearchCV("mlp", n_trials=1, cv=2, scoring=scoring).fit(
            ROWS, np.array(labels)[np.arange(90) % len(labels)]
        )
    assert said in str(caught.value)


PLAIN = {"pruner": "none"}


def hinge(hp):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(hp.Int("units", 1, 1))])
    model.compile("adam", "hinge")
    return model


def hinges(hp):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(hp.Int("units", 3, 3))])
    model.compile("adam", "categorical_hinge")
    return model


@pytest.mark.slow
def test_models_of_scores_have_a_decision_function(tmp_path):
    search = KerasSearchCV(
        hinge, n_trials=1, cv=HALVES, epochs=2, scoring="roc_auc", settings=PLAIN, home=tmp_path
    )
    assert not hasattr(search, "decision_function")
    search.fit(ROWS, NAMES[NOISY])
    told = search.decision_function(ROWS)
    assert told.shape == (90,)
    assert (NAMES[(told > 0).astype(int)] == search.predict(ROWS)).all()
    assert search.score(ROWS, NAMES[NOISY]) == roc_auc_score(NOISY, told)
    assert not hasattr(search, "predict_proba")
    for fold in range(2):
        held = of_fold(search, ClassPredictions, 0, fold + 1)
        score = np.where(held.predicted == 1, held.confidence, -held.confidence)
        found = search.cv_results_[f"split{fold}_test_score"][0]
        assert found == pytest.approx(roc_auc_score(held.labels, score))
    again = pickle.loads(pickle.dumps(search))  # noqa: S301 # made here
    assert np.array_equal(again.decision_function(ROWS), told)
    search = KerasSearchCV(hinges, n_trials=1, cv=2, epochs=1, settings=PLAIN).fit(ROWS, THIRDS)
    assert search.decision_function(ROWS).shape == (90, 3)
    assert (search.decision_function(ROWS).argmax(axis=1) == search.predict(ROWS)).all()


@pytest.mark.slow
@pytest.mark.parametrize("scoring", ["neg_log_loss", "neg_brier_score"])
def test_scores_of_probabilities_are_refused_where_outputs_are_none(scoring):
    search = KerasSearchCV(hinge, n_trials=1, cv=2, epochs=1, scoring=scoring, settings=PLAIN)
    with pytest.raises(ValueError, match=f"{scoring} needs probabilities"):
        search.fit(ROWS, NOISY)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scoring", "targets", "weights"),
    [
        ("neg_root_mean_squared_error", ROWS[:, :2] * [1, 50], HEAVY),
        ("neg_max_error", ROWS[:, 0] * 3, HEAVY),
        ("rmse", ROWS[:, :2] * [1, 50], HEAVY),
    ],
)
def test_scores_of_numbers_are_scikit_learns_with_weights_and_several_targets(
    tmp_path, scoring, targets, weights
):
    search = KerasSearchRegressorCV(
        "mlp", n_trials=1, cv=HALVES, epochs=2, scoring=scoring, settings=TINY, home=tmp_path
    ).fit(ROWS, targets, sample_weight=weights)
    score = get_scorer("neg_root_mean_squared_error" if scoring == "rmse" else scoring)

    def wanted(true, predicted, counted):
        more = {} if scoring == "neg_max_error" else {"sample_weight": counted}
        return score._sign * score._score_func(true, predicted, **more)

    for fold, (_, part) in enumerate(HALVES):
        held = of_fold(search, NumberPredictions, 0, fold + 1)
        assert search.cv_results_[f"split{fold}_test_score"][0] == pytest.approx(
            wanted(held.actual, held.predicted, weights[part]), rel=1e-6
        )
    assert search.score(ROWS, targets, sample_weight=weights) == pytest.approx(
        wanted(targets, search.predict(ROWS), weights), rel=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scoring", "sign", "score"),
    [
        (None, 1, None),
        ("rmse", -1, root_mean_squared_error),
        ("neg_mean_absolute_error", -1, mean_absolute_error),
    ],
)
def test_numbers_are_predicted_and_scored_on_scikit_learns_folds(tmp_path, scoring, sign, score):
    rows, numbers = load_diabetes(return_X_y=True, as_frame=True)
    search = KerasSearchRegressorCV(
        "mlp", n_trials=2, cv=3, epochs=15, scoring=scoring, settings=TINY, home=tmp_path
    ).fit(rows, numbers)
    assert is_regressor(search)
    assert not is_classifier(search)
    folds = list(KFold(3).split(rows))
    for fold, (_, validated) in enumerate(folds):
        held = of_fold(search, NumberPredictions, 0, fold + 1)
        assert np.array_equal(held.actual[:, 0], numbers.to_numpy()[validated])
        if score is not None:
            expected = sign * score(held.actual, held.predicted)
            found = search.cv_results_[f"split{fold}_test_score"][0]
            assert found == pytest.approx(expected, rel=1e-6)
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    predicted = search.predict(rows)
    assert predicted.shape == numbers.shape
    assert 100 < predicted.mean() < 200
    if score is not None:
        assert search.score(rows, numbers) == pytest.approx(sign * score(numbers, predicted))
    else:
        assert 0.3 < search.score(rows, numbers) < 1


@pytest.mark.slow
def test_several_numbers_and_cross_validation_of_regressors():
    rows, numbers = load_diabetes(return_X_y=True)
    search = KerasSearchRegressorCV("mlp", n_trials=1, cv=2, epochs=10, settings=TINY)
    both = np.stack([numbers, 1000 - 2 * numbers], axis=1)
    predicted = search.fit(rows, both).predict(rows)
    assert predicted.shape == both.shape
    assert np.corrcoef(predicted.T)[0, 1] < -0.9
    assert cross_val_score(search, rows, numbers, cv=2).min() > 0.2
    again = pickle.loads(pickle.dumps(search))  # noqa: S301 # made here
    assert np.array_equal(again.predict(rows), predicted)


def test_numbers_need_the_regressor(iris):
    with pytest.raises(ValueError, match="KerasSearchRegressorCV predicts numbers"):
        KerasSearchCV("mlp", n_trials=1).fit(iris[0], iris[0].iloc[:, 0] + 0.05)


@pytest.mark.slow
def test_scikit_learns_checks_of_regressors_pass():
    """What both kinds are checked by, the classifier has passed; but for what is about targets."""

    def name(check):
        return getattr(check, "func", check).__name__

    of_both = {name(check) for _, check in estimator_checks_generator(KerasSearchCV("mlp"))}
    of_both -= {
        "check_fit_score_takes_y",
        "check_sample_weights_shape",
        "check_supervised_y_2d",
        "check_supervised_y_no_nan",
    }
    search = KerasSearchRegressorCV("mlp", n_trials=1, cv=2, epochs=20, settings=TINY)
    passed = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the checks' own making
        for estimator, check in estimator_checks_generator(search):
            if name(check) not in of_both:
                check(estimator)
                passed += 1
    assert passed > 8


@pytest.mark.slow
def test_weights_from_python_count_in_training_and_in_losses(tmp_path):
    chance = np.random.default_rng(0)
    rows = chance.normal(size=(240, 3))
    labels = (rows[:, 0] > 0).astype(int)
    wrong = np.arange(240) % 2 == 0
    given = np.where(wrong, 1 - labels, labels)  # every second label, which weighs next to nothing
    weights = np.where(wrong, 1e-3, 1.0) * (1 + np.arange(240) % 3)
    search = KerasSearchCV("mlp", n_trials=1, cv=3, epochs=30, settings=TINY, home=tmp_path)
    search.fit(rows, given, sample_weight=weights)
    assert search.best_estimator_.score(rows, labels) > 0.9
    for fold, (_, part) in enumerate(StratifiedKFold(3).split(rows, given), start=1):
        held = of_fold(search, ClassPredictions, 0, fold)
        assert np.array_equal(held.labels, given[part])
        losses = -np.log(held.truth.clip(1e-7).astype(float))  # as Keras clips them
        ended = search.study_.history.trials[0].finished_folds()[fold]
        assert ended.loss == pytest.approx((losses * weights[part]).mean(), rel=1e-3)
        assert losses.mean() > 10 * ended.loss
