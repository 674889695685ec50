"""When numbers to predict are standardised for training, and when they must not be."""

import functools
from typing import Any

import numpy as np
import pytest

from search.tasks import NumberOutputs, Regression, outputs_of

pytestmark = pytest.mark.slow  # TensorFlow

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(40, 3)).astype(np.float32)
NUMBERS = 200 + 30 * ROWS[:, :1].astype(np.float64)
ONE = Regression(("size",))


def model(loss: Any = "mse", units: int = 1, ends: Any = (), **last: Any) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(8, "relu")
    parts = [keras.layers.Input((3,)), hidden, keras.layers.Dense(units, **last), *ends]
    made = keras.Sequential(parts)
    made.compile("adam", loss)
    return made


def found(made: Any, numbers: Any = NUMBERS, task: Regression = ONE, **more: Any) -> Any:
    from search.training.targets import targets_for

    return targets_for(made, task, ROWS, numbers, **more)


def off_by_five(y: Any, z: Any) -> Any:
    import tensorflow as tf

    return tf.maximum(tf.abs(y - z) - 5.0, 0.0)


def only_large(y: Any, z: Any) -> Any:
    import tensorflow as tf

    return tf.square(y - z) * tf.where(tf.abs(y - z) > 100, 1.0, 0.5)


def pinball(y: Any, z: Any) -> Any:
    import tensorflow as tf

    return tf.maximum(0.9 * (y - z), 0.1 * (z - y))


@pytest.mark.parametrize("loss", ["mse", "mae", pinball, functools.partial(pinball)])
def test_numbers_are_standardised_where_only_their_unit_changes(loss):
    targets = found(model(loss))
    assert targets.outputs.scale == pytest.approx([NUMBERS.std()])
    assert targets.outputs.offset == pytest.approx([NUMBERS.mean()])
    assert targets.notice == ""
    encoded = targets.encode(NUMBERS)
    assert encoded.dtype == np.float32
    assert [encoded.mean(), encoded.std()] == pytest.approx([0, 1], abs=1e-6)
    assert targets.score(encoded, NUMBERS)[0] == pytest.approx(NUMBERS, rel=1e-6)
    assert targets.score(encoded, NUMBERS)[1] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("loss", "name"), [("huber", "huber"), ("log_cosh", "log_cosh")])
def test_what_a_loss_of_keras_measures_then_counts_in_deviations(loss, name):
    targets = found(model(loss))
    assert not targets.outputs.is_plain
    assert f"so what loss '{name}' measures counts in standard deviations" in targets.notice


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: model("msle"), "loss 'msle' changes when targets and outputs are shifted alike"),
        (lambda: model("mape"), "loss 'mape' changes when targets and outputs are shifted alike"),
        (lambda: model("poisson"), "loss 'poisson' changes when"),
        (lambda: model(off_by_five), "loss off_by_five depends on the targets' unit"),
        (lambda: model(only_large), "loss only_large depends on the targets' unit"),
        (lambda: model(activation="relu"), "not every output of the model can become any number"),
        (lambda: model(activation="tanh"), "not every output of the model can become any number"),
        (lambda: model(activation="exponential"), "not every output of the model"),
        (lambda: model(ends=[rescaled()]), "outputs begin at 190, near the targets' own mean"),
        (lambda: model(bias_initializer=constant(200)), "outputs begin at 200, near"),
        (lambda: own_step(), "the model computes its loss in a step of its own"),
    ],
)
def test_numbers_stay_as_they_are_where_it_may_do_harm_and_it_is_said_why(made, reason):
    targets = found(made())
    assert targets.outputs == NumberOutputs.plain(1)
    assert targets.notice.startswith("targets are not standardised, but given to the model as they")
    assert reason in targets.notice
    assert np.array_equal(targets.encode(NUMBERS), NUMBERS.astype(np.float32))


def rescaled() -> Any:
    import keras

    return keras.layers.Rescaling(25.0, offset=190.0)


def constant(value: float) -> Any:
    import keras

    return keras.initializers.Constant(value)


def own_step() -> Any:
    import keras

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.last = keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.last(x)

        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    made = Own()
    made(ROWS)
    made.compile("adam", "mse")
    return made


@pytest.mark.parametrize("compiled", [None, "mse"])
def test_a_models_own_compute_loss_decides_whatever_it_is_compiled_with(compiled):
    import keras

    class Relative(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.last = keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.last(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean((y - y_pred) ** 2 / y)

    made = Relative()
    made(ROWS)
    made.compile("adam", loss=compiled)
    targets = found(made)
    assert targets.outputs.is_plain
    assert "the model's `compute_loss` changes when targets and outputs" in targets.notice
    outputs = np.asarray(made(ROWS))
    _, loss = targets.score(outputs, NUMBERS)
    assert loss == pytest.approx(((NUMBERS - outputs) ** 2 / NUMBERS).mean(), rel=1e-5)


def test_a_compute_loss_that_adds_to_the_compiled_one_leaves_the_model_untouched():
    import keras

    class More(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 3 * super().compute_loss(x, y, y_pred, sample_weight, training=training)

    entry = keras.Input((3,))
    made = More(entry, keras.layers.Dense(1)(entry))
    made.compile("adam", "mse")
    targets = found(made)
    assert not made._compile_loss.built  # what it stands for is decided by the training
    assert targets.outputs.scale == pytest.approx([NUMBERS.std()])  # `mse` allows it
    outputs = np.asarray(made(ROWS))
    expected = 3 * ((targets.encode(NUMBERS) - outputs) ** 2).mean()
    assert targets.score(outputs, NUMBERS)[1] == pytest.approx(expected, rel=1e-5)


def test_an_own_layer_after_the_last_dense_one_is_tried():
    import keras

    assert not found(model(ends=[keras.layers.Rescaling(2.0)])).outputs.is_plain
    assert found(model(ends=[keras.layers.Rescaling(0.001), keras.layers.ReLU()])).outputs.is_plain


def test_scaling_off_leaves_numbers_as_they_are_without_a_word():
    targets = found(model(), scaling="off")
    assert targets.outputs.is_plain
    assert targets.notice == ""


def test_a_constant_number_is_only_shifted():
    numbers = np.concatenate([NUMBERS, np.full_like(NUMBERS, 0.1)], axis=1)
    targets = found(model(units=2), numbers, Regression(("a", "b")))
    assert targets.outputs.scale[1] == 1
    assert targets.outputs.offset[1] == pytest.approx(0.1)
    assert np.isfinite(targets.encode(numbers)).all()


def test_weights_count_in_mean_and_deviation():
    weights = RANDOM.uniform(0, 2, len(NUMBERS))
    targets = found(model(), weights=weights)
    mean = np.average(NUMBERS[:, 0], weights=weights)
    spread = np.sqrt(np.cov(NUMBERS[:, 0], aweights=weights, ddof=0))
    assert targets.outputs.offset == pytest.approx([mean])
    assert targets.outputs.scale == pytest.approx([spread])


def test_large_numbers_keep_their_digits_where_they_are_standardised():
    times = 1.7e9 + np.arange(40.0)[:, np.newaxis]
    targets = found(model(), times)
    values, _ = targets.score(targets.encode(times), times)
    assert np.abs(values - times).max() < 1e-4
    assert targets.notice == ""
    raw = found(model(), times, scaling="off")
    assert "float32, in which models are trained, keeps them to within 39 only" in raw.notice


def test_outputs_without_a_second_axis_get_targets_without_one():
    import keras

    flat = model(ends=[keras.layers.Reshape(())])
    targets = found(flat)
    assert targets.encode(NUMBERS).shape == (40,)
    assert targets.score(flat(ROWS).numpy(), NUMBERS)[0].shape == (40, 1)


def test_the_loss_is_the_models_own_with_weights_as_in_keras():
    made, weights = model("mae"), RANDOM.uniform(0, 2, len(NUMBERS))
    targets = found(made)
    encoded = targets.encode(NUMBERS)
    _, loss = targets.score(made(ROWS).numpy(), NUMBERS, weights)
    made.compile("adam", "mae")
    expected = made.evaluate(ROWS, encoded, sample_weight=weights, batch_size=40, verbose=0)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_what_outputs_mean_is_kept_as_json():
    import json

    outputs = found(model()).outputs
    assert outputs_of(json.loads(json.dumps(outputs.to_json()))) == outputs


def test_trying_a_model_changes_no_weight():
    made = model(ends=[rescaled()])
    before = made.get_weights()
    found(made)
    assert all(map(np.array_equal, before, made.get_weights()))


def test_a_metric_says_whether_targets_or_predictions_do_not_allow_it():
    from search.tasks.metrics import metric_of
    from search.training.scoring import measured

    task = Regression(("y",))
    metric = metric_of("neg_mean_gamma_deviance", task)
    outputs = NumberOutputs.plain(1)
    good, bad = np.array([[1.0], [2.0]]), np.array([[-1.0], [2.0]])
    assert measured(metric, good, good, None, outputs) == 0
    with pytest.raises(ValueError, match=r"of what the model predicts, from -1 to 2: .*softplus"):
        measured(metric, bad, good, None, outputs)
    with pytest.raises(ValueError, match="cannot be computed: ") as caught:
        measured(metric, good, bad, None, outputs)
    assert "The targets allow it" not in str(caught.value)
    with pytest.raises(ValueError, match="the least of the models' predictions is -1"):
        measured(metric_of("poisson", task), bad, good, None, outputs)
