"""What outputs mean and which labels a loss wants, against what plain Keras says."""

import functools
from typing import Any

import numpy as np
import pytest

from search.tasks import Classification, OutputTask, Regression
from search.tasks.multi_output import MultiOutput
from spaces import Int
from spaces.declaring.training import with_training
from tests.fakes import some_classes, toy_space

pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(0)
LABELS = np.arange(150) % 3
CENTRES = np.array([[0, 0], [1.5, 0], [0, 1.5]])
ROWS = (CENTRES[LABELS] + RANDOM.normal(size=(150, 2))).astype(np.float32)
TWO = (LABELS > 0).astype(np.int64)


def params(**changed):
    space = with_training(toy_space(Int("units", 4, 8)))
    return space.complete({"epochs": 3, "batch_size": 16, **changed})


def model(units, activation=None, *, loss=None, metrics=("accuracy",), kind=None, optimizer="adam"):
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(8, "relu")(inputs)
    made = (kind or keras.Model)(inputs, keras.layers.Dense(units, activation, name="last")(hidden))
    if loss is not None:
        made.compile(optimizer, loss, metrics=list(metrics))
    return made


def train(made, labels=LABELS, rows=ROWS, **changed):
    from search.training.batches import Part
    from search.training.fit import fit

    notices, epochs = [], []
    part = Part(rows, labels)
    fitted = fit(
        made,
        part,
        part,
        params(**changed),
        task=some_classes(int(labels.max()) + 1),
        seed=5,
        on_epoch=epochs.append,
        notify=notices.append,
    )
    return fitted, epochs[-1], notices


def own_binary(labels, outputs):
    import tensorflow as tf

    return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, outputs.dtype), outputs)


def own_softmax(labels, outputs):
    import tensorflow as tf

    return tf.nn.softmax_cross_entropy_with_logits(labels, outputs)


def own_sparse(labels, outputs):
    import tensorflow as tf

    labels = tf.cast(tf.reshape(labels, [-1]), tf.int64)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)


def mean_of_all(labels, outputs):
    import tensorflow as tf

    return tf.reduce_mean(own_softmax(labels, outputs))


def focal(labels, outputs):
    import tensorflow as tf

    truth = tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), 3)
    chance = tf.clip_by_value(outputs, 1e-7, 1.0)
    return -tf.reduce_sum(truth * (1 - chance) ** 2 * tf.math.log(chance), axis=-1)


def stock(name, **more):
    import keras

    return getattr(keras.losses, name)(**more)


def partial(name, **more):
    import keras

    return functools.partial(getattr(keras.losses, name), **more)


@pytest.mark.parametrize(
    ("own", "known", "labels", "units"),
    [
        (lambda: own_binary, ("BinaryCrossentropy",), TWO, 1),
        (lambda: [own_binary], ("BinaryCrossentropy",), TWO, 1),
        (lambda: own_softmax, ("CategoricalCrossentropy",), LABELS, 3),
        (lambda: own_sparse, ("SparseCategoricalCrossentropy",), LABELS, 3),
        (lambda: {"last": mean_of_all}, ("CategoricalCrossentropy",), LABELS, 3),
        (lambda: lambda y, z: own_softmax(y, z), ("CategoricalCrossentropy",), LABELS, 3),
        (
            lambda: partial("binary_crossentropy", from_logits=True),
            ("BinaryCrossentropy",),
            TWO,
            1,
        ),
    ],
)
def test_an_own_loss_on_logits_scores_as_the_stock_one_does(own, known, labels, units):
    ours, last, notices = train(model(units, loss=own()), labels)
    _, reference, _ = train(model(units, loss=stock(*known, from_logits=True)), labels)
    assert ours.outputs.meaning == "logits"
    assert notices == []
    assert last.scores.metrics["accuracy"] == reference.scores.metrics["accuracy"]
    assert last.scores.loss == pytest.approx(reference.scores.loss, abs=1e-5)
    assert np.allclose(last.values, reference.values, atol=1e-5)
    assert np.allclose(last.values.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "units", "activation", "threshold"),
    [
        ("hinge", 1, "tanh", 0.0),
        ("hinge", 1, None, 0.0),
        ("squared_hinge", 1, None, 0.0),
        ("mean_squared_error", 1, None, 0.5),
        ("mean_absolute_error", 1, None, 0.5),
        ("binary_crossentropy", 1, None, 0.5),
        ("binary_focal_crossentropy", 1, None, 0.5),
    ],
)
def test_one_output_that_is_no_probability_is_scored_as_keras_evaluates_it(
    loss, units, activation, threshold
):
    import keras

    made = model(units, activation, loss=loss)
    fitted, last, notices = train(made, TWO)
    assert fitted.outputs.meaning == "scores"
    assert len(notices) == 1
    assert f"above {threshold:g}" in notices[0]
    reference = keras.models.clone_model(made)
    reference.set_weights(made.get_weights())
    metric = keras.metrics.BinaryAccuracy(threshold=threshold)
    reference.compile("adam", loss, metrics=[metric])
    expected = reference.evaluate(ROWS, TWO[:, None].astype("float32"), verbose=0, batch_size=150)
    assert last.scores.loss == pytest.approx(expected[0], rel=1e-5)
    assert last.scores.metrics["accuracy"] == pytest.approx(expected[1], abs=1e-6)
    assert "accuracy" in last.metrics if threshold else "accuracy" not in last.metrics


@pytest.mark.parametrize("loss", ["categorical_hinge", "mean_squared_error", own_softmax])
def test_the_largest_of_several_outputs_names_the_class(loss):
    import keras

    made = model(3, loss=loss)
    _, last, _ = train(made)
    found = keras.ops.convert_to_numpy(made(ROWS))
    assert last.scores.metrics["accuracy"] == pytest.approx((found.argmax(axis=1) == LABELS).mean())
    if isinstance(loss, str):
        expected = made.evaluate(ROWS, np.eye(3)[LABELS], verbose=0, batch_size=150)
        assert last.scores.loss == pytest.approx(expected[0], rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        lambda y, z: __import__("tensorflow").maximum(0.0, 1 - y * z),
        lambda y, z: __import__("tensorflow").math.softplus(-y * z),
    ],
)
def test_a_loss_that_wants_signs_gets_them(loss):
    made = model(1, loss=loss)
    _, last, _ = train(made, TWO, learning_rate=0.05, epochs=8)
    from search.training.targets import targets_for

    assert targets_for(made, some_classes(2), ROWS).form == "signs"
    assert last.scores.metrics["accuracy"] > 0.6
    assert "accuracy" not in last.metrics


@pytest.mark.parametrize(("units", "labels"), [(3, LABELS), (1, TWO), (2, TWO)])
def test_a_model_without_loss_or_softmax_is_trained_on_logits(units, labels):
    fitted, last, _ = train(model(units), labels, learning_rate=0.05, epochs=10)
    same, reference, _ = train(
        model(units, "sigmoid" if units == 1 else "softmax"), labels, learning_rate=0.05, epochs=10
    )
    assert fitted.outputs.meaning == "logits"
    assert same.outputs.meaning == "probabilities"
    expected = reference.scores.metrics["accuracy"]
    assert last.scores.metrics["accuracy"] == pytest.approx(expected, abs=0.02)
    assert last.scores.loss == pytest.approx(reference.scores.loss, abs=1e-3)
    assert last.metrics["accuracy"] == pytest.approx(reference.metrics["accuracy"], abs=0.02)


@pytest.mark.filterwarnings("ignore:.*received `from_logits=True`:UserWarning")
def test_a_softmax_stays_one_though_the_loss_speaks_of_logits():
    loss = stock("SparseCategoricalCrossentropy", from_logits=True)
    fitted, last, _ = train(model(3, "softmax", loss=loss), epochs=8)
    assert fitted.outputs.meaning == "probabilities"
    assert last.scores.loss == pytest.approx(last.metrics["loss"], abs=0.1)


class Steps:
    """Models with a `train_step` of their own."""

    @staticmethod
    def on_logits(form):
        import keras
        import tensorflow as tf

        class Own(keras.Model):
            def train_step(self, data):
                inputs, labels = data
                with tf.GradientTape() as tape:
                    found = self(inputs, training=True)
                    if form == "integers":
                        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, found)
                    else:
                        losses = tf.nn.softmax_cross_entropy_with_logits(labels, found)
                    loss = tf.reduce_mean(losses)
                weights = self.trainable_variables
                self.optimizer.apply(tape.gradient(loss, weights), weights)
                return {"loss": loss, "more": {"rate": tf.constant(0.5), "both": [0.25, 0.75]}}

        return Own


@pytest.mark.parametrize("form", ["integers", "one-hot"])
def test_a_step_of_its_own_on_logits_gets_its_labels_and_is_scored(form):
    import keras

    made = model(3, kind=Steps.on_logits(form))
    made.compile(keras.optimizers.Adam(0.05))
    fitted, last, notices = train(made, epochs=8)
    _, expected, _ = train(model(3), epochs=8, learning_rate=0.05)
    assert fitted.outputs.meaning == "logits"
    assert "step of its own" in notices[0]
    assert last.scores.metrics["accuracy"] == expected.scores.metrics["accuracy"]
    assert last.scores.loss == pytest.approx(expected.scores.loss, abs=1e-4)
    assert last.metrics["rate"] == 0.5
    assert {"both_0", "both_1"} <= set(last.metrics)


@pytest.mark.parametrize(
    ("loss", "form"),
    [
        (lambda: ["categorical_crossentropy"], "one-hot"),
        (lambda: {"last": "sparse_categorical_crossentropy"}, "integers"),
        (lambda: lambda y, p: stock_sparse(y, p), "integers"),
        (lambda: partial("sparse_categorical_crossentropy", from_logits=False), "integers"),
        (lambda: focal, "integers"),
        (lambda: "crossentropy", "integers"),
        (lambda: "poisson", "one-hot"),
        (lambda: "cosine_similarity", "one-hot"),
        (lambda: stock("CategoricalCrossentropy", reduction="sum"), "one-hot"),
    ],
)
def test_the_form_of_labels_is_found_by_calling_the_loss(loss, form):
    from search.training.targets import targets_for

    made = model(3, "softmax", loss=loss())
    assert targets_for(made, some_classes(3), ROWS).form == form
    _, last, notices = train(made, epochs=2)
    assert notices == []
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} == set(last.metrics)


def stock_sparse(labels, outputs):
    import keras

    return keras.losses.sparse_categorical_crossentropy(labels, outputs)


def test_a_loss_that_does_not_know_the_true_class_is_refused():
    made = model(3, "softmax", loss=lambda y, p: (p - 1) ** 2)
    with pytest.raises(ValueError, match="must be smaller the more the output of the true class"):
        train(made)


def test_what_a_model_measures_keeps_its_name_and_a_top_share_is_no_accuracy():
    import keras

    def mean_confidence(labels, outputs):
        return keras.ops.mean(keras.ops.max(outputs, axis=-1))

    metrics = [keras.metrics.TopKCategoricalAccuracy(2), keras.metrics.F1Score(), mean_confidence]
    made = model(3, "softmax", loss="categorical_crossentropy", metrics=metrics)
    _, last, _ = train(made)
    assert set(last.metrics) == {
        "loss",
        "top_k_categorical_accuracy",
        "f1_score_0",
        "f1_score_1",
        "f1_score_2",
        "mean_confidence",
        "val_loss",
        "val_accuracy",
    }


def test_a_share_of_matching_numbers_is_no_accuracy_of_several_classes():
    metrics = ["binary_accuracy"]
    made = model(3, "softmax", loss="categorical_crossentropy", metrics=metrics)
    _, last, _ = train(made)
    assert "accuracy" not in last.metrics
    assert "binary_accuracy" in last.metrics


@pytest.mark.parametrize("outputs", ["list", "dictionary"])
def test_one_output_in_a_list_or_a_dictionary_is_that_output(outputs):
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(8, "relu")(inputs)
    found = keras.layers.Dense(3, "softmax", name="last")(hidden)
    made = keras.Model(inputs, [found] if outputs == "list" else {"last": found})
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    _, last, _ = train(made)
    _, expected, _ = train(
        model(3, "softmax", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    )
    assert np.array_equal(last.values, expected.values)
    assert last.metrics == expected.metrics


def test_several_outputs_are_refused_with_their_shapes():
    import keras

    inputs = keras.Input((2,))
    both = {"a": keras.layers.Dense(3)(inputs), "b": keras.layers.Dense(1)(inputs)}
    with pytest.raises(ValueError, match=r"has 2 outputs, of shapes \(None, 3\), \(None, 1\)"):
        train(keras.Model(inputs, both))


def test_an_output_of_another_rank_is_refused_with_its_shape():
    import keras

    made = keras.Sequential([keras.layers.Input((2,)), keras.layers.Reshape((2, 1))])
    with pytest.raises(ValueError, match=r"it has \(None, 2, 1\)"):
        train(made)


def test_outputs_are_tried_where_the_last_layer_is_not_one_that_keras_knows():
    import keras

    from search.tasks.models import are_probabilities

    class Last(keras.layers.Layer):
        def __init__(self, finish):
            super().__init__()
            self.finish = finish

        def call(self, x):
            return self.finish(x)

    def ends(finish, units=3):
        layers = [keras.layers.Input((2,)), keras.layers.Dense(units), Last(finish)]
        return keras.Sequential(layers)

    shares = ends(lambda x: keras.ops.exp(x) / keras.ops.sum(keras.ops.exp(x), -1, True))
    before = shares.get_weights()
    assert are_probabilities(shares, ROWS)
    assert all(map(np.array_equal, before, shares.get_weights()))
    assert are_probabilities(ends(keras.ops.sigmoid, 1), ROWS)
    assert not are_probabilities(ends(keras.ops.relu, 1), ROWS)
    assert not are_probabilities(ends(keras.ops.tanh, 1), ROWS)
    assert not are_probabilities(ends(lambda x: 0.5 + 0.01 * x, 1), ROWS)


def test_values_that_leave_their_bounds_are_an_error_not_clipped():
    from search.tasks.classification import Outputs

    with pytest.raises(ValueError, match=r"must lie between 0 and 1; they reached from -1 to 2"):
        Outputs("probabilities", 2).values(np.array([[2.0], [-1.0]]))


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("overwrite", [None, 4])
def test_averaged_weights_are_what_is_scored_and_kept(early, overwrite):
    import keras

    optimizer = keras.optimizers.SGD(
        0.5, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=overwrite
    )
    made = model(3, "softmax", loss="sparse_categorical_crossentropy", optimizer=optimizer)
    fitted, last, _ = train(made, epochs=12, early_stopping=early)
    found = keras.ops.convert_to_numpy(made(ROWS))
    assert np.allclose(found, fitted.chosen.values, atol=1e-6)
    assert early is (fitted.chosen is not last)


@pytest.mark.parametrize("seed", range(6))
def test_zeros_behind_a_relu_are_not_taken_for_probabilities(seed):
    import keras

    from search.tasks.models import are_probabilities

    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Input((2,)), keras.layers.Dense(1), keras.layers.ReLU()]
    assert not are_probabilities(keras.Sequential(layers), ROWS)


@pytest.mark.parametrize("compiled", [None, "categorical_crossentropy", "hinge"])
def test_a_loss_of_a_models_own_is_tried_with_what_it_takes(compiled):
    import keras
    import tensorflow as tf

    class Own(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, y_pred)
            return tf.reduce_mean(losses)

    made = model(3, kind=Own)
    made.compile(keras.optimizers.Adam(0.05), loss=compiled, metrics=["accuracy"])
    fitted, last, notices = train(made, epochs=8)
    _, expected, _ = train(model(3), epochs=8, learning_rate=0.05)
    assert (fitted.outputs.meaning, notices) == ("logits", [])
    assert last.scores.metrics["accuracy"] == expected.scores.metrics["accuracy"]
    assert last.scores.loss == pytest.approx(expected.scores.loss, abs=1e-5)


@pytest.mark.parametrize("units", [2, 3])
@pytest.mark.parametrize("own", [False, True])
def test_a_sigmoid_for_each_class_scores_the_same_in_the_model_and_in_the_loss(units, own):
    labels = TWO if units == 2 else LABELS
    _, last, _ = train(
        model(units, loss=own_binary if own else stock("BinaryCrossentropy", from_logits=True)),
        labels,
    )
    _, reference, _ = train(model(units, "sigmoid", loss="binary_crossentropy"), labels)
    assert last.scores.metrics["accuracy"] == reference.scores.metrics["accuracy"]
    assert last.scores.loss == pytest.approx(reference.scores.loss, abs=1e-5)


@pytest.mark.parametrize("loss", ["Dice", "Tversky"])
def test_losses_over_whole_batches_train(loss):
    _, last, _ = train(model(1, "sigmoid", loss=stock(loss)), TWO, learning_rate=0.05)
    assert last.scores.metrics["accuracy"] > 0.5


@pytest.mark.parametrize("case", ["focal", "smoothed", "weighted"])
def test_one_sided_losses_on_a_logit_decide_by_its_sign(case):
    import tensorflow as tf

    def one_sided(labels, z):
        p = tf.sigmoid(z)
        if case == "focal":
            return -labels * (1 - p) * tf.math.log_sigmoid(z) - (1 - labels) * p**4 * (
                tf.math.log_sigmoid(-z)
            )
        if case == "smoothed":
            return own_binary(labels * 0.9, z)
        return tf.nn.weighted_cross_entropy_with_logits(labels, z, 5.0)

    made = model(1, loss=one_sided)
    fitted, last, _ = train(made, TWO)
    assert (fitted.outputs.meaning, fitted.outputs.threshold) == ("scores", 0.0)
    found = np.asarray(made(ROWS))[:, 0] > 0
    assert last.scores.metrics["accuracy"] == pytest.approx((found == TWO).mean())


@pytest.mark.parametrize("kind", ["variable", "number", "closure"])
def test_a_loss_that_remembers_its_calls_is_left_as_it_was(kind):
    import keras
    import tensorflow as tf

    from search.training.targets import targets_for

    steps = tf.Variable(0.0)

    class Annealed(keras.losses.Loss):
        def __init__(self):
            super().__init__()
            self.steps = tf.Variable(0.0)
            self.calls = 0

        def call(self, labels, outputs):
            self.steps.assign_add(1.0)
            self.calls += 1
            return tf.exp(-self.steps / 10) * own_softmax(labels, outputs)

    def closed(labels, outputs):
        steps.assign_add(1.0)
        return tf.exp(-steps / 10) * own_softmax(labels, outputs)

    loss = closed if kind == "closure" else Annealed()
    targets_for(model(3, loss=loss), some_classes(3), ROWS)
    left = {
        "closure": lambda: float(steps),
        "variable": lambda: float(loss.steps),
        "number": lambda: loss.calls,
    }
    assert left[kind]() == 0


def two_outputs(kind: Any = None) -> Any:
    import keras

    entry = keras.Input((2,))
    outputs = {
        "kind": keras.layers.Dense(3, "softmax")(entry),
        "price": keras.layers.Dense(1)(entry),
    }
    made = (kind or keras.Model)(entry, outputs)
    losses = {"kind": keras.losses.CategoricalFocalCrossentropy(), "price": "mse"}
    made.compile("adam", losses, loss_weights={"kind": 2.0, "price": 0.5})
    return made


TWO_TASKS = MultiOutput(
    ("kind", "price"),
    (
        OutputTask("kind", Classification(("a", "b", "c"))),
        OutputTask("price", Regression(("price",))),
    ),
)


def test_the_loss_of_several_outputs_is_their_weighted_sum_of_classes_the_cross_entropy():
    from sklearn.metrics import log_loss, mean_squared_error

    from search.training.targets import targets_for

    made = two_outputs()
    price = ROWS[:, :1].astype(np.float64)
    targets = targets_for(made, TWO_TASKS, ROWS)
    said = {name: np.asarray(values) for name, values in made(ROWS).items()}
    together = np.concatenate([said["kind"], said["price"]], axis=1)
    wanted = TWO_TASKS.side_by_side({"kind": LABELS, "price": price})
    _, loss = targets.score(together, wanted)
    expected = 2 * log_loss(LABELS, said["kind"]) + 0.5 * mean_squared_error(price, said["price"])
    assert loss == pytest.approx(expected, rel=1e-5)


def test_a_compute_loss_of_its_own_is_refused_with_several_outputs():
    import keras

    from search.training.targets import targets_for

    class Own(keras.Model):
        def compute_loss(self, *given, **more):
            return super().compute_loss(*given, **more)

    with pytest.raises(ValueError, match="Keras's own `train_step` and `compute_loss`"):
        targets_for(two_outputs(Own), TWO_TASKS, ROWS)
