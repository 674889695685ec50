"""Objectives and metrics as users write them, settled for what is predicted."""

import pytest

from search.errors import SettingsError
from search.study.objectives import Goals, check_known, measured, settle
from search.study.settings import validate
from search.tasks import Classification, MultiLabel, Regression

TWO, THREE = Classification(("no", "yes")), Classification(("cat", "dog", "emu"))
LABELS, PRICE = MultiLabel(("drama", "comedy")), Regression(("price",))


def settings(**asked):
    return validate({"space": "mlp", **asked})


@pytest.mark.parametrize(
    ("task", "name", "larger"),
    [(THREE, "cv_accuracy", True), (LABELS, "cv_macro_f1", True), (PRICE, "cv_rmse", False)],
)
def test_a_study_that_names_no_objective_has_its_tasks(task, name, larger):
    settled, (objective,) = settle(settings(), task)
    assert (settled.objective, objective.name, objective.larger) == (name, name, larger)


@pytest.mark.parametrize(
    ("task", "text", "recorded", "name"),
    [
        (THREE, "accuracy", "cv_accuracy", "cv_accuracy"),
        (THREE, "cv_loss", "cv_loss", "cv_loss"),
        (THREE, "macro_f1", "cv_macro_f1", "cv_macro_f1"),
        (THREE, "cv_macro_f1,model_parameters", "cv_macro_f1,model_parameters", "cv_macro_f1"),
        (THREE, "recall@dog", "cv_recall@dog", "cv_recall_dog"),
        (TWO, "roc_auc", "cv_roc_auc", "cv_roc_auc"),
        (LABELS, "macro_f1", "cv_macro_f1", "cv_macro_f1"),
        (PRICE, "cv_neg_mean_absolute_error", "cv_neg_mean_absolute_error", None),
        (PRICE, "val_mape", "val_mape", "cv_val_mape"),
        (PRICE, "min:val_odd", "min:val_odd", "cv_val_odd"),
        (PRICE, "rmse,model_parameters", "cv_rmse,model_parameters", "cv_rmse"),
        (PRICE, ["cv_mae", "latency_ms"], "cv_mae,latency_ms", "cv_mae"),
    ],
)
def test_an_objective_is_recorded_in_the_words_that_find_it_again(task, text, recorded, name):
    settled, objectives = settle(settings(objective=text), task)
    assert settled.objective == recorded
    assert objectives[0].name == (name or recorded)
    assert settle(settled, task) == (settled, objectives)


def test_a_function_is_recorded_with_its_whole_path_and_its_direction(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text("def gain(y_true, y_pred): return 1.0\n")
    settled, (objective,) = settle(settings(objective="own.py:gain"), PRICE)
    assert settled.objective == f"max:{tmp_path}/own.py:gain"
    assert (objective.name, objective.fold, objective.larger) == ("cv_gain", "gain", True)
    assert settle(settled, PRICE)[0] == settled


def test_an_objective_that_a_study_began_with_is_kept_as_it_was_recorded():
    began = settings(objective="min:val_poisson")
    assert settle(began, PRICE)[0].objective == "val_poisson"
    settled, (objective,) = settle(began, PRICE, began="min:val_poisson")
    assert (settled.objective, objective.larger) == ("min:val_poisson", False)


def test_metrics_are_those_that_are_not_recorded_anyway():
    asked = settings(
        metrics="rmse,cv_mae,cv_loss,neg_max_error,explained_variance", objective="mae"
    )
    assert settle(asked, PRICE)[0].metrics == ("neg_max_error", "explained_variance")


@pytest.mark.parametrize(
    ("task", "asked", "words"),
    [
        (THREE, {"objective": "cv_acuracy"}, "`--objective`: no metric is called 'acuracy'"),
        (THREE, {"objective": "cv_rmse"}, "no metric is called 'rmse'; for classification"),
        (THREE, {"objective": "roc_auc"}, "does not fit classification with 3 classes"),
        (THREE, {"objective": "acc"}, "did you mean cv_accuracy?"),
        (THREE, {"objective": "recall@cow"}, "must name a class: "),
        (PRICE, {"objective": "cv_accuracy"}, "for regression"),
        (THREE, {"objective": "accuracy,cv_accuracy"}, "must be two different ones"),
        (PRICE, {"objective": "val_odd"}, "write `max:val_odd` or `min:val_odd`"),
        (TWO, {"objective": "min:cv_roc_auc"}, "a larger value is better; leave out `min:`"),
        (PRICE, {"metrics": "rmsee"}, "`--metrics`: no metric is called 'rmsee'"),
        (PRICE, {"metrics": "latency_ms"}, "`--objective cv_rmse,latency_ms`"),
        (PRICE, {"objective": "none.py:error"}, "none.py:error: the file cannot be read"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_with_what_can(task, asked, words):
    with pytest.raises(SettingsError) as caught:
        settle(settings(**asked), task)
    assert words in str(caught.value)


def test_a_file_without_the_function_is_refused_with_near_names(tmp_path):
    (tmp_path / "own.py").write_text("def profit(y_true, y_pred): return 1.0\n")
    with pytest.raises(SettingsError, match=r"has no function proft; did you mean profit\?"):
        settle(settings(objective=f"max:{tmp_path}/own.py:proft"), PRICE)


def test_two_metrics_of_one_name_are_refused(tmp_path):
    (tmp_path / "own.py").write_text("def rmse(y_true, y_pred): return 1.0\n")
    with pytest.raises(SettingsError, match="would both be recorded as 'rmse'"):
        settle(settings(objective=f"{tmp_path}/own.py:rmse"), PRICE)


def test_a_slip_is_refused_before_any_data_are_read_whatever_the_task():
    for text in (
        "cv_rmse",
        "neg_max_error",
        "roc_auc",
        "roc_auc_ovr",
        "hamming_loss",
        "recall@Shirt",
        "val_auc",
        "top_k_categorical_accuracy",
        "pearson_correlation",
    ):
        check_known(settings(objective=text, metrics=text))
    with pytest.raises(SettingsError, match="`--metrics`: no metric is called 'rocauc'"):
        check_known(settings(metrics="rocauc"))


def test_the_five_likeliest_of_classes_are_a_metric_of_more_than_five():
    ten, five = Classification(tuple("abcdefghij")), Classification(tuple("abcde"))
    assert settle(settings(objective="top_k_categorical_accuracy"), ten)
    with pytest.raises(SettingsError, match="does not fit classification with 5 classes"):
        settle(settings(objective="top_k_categorical_accuracy"), five)


def test_a_metric_of_an_output_that_is_not_known_yet_is_let_through():
    check_known(validate({"space": "mlp", "objective": "cv_sale_price_rmse"}))
    check_known(validate({"space": "mlp", "objective": "max:kind_macro_f1"}))
    with pytest.raises(SettingsError, match="no metric is called"):
        check_known(validate({"space": "mlp", "objective": "cv_price_rnse"}))


def test_what_is_asked_of_a_study_again_is_put_in_its_words():
    goals = Goals.of("accuracy", ["cv_loss", "balanced_accuracy"], TWO)
    asked = {"objective": ["accuracy"], "metrics": ["cv_loss", "balanced_accuracy"], "folds": 3}
    assert goals.asked(asked) == {
        "objective": "cv_accuracy",
        "metrics": ("balanced_accuracy",),
        "folds": 3,
    }
    assert goals.asked({"folds": 3}) == {"folds": 3}


def test_macro_f1_of_classes_is_the_mean_of_the_folds_unless_the_study_began_with_another():
    _, (objective,) = settle(settings(objective="max:macro_f1"), THREE)
    assert (objective.name, objective.fold, objective.epoch) == (
        "cv_macro_f1", "macro_f1", "val_macro_f1"
    )  # fmt: skip
    assert [o.name for o in measured(settings(objective="cv_macro_f1"), THREE)] == [
        "cv_accuracy", "cv_macro_f1"
    ]  # fmt: skip
    settled, (before,) = settle(settings(objective="macro_f1"), THREE, began="macro_f1")
    assert (settled.objective, before.name) == ("macro_f1", "macro_f1")
    goals = Goals.of("macro_f1", [], THREE, began="macro_f1")
    assert goals.asked({"objective": "macro_f1"}) == {"objective": "macro_f1"}
