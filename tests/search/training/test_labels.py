"""What outputs mean of labels, and which losses and models are refused for them."""

from typing import Any

import numpy as np
import pytest

from search.tasks import LabelOutputs, MultiLabel, outputs_of

pytestmark = pytest.mark.slow  # TensorFlow

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(60, 3)).astype(np.float32)
BITS = (ROWS[:, :2] > 0.3).astype(np.uint8)
TASK = MultiLabel(("red", "round"))


def model(activation: Any, loss: Any, units: int = 2, metrics: Any = ()) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(units, activation)
    made = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(8, "relu"), dense])
    made.compile("adam", loss(keras) if callable(loss) else loss, metrics=list(metrics))
    return made


def found(made: Any) -> Any:
    from search.training.targets import targets_for

    return targets_for(made, TASK, ROWS)


def own(y: Any, z: Any) -> Any:
    import tensorflow as tf

    return tf.nn.sigmoid_cross_entropy_with_logits(y, z)


@pytest.mark.parametrize(
    ("activation", "loss", "meaning"),
    [
        ("sigmoid", "binary_crossentropy", "probabilities"),
        ("sigmoid", "mse", "probabilities"),
        ("sigmoid", lambda keras: keras.losses.BinaryFocalCrossentropy(), "probabilities"),
        ("sigmoid", lambda keras: keras.losses.Dice(), "probabilities"),
        (None, lambda keras: keras.losses.BinaryCrossentropy(from_logits=True), "logits"),
        (None, lambda _: own, "logits"),
        (None, lambda keras: keras.losses.BinaryFocalCrossentropy(from_logits=True), "logits"),
    ],
)
def test_outputs_are_probabilities_or_logits_as_their_loss_says(activation, loss, meaning):
    made = model(activation, loss)
    targets = found(made)
    assert targets.outputs == LabelOutputs(meaning)
    assert targets.notice == ""
    outputs = made(ROWS).numpy()
    values, value = targets.score(outputs, BITS)
    expected = outputs if meaning == "probabilities" else 1 / (1 + np.exp(-outputs))
    assert values == pytest.approx(expected, abs=1e-6)
    own_loss = made.evaluate(ROWS, BITS.astype(np.float32), batch_size=60, verbose=0)
    assert value == pytest.approx(own_loss, rel=1e-5)
    assert outputs_of(targets.outputs.to_json()) == targets.outputs


@pytest.mark.parametrize(
    ("activation", "loss", "reason"),
    [
        ("softmax", "binary_crossentropy", "these sum to 1 whatever the weights"),
        ("softmax", "categorical_crossentropy", "these sum to 1 whatever the weights"),
        ("sigmoid", "categorical_crossentropy", "only compares the outputs of a sample"),
        (
            None,
            lambda keras: keras.losses.CategoricalCrossentropy(from_logits=True),
            "only compares the outputs of a sample",
        ),
        (None, "hinge", "does not say how those of this model become some"),
        (None, "mse", "does not say how those of this model become some"),
        ("sigmoid", "sparse_categorical_crossentropy", "of 2 labels it fails"),
        ("sigmoid", lambda _: lambda y, z: -own(y, z), "it does not fall with output 1, 2"),
    ],
)
def test_models_whose_outputs_are_no_labels_are_refused_with_a_remedy(activation, loss, reason):
    made = model(activation, loss)
    with pytest.raises(ValueError, match=reason) as refused:
        found(made)
    assert "Dense(2, activation='sigmoid')" in str(refused.value)


def test_a_softmax_without_a_name_is_seen_by_trying():
    import keras

    hidden = keras.Input((3,))
    dense = keras.layers.Dense(2)(hidden)
    shares = keras.layers.Lambda(lambda x: keras.ops.softmax(x))(dense)
    made = keras.Model(hidden, shares)
    made.compile("adam", "binary_crossentropy")
    with pytest.raises(ValueError, match="these sum to 1 whatever the weights"):
        found(made)


def test_another_number_of_outputs_is_refused():
    with pytest.raises(ValueError, match="one output a label; it has 3 outputs for 2 labels"):
        found(model("sigmoid", "binary_crossentropy", units=3))


def test_metrics_of_classes_are_not_shown_as_those_of_labels():
    made = model("sigmoid", "binary_crossentropy", metrics=["accuracy", "binary_accuracy"])
    made.fit(ROWS, BITS, verbose=0)
    told = found(made).training_metrics(made, dict.fromkeys(made.metrics_names, 0.5), tells=False)
    shown = {"accuracy", "binary_accuracy"} & set(
        found(made).training_metrics(
            made, {"loss": 0.1, "accuracy": 0.4, "binary_accuracy": 0.7}, tells=False
        )
    )
    assert "loss" in told
    assert shown == {"binary_accuracy"}
