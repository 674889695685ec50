import numpy as np
import pytest
from sklearn import metrics
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from search.errors import SettingsError
from search.tasks import Classification, MultiLabel, MultiOutput, OutputTask, Regression, Scored
from search.tasks.classification import PROBABILITIES, Outputs
from search.tasks.metrics import (
    KERAS_METRICS,
    direction_of,
    metric_names,
    metric_of,
    objective_of,
    of_own_classes,
    scorer_of,
    takes_weights,
)

TWO, THREE = Classification(("no", "yes")), Classification(("a", "b", "c"))
LABELS, NUMBERS = MultiLabel(("red", "round")), Regression(("price",))
RANDOM = np.random.default_rng(0)
LABEL2, LABEL3 = RANDOM.integers(0, 2, 60), RANDOM.integers(0, 3, 60)
P2, P3 = RANDOM.dirichlet([1, 1], 60), RANDOM.dirichlet([1, 1, 1], 60)
WEIGHTS = RANDOM.random(60) + 0.1
Y, F = RANDOM.normal(size=(60, 1)), RANDOM.normal(size=(60, 1))
L, Q = RANDOM.integers(0, 2, (60, 2)).astype(np.uint8), RANDOM.random((60, 2)).astype(np.float32)

EXPECTED = [
    ("roc_auc", TWO, P2, LABEL2, metrics.roc_auc_score(LABEL2, P2[:, 1])),
    ("average_precision", TWO, P2, LABEL2, metrics.average_precision_score(LABEL2, P2[:, 1])),
    ("neg_log_loss", THREE, P3, LABEL3, -metrics.log_loss(LABEL3, P3)),
    ("f1", TWO, P2, LABEL2, metrics.f1_score(LABEL2, P2.argmax(1))),
    (
        "balanced_accuracy",
        THREE,
        P3,
        LABEL3,
        metrics.balanced_accuracy_score(LABEL3, P3.argmax(1)),
    ),
    ("roc_auc_ovr", THREE, P3, LABEL3, metrics.roc_auc_score(LABEL3, P3, multi_class="ovr")),
    ("recall@b", THREE, P3, LABEL3, metrics.recall_score(LABEL3 == 1, P3.argmax(1) == 1)),
    ("roc_auc@c", THREE, P3, LABEL3, metrics.roc_auc_score(LABEL3 == 2, P3[:, 2])),
    ("rmse", NUMBERS, F, Y, metrics.root_mean_squared_error(Y, F)),
    ("mae", NUMBERS, F, Y, metrics.mean_absolute_error(Y, F)),
    ("r2", NUMBERS, F, Y, metrics.r2_score(Y, F)),
    (
        "neg_median_absolute_error",
        NUMBERS,
        F,
        Y,
        -metrics.median_absolute_error(Y, F),
    ),
    ("macro_f1", LABELS, Q, L, metrics.f1_score(L, Q > 0.5, average="macro")),
    ("hamming_loss", LABELS, Q, L, metrics.hamming_loss(L, Q > 0.5)),
    ("exact_match", LABELS, Q, L, metrics.accuracy_score(L, Q > 0.5)),
    (
        "f1_samples",
        LABELS,
        Q,
        L,
        metrics.f1_score(L, Q > 0.5, average="samples", zero_division=0.0),
    ),
    ("precision@round", LABELS, Q, L, metrics.precision_score(L[:, 1], Q[:, 1] > 0.5)),
]


@pytest.mark.parametrize(("name", "task", "values", "targets", "expected"), EXPECTED)
def test_a_metric_is_what_scikit_learn_computes(name, task, values, targets, expected):
    assert metric_of(name, task).of(Scored(values, targets)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "task", "values", "targets", "expected"),
    [
        ("accuracy", THREE, P3, LABEL3, "accuracy_score"),
        ("roc_auc", TWO, P2, LABEL2, "roc_auc_score"),
        ("rmse", NUMBERS, F, Y, "root_mean_squared_error"),
        ("mae", NUMBERS, F, Y, "mean_absolute_error"),
        ("r2", NUMBERS, F, Y, "r2_score"),
        ("hamming_loss", LABELS, Q, L, "hamming_loss"),
    ],
)
def test_weights_count_as_in_scikit_learn(name, task, values, targets, expected):
    given = {"accuracy": values.argmax(1), "roc_auc": values[:, -1], "hamming_loss": Q > 0.5}
    wanted = getattr(metrics, expected)(targets, given.get(name, values), sample_weight=WEIGHTS)
    assert metric_of(name, task).of(Scored(values, targets, WEIGHTS)) == pytest.approx(
        wanted, rel=1e-6
    )


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("r2", THREE),
        ("neg_mean_absolute_error", TWO),
        ("roc_auc", NUMBERS),
        ("roc_auc", THREE),
        ("adjusted_rand_score", TWO),
        ("accurracy", THREE),
        ("top_k_categorical_accuracy", THREE),
        ("top_k_accuracy", TWO),
        ("pearson_correlation", NUMBERS),
        ("binary_accuracy", NUMBERS),
        ("categorical_accuracy", LABELS),
        ("recall@d", THREE),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_with_others(name, task):
    with pytest.raises(SettingsError) as caught:
        metric_of(name, task)
    assert name.partition("@")[0] in str(caught.value)


OWN_CLASSES = [
    [0, 1],
    [1, 2],
    [0, 2],
    [-1, 1],
    [1.0, 2.0],
    [False, True],
    ["sick", "well"],
    [0, 1, 2],
    [1, 2, 3, 4],
    [5, 6, 7],
    ["a", "b", "c", "d"],
]


def by_own_classes(classes, model, scored):
    """Yield each scorer's name with its value of own classes by scikit-learn and by this project.

    Of what is refused the value is None.
    """
    task = Classification(tuple(map(str, range(len(classes)))))
    rows = RANDOM.normal(size=(60, 3))
    own = np.array(classes)
    numbers = (rows @ [3, 1, 0] + RANDOM.normal(size=60)).argsort().argsort() * len(own) // 60
    true, weights = own[numbers], RANDOM.random(60)
    model.fit(rows[:40], true[:40])
    for name in (name for name in metric_names(task) if scorer_of(name)):
        more = {"sample_weight": weights} if takes_weights(name, len(own)) else {}
        try:
            wanted = metrics.get_scorer(name)(model, rows, true, **more)
        except (ValueError, AttributeError):
            wanted = None
        try:
            metric = metric_of(of_own_classes(name, task, own), task)
            found = metric.of(scored(model, rows, numbers, weights))
        except (ValueError, SettingsError):
            found = None
        yield name, wanted, found


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("classes", OWN_CLASSES, ids=str)
def test_a_scorer_of_own_classes_is_scikit_learns_or_refused(classes):
    def scored(model, rows, numbers, weights):
        return Scored(model.predict_proba(rows), numbers, weights)

    told = {name: pair for name, *pair in by_own_classes(classes, GaussianNB(), scored)}
    assert {name for name, (wanted, _) in told.items() if wanted is None} == {
        name for name, (_, found) in told.items() if found is None
    }
    known = {name: pair for name, pair in told.items() if None not in pair}
    assert len(known) >= 15
    for name, (wanted, found) in known.items():
        assert found == pytest.approx(wanted, rel=1e-9), name


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("classes", OWN_CLASSES, ids=str)
@pytest.mark.parametrize("columns", [1, 2])
def test_a_scorer_of_scores_is_scikit_learns_of_a_decision_function(classes, columns):
    def scored(model, rows, numbers, weights):
        values = model.decision_function(rows)
        if values.ndim == 1:  # with both signs, or each class's share in a wandering sum
            both = {1: [-values, values], 2: [rows[:, 2] - values, rows[:, 2] + values]}
            values = np.stack(both[columns], axis=1)
        return Scored(values, numbers, weights, are_probabilities=False)

    known = 0
    for name, wanted, found in by_own_classes(classes, LinearSVC(), scored):
        assert (wanted is None) == (found is None), name
        if found is not None:
            assert found == pytest.approx(wanted, rel=1e-9), name
            known += 1
    assert known >= 12


def test_classes_that_leave_open_which_is_positive_are_refused_with_the_remedy():
    with pytest.raises(SettingsError) as caught:
        of_own_classes("f1", TWO, np.array(["sick", "well"]))
    assert str(caught.value) == (
        "scikit-learn must know which class is the positive one of f1; got the classes sick, well."
        " Give `f1@well`, `f1_macro` or y as 0 and 1"
    )
    assert of_own_classes("f1", TWO, np.array([1, 2])) == "f1@no"


def test_scores_that_are_no_probabilities_have_no_log_loss():
    with pytest.raises(ValueError, match="neg_log_loss needs probabilities"):
        metric_of("neg_log_loss", TWO).of(Scored(P2, LABEL2, are_probabilities=False))


def test_an_objective_says_which_way_is_better():
    assert objective_of("cv_rmse", NUMBERS)[0].larger is False
    assert objective_of("roc_auc", TWO)[0].name == "cv_roc_auc"
    assert objective_of("val_auc", TWO)[0].larger is True
    assert objective_of("min:val_thing", TWO)[0].larger is False
    with pytest.raises(SettingsError, match=r"max:val_thing"):
        objective_of("val_thing", TWO)


def test_a_function_of_a_file_is_a_metric(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "import numpy as np\n"
        "def most(y_true, y_pred, sample_weight=None):\n"
        "    return np.abs(y_true - y_pred).max()\n"
    )
    objective, metric = objective_of(f"min:{file}:most", NUMBERS)
    assert objective.name == "cv_most"
    assert metric.of(Scored(F, Y, WEIGHTS)) == pytest.approx(np.abs(F - Y).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task", "values", "targets"),
    [("auc", TWO, P2, LABEL2), ("categorical_crossentropy", THREE, P3, LABEL3)],
)
def test_a_metric_of_keras_is_what_keras_computes(name, task, values, targets):
    import keras

    metric = keras.metrics.AUC() if name == "auc" else keras.metrics.CategoricalCrossentropy()
    true = targets[:, None] if name == "auc" else np.eye(3)[targets]
    given = (values[:, 1:] if name == "auc" else values).astype(np.float32)
    metric.update_state(true, given)
    assert metric_of(name, task).of(Scored(values, targets)) == pytest.approx(
        float(metric.result())
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mean_squared_error", metrics.mean_squared_error),
        ("root_mean_squared_error", metrics.root_mean_squared_error),
        ("mean_absolute_error", metrics.mean_absolute_error),
        ("r2_score", metrics.r2_score),
    ],
)
def test_metrics_of_keras_keep_the_digits_of_numbers_far_from_zero(name, wanted):
    targets, values = 1.7e9 + Y, 1.7e9 + F
    found = metric_of(name, NUMBERS).of(Scored(values, targets, WEIGHTS))
    assert found == pytest.approx(wanted(targets, values, sample_weight=WEIGHTS), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "values", "targets", "average"),
    [(TWO, P2, LABEL2, "binary"), (THREE, P3, LABEL3, "macro"), (LABELS, Q, L, "macro")],
)
def test_kerass_f1_is_that_of_what_is_predicted(task, values, targets, average):
    given = values > 0.5 if task is LABELS else values.argmax(axis=1)
    wanted = metrics.f1_score(targets, given, average=average)
    assert metric_of("f1_score", task).of(Scored(values, targets)) == pytest.approx(
        wanted, abs=1e-5
    )


def test_scores_that_are_no_probabilities_have_no_crossentropy():
    with pytest.raises(ValueError, match="needs probabilities"):
        metric_of("categorical_crossentropy", THREE).of(Scored(P3, LABEL3, are_probabilities=False))


@pytest.mark.parametrize("name", ["poisson", "mean_squared_logarithmic_error"])
def test_a_metric_of_counts_refuses_numbers_below_zero(name):
    with pytest.raises(ValueError, match="at least 0"):
        metric_of(name, NUMBERS).of(Scored(F - 100.0, Y))


def test_one_to_one_areas_of_weighted_samples_are_those_of_samples_alike():
    metric = metric_of("roc_auc_ovo", THREE)
    assert metric.of(Scored(P3, LABEL3, WEIGHTS)) == metric.of(Scored(P3, LABEL3))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy"]
)
def test_the_five_likeliest_of_seven_classes_are_those_of_scikit_learn(name):
    random = np.random.default_rng(1)
    labels, values = random.integers(0, 7, 60), random.dirichlet(np.ones(7), 60)
    wanted = metrics.top_k_accuracy_score(labels, values, k=5, sample_weight=WEIGHTS)
    found = metric_of(name, Classification(tuple("abcdefg"))).of(Scored(values, labels, WEIGHTS))
    assert found == pytest.approx(wanted, rel=1e-6)


def test_an_output_whose_name_begins_as_anothers_has_its_own_metrics():
    parts = (OutputTask("price", NUMBERS), OutputTask("price_class", TWO))
    task = MultiOutput(("price", "price_class"), parts)
    values = np.concatenate([F, P2], axis=1)
    targets = task.side_by_side({"price": Y, "price_class": LABEL2})
    found = task.metric("price_class_accuracy").of(Scored(values, targets))
    assert found == metrics.accuracy_score(LABEL2, P2.argmax(1))
    found = task.metric("price_rmse").of(Scored(values, targets))
    assert found == pytest.approx(metrics.root_mean_squared_error(Y, F))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_the_report_on_a_single_label_is_that_of_the_same_label_among_others(weights):
    one, two = MultiLabel(("red",)), MultiLabel(("red", "round"))
    alone = one.report(one.predicted(Q[:, :1], L[:, :1]), weights)
    among = two.report(two.predicted(Q, L), weights)
    assert alone["report"]["red"] == among["report"]["red"]
    assert alone["confusion"] == {"red": among["confusion"]["red"]}
    assert alone["report"]["macro avg"]["f1-score"] == alone["report"]["red"]["f1-score"]
    always = one.predicted(np.ones((60, 1), np.float32), np.ones((60, 1), np.uint8))
    assert one.report(always)["confusion"] == {"red": [[0, 0], [0, 60]]}


def test_what_a_sample_is_given_does_not_depend_on_the_others():
    near, far = [0.335, 0.335, 0.335], [0.5, 0.5, 0.5]
    outputs = Outputs(PROBABILITIES, 3)
    alone = outputs.values(np.array([near], np.float32))
    among = outputs.values(np.array([near, far], np.float32))
    assert (alone[0] == among[0]).all()
    assert alone.sum() == pytest.approx(1, abs=1e-6)
    almost = outputs.values(np.full((1, 3), 0.333335, np.float32))  # the sum is 1.000005
    assert almost.sum() == pytest.approx(1, abs=5e-7)
    softmax = np.array([[0.1, 0.2, 0.7]], np.float32)
    assert (outputs.values(softmax) == softmax).all()


@pytest.mark.parametrize(
    ("larger", "names"),
    [
        (
            True,
            "binary_accuracy sparse_top_k_categorical_accuracy acc top5_accuracy auc_1 roc_auc"
            " rocAUC F1Score f1_macro macro_f1 mean_io_u MeanIoU one_hot_io_u fbeta_score r2_score"
            " sensitivity_at_specificity recall_at_10 recall@10 dice_coef kind_accuracy profit"
            " pearson_correlation neg_mean_squared_error neg_brier_score neg_log_loss",
        ),
        (
            False,
            "mean_squared_error rmse mape price_loss logLoss cross_entropy kl_divergence poisson"
            " log_cosh_error logcosh squared_hinge equal_error_rate brier_score error_at_95_recall",
        ),
        (
            None,
            "false_acceptance_rate false_accept_rate inaccuracy in_accuracy imprecision missRecall"
            " interval_score energy_score score accumulated_delay accidents deferred_revenue"
            " cosine_similarity false_positives true_negatives accuracy_drop error_reduction"
            " brier_skill_score mean_bias_error no_error_rate one_minus_auc 1-accuracy dice_loss"
            " neg_accuracy neg_log_likelihood loss_given_default thing",
        ),
    ],
)
def test_only_whole_words_of_a_name_say_which_way_is_better(larger, names):
    assert {name: direction_of(name) for name in names.split()} == dict.fromkeys(
        names.split(), larger
    )


def test_every_metric_of_keras_has_the_direction_that_keras_gives_it():
    assert {name: direction_of(name) for name in KERAS_METRICS} == {
        **KERAS_METRICS,
        "cosine_similarity": None,  # its loss of this name is the negative of the metric
    }


@pytest.mark.slow
def test_the_directions_of_kerass_metrics_are_those_of_keras():
    import keras

    given = {name: getattr(keras.metrics.get(name), "_direction", None) for name in KERAS_METRICS}
    assert given == {name: "up" if larger else "down" for name, larger in KERAS_METRICS.items()}


@pytest.mark.parametrize("text", ["m.py:false_acceptance_rate", "val_false_accept_rate"])
def test_a_direction_that_a_name_does_not_say_is_asked_for(text):
    with pytest.raises(SettingsError, match=f"write `max:{text}` or `min:{text}`"):
        objective_of(text, TWO)
    assert objective_of(f"min:{text}", TWO)[0].larger is False
